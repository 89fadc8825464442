"""Kept questions are found by what they mean, within a budget of time."""

import asyncio
from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from proxy.cache.filing import Filing
from proxy.cache.near.combiner import shipped
from proxy.cache.near.judge import Judge, Opinion, read
from proxy.cache.near.questions import BUDGET_S, VERIFY_S, Questions, Told, read_told
from proxy.cache.near.tools import Tools
from proxy.cache.near.turns import NEVER, Busy, Desk
from proxy.cache.semantic import Semantic, asked_of
from proxy.core.journal import NearRecord
from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import Vectors
from proxy.stores.protocols import Value
from tests.embedding.fakes import Scripted
from tests.fakes import FakeClock
from tests.stores.vectors_model import ModelVectors

ASKED = "How do I reset my router to factory settings?"
CLOSE = "What's the way to restore a router to its factory settings?"
FAR = "How do bees make honey?"
HOUR_S = 3600.0


@cache
def builtin() -> Builtin:
    return Builtin()


def one_way(texts: Sequence[str]) -> Vectors:
    """All mean the same."""
    rows = np.zeros((len(texts), 4), np.float32)
    rows[:, 0] = 1.0
    return rows


class Shelf:
    """Questions with an answer each, on a clock that nobody moves but the tests."""

    def __init__(self, *, verified: bool = False) -> None:
        self.clock = FakeClock()
        self.filing = Filing()
        self.vectors = ModelVectors(self.clock)
        self.verifier = Scripted(one_way)
        self.desk = Desk()
        self._kept: dict[str, Value] = {}
        values = cast("Any", SimpleNamespace(get=self.get))
        self.questions = Questions(values, self.vectors, self.clock, self.filing.add, self.desk)
        self.tools = Tools(
            builtin(),
            builtin(),
            self.verifier if verified else None,
            Judge(shipped(), "balanced", verified=verified),
            cast("Any", None),
            "mark",
        )

    async def get(self, key: str) -> Value | None:
        return self._kept.get(key)

    async def keep(self, entry: str, text: str, *, verify: bool = False) -> None:
        now = self.clock.wall()
        self._kept[entry] = Value(b"", now, now + HOUR_S)
        await self.questions.keep(self.tools, "space", entry, text, HOUR_S, verify=verify)

    def drop(self, entry: str) -> None:
        del self._kept[entry]

    async def ask(self, text: str = ASKED) -> Opinion | None:
        record = NearRecord()
        return await self.questions.nearest(read(text), "space", self.tools, record)

    async def told(self, text: str) -> Told:
        [vector] = builtin().vectors([text])
        found = await self.vectors.nearest("space", vector, 1)
        assert found
        told = read_told(found[0].payload)
        assert told is not None
        return told


async def test_another_wording_is_found() -> None:
    shelf = Shelf()
    await shelf.keep("far", FAR)
    await shelf.keep("close", CLOSE)

    opinion = await shelf.ask()

    assert opinion
    assert opinion.entry == "close"


async def test_where_nothing_is_near_nothing_is_weighed() -> None:
    shelf = Shelf()
    await shelf.keep("far", FAR)

    assert await shelf.ask() == Opinion()


async def test_a_look_up_is_given_up_when_its_time_is_over() -> None:
    shelf = Shelf()
    await shelf.keep("close", CLOSE)
    nearest = shelf.vectors.nearest

    async def slowly(*args: Any, **named: Any) -> Any:
        shelf.clock.advance(BUDGET_S)
        return await nearest(*args, **named)

    shelf.vectors.nearest = slowly  # type: ignore[method-assign]

    with pytest.raises(Busy):
        await shelf.ask()


