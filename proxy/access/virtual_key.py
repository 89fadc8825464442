"""A virtual key: what is kept of it, and what is told of it. Its secret is in neither."""

import logging
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import orjson

from proxy.config.settings import VirtualKeySettings
from proxy.config.units import budget, limit
from proxy.core.call import Caller, JsonObject
from proxy.core.clock import iso
from proxy.core.money import Budget
from proxy.core.rates import Limit
from proxy.stores.protocols import Kept

PREFIX: Final = "gp-"  # of every secret: a scanner of repositories can find those that leaked

_log = logging.getLogger(__name__)


class State(StrEnum):
    """Whether a key counts."""

    ACTIVE = "active"
    DISABLED = "disabled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Former:
    """The secret before the last rotation; it counts until `until` (Unix seconds)."""

    sha256: str
    until: float


@dataclass(frozen=True, slots=True)
class VirtualKey:
    """One key; times are Unix seconds. `created` is None for those of the configuration.

    `sha256` is that of the secret, in hex: the secret has 256 random bits, so that nobody can find
    it from there. `hint` is how the secret ends.
    """

    id: str
    name: str
    sha256: str
    hint: str = ""
    team: str = ""
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    rag: tuple[str, ...] = ()
    budgets: tuple[Budget, ...] = ()
    limits: tuple[Limit, ...] = ()
    created: float | None = None
    expires: float | None = None
    disabled: float | None = None
    former: Former | None = None

    def state(self, wall: float) -> State:
        """Whether it counts at `wall`."""
        if self.disabled is not None:
            return State.DISABLED
        if self.expires is not None and wall >= self.expires:
            return State.EXPIRED
        return State.ACTIVE

    def caller(self) -> Caller:
        """Whoever shows it."""
        return Caller(
            key_id=self.id,
            name=self.name,
            team=self.team,
            models=self.models,
            endpoints=self.endpoints,
            rag=self.rag,
            limits=self.limits,
            budgets=self.budgets,
            hint=self.hint,
        )


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def of_settings(settings: VirtualKeySettings) -> VirtualKey:
    """A key of the configuration. Its id is its name's: its books outlive a change of the secret.

    Ids of other keys begin with `k_`.
    """
    return VirtualKey(
        id=f"c_{settings.name}",
        name=settings.name,
        sha256=settings.sha256,
        team=settings.team or "",
        models=settings.models,
        endpoints=settings.endpoints,
        rag=settings.rag,
        budgets=settings.budgets,
        limits=settings.limits,
    )


def told_of(key: VirtualKey, wall: float) -> JsonObject:
    """What is shown of a key as JSON, times in ISO 8601."""
    former = key.former if key.former and wall < key.former.until else None
    return {
        "id": key.id,
        "name": key.name,
        "team": key.team or None,
        "state": key.state(wall),
        "source": "config" if key.created is None else "store",
        "hint": key.hint or None,
        "models": key.models,
        "endpoints": key.endpoints,
        "rag": key.rag,
        "budgets": [str(each) for each in key.budgets],
        "limits": [str(each) for each in key.limits],
        "created": _iso(key.created),
        "expires": _iso(key.expires),
        "disabled": _iso(key.disabled),
        "former_secret_until": _iso(former.until if former else None),
    }


def _iso(wall: float | None) -> str | None:
    return None if wall is None else iso(wall)


def encoded(key: VirtualKey) -> bytes:
    """The key as it is kept; its id is the record's."""
    former = key.former
    return orjson.dumps(
        {
            "name": key.name,
            "sha256": key.sha256,
            "hint": key.hint,
            "team": key.team,
            "models": key.models,
            "endpoints": key.endpoints,
            "rag": key.rag,
            "budgets": [str(each) for each in key.budgets],
            "limits": [str(each) for each in key.limits],
            "created": key.created,
            "expires": key.expires,
            "disabled": key.disabled,
            "former": former and {"sha256": former.sha256, "until": former.until},
        }
    )


def decoded(kept: Kept) -> VirtualKey | None:
    """The key of a record; None, and a line in the log, where it cannot be read."""
    try:
        return _read(kept.id, orjson.loads(kept.value or b""))
    except (ValueError, LookupError, TypeError) as error:
        _log.error("key %s cannot be read and does not count: %s", kept.id, type(error).__name__)
        return None


def _read(id: str, record: dict[str, Any]) -> VirtualKey:
    former = record["former"]
    return VirtualKey(
        id=id,
        name=str(record["name"]),
        sha256=str(record["sha256"]),
        hint=str(record["hint"]),
        team=str(record["team"]),
        models=tuple(record["models"]),
        endpoints=tuple(record["endpoints"]),
        rag=tuple(record.get("rag", ())),  # keys of earlier versions have none
        budgets=tuple(map(budget, record["budgets"])),
        limits=tuple(map(limit, record["limits"])),
        created=float(record["created"]),
        expires=_time(record["expires"]),
        disabled=_time(record["disabled"]),
        former=Former(str(former["sha256"]), float(former["until"])) if former else None,
    )


def _time(written: float | None) -> float | None:
    return None if written is None else float(written)
