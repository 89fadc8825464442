"""Orders to Redis, gathered: what comes while a batch is under way goes with the next.

An order is queued before `send` returns, so it is sent even if nobody waits for it any more. The
one room of the `redis` library.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from proxy.stores.fuse import Fuse
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.scripts import Script

MOST_AT_ONCE: Final = 64
MOST_WAITING: Final = 10_000
PATIENCE_TO_CONNECT: Final = 4  # times as much
_SLICES: Final = 5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """A script with its arguments, or a plain command (`script` is None)."""

    script: Script | None
    args: tuple[str | bytes | int, ...]
    read: Callable[[Any], T]  # the server's reply -> what the caller gets
    result: asyncio.Future[T]

    def add_to(self, pipeline: Pipeline, *, whole: bool = False) -> None:
        """Put it into a batch; `whole` sends the script's text, which the server then keeps."""
        if self.script is None:
            pipeline.execute_command(*self.args)
        elif whole:
            pipeline.execute_command("EVAL", self.script.text, 1, *self.args)
        else:
            pipeline.execute_command("EVALSHA", self.script.sha, 1, *self.args)

    def answer(self, reply: Any) -> None:
        """Hand the reply over, if anybody still waits for it."""
        if self.result.done():
            return
        if isinstance(reply, Exception):
            self.result.set_exception(StoreFailed(f"Redis refused: {reply}", refused=True))
            return
        try:
            self.result.set_result(self.read(reply))
        except (ValueError, TypeError, LookupError) as error:
            failed = StoreFailed(f"Redis answered what makes no sense: {error!r}")
            self.result.set_exception(failed)

    def fail(self, why: str, *, sent: bool) -> None:
        """Tell that nothing is known of what became of it, or that it never was `sent`."""
        if not self.result.done():
            self.result.set_exception(StoreFailed(why, sent=sent))


class Lane:
    """One connection's worth of orders, sent in their order and answered in it.

    An order whose script the server does not know is sent again behind its batch.

    No batch waits longer than `patience_s`, connecting included. What waits behind one that had no
    answer fails with it, so that nobody waits for two. The one order that tries whether a server is
    back has more time: a new connection may take several round trips.
    """

    def __init__(self, url: str, place: str, fuse: Fuse, patience_s: float) -> None:
        self._client = open_client(url)
        self._place = place  # for messages: where the server is, without secrets
        self._fuse = fuse
        self.patience_s = patience_s
        self._waiting: deque[Order[Any]] = deque()
        self._pump: asyncio.Task[None] | None = None

    def send(
        self, script: Script | None, args: tuple[str | bytes | int, ...], read: Callable[[Any], T]
    ) -> asyncio.Future[T]:
        """Queue an order; the future raises `StoreFailed`."""
        order = Order(script, args, read, asyncio.get_running_loop().create_future())
        if len(self._waiting) >= MOST_WAITING:
            order.fail(f"too much waits for Redis at {self._place}", sent=False)
        elif not self._fuse.admits():
            why = f"Redis at {self._place} does not answer; it is left alone for a moment"
            order.fail(why, sent=False)
        else:
            self._waiting.append(order)
            if self._pump is None:
                self._pump = asyncio.create_task(self._run())
        return order.result

    async def close(self, patience_s: float) -> None:
        """Finish what is under way, as far as it takes no longer than `patience_s`."""
        if self._pump is not None:
            await asyncio.wait({self._pump}, timeout=patience_s)
        if self._pump is not None:
            self._pump.cancel()
            with suppress(asyncio.CancelledError):
                await self._pump
        with suppress(RedisError, OSError):
            await self._client.aclose()

    async def _run(self) -> None:
        batch: list[Order[Any]] = []
        try:
            while self._waiting:
                batch = [
                    self._waiting.popleft() for _ in range(min(MOST_AT_ONCE, len(self._waiting)))
                ]
                await self._serve(batch)
        finally:
            self._pump = None
            self._lose(batch, "the connection was closed")  # none, if all went well

    async def _serve(self, batch: Sequence[Order[Any]]) -> None:
        """Get a batch its answers; whatever went wrong is told to those who asked."""
        task = asyncio.create_task(self._exchange(batch))
        patience_s = self.patience_s * (PATIENCE_TO_CONNECT if self._fuse.blown else 1)
        try:
            # In slices: if it was our own process that stood still, Redis has no part in it.
            for _ in range(_SLICES):
                await asyncio.wait({task}, timeout=patience_s / _SLICES)
                if task.done():
                    break
            else:
                # Each of them waited in vain, and so would the next.
                self._fuse.failed(len(batch) + len(self._waiting))
                self._lose(batch, f"no answer in {patience_s:g} s")
                return
            replies = task.result()
        except (RedisError, OSError, EOFError, ValueError) as error:  # or a host without sense
            self._fuse.failed()
            self._lose(batch, text_of(error))
            return
        finally:
            await _end(task)
        if all(isinstance(reply, Exception) for reply in replies):
            self._fuse.failed(len(replies))
            # It may be a server that has become a replica, while its name leads elsewhere now.
            await self._client.connection_pool.disconnect()
        else:
            self._fuse.worked()
        for order, reply in zip(batch, replies, strict=True):
            order.answer(reply)

    async def _exchange(self, batch: Sequence[Order[Any]]) -> list[Any]:
        replies = await self._send(batch)
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # a new server, or one that was emptied
            again = await self._send([batch[n] for n in unknown], whole=True)
            for n, reply in zip(unknown, again, strict=True):
                replies[n] = reply
        return replies

    async def _send(self, batch: Sequence[Order[Any]], *, whole: bool = False) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        for order in batch:
            order.add_to(pipeline, whole=whole)
        return await pipeline.execute(raise_on_error=False)

    def _lose(self, batch: Sequence[Order[Any]], why: str) -> None:
        """Fail these orders, and those that wait behind them."""
        behind = tuple(self._waiting)
        self._waiting.clear()
        for order in batch:
            order.fail(f"Redis at {self._place}: {why}", sent=True)
        for order in behind:
            order.fail(f"Redis at {self._place}: {why}", sent=False)


def open_client(url: str) -> Redis:
    """A client that neither waits nor tries again by itself: that is for the lane to say."""
    return Redis.from_url(
        url,
        protocol=2,
        client_name="groq-proxy",
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
    )


def text_of(error: Exception) -> str:
    """What an error of the library or of the machine says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


async def _end(task: asyncio.Task[Any]) -> None:
    """Stop a task; its connection is closed, as its replies would be taken for those of others."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=1.0)
