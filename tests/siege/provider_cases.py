"""What a case is: a provider that misbehaves, and what its caller must be told."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.siege.provider_scripts import saying
from tests.siege.provider_verdicts import Verdict
from tests.stories.raw import Script


@dataclass(frozen=True, slots=True)
class Case:
    """One call to a provider that follows `script`; the model's name chooses it."""

    name: str
    stream: bool
    script: Script
    verdict: Verdict
    provider: str = ""  # "": the default one, which is waited for as long as users do
    within_s: float | None = None  # of a case that has to wait: until its call must have ended

    def __str__(self) -> str:
        return f"{self.name}, {'streamed' if self.stream else 'whole'}"

    @property
    def model(self) -> str:
        """The name under which it is asked for."""
        slug = str(self).replace(" ", "-").replace("/", "-")
        return f"{self.provider}/{slug}" if self.provider else slug


def both(name: str, script: Script, verdict: Verdict) -> Iterator[Case]:
    """A case for a whole and for a streamed call."""
    yield Case(name, stream=False, script=script, verdict=verdict)
    yield Case(name, stream=True, script=script, verdict=verdict)


def wholes(told: Mapping[str, bytes], verdict: Verdict) -> Iterator[Case]:
    """Whole calls that are answered so."""
    for name, data in told.items():
        yield Case(name, stream=False, script=saying(data), verdict=verdict)


def streams(told: Mapping[str, bytes], verdict: Verdict) -> Iterator[Case]:
    """Streamed calls that are answered so."""
    for name, data in told.items():
        yield Case(name, stream=True, script=saying(data), verdict=verdict)
