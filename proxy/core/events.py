"""What can happen outside any call: frozen facts for the observers."""

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.core.call import Target
from proxy.core.money import Window as Period
from proxy.core.quota import Window


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


class BreakerState(StrEnum):
    """Whether calls to a target are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"  # one at a time, to see how it is


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """A target is left alone from now on, or tried, or trusted again.

    `open_for_s` is for how long it is left alone: infinite while an admin holds it open.
    """

    target: Target
    state: BreakerState
    reason: str
    open_for_s: float = field(
        default=0.0, compare=False
    )  # drawn by chance, so no part of what it is


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


@dataclass(frozen=True, slots=True)
class DomainClosed:
    """A provider refused for lack of quota: an account's model rests for `wait_s`."""

    provider: str
    account: str
    model: str
    window: Window | None
    wait_s: float


@dataclass(frozen=True, slots=True)
class AccountsChanged:
    """Refusals named the organisation of some keys: they share one after all, or do not."""

    provider: str
    keys: tuple[str, ...]
    joined: bool


class AlertKind(StrEnum):
    """What an alert about a budget tells."""

    THRESHOLD = "threshold"  # so much of it is spent
    FORECAST = "forecast"  # it will not last, at the present rate
    RESOLVED = "resolved"  # what was told no longer holds


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """An alert about a budget: one, over all workers. `threshold` is the one that was passed."""

    scope: str
    owner: str  # the scope in words that people know
    period: Period
    kind: AlertKind
    threshold: float | None = None


class DeliveryResult(StrEnum):
    """What came of one try to tell a webhook."""

    OK = "ok"
    RETRY = "retry"  # it failed, and will be tried again
    GAVE_UP = "gave_up"


@dataclass(frozen=True, slots=True)
class AlertDelivered:
    """A webhook was told of an alert, or could not be; `webhook` is its label, like `slack-1`."""

    webhook: str
    result: DeliveryResult


Event = (
    KeyChecked
    | BreakerMoved
    | StaleConnection
    | ConfigReloaded
    | LoopLagged
    | ClockJumped
    | DomainClosed
    | AccountsChanged
    | AlertRaised
    | AlertDelivered
)
