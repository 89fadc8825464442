"""Thousands of streams, a third of which their clients leave: nothing stays behind."""

import asyncio
import contextlib
import gc
import os
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import orjson
import psutil
import pytest

from proxy.app import App
from proxy.config.settings import Config
from proxy.core.errors import Outcome
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from tests.conftest import NO_CACHE, QUESTION
from tests.siege.fortress import until
from tests.soak.provider import FastProvider, fast_provider
from tests.stories.raw import MIB
from tests.unhurried import LoopClock

CALLS = 10_000 if os.environ.get("SOAK") else 500
SLOT, BREAKER = "proxy.upstream.breaker._Slot", "proxy.upstream.breaker.Breaker"
# Calls before anything is measured: by then the caches of the ledger have their full size.
WARM_UP = 3_000 if os.environ.get("SOAK") else 300
AT_A_TIME = 32
ABORTED = 0.3  # of the calls
LEFT_WITHIN_S = 1.0
MOST_GROWTH = 12 * MIB
_MOST_WORDS = 20
_REST_S = 10.0


@dataclass
class Books:
    """An observer that counts, and forgets the rest."""

    opened: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # by the clients' own ids
    ids: set[str] = field(default_factory=set)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def call_opened(self, record: CallRecord) -> None:
        self.opened += 1

    def call_closed(self, record: CallRecord) -> None:
        self.closed[record.client_request_id] += 1
        self.ids.add(record.id)
        self.outcomes[record.client_request_id] = record.outcome

    def flight_closed(self, record: FlightRecord) -> None: ...

    def attempt_closed(self, record: AttemptRecord) -> None: ...

    def happened(self, event: Event) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What one client will do."""

    id: str
    words: int  # of the answer
    endless: bool = False  # whether the answer then stays open until the client leaves
    leave_after: int | None = None  # words; None: it stays to the end
    by_reset: bool = False
    turns: int = 0  # of the event loop, before it leaves

    @property
    def request(self) -> bytes:
        """The whole request."""
        model = f"{'endless' if self.endless else 'ending'}-{self.words}"
        wish = {"model": model, "messages": QUESTION, "stream": True, "user": self.id}
        body = orjson.dumps(wish)
        return (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"x-request-id: {self.id}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


def plans(count: int, dice: Random, prefix: str) -> list[Plan]:
    """`count` clients, some of whom leave: before the first byte or later, in either way."""
    made = []
    for number in range(count):
        id, words = f"{prefix}-{number}", dice.randint(1, _MOST_WORDS)
        if dice.random() >= ABORTED:
            made.append(Plan(id, words))
            continue
        endless = dice.random() < 0.5
        leave_after = dice.choice([0, dice.randint(1, words)])
        if endless and leave_after == 0:
            words = 0  # the provider keeps silent
        turns = dice.randrange(40)
        made.append(Plan(id, words, endless, leave_after, dice.random() < 0.5, turns))
    return made


def one_of_each_model() -> list[Plan]:
    """A client for each model that can be asked for: what is kept of models is made by these."""
    ending = [Plan(f"ending-{words}", words) for words in range(1, _MOST_WORDS + 1)]
    endless = [Plan(f"endless-{n}", n, endless=True, leave_after=n) for n in range(_MOST_WORDS + 1)]
    return ending + endless


@dataclass
class Soak:
    """A running gateway, its provider, and a crowd of clients."""

    app: App
    provider: FastProvider
    books: Books
    log: Path
    left_at: dict[str, float] = field(default_factory=dict)

    async def run(self, crowd: list[Plan]) -> None:
        """Let all clients do what they plan, some at a time."""
        waiting = iter(crowd)

        async def client() -> None:
            for plan in waiting:
                async with asyncio.timeout(30):
                    await self._visit(plan)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(client())

    async def _visit(self, plan: Plan) -> None:
        host, port = self.app.url.removeprefix("http://").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(plan.request)
        if plan.leave_after is None:
            answer = await reader.read()
            assert answer.count(b'"tick ') == plan.words
            assert b"data: [DONE]\n\n" in answer[-40:]
        for _ in range(plan.leave_after or 0):
            await reader.readuntil(b'"tick ')
        for _ in range(plan.turns):
            await asyncio.sleep(0)
        self.left_at[plan.id] = asyncio.get_running_loop().time()
        if plan.by_reset:
            connection: socket.socket = writer.get_extra_info("socket")
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def at_rest(self) -> dict[str, int]:
        """What is held once nobody wants anything any more, counted."""
        process = psutil.Process()
        await until(lambda: not self._busy(), within_s=_REST_S)
        self.provider.hang_up()  # kept connections are no leak
        # Either side of a connection may end a little after its call.
        await until(lambda: not self._connected(process), within_s=_REST_S)
        await self.app.state.till.drain()
        await self.app.state.bookkeeper.hand_over()
        for ring in (self.app.state.decisions._good, self.app.state.decisions._others):
            ring.clear()  # the last calls are remembered, which is no leak
        gc.collect()
        return {
            **_ours(),
            "open files": process.num_fds(),
            "tasks": len(asyncio.all_tasks()),
            "in flight": int(self.metric("in_flight_requests")),
            "open streams": int(self.metric("open_streams")),
            "bytes": process.memory_info().rss,
        }

    def _busy(self) -> bool:
        self.app.state.journal.flush()
        return self.books.opened > self.books.closed.total()

    def _connected(self, process: psutil.Process) -> bool:
        ours = {urlsplit(url).port for url in (self.app.url, self.provider.url)}
        ends = [(each.laddr, each.raddr) for each in process.net_connections("tcp") if each.raddr]
        return any(ours & {here.port, there.port} for here, there in ends)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        families = self.app.state.metrics.registry.collect()
        samples = [sample for family in families for sample in family.samples]
        return sum(sample.value for sample in samples if sample.name == f"llmproxy_{name}")


def _ours() -> Counter[str]:
    """Objects that a call makes, by their class: records, exchanges, connections, streams."""
    names = (f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects())
    rooms = ("proxy.cache.", "proxy.core.", "proxy.server.", "proxy.upstream.", "proxy.wire.")
    return Counter(name for name in names if name.startswith(rooms))


@asynccontextmanager
async def soaking(directory: Path) -> AsyncIterator[Soak]:
    log, books = directory / "log", Books()
    async with fast_provider() as provider:
        groq: dict[str, Any] = {"base_url": provider.url, "keys": [{"name": "k", "value": "gsk_x"}]}
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "state_dir": str(directory),
                "providers": {"groq": groq},
                "telemetry": {"log": "json"},
                "cache": NO_CACHE,
            }
        )
        with log.open("w") as out:
            async with App(config, out=out, observers=(books,), clock=LoopClock()) as app:
                yield Soak(app, provider, books, log)


@pytest.mark.soak
async def test_thousands_of_streams_leave_nothing_behind(tmp_path: Path) -> None:
    dice = Random(20_261_121)
    async with soaking(tmp_path) as soak:
        await soak.run([*plans(WARM_UP, dice, "warm"), *one_of_each_model()])
        crowd = plans(CALLS, dice, "call")
        before = await soak.at_rest()

        await soak.run(crowd)
        after = await soak.at_rest()

        assert after.pop("bytes") - before.pop("bytes") < MOST_GROWTH
        # A breaker's window has ten slots, which fill while time passes.
        assert after.pop(SLOT) <= 11 * after[BREAKER]
        assert before.pop(SLOT) <= 11 * before[BREAKER]
        assert after == before
        _check_records(soak, crowd)
        _check_connections(soak, crowd)
    assert len(soak.log.read_text().splitlines()) == soak.books.opened


def _check_records(soak: Soak, crowd: list[Plan]) -> None:
    """Every call that came has one record, which tells how it ended."""
    books, heard = soak.books, soak.provider.heard
    assert set(books.closed.values()) == {1}
    assert len(books.ids) == books.opened == books.closed.total()
    assert heard <= books.closed.keys()
    for plan in crowd:
        if plan.leave_after is None:
            assert books.outcomes[plan.id] is Outcome.OK
        elif plan.id in heard and plan.endless:
            assert books.outcomes[plan.id] is Outcome.CLIENT_ABORT
    aborted = [plan for plan in crowd if plan.leave_after is not None]
    assert len(aborted) > 0.25 * len(crowd)
    assert len(heard.intersection(plan.id for plan in aborted)) > 0.5 * len(aborted)


def _check_connections(soak: Soak, crowd: list[Plan]) -> None:
    """Every provider call that was left unfinished was closed soon."""
    broken, left_at = soak.provider.broken, soak.left_at
    unfinished = {plan.id for plan in crowd if plan.endless} & soak.provider.heard
    assert unfinished <= broken.keys()
    late = {
        id: broken[id] - left_at[id] for id in broken if broken[id] - left_at[id] > LEFT_WITHIN_S
    }
    assert not late
