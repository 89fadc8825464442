"""What audits found, kept as records: one for a bin and a circle, so it is wherever records are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from proxy.core.clock import Clock
from proxy.stores.protocols import (
    HALF_LIFE_S,
    Finding,
    Kept,
    Observation,
    Records,
    StoreFailed,
    Tally,
)

_KIND: Final = "audit:"
_MOST_IDS: Final = 64  # of the last observations of a bin: a repeated one comes soon after
_MOST_SUBJECTS: Final = 256
_MOST_DOUBTED: Final = 16
_MOST_COMPLAINERS: Final = 128
_TRIES: Final = 20  # as many workers may count at the same moment
_COUNTS: Final = ("right", "wrong", "unsure", "hits", "bad_hits", "noise")


@dataclass(frozen=True, slots=True)
class _Bin:
    """`subjects`: when each was counted, those found bad below zero. `weights`: by complainer."""

    tally: Tally
    ids: tuple[str, ...]
    subjects: Mapping[str, float]
    weights: Mapping[str, float]


class KeptObservations:
    """Implements `Observations`."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def add(self, name: str, observation: Observation) -> Tally:
        """As `Observations` says."""
        circle = f" {observation.circle}" if observation.circle else ""
        id = observation.bin + circle
        for _ in range(_TRIES):
            kept = await self._records.get(_KIND + name, id)
            known = _read(kept) if kept is not None else None
            if known is not None and observation.id in known.ids:
                return known.tally
            counted = _counted(known, observation, self._clock.wall())
            expected = kept.version if kept is not None else 0
            put = await self._records.put(_KIND + name, id, _written(counted), expected)
            if put is not None:
                return replace(counted.tally, version=put.version)
        raise StoreFailed("too many workers count audits at the same time", sent=False)

    async def since(self, name: str, version: int = 0) -> Sequence[Tally]:
        """As `Observations` says."""
        bins = map(_read, await self._records.since(_KIND + name, version))
        return [known.tally for known in bins if known is not None]


def _counted(known: _Bin | None, observation: Observation, now: float) -> _Bin:
    """The bin with one observation more."""
    if known is None:
        empty = Tally(observation.bin, 0.0, 0.0, 0.0, 0.0, 0.0, 0, now, circle=observation.circle)
        known = _Bin(empty, (), {}, {})
    left = known.tally.left(now)
    weights = {who: weight * left for who, weight in known.weights.items()}
    is_new = _is_new(known.subjects, observation, now)
    tally = known.tally.faded(now)
    if observation.complainer:
        tally = replace(tally, complaints=tally.complaints + 1)
        if is_new:
            weights = _complained(weights, observation)
    else:
        tally = _audited(tally, observation, is_new=is_new)
    subjects = dict(known.subjects)
    # Whoever complains takes nothing from the weight of an audit that finds the same.
    if is_new and observation.subject and not observation.complainer:
        name = _name(observation)
        subjects.pop(name, None)
        subjects[name] = -now if _is_bad(observation) else now
    doubted = [subject for subject, at in subjects.items() if at < 0.0]
    tally = replace(
        tally, complained=sum(weights.values()), doubted=tuple(doubted[-_MOST_DOUBTED:])
    )
    recent = dict(list(subjects.items())[-_MOST_SUBJECTS:])
    return _Bin(tally, (*known.ids, observation.id)[-_MOST_IDS:], recent, weights)


def _is_new(subjects: Mapping[str, float], observation: Observation, now: float) -> bool:
    """Whether it tells anything that is not yet counted."""
    names = dict.fromkeys((observation.subject, _name(observation)))
    known = [subjects[name] for name in names if name in subjects]
    recent = [at for at in known if now - abs(at) < HALF_LIFE_S]
    return not recent or (_is_bad(observation) and min(recent) >= 0.0)


def _name(observation: Observation) -> str:
    """Of a question, by whether it was judged: what was not may be yet."""
    return observation.subject if _is_judged(observation) else f"?{observation.subject}"


def _is_judged(observation: Observation) -> bool:
    return observation.finding in (Finding.RIGHT, Finding.WRONG)


def _is_bad(observation: Observation) -> bool:
    return observation.finding is Finding.WRONG


def _audited(tally: Tally, observation: Observation, *, is_new: bool) -> Tally:
    finding = observation.finding
    stands_for = 1.0 / observation.probability if _is_judged(observation) else 0.0
    return replace(
        tally,
        right=tally.right + (is_new and finding is Finding.RIGHT),
        wrong=tally.wrong + (is_new and finding is Finding.WRONG),
        unsure=tally.unsure + (is_new and finding is Finding.UNSURE),
        noise=tally.noise + (is_new and finding is Finding.NOISE),
        hits=tally.hits + stands_for,
        bad_hits=tally.bad_hits + (stands_for if _is_bad(observation) else 0.0),
        audits=tally.audits + 1,
    )


def _complained(weights: Mapping[str, float], observation: Observation) -> dict[str, float]:
    who = observation.complainer
    new = {**weights, who: min(1.0, weights.get(who, 0.0) + observation.weight)}
    while len(new) > _MOST_COMPLAINERS:
        del new[min(new, key=lambda each: new[each])]
    return new


def _written(bin: _Bin) -> bytes:
    tally = bin.tally
    return orjson.dumps(
        {
            "counts": [getattr(tally, name) for name in _COUNTS],
            "audits": tally.audits,
            "complaints": tally.complaints,
            "at": tally.at,
            "ids": bin.ids,
            "subjects": bin.subjects,
            "weights": bin.weights,
            "doubted": tally.doubted,
        }
    )


def _read(kept: Kept) -> _Bin | None:
    """What was written; None where another program wrote it, or it was deleted."""
    try:
        told: dict[str, Any] = orjson.loads(kept.value or b"")
        right, wrong, unsure, hits, bad_hits, noise = (float(number) for number in told["counts"])
        weights = {str(who): float(weight) for who, weight in told["weights"].items()}
        bin, _, circle = kept.id.partition(" ")
        tally = Tally(
            *(bin, right, wrong, unsure, hits, bad_hits),
            audits=int(told["audits"]),
            at=float(told["at"]),
            version=kept.version,
            circle=circle,
            noise=noise,
            complained=sum(weights.values()),
            complaints=int(told["complaints"]),
            doubted=tuple(map(str, told["doubted"])),
        )
        subjects = {str(name): float(at) for name, at in told["subjects"].items()}
        return _Bin(tally, tuple(map(str, told["ids"])), subjects, weights)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
