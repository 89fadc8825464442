"""What was spent and served, as sums by slot and spender, and how they are spelled in Redis.

A slot is a hash. A field is a letter (and the step of the scale, for times), then the spender as a
JSON list: `a["search","","groq","openai/gpt-oss-20b"]`.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from typing import Final

import orjson

from proxy.core.money import NOTHING_SAVED, Saved, Served, Spender, Spent, Tokens, Traffic, slot_of

_STEP: Final = math.log(1.05)
_SHORTEST_S, _LONGEST_S = 0.001, 86_400.0  # what is beyond is counted there

Sums = Mapping[str, int]  # a letter with its step -> the sum


def text_of(spender: Spender) -> str:
    """A spender's part of a field."""
    return orjson.dumps([spender.key, spender.team, spender.provider, spender.model]).decode()


def fields_of(key: str) -> str:
    """The pattern of fields whose spender has that key; no `["` stands in any later part."""
    name = re.sub(r"([*?[\\])", r"\\\1", orjson.dumps(key).decode())
    return rf"*\[{name},*"


def by_spender(fields: Iterable[str]) -> Iterator[tuple[Spender, Sums]]:
    """The sums of a slot, from its fields and their values in turn, by spender."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    each = iter(fields)
    for field, value in zip(each, each, strict=True):
        letter, bracket, rest = field.partition("[")
        found[bracket + rest][letter] = int(value)
    for who, sums in sorted(found.items()):
        yield Spender(*orjson.loads(who)), sums


def spent_of(slot: int, spender: Spender, sums: Sums) -> Spent:
    """What the letters mean for money."""
    tokens = Tokens(sums.get("p", 0), sums.get("c", 0), sums.get("o", 0))
    n, amount, listed, wasted, refunded = (sums.get(letter, 0) for letter in "nalwr")
    return Spent(slot, spender, n, amount, listed, wasted, refunded, tokens)


def traffic_of(slot: int, spender: Spender, sums: Sums) -> Traffic:
    """What the letters mean for calls."""
    steps = sorted((int(name[1:]), calls) for name, calls in sums.items() if name[0] == "t")
    times = tuple((middle_of(step), calls) for step, calls in steps)
    calls, failed, micros = (sums.get(letter, 0) for letter in "cfu")
    saved = Saved(*(sums.get(letter, 0) for letter in "hsio"))
    return Traffic(slot, spender, calls, failed, micros / 1e6, times, saved)


def counted(calls: Iterable[Served]) -> dict[tuple[int, str], int]:
    """What calls add to the fields of slots."""
    sums: Counter[tuple[int, str]] = Counter()
    for call in calls:
        slot, who = slot_of(call.at), text_of(call.spender)
        sums[slot, "c" + who] += 1
        sums[slot, f"t{step_of(call.seconds)}{who}"] += 1
        sums[slot, "u" + who] += round(call.seconds * 1e6)
        sums[slot, "f" + who] += call.failed
        if call.saved is not NOTHING_SAVED:
            for letter, number in zip("hsio", astuple(call.saved), strict=True):
                sums[slot, letter + who] += number
    return {field: number for field, number in sums.items() if number}


def step_of(seconds: float) -> int:
    """The step of the scale that so many seconds are in."""
    return math.floor(math.log(min(max(seconds, _SHORTEST_S), _LONGEST_S)) / _STEP)


def middle_of(step: int) -> float:
    """Seconds in the middle of a step."""
    return math.exp((step + 0.5) * _STEP)
