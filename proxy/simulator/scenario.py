"""Scenario files: rules that say which calls fail, and how.

The first rule that fires decides. Every rule counts the calls that match its filters, whether it
fires or not, so `nth: 3` means the third such call no matter what other rules do.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from proxy.simulator.faults import Fault

Number = Annotated[int, Field(ge=1)]


class ScenarioError(Exception):
    """A scenario file that cannot be used; the message names the place and the reason."""


class Endpoint(StrEnum):
    """The paths under /openai/v1, by a short name."""

    CHAT = "chat"
    RESPONSES = "responses"
    TRANSCRIPTIONS = "transcriptions"
    TRANSLATIONS = "translations"
    SPEECH = "speech"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    FILES = "files"
    BATCHES = "batches"


@dataclass(frozen=True, slots=True)
class Sight:
    """What rules can see of a call."""

    endpoint: Endpoint
    path: str
    model: str
    org: str
    key: str
    stream: bool


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple | None) else [value]


class When(BaseModel):
    """Filters (all must match), then which of the matching calls are hit (default: all)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: Endpoint | None = None
    path: str | None = None  # with * and ?
    model: str | None = None  # with * and ?
    org: str | None = None
    key: str | None = None
    stream: bool | None = None
    nth: Annotated[tuple[Number, ...], BeforeValidator(_listed)] | None = (
        None  # one number or several
    )
    every: Number | None = None
    start: Number | None = Field(default=None, alias="from")
    to: Number | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int = 0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start is not None and self.to is not None and self.to < self.start:
            raise ValueError("'to' is smaller than 'from'")
        return self

    def sees(self, sight: Sight) -> bool:
        """Tell whether a call passes the filters."""
        return (
            self.endpoint in {None, sight.endpoint}
            and (self.path is None or fnmatchcase(sight.path, self.path))
            and (self.model is None or fnmatchcase(sight.model, self.model))
            and self.org in {None, sight.org}
            and self.key in {None, sight.key}
            and self.stream in {None, sight.stream}
        )

    def hits(self, count: int) -> bool:
        """Tell whether the `count`-th matching call (from 1) is hit."""
        return (
            (self.nth is None or count in self.nth)
            and (self.every is None or count % self.every == 0)
            and (self.start is None or count >= self.start)
            and (self.to is None or count <= self.to)
            # A die for each call, not one row of throws: concurrent calls cannot swap their luck.
            and (
                self.probability is None
                or Random(f"{self.seed}:{count}").random() < self.probability  # noqa: S311
            )
        )


def _spelled_out(value: Any) -> Any:
    """Let `fault: hang` stand for `fault: {hang: true}`."""
    return {value: True} if isinstance(value, str) else value


class Rule(BaseModel):
    """One rule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: When = When()
    fault: Annotated[Fault, BeforeValidator(_spelled_out)]


class Scenario(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...] = ()


def parse(value: Any, source: str = "scenario") -> Scenario:
    """Give the scenario in plain data, or raise a `ScenarioError` with a line for each mistake."""
    try:
        return Scenario.model_validate({} if value is None else value)
    except ValidationError as error:
        lines = [f"{source}: {_place(e['loc'])}: {_reason(e)}" for e in error.errors()]
        raise ScenarioError("\n".join(lines)) from error


def load(path: Path) -> Scenario:
    """Give the scenario in a YAML file, or raise a `ScenarioError`."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ScenarioError(f"{path}: {error}") from error
    return parse(value, str(path))


def _place(steps: tuple[int | str, ...]) -> str:
    return ".".join(str(step) for step in steps) or "top level"


def _reason(error: Mapping[str, Any]) -> str:
    return str(error["msg"]).removeprefix("Value error, ")


class Director:
    """Keeps the counts of a scenario's rules and picks the fault for each call."""

    def __init__(self, scenario: Scenario) -> None:
        self._rules = scenario.rules
        self._matched = [0] * len(self._rules)
        self._fired = [0] * len(self._rules)

    def fault_for(self, sight: Sight) -> Fault | None:
        """Count the call for every rule and give the first fault that fires."""
        chosen: int | None = None
        for number, rule in enumerate(self._rules):
            if rule.when.sees(sight):
                self._matched[number] += 1
                if chosen is None and rule.when.hits(self._matched[number]):
                    chosen = number
        if chosen is None:
            return None
        self._fired[chosen] += 1
        return self._rules[chosen].fault

    def state(self) -> list[dict[str, Any]]:
        """Show each rule with the calls that it matched and hit."""
        return [
            {
                "when": rule.when.model_dump(mode="json", by_alias=True, exclude_unset=True),
                "fault": rule.fault.model_dump(mode="json", exclude_unset=True),
                "matched": matched,
                "fired": fired,
            }
            for rule, matched, fired in zip(self._rules, self._matched, self._fired, strict=True)
        ]
