"""Clients that leave, politely or not, at any moment: their calls end with them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.siege.client import Plug, plugged
from tests.siege.conftest import Siege
from tests.siege.fortress import together, unharmed, until
from tests.siege.sayings import CHAT, HEAD, JSON, chat

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 10.0
CLOSED_WITHIN_S = 1.0  # from a client's leaving until its call to the provider is closed
BUSY_S = 4.0  # on top, for a machine that is busy with others
AT_ONCE = 40

UPLOAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HEAD
WAYS: dict[str, Callable[[Plug], None]] = {
    "FIN": Plug.end,
    "close": Plug.leave,
    "RST": Plug.reset,
}

# What was said before, and whether a call to the provider is under way then.
MOMENTS = {
    "at once": (b"", False),
    "in the first line": (b"POST /v1/ch", False),
    "in the head": (CHAT[:-9], False),
    "between head and body": (CHAT + b"Content-Length: 1000\r\n\r\n", False),
    "in the body": (CHAT + b'Content-Length: 1000\r\n\r\n{"mod', False),
    "in a chunk": (CHAT + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{", False),
    "between chunks": (CHAT + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", False),
    "while it expects": (CHAT + b"Expect: 100-continue\r\nContent-Length: 99\r\n\r\n", False),
    "before the first byte of a stream": (chat(model="silence", stream=True), True),
    "before a whole answer": (chat(model="silence"), True),
    "in a stream": (chat(model="drip", stream=True), True),
    "in a large stream": (chat(model="flood", stream=True), True),
    "in a pipeline": (chat(model="silence") + chat(model="silence"), True),
    "in an upload": (UPLOAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000, False),
    "in an upload by chunks": (UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", True),
    "before another address's answer": (
        b"POST /v1/responses HTTP/1.1\r\n"
        + HEAD
        + JSON
        + b'Content-Length: 29\r\n\r\n{"model":"silence","input":1}',
        True,
    ),
}

HIT_AND_RUN = {
    "after garbage": b"garbage\r\n\r\n",
    "after a head that is too large": b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "after an expectation": CHAT + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    "after a body of the wrong type": CHAT.replace(b"json", b"text") + b"\r\n",
    "after a body that is too large": CHAT + b"Content-Length: 99999999\r\n\r\n{",
    "after bad JSON": CHAT + b"Content-Length: 1\r\n\r\n{",
    "after bad chunks": CHAT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "after a call": chat(),
    "after a call for a stream": chat(stream=True),
    "after a question of health": b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "after a look at the metrics": b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n",
    "after a list of models": b"GET /v1/models HTTP/1.1\r\n" + HEAD + b"\r\n",
}


async def _ended(siege: Siege, *, since: int) -> None:
    """Wait until none of the calls behind the first `since` is under way."""
    within_s = CLOSED_WITHIN_S + BUSY_S
    await until(lambda: siege.keep.busy(since=since) == 0, within_s=within_s)


@asynccontextmanager
async def _taken_along(siege: Siege) -> AsyncIterator[None]:
    """Around clients that leave: their calls end soon, and no harm is done."""
    before = len(siege.keep.calls)
    async with unharmed(siege.fortress, within_s=WITHIN_S):
        yield
        await _ended(siege, since=before)


async def _leave(siege: Siege, said: bytes, *, called: bool, way: Callable[[Plug], None]) -> None:
    before = len(siege.keep.calls)
    async with plugged(siege.fortress) as plug:
        plug.say(said)
        if called:
            await until(lambda: len(siege.keep.calls) > before, within_s=WITHIN_S)
        if b'"stream":true' in said and b"silence" not in said:
            await plug.until(lambda: b"data: " in plug.received)
        way(plug)
        if way is Plug.end and said:  # who says no more has left, though it could still hear
            await plug.rest()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("said", "called"), MOMENTS.values(), ids=MOMENTS)
async def test_a_client_that_leaves_takes_its_call_along(
    siege: Siege, said: bytes, called: bool, way: Callable[[Plug], None]
) -> None:
    async with _taken_along(siege):
        await _leave(siege, said, called=called, way=way)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("said", HIT_AND_RUN.values(), ids=HIT_AND_RUN)
async def test_clients_that_leave_before_they_hear_leave_nothing_behind(
    siege: Siege, said: bytes, way: Callable[[Plug], None]
) -> None:
    """Whether its answer was begun when a client left is a matter of luck: so there are many."""

    async def hit_and_run() -> None:
        async with plugged(siege.fortress) as plug:
            plug.say(said)
            way(plug)

    async with _taken_along(siege):
        await together(hit_and_run() for _ in range(AT_ONCE))


async def test_fifty_clients_that_leave_at_once_leave_nothing_behind(siege: Siege) -> None:
    ways, moments = [*WAYS.values()], [*MOMENTS.values()]

    async def leave(number: int) -> None:
        said, _ = moments[number % len(moments)]
        async with plugged(siege.fortress) as plug:
            plug.say(said)
            if number % 2:
                await asyncio.sleep(0)
            ways[number % len(ways)](plug)

    async with _taken_along(siege):
        await together(map(leave, range(50)))


async def test_fifty_clients_that_leave_their_waits_end_fifty_calls(siege: Siege) -> None:
    before = len(siege.keep.calls)

    async with unharmed(siege.fortress, within_s=WITHIN_S), AsyncExitStack() as stack:
        arriving = (stack.enter_async_context(plugged(siege.fortress)) for _ in range(50))
        plugs = await together(arriving)
        for number, plug in enumerate(plugs):
            plug.say(chat(model="silence", stream=bool(number % 2)))
        await until(lambda: siege.keep.busy(since=before) == 50, within_s=WITHIN_S)
        for number, plug in enumerate(plugs):
            [*WAYS.values()][number % 3](plug)

        await _ended(siege, since=before)
