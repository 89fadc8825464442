"""Labelled pairs of questions of our own: same answer or not. Run it to look at some.

Every pair carries its group (the frame or topic it came from), so that judging by cross-validation
never sees a frame in training and in test. The order of things is fixed by the seed alone.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from random import Random

from tests.training.material import SLOT, Frame, Topic, edits, frames, pools, topics
from tests.training.near import missed
from tests.training.wording import asked, dressed

_FILLS = 7  # fillings of the slots of one frame
_TURNS = 9  # rounds over one intent


@dataclass(frozen=True, slots=True)
class Pair:
    """May question `b` be answered with the answer to `a`?"""

    a: str
    b: str
    same: bool
    kind: str
    group: str


def generate(seed: int = 20, most: int | None = None) -> list[Pair]:
    """All pairs, some 40,000, or the first `most`; equal seeds give equal lists without twins."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in islice(_all(seed), most):
        key = (pair.a, pair.b) if pair.a < pair.b else (pair.b, pair.a)
        if pair.a.casefold() != pair.b.casefold() or pair.same:
            found.setdefault(key, pair)
    return list(found.values())


def _all(seed: int) -> Iterator[Pair]:
    # dice of its own for each, so that a new frame leaves the pairs of the others as they are
    for frame in frames():
        group = f"frame-{frame.wordings[0]}"
        yield from _of_frame(frame, group, Random(f"{seed} {group}"))
    for topic in topics():
        for at in range(len(topic.intents)):
            yield from _of_intent(topic, at, Random(f"{seed} {topic.intents[at][0]}"))


def _of_frame(frame: Frame, group: str, rng: Random) -> Iterator[Pair]:
    for _ in range(_FILLS):
        fill = _filled(frame, rng)
        for _ in range(4):
            one, other = _two(frame.wordings, rng)
            a, b = _say(one, fill, rng), _say(other, fill, rng)
            if frame.symmetric and rng.random() < 0.5:
                b = _say(other, _turned_round(fill), rng)
            yield _same(a, b, group, rng)
        for _ in range(5):
            one, other = (
                _two(frame.wordings, rng) if rng.random() < 0.6 else (frame.wordings[0],) * 2
            )
            kind, changed = _refilled(frame, fill, rng)
            yield _different(_say(one, fill, rng), _say(other, changed, rng), kind, group, rng)
        one, other = _two(frame.wordings, rng)
        miss = missed(_say(other, fill, rng), rng)
        if miss is not None:
            yield _different(
                _say(rng.choice((one, other)), fill, rng), miss[1], miss[0], group, rng
            )
        neighbour = _neighbour(frame, rng)
        if neighbour is not None:
            whole = fill | {key: v for key, v in _filled(neighbour, rng).items() if key not in fill}
            a, b = _say(one, fill, rng), _say(rng.choice(neighbour.wordings), whole, rng)
            yield _different(a, b, "question", group, rng)


def _of_intent(topic: Topic, at: int, rng: Random) -> Iterator[Pair]:
    say, group, intent = asked if topic.do else _as_is, f"topic-{topic.name}", topic.intents[at]
    others = [other for j, other in enumerate(topic.intents) if j != at]
    near = sorted(others, key=lambda other: -_likeness(intent[0], other[0]))[:6]
    for _ in range(_TURNS):
        one, other = _two(intent, rng) if rng.random() < 0.85 else (intent[0], intent[0])
        yield _same(say(one, rng), say(other, rng), group, rng)
        sibling = rng.choice(rng.choice(near))
        yield _different(say(one, rng), say(sibling, rng), "sibling", group, rng)
        base = say(rng.choice(intent), rng)
        miss = missed(base, rng)
        if miss is not None:
            plain = base if rng.random() < 0.6 else say(one, rng)
            yield _different(plain, miss[1], miss[0], group, rng)


def _same(a: str, b: str, group: str, rng: Random) -> Pair:
    kind = "wordform"
    a, b = _in_company(a, b, rng)
    if rng.random() < 0.55 or a == b:
        b, kind = dressed(b, rng)
    if rng.random() < 0.12:
        a, kind = dressed(a, rng)
    return Pair(*_either_way(a, b, rng), same=True, kind=f"para:{kind}", group=group)


def _different(a: str, b: str, kind: str, group: str, rng: Random) -> Pair:
    if kind not in {"context", "scope"}:
        a, b = _in_company(a, b, rng)
    if rng.random() < 0.3:
        b, _ = dressed(b, rng)
    return Pair(*_either_way(a, b, rng), same=False, kind=f"near:{kind}", group=group)


