"""A stand-in that listens, and the vendor's own library before it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from upstash_vector import AsyncIndex

from tests.fakes import FakeClock
from tests.upstash.index import Kind
from tests.upstash.server import TOKEN, Upstash, serving

Opens = Callable[..., Awaitable[tuple[AsyncIndex, Upstash]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def opened(clock: FakeClock) -> AsyncIterator[Opens]:
    """Makes an index of a kind, and gives it twice: as its user has it, and as itself."""
    async with AsyncExitStack() as stack:

        async def open(
            kind: Kind, *, delay_s: float = 0.0, budget: int = 10_000, token: str = TOKEN
        ) -> tuple[AsyncIndex, Upstash]:
            upstash = Upstash(kind, clock.now, delay_s, budget)
            await stack.enter_async_context(serving(upstash))
            index = AsyncIndex(upstash.url, token, retries=0)
            stack.push_async_callback(index._client.aclose)
            return index, upstash

        yield open
