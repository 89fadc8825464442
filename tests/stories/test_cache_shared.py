"""Hundreds who ask the same at the same time: one call upstream, one answer for all who stay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from proxy.core.errors import Outcome
from tests.conftest import QUESTION, House, open_house
from tests.stories.books import at_rest
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    RawProvider,
    event,
    raw,
    said,
    stopped,
)

READERS, LEAVERS = 500, 100
WORDS = [f"word {n} " for n in range(20)]
ROOM = {"in_flight": 600, "in_flight_per_target": 600, "in_flight_per_key": 600}
MODEL = "openai/gpt-oss-20b"


class Slowly:
    """Says one word each time it is told to, and the end when there are no more."""

    def __init__(self) -> None:
        self._words = asyncio.Semaphore(0)

    def go_on(self) -> None:
        """Let the next word be said."""
        self._words.release()

    async def __call__(self, line: Line) -> None:
        await line.say(EVENTS)
        for word in WORDS:
            await self._words.acquire()
            await line.say(said(word))
        await self._words.acquire()
        await line.say(stopped(), event({"choices": [], "usage": USAGE}), DONE, LAST)


class Reader:
    """One who streams the answer."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.told = answer.headers["x-proxy-cache"]
        self.heard = b""

    async def hear(self, word: str) -> None:
        """Read until `word` has come: then this one has surely boarded."""
        while word.encode() not in self.heard:
            piece = await self._answer.content.readany()
            assert piece, self.heard
            self.heard += piece

    async def hear_all(self) -> bytes:
        """Read to the end."""
        self.heard += await self._answer.content.read()
        return self.heard

    def leave(self) -> None:
        """Close the connection."""
        self._answer.close()


@asynccontextmanager
async def crowded(state: Path) -> AsyncIterator[tuple[House, RawProvider, Slowly]]:
    """A house with room for all, and its provider."""
    slowly = Slowly()
    cache = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
    async with raw(slowly) as provider:
        groq = {"base_url": provider.url}
        async with open_house(state, groq=groq, cache=cache, limits=ROOM) as house:
            yield house, provider, slowly
            await at_rest(house)
            async with asyncio.timeout(5):
                await house.app.state.flights.idle()


async def boarded(house: House, session: aiohttp.ClientSession) -> Reader:
    body = {"model": MODEL, "messages": QUESTION, "stream": True}
    return Reader(await session.post(f"{house.url}/v1/chat/completions", json=body))


def many() -> aiohttp.ClientSession:
    """A client with a connection for each call."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))


@pytest.mark.parametrize("starter", ["is one of all", "leaves first"])
async def test_five_hundred_share_one_answer_whoever_leaves(tmp_path: Path, starter: str) -> None:
    random = Random(starter)
    async with crowded(tmp_path) as (house, provider, slowly), many() as session:
        slowly.go_on()
        readers = [await boarded(house, session)]
        readers += await asyncio.gather(*(boarded(house, session) for _ in range(READERS - 1)))
        await asyncio.gather(*(reader.hear(WORDS[0]) for reader in readers))
        assert [reader.told for reader in readers].count("joined") == READERS - 1
        assert readers[0].told == "miss;why=absent"

        leavers = random.sample(readers[1:], LEAVERS)
        if starter == "leaves first":
            leavers[0] = readers[0]
            readers[0].leave()
            await house.calls_closed(1)
        stayers = [reader for reader in readers if reader not in leavers]
        random.shuffle(leavers)
        for n, word in enumerate(WORDS[1:]):
            slowly.go_on()
            for reader in leavers[n :: len(WORDS) - 1]:
                reader.leave()
            await random.choice(stayers).hear(word)
        await house.calls_closed(LEAVERS)
        assert len(house.app.state.flights) == 1
        slowly.go_on()
        answers = await asyncio.gather(*(reader.hear_all() for reader in stayers))
        await house.calls_closed(READERS)

        assert len(provider.lines) == 1
        assert len(answers) == READERS - LEAVERS
        [answer] = set(answers)
        assert answer.endswith(b"data: [DONE]\n\n")
        assert all(answer.count(f'"{word}"'.encode()) == 1 for word in WORDS)
        ends = [call.outcome for call in house.seen.calls]
        assert ends.count(Outcome.CLIENT_ABORT) == LEAVERS
        assert ends.count(Outcome.OK) == READERS - LEAVERS
        assert len(house.seen.flights) == len(house.seen.attempts) == 1
        assert await house.metric("coalesced_requests_total") == READERS - 1


async def test_what_the_last_ones_left_early_is_asked_anew(tmp_path: Path) -> None:
    async with crowded(tmp_path) as (house, provider, slowly), many() as session:
        slowly.go_on()
        readers = await asyncio.gather(*(boarded(house, session) for _ in range(20)))
        await asyncio.gather(*(reader.hear(WORDS[0]) for reader in readers))
        for reader in readers:
            reader.leave()
        await house.calls_closed(20)

        for _ in range(2 * len(WORDS) + 2):  # some are still said to those who are gone
            slowly.go_on()
        newcomer = await boarded(house, session)
        answer = await newcomer.hear_all()
        await house.calls_closed(21)

        assert newcomer.told == "miss;why=absent"
        assert answer.endswith(b"data: [DONE]\n\n")
        assert len(provider.lines) == 2


async def test_who_comes_after_the_landing_gets_what_is_kept(tmp_path: Path) -> None:
    async with crowded(tmp_path) as (house, provider, slowly), many() as session:
        slowly.go_on()
        readers = await asyncio.gather(*(boarded(house, session) for _ in range(50)))
        for _ in WORDS:
            slowly.go_on()
        await asyncio.gather(*(reader.hear_all() for reader in readers))
        await house.app.state.flights.idle()

        later = await boarded(house, session)
        answer = (await later.hear_all()).decode()
        await house.calls_closed(51)

        assert later.told == "exact"
        assert "".join(WORDS) in answer
        assert len(provider.lines) == 1