def _in_company(a: str, b: str, rng: Random) -> tuple[str, str]:
    """Now and then the same sentence or condition on both sides: long texts differ by one word."""
    if rng.random() > 0.12:
        return a, b
    if rng.random() < 0.5:
        said = rng.choice(edits()["context"])
        return f"{said} {a}", f"{said} {b}" if rng.random() < 0.7 else f"{b} {said}"
    added = rng.choice(edits()["scope"])
    return tuple(re.sub(r"([?.]?)$", rf" {added}\1", text, count=1) for text in (a, b))  # type: ignore[return-value]


def _either_way(a: str, b: str, rng: Random) -> tuple[str, str]:
    return (a, b) if rng.random() < 0.5 else (b, a)


def _filled(frame: Frame, rng: Random) -> dict[str, int | None]:
    """Which value stands in which slot, by "pool" + turn; None leaves a slot empty."""
    fill: dict[str, int | None] = {}
    for wording in frame.wordings:
        for slot in SLOT.finditer(wording):
            name, key = slot["pool"], slot["pool"] + slot["turn"]
            if key in fill:
                continue
            taken = fill.get(name + "1") if slot["turn"] == "2" else None
            size = len(pools()[name].values)
            fill[key] = rng.choice([i for i in range(size) if i != taken])
            if slot["maybe"] and rng.random() < 0.5:
                fill[key] = None
    return fill


def _refilled(
    frame: Frame, fill: dict[str, int | None], rng: Random
) -> tuple[str, dict[str, int | None]]:
    """Another value in one slot, or two slots changed round where their order matters."""
    paired = [key for key in fill if key.endswith("1")]
    if paired and not frame.symmetric and rng.random() < 0.5:
        return "direction", _turned_round(fill)
    key = rng.choice(list(fill))
    name = key.rstrip("12")
    pool = pools()[name]
    twin = fill.get(name + ("2" if key.endswith("1") else "1")) if key != name else None
    free = [i for i in range(len(pool.values)) if i not in {fill[key], twin}]
    maybe = any(s["maybe"] and s["pool"] == name for w in frame.wordings for s in SLOT.finditer(w))
    if fill[key] is None or (maybe and (not free or rng.random() < 0.6)):
        kind = "negation" if pool.kind == "negation" else "scope"
        return kind, fill | {key: rng.choice(free) if fill[key] is None else None}
    # the neighbour in the list is often the most alike: Niger, Nigeria
    close = [i for i in free if abs(i - (fill[key] or 0)) == 1]
    return pool.kind, fill | {
        key: rng.choice(close or free) if rng.random() < 0.5 else rng.choice(free)
    }


def _turned_round(fill: dict[str, int | None]) -> dict[str, int | None]:
    turned = dict(fill)
    for key in fill:
        if key.endswith("1"):
            turned[key], turned[key[:-1] + "2"] = fill[key[:-1] + "2"], fill[key]
    return turned


def _say(wording: str, fill: dict[str, int | None], rng: Random) -> str:
    def value(slot: re.Match[str]) -> str:
        at = fill[slot["pool"] + slot["turn"]]
        if at is None:
            return ""
        spellings = pools()[slot["pool"]].values[at]
        return spellings[0] if rng.random() < 0.7 else rng.choice(spellings)

    text = re.sub(r" {2,}", " ", SLOT.sub(value, wording)).strip()
    return text[:1].upper() + text[1:]


def _neighbour(frame: Frame, rng: Random) -> Frame | None:
    """Another frame of the section that shares a pool with this one."""
    mine = {slot["pool"] for slot in SLOT.finditer(frame.wordings[0])}
    others = [
        other
        for other in frames()
        if other.section == frame.section
        and other is not frame
        and mine & {slot["pool"] for slot in SLOT.finditer(other.wordings[0])}
    ]
    return rng.choice(others) if others else None


def _two(wordings: tuple[str, ...], rng: Random) -> tuple[str, str]:
    if len(wordings) < 2:
        return wordings[0], wordings[0]
    one, other = rng.sample(wordings, 2)
    return one, other


def _likeness(a: str, b: str) -> float:
    one, other = set(a.casefold().split()), set(b.casefold().split())
    return len(one & other) / len(one | other)


def _as_is(text: str, _rng: Random) -> str:
    return text


def main() -> None:
    """Print counts by kind and a sample, or everything as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--all", action="store_true", help="every pair as a JSON line")
    given = parser.parse_args()
    made = generate(given.seed)
    if given.all:
        for pair in made:
            print(json.dumps(asdict(pair)))  # noqa: T201
        return
    for (same, kind), count in sorted(Counter((p.same, p.kind) for p in made).items()):
        print(f"{count:6}  {kind}  {'same' if same else 'different'}")  # noqa: T201
    for pair in islice(Random(given.seed).sample(made, len(made)), 40):
        print(f"{'=' if pair.same else '#'} {pair.kind:18} {pair.a}  |  {pair.b}")  # noqa: T201


if __name__ == "__main__":
    main()
