"""Questions that come at once are read over several turns of the loop, and none for ever."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from proxy.cache.near.turns import NEVER, Busy, Desk
from proxy.cache.semantic import Semantic
from proxy.core.journal import NearRecord
from tests.cache.test_semantic import CLOTHED, HOUR_S, Tier, asking
from tests.fakes import FakeClock
from tests.stores.vectors_model import ModelVectors

TURN_S = 0.0025  # in which questions are read


class Ticking(FakeClock):
    """A clock that moves by `tick_s` whenever somebody looks at it."""

    def __init__(self, tick_s: float) -> None:
        super().__init__()
        self.tick_s = tick_s

    def now(self) -> float:
        self.advance(self.tick_s)
        return super().now()


def chat(text: str) -> Mapping[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def tier_on(clock: FakeClock, desk: Desk | None = None) -> tuple[Tier, Semantic]:
    """A tier whose time is told by `clock`, and its parts."""
    tier = Tier()
    semantic = Semantic(
        *(tier.values, ModelVectors(clock), lambda: None, tier.quarantine),
        *(tier.filing, clock),
        on_trouble=tier.troubles.append,
        desk=desk,
    )
    return tier, semantic


async def test_many_that_come_at_once_are_not_all_read_in_one_turn() -> None:
    _, semantic = tier_on(Ticking(TURN_S / 8))
    turn, read_in = 0, list[int]()

    async def one(n: int) -> None:
        asked = await semantic.asked(chat(f"Is {n} a prime number?"), "p", "ann", HOUR_S, None)
        assert asked is not None
        read_in.append(turn)

    calls = [asyncio.create_task(one(n)) for n in range(20)]
    while not all(call.done() for call in calls):
        turn += 1
        await asyncio.sleep(0)
    await asyncio.gather(*calls)

    assert len(read_in) == 20
    assert max(map(read_in.count, read_in)) <= 8


async def test_who_comes_alone_is_read_at_once() -> None:
    _, semantic = tier_on(FakeClock())
    reading = semantic.asked(chat("Is 7 a prime number?"), "p", "ann", HOUR_S, None)

    with pytest.raises(StopIteration) as ended:
        reading.send(None)

    assert ended.value.value.text == "Is 7 a prime number?"


async def test_what_cannot_be_read_in_time_is_told_at_once() -> None:
    tier, semantic = tier_on(Ticking(1.0))

    with pytest.raises(Busy):
        await semantic.asked(chat("Is 7 a prime number?"), "p", "ann", HOUR_S, None)

    assert tier.troubles == ["near_busy"]


async def test_an_equal_key_that_cannot_be_looked_at_in_time_fails_no_call() -> None:
    clock = Ticking(0.0)
    tier, semantic = tier_on(clock)
    await tier.keep(asking(), "e")
    record = NearRecord()
    clock.tick_s = 1.0

    assert await semantic.find(asking(CLOTHED), record) == (None, "busy")
    assert (record.result, tier.troubles) == ("miss", ["near_busy"])


async def test_a_text_of_no_fair_length_waits_for_nobody() -> None:
    desk = Desk()
    _, semantic = tier_on(FakeClock(), desk)
    held = [desk.reading(NEVER) for _ in range(8)]
    for each in held:
        await each.__aenter__()

    assert await semantic.asked(chat("x" * 9_000), "p", "ann", HOUR_S, None) is None
    assert await semantic.asked({"messages": []}, "p", "ann", HOUR_S, None) is None

    for each in held:
        await each.__aexit__(None, None, None)


async def test_it_is_the_same_whether_it_is_read_in_turns_or_at_once() -> None:
    _, semantic = tier_on(FakeClock())
    for text in (
        "How old is the moon?",
        "word " * 499,
        "猫はなぜ鳴く",
        "How do I " + "mend it " * 40,
    ):
        ours = await semantic.asked(chat(text), "p", "ann", HOUR_S, 0.5)
        assert ours == replace(asking(text, "ann", "p"), reading=ours.reading, max_error=0.5)
        assert ours.reading.words == asking(text).reading.words