async def test_a_call_whose_look_up_is_given_up_goes_to_the_provider() -> None:
    shelf, troubles = Shelf(), list[str]()
    await shelf.keep("close", CLOSE)
    semantic = Semantic(
        cast("Any", SimpleNamespace(get=shelf.get)),
        shelf.vectors,
        lambda: shelf.tools,
        cast("Any", frozenset()),
        shelf.filing,
        shelf.clock,
        on_trouble=troubles.append,
        desk=shelf.desk,
    )
    body = {"messages": [{"role": "user", "content": ASKED}]}
    asked = asked_of(body, "partition", "scope", HOUR_S, None)
    assert asked

    held = [shelf.desk.seat(NEVER) for _ in range(8)]
    for each in held:
        await each.__aenter__()
    record = NearRecord()

    found, why = await semantic.find(asked, record)

    assert (found, why, record.result, troubles) == (None, "busy", "miss", ["near_busy"])


async def test_a_verifier_that_is_taken_for_too_long_is_not_waited_for() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("close", CLOSE, verify=True)

    async def stuck(_: Sequence[str]) -> Vectors:
        shelf.clock.advance(BUDGET_S + VERIFY_S)
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    shelf.verifier.embed = stuck  # type: ignore[method-assign]

    async with asyncio.timeout(5.0):
        with pytest.raises(Busy):
            await shelf.ask()


async def test_a_question_that_was_verified_when_it_was_kept_is_not_verified_again() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("close", CLOSE, verify=True)

    opinion = await shelf.ask()

    assert opinion
    assert opinion.entry == "close"
    assert opinion.score >= shelf.tools.judge.threshold
    assert shelf.verifier.asked == [[CLOSE], [ASKED]]


async def test_a_question_is_verified_when_that_is_first_needed_and_then_it_is_kept() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("far", FAR)
    await shelf.keep("close", CLOSE)
    assert shelf.verifier.asked == []

    opinion = await shelf.ask()
    await shelf.filing.idle()

    assert opinion
    assert opinion.score >= shelf.tools.judge.threshold
    assert shelf.verifier.asked == [[ASKED], [CLOSE]]
    assert (await shelf.told(CLOSE)).verified is not None
    assert (await shelf.told(FAR)).verified is None
    await shelf.ask()
    assert shelf.verifier.asked[2:] == [[ASKED]]


async def test_what_went_meanwhile_does_not_come_back() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("close", CLOSE)

    await shelf.ask()
    shelf.drop("close")
    await shelf.filing.idle()

    assert (await shelf.told(CLOSE)).verified is None


async def test_a_vector_that_is_made_late_ends_with_its_answer() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("close", CLOSE)
    shelf.clock.advance(HOUR_S / 2)
    await shelf.ask()
    await shelf.filing.idle()

    shelf.clock.advance(HOUR_S / 2 + 1)

    assert await shelf.ask() == Opinion()


def test_what_stands_beside_a_vector_can_be_read_again() -> None:
    row = np.array([0.5, -0.25, 1.0], np.float32)

    assert read_told(Told("a", None).written()) == Told("a", None)
    found = read_told(Told("é", row).written())

    assert found is not None
    assert found.text == "é"
    assert found.verified is not None
    assert found.verified.tolist() == row.tolist()


@pytest.mark.parametrize(
    "payload", [b"", b"junk", b"[]", b"{}", b'{"text": "a", "verified": "???"}', b'{"text": "a"}']
)
async def test_what_another_program_put_there_is_passed_over(payload: bytes) -> None:
    shelf = Shelf()
    await shelf.keep("close", CLOSE)
    [vector] = builtin().vectors([ASKED])
    await shelf.vectors.put("space", "strange", vector, payload, HOUR_S)

    opinion = await shelf.ask()

    assert opinion
    assert opinion.entry == "close"


async def test_a_vector_of_another_verifier_is_made_anew() -> None:
    shelf = Shelf(verified=True)
    await shelf.keep("close", CLOSE)
    [vector] = builtin().vectors([CLOSE])
    strange = Told(CLOSE, np.ones(3, np.float32)).written()
    await shelf.vectors.put("space", "close", vector, strange, HOUR_S)

    opinion = await shelf.ask()

    assert opinion
    assert opinion.entry == "close"
    assert CLOSE in [text for texts in shelf.verifier.asked for text in texts]
