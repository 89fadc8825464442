"""The way to one Redis server: orders out, answers in, and what time it is there."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar
from urllib.parse import urlsplit

import orjson

from proxy.core.clock import Clock, SystemClock
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.scripts import READ, Script

PREFIX: Final = "groq-proxy:{b}:"
_CLOSE_S: Final = 2.0

_NO_LIBRARY: Final = "Redis is configured, but its library is missing: pip install 'redis>=5.2'"
_NO_URL: Final = (
    "the Redis URL cannot be read; it looks like redis://user:password@host:6379/0, rediss://… or"
    " unix:///path, with special characters of the password as %XX"
)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _Lane(Protocol):
    """What `lane.Lane` is; that file cannot be imported where the `redis` library is absent."""

    patience_s: float

    def send(
        self, script: Script | None, args: tuple[str | bytes | int, ...], read: Callable[[Any], T]
    ) -> asyncio.Future[T]: ...

    async def close(self, patience_s: float) -> None: ...


class Connection:
    """Opened with `async with`, which raises `StoreFailed` where the server cannot be used.

    Changes and reports go separate ways: a long report delays no call. `url` is `redis://`,
    `rediss://` or `unix://`. Where `clock` is not the machine's, it is a test's, and the scripts
    take the time from it instead of from the server.
    """

    def __init__(self, url: str, clock: Clock, *, patience_s: float = 0.25) -> None:
        self._url = url
        self._place = place_of(url)
        self._clock = clock
        self._borrowed_time = isinstance(clock, SystemClock)
        self._ahead_s = 0.0  # by how much the server's clock is ahead of ours
        self._patience_s = patience_s
        self._changes: _Lane | None = None
        self._reports: _Lane | None = None

    async def __aenter__(self) -> Self:
        try:
            from proxy.stores.redis.lane import PATIENCE_TO_CONNECT, Lane
        except ImportError:
            raise StoreFailed(_NO_LIBRARY) from None
        fuse, patience_s = Fuse(self._clock.now), self._patience_s * PATIENCE_TO_CONNECT
        try:
            self._changes = Lane(self._url, self._place, fuse, patience_s)
            self._reports = Lane(self._url, self._place, fuse, patience_s)
        except ValueError:  # its text may contain a part of the URL, hence of the password
            raise StoreFailed(_NO_URL) from None
        try:
            for lane in (self._changes, self._reports):
                await lane.send(None, ("PING",), bool)
                lane.patience_s = self._patience_s
            await self._look_around()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    def wall(self) -> float:
        """The server's clock, as it was ahead of ours when last heard of."""
        return self._clock.wall() + self._ahead_s

    def saw(self, wall: float) -> None:
        """Take note of the server's clock, as an answer told it."""
        if self._borrowed_time:
            self._ahead_s = wall - self._clock.wall()

    def run(
        self, script: Script, *args: str | bytes | int, read: Callable[[Any], T]
    ) -> asyncio.Future[T]:
        """Run a script that changes something; `read` makes of its reply what the future gives.

        It is under way when this returns. The future raises `StoreFailed`.
        """
        if self._changes is None:
            closed: asyncio.Future[T] = asyncio.get_running_loop().create_future()
            closed.set_exception(StoreFailed("the connection to Redis is not open", sent=False))
            return closed
        now = "" if self._borrowed_time else repr(self._clock.wall())
        return self._changes.send(script, (PREFIX, now, *args), read)

    async def look(self, *commands: Sequence[str | int]) -> tuple[int, list[Any]]:
        """Replies to commands that only read, all of one moment, and the number of the last row.

        The second word of each is a key, without our prefix. Nothing is False, an empty list {}.
        """
        seq, *replies = await self._report(READ, orjson.dumps(commands), read=orjson.loads)
        return int(seq), replies

    def _report(
        self, script: Script | None, *args: str | bytes | int, read: Callable[[Any], T]
    ) -> asyncio.Future[T]:
        if self._reports is None:
            raise StoreFailed("the connection to Redis is not open")
        return self._reports.send(script, (PREFIX, "", *args) if script else args, read)

    async def _look_around(self) -> None:
        self.saw(await self._report(None, "TIME", read=lambda time: time[0] + time[1] / 1e6))
        try:
            info = await self._report(None, "INFO", read=dict)
        except StoreFailed as error:
            _log.warning("cannot see how Redis at %s keeps its data: %s", self._place, error)
            return
        self._judge(info)

    def _judge(self, info: Mapping[str, Any]) -> None:
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            what = f"Redis at {self._place} forgets what was spent when it is full: its"
            what += f" maxmemory-policy is {policy}, and budgets need noeviction"
            if info.get("maxmemory"):
                raise StoreFailed(what)
            _log.warning("%s (no maxmemory is set now)", what)
        if not info.get("aof_enabled", 1):
            what = "has appendonly off: what was spent since its last snapshot is lost when it dies"
            _log.warning("Redis at %s %s", self._place, what)

    async def _close(self) -> None:
        lanes = [lane for lane in (self._changes, self._reports) if lane is not None]
        self._changes = self._reports = None
        await asyncio.gather(*(lane.close(_CLOSE_S) for lane in lanes))


def place_of(url: str) -> str:
    """Where the server of `url` is, to be named in messages: nothing secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 6379
    except ValueError:
        return "?"
    return f"{host}:{port}" if host else parts.path
