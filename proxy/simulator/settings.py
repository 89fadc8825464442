"""How a simulator is set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.simulator.catalogue import Metric, Plan
from proxy.simulator.scenario import Scenario

# Limits by model name (`*`: every model) that replace the published ones; None lifts one.
LimitChanges = Mapping[str, Mapping[str, int | None]]


class Dialect(StrEnum):
    """Whose API is spoken."""

    GROQ = "groq"
    GEMINI = "gemini"  # its OpenAI-compatible layer
    OLLAMA = "ollama"


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """All knobs; the defaults suit tests, `serve --demo` takes `plan=Plan.FREE`."""

    speed: float = 1.0  # how much faster than real its clock runs
    plan: Plan = Plan.DEVELOPER
    scenario: Scenario = field(default_factory=Scenario)
    # Key to organisation (Gemini: project). What other keys belong to is a matter of the dialect.
    organisations: Mapping[str, str] = field(default_factory=dict)
    limits: LimitChanges = field(default_factory=dict)
    seed: int = 0  # other answers to the same prompts
    output_estimate: int = 256  # tokens reserved for an answer whose request names no maximum
    keep_calls: int = 1_000  # how many recorded calls are remembered
    dialect: Dialect = Dialect.GROQ

    def __post_init__(self) -> None:
        if self.speed <= 0:
            raise ValueError(f"speed must be above 0, not {self.speed!r}")
        for model, changes in self.limits.items():
            for name in changes:
                if name not in set(Metric):
                    raise ValueError(
                        f"limits of {model!r}: {name!r} is none of {', '.join(Metric)}"
                    )
