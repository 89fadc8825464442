"""The slots of several workers -> what a page shows of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from proxy.core.call import JsonObject
from proxy.core.money import NANO
from proxy.telemetry.meters import FAST, LAT, TTFT

_KINDS: Final = ("prompt", "prompt_cached", "completion", "reasoning")
_SEARCH: Final = ("calls", "empty", "failed", "passages", "seconds", "scores", "scored")
BOUNDS: Final[Mapping[str, Sequence[float]]] = {
    "latency_s": LAT,
    "first_token_s": TTFT,
    "overhead_s": FAST,
}


def merged(workers: Iterable[Sequence[Any]]) -> list[JsonObject]:
    """The slots of several workers, added up by their time; oldest first."""
    slots: dict[int, JsonObject] = {}
    for told in workers:
        for slot in told:
            at = slot["t"]
            slots[at] = {**_added(slots[at], slot), "t": at} if at in slots else slot
    return [slots[at] for at in sorted(slots)]


def _added(one: Any, other: Any) -> Any:
    """The sum of two numbers, of two rows, or of two tables by their names."""
    if isinstance(one, dict):
        sums = dict(one)
        for name, each in other.items():
            sums[name] = _added(sums[name], each) if name in sums else each
        return sums
    if isinstance(one, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    return one + other


def shown(slot: Mapping[str, Any]) -> JsonObject:
    """A slot as people read it, with the rows that a page may add up."""
    tokens = [
        sum(each) for each in zip(*(m["tokens"] for m in slot["models"].values()), strict=True)
    ]
    calls, all_s, upstream_s, queue_s, prompt_s, completion_s, own_s, waits_s = slot["times"]
    return {
        "t": slot["t"],
        "calls": slot["outcomes"],
        "cache": slot["words"],
        "degraded": slot["degraded"],
        "latency_s": _spread(LAT, slot["duration"]),
        "first_token_s": _spread(TTFT, slot["first"]),
        "overhead_s": _spread(FAST, slot["overhead"]),
        "seconds": {
            "calls": calls,
            "all": all_s,
            "upstream": upstream_s,
            "provider_queue": queue_s,
            "provider_prompt": prompt_s,
            "provider_completion": completion_s,
            "own": own_s,
            "waits": waits_s,
        },
        "tokens": dict(zip(_KINDS, tokens or (0, 0, 0, 0), strict=True)),
        "cost_usd": sum(m["cost"] for m in slot["models"].values()) / NANO,
        "saved_usd": slot["saved"] / NANO,
        "models": {name: _model_shown(each) for name, each in slot["models"].items()},
        "tenants": {
            name: {"calls": n, "bad": bad, "tokens": tokens_, "cost_usd": cost / NANO}
            for name, (n, bad, tokens_, cost) in slot["tenants"].items()
        },
        "documents": {
            name: dict(zip(_SEARCH, each, strict=True)) for name, each in slot["documents"].items()
        },
    }


def _model_shown(model: Mapping[str, Any]) -> JsonObject:
    return {
        "calls": model["calls"],
        "bad": model["bad"],
        "tokens": dict(zip(_KINDS, model["tokens"], strict=True)),
        "cost_usd": model["cost"] / NANO,
        "spoken_tokens": model["spoken"],
        "spoken_s": model["seconds"],
        "first_token_s": _spread(TTFT, model["first"]),
    }


def _spread(bounds: Sequence[float], counts: Sequence[int]) -> JsonObject:
    return {
        "p50": quantile(0.5, bounds, counts),
        "p95": quantile(0.95, bounds, counts),
        "counts": counts,
    }


def quantile(share: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """The value that `share` of the observations lie below, as `histogram_quantile` guesses it.

    Evenly spread within a bucket; above the last bound, that bound. None where nothing was seen.
    """
    rank = share * sum(counts)
    if not rank:
        return None
    below = 0
    for place, count in enumerate(counts):
        if below + count >= rank and count:
            if place == len(bounds):
                break
            least = bounds[place - 1] if place else 0.0
            return round(least + (bounds[place] - least) * (rank - below) / count, 6)
        below += count
    return bounds[-1]
