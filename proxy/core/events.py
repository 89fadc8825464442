"""What can happen outside any call: frozen facts for the observers."""

from dataclasses import dataclass
from enum import StrEnum


class KeyState(StrEnum):
    """Whether a provider key may be used."""

    ACTIVE = "active"
    COOLING = "cooling"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class KeyChecked:
    """A provider key was tried; `models` is how many it lists, None if that is not known."""

    provider: str
    key: str
    state: KeyState
    models: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class StaleConnection:
    """A kept connection was closed under a request, which was sent again on a new one."""

    provider: str


@dataclass(frozen=True, slots=True)
class ConfigReloaded:
    """A reload was tried; `reason` says why a bad file was not taken."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LoopLagged:
    """How late the event loop ran a timer."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """Somebody set the wall clock: it moved so far against the monotonic one."""

    seconds: float


Event = KeyChecked | StaleConnection | ConfigReloaded | LoopLagged | ClockJumped
