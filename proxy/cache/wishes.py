"""What a caller says about caching: in HTTP's words, in ours, in those of other gateways.

Each thing said is a `Wishes` of its own, and of all of them the strictest counts in each respect.
So nobody gets more by saying more.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Literal

from proxy.core.errors import InvalidRequest

Tiers = Literal["off", "exact", "semantic"]

_SHARE: Final = re.compile(r"[0-9]{0,20}\.?[0-9]{1,20}(?:[eE]-?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What may be done for one call.

    `only_if_cached` without `read` cannot be granted. An answer older than `max_age_s` does not do,
    nor does one of another `namespace`, and a new one is to be forgotten after `ttl_s`. `tiers` is
    the highest that may answer, with a chance of `max_error` (0 to 1) to be wrong at most. None:
    nothing was said.
    """

    read: bool = True
    write: bool = True
    only_if_cached: bool = False
    max_age_s: float | None = None
    tiers: Tiers = "semantic"
    max_error: float | None = None
    ttl_s: float | None = None
    namespace: str = ""

    def and_also(self, other: "Wishes") -> "Wishes":
        """What both allow."""
        if self is NO_WISHES:  # as nearly always
            return other
        return Wishes(
            read=self.read and other.read,
            write=self.write and other.write,
            only_if_cached=self.only_if_cached or other.only_if_cached,
            max_age_s=_least(self.max_age_s, other.max_age_s),
            tiers=min(self.tiers, other.tiers, key=_LADDER.index),
            max_error=_least(self.max_error, other.max_error),
            ttl_s=_least(self.ttl_s, other.ttl_s),
            namespace=self.namespace or other.namespace,
        )


NO_WISHES: Final = Wishes()

_LADDER: Final[tuple[Tiers, ...]] = ("off", "exact", "semantic")  # each allows more
_OFF: Final = Wishes(read=False, write=False, tiers="off")
_REFRESH: Final = Wishes(read=False)
_NO_STORE: Final = Wishes(read=False, write=False)

_DIRECTIVES: Final = {
    "no-cache": _REFRESH,
    "no-store": _NO_STORE,
    "only-if-cached": Wishes(only_if_cached=True),
}
_TIERS: Final = {"off": _OFF, "exact": Wishes(tiers="exact"), "semantic": NO_WISHES}
_FLAGS: Final = {"no-cache": _REFRESH, "no-store": _NO_STORE}


def wishes(headers: Mapping[str, str], field: object = None) -> Wishes:
    """The wishes in a request's headers and in `field`, the `cache` of its body (None: no such).

    Unknown directives of `Cache-Control` and unknown names in `field` are ignored. Raises
    `InvalidRequest` where a known one has a value without meaning.
    """
    if field is None and _READERS.keys().isdisjoint(map(str.lower, headers)):
        return NO_WISHES
    said = [*_in_field(field)]
    for name, value in headers.items():  # one may be there more than once
        if (reader := _READERS.get(name.lower())) is not None:
            said += reader(value.strip().lower())
    return reduce(Wishes.and_also, said, NO_WISHES)


def _in_cache_control(value: str) -> Iterator[Wishes]:
    for directive in value.split(","):
        name, _, argument = (part.strip() for part in directive.partition("="))
        if name == "max-age":
            digits = argument.strip('"')
            if not (digits.isascii() and digits.isdigit()):
                yield _REFRESH  # HTTP takes what it cannot read for stale
                continue
            seconds = float(digits)  # of however many digits: a float knows infinity
            yield Wishes(max_age_s=seconds) if seconds else _REFRESH  # nothing kept is that young
        elif name in _DIRECTIVES:
            yield _DIRECTIVES[name]


def _in_tiers(value: str) -> Iterator[Wishes]:
    if value not in _TIERS:
        raise _bad("x-proxy-cache", "it must be off, exact or semantic")
    yield _TIERS[value]


def _in_max_error(value: str) -> Iterator[Wishes]:
    if not (_SHARE.fullmatch(value) and float(value) <= 1):
        raise _bad("x-proxy-max-error", "it must be a number from 0 to 1, like 0.005")
    yield Wishes(max_error=float(value))


def _in_force_refresh(value: str) -> Iterator[Wishes]:
    if _is_true("x-portkey-cache-force-refresh", value):
        yield _REFRESH


def _in_enabled(value: str) -> Iterator[Wishes]:
    if not _is_true("Helicone-Cache-Enabled", value):
        yield _OFF


_READERS: Final[Mapping[str, Callable[[str], Iterator[Wishes]]]] = {
    "cache-control": _in_cache_control,
    "x-proxy-cache": _in_tiers,
    "x-proxy-max-error": _in_max_error,
    "x-portkey-cache-force-refresh": _in_force_refresh,
    "helicone-cache-enabled": _in_enabled,
}


def _in_field(field: object) -> Iterator[Wishes]:
    if field is None:
        return
    if isinstance(field, bool):
        field = {} if field else dict.fromkeys(_FLAGS, True)
    if not isinstance(field, dict):
        raise _bad("cache", 'it must be an object, like {"no-store": true}, or true or false')
    for name, meaning in _FLAGS.items():
        flag = field.get(name)
        if flag is not None and not isinstance(flag, bool):
            raise _bad("cache", f"its {name!r} must be true or false")
        if flag:
            yield meaning
    ttl_s, age_s, namespace = map(field.get, ("ttl", "s-maxage", "namespace"))
    if ttl_s is not None:
        yield Wishes(ttl_s=_seconds("ttl", ttl_s), write=ttl_s > 0)
    if age_s is not None:
        yield Wishes(max_age_s=_seconds("s-maxage", age_s)) if age_s else _REFRESH
    if namespace is not None:
        if not isinstance(namespace, str):
            raise _bad("cache", "its 'namespace' must be a text")
        yield Wishes(namespace=namespace)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _bad("cache", f"its {name!r} must be a number of seconds")
    return float(value)


def _is_true(name: str, value: str) -> bool:
    if value not in {"true", "false"}:
        raise _bad(name, "it must be true or false")
    return value == "true"


def _least(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _bad(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} is not usable: {why}", param=name)
