"""Cached values in Redis, for several hosts.

They have lanes of their own: what is large must not delay the ledger. Expiry is the server's.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from random import Random
from typing import Any, Final, Self, TypeVar

from proxy.core.clock import Clock
from proxy.stores.errands import Errands
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import Eviction, StoreFailed, Value, ValueStats
from proxy.stores.redis.connection import place_of
from proxy.stores.redis.lanes import Orders, Word
from proxy.stores.redis.scripts import Script, script
from proxy.stores.seal import lifetime, seal, unseal

PREFIX: Final = "groq-proxy:{c}:"
PURGE: Final = script("values", "purge")
SAMPLE: Final = script("values", "sample")

_READ_S: Final = 0.05  # beyond it the provider might as well be asked
_WRITE_S: Final = 0.25
_CLOSE_S: Final = 2.0
_MOST_AT_ONCE: Final = 16  # a batch of a lane
_LARGE: Final = 2**16  # bytes whose checksum the loop should not wait for: many come at once
_KEYS_AT_ONCE: Final = 500  # under a millisecond, in which the server does nothing else
_MOST_SAMPLES: Final = 4

_log = logging.getLogger(__name__)

T = TypeVar("T")


class _Gate:
    """Lets a few at a time into a lane: the loop does nothing else while it reads a batch."""

    def __init__(self, lane: Orders, fuse: Fuse) -> None:
        self.lane = lane
        self.fuse = fuse
        self._places = asyncio.Semaphore(_MOST_AT_ONCE)

    async def __aenter__(self) -> Orders:
        await self._places.acquire()
        return self.lane

    async def __aexit__(self, *_: object) -> None:
        self._places.release()


class RedisValues:
    """See `Values`. Opened by `async with`, which fails for nothing that is wrong with the server.

    What reads and what writes have a connection and a fuse each: a server that is full (it refuses
    writes, with `maxmemory-policy noeviction`) is read on. `url` is as for `Connection`.

    No `get` takes longer than `read_s`: neither does it wait for many others, nor does it try
    whether a server is back. Whoever writes does so beside the calls, and has the time.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        random: Random,
        *,
        read_s: float = _READ_S,
        write_s: float = _WRITE_S,
    ) -> None:
        self._url = url
        self._place = place_of(url)
        self._clock = clock
        self._random = random
        self._read_s = read_s
        self._write_s = write_s
        self._reads: _Gate | None = None
        self._writes: _Gate | None = None
        self._evicted: Counter[Eviction] = Counter()
        self._errands = Errands()
        self._large = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._reads = await self._gate(self._read_s)
        self._writes = await self._gate(self._write_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        gates = [gate for gate in (self._reads, self._writes) if gate is not None]
        await self._errands.end(_CLOSE_S)
        self._reads = self._writes = None
        await asyncio.gather(*(gate.lane.close(_CLOSE_S) for gate in gates))

    @property
    def evicted(self) -> Mapping[Eviction, int]:
        """See `Values`: only what was purged is known."""
        return self._evicted

    async def get(self, key: str) -> Value | None:
        """See `Values`."""
        async with _within(self._read_s, self._place):
            async with self._reading() as lane:
                sealed = await lane.send(None, ("GET", PREFIX + key), _bytes_or_none)
            if sealed is None:
                return None
            value = await _aside(len(sealed), partial(unseal, key, sealed))
        if value is None:
            self._errands.begin(key, partial(self._mend, key))
            return None
        return value if self._clock.wall() < value.expires_at else None

    async def put(self, key: str, data: bytes, ttl_s: float) -> None:
        """See `Values`."""
        now, lives_s = self._clock.wall(), lifetime(ttl_s, self._random)
        milliseconds = max(1, round(1000 * lives_s))
        value = Value(data, now, now + lives_s)
        # The large ones one by one: all of a batch is copied in one step of the loop.
        alone = self._large if len(data) >= _LARGE else nullcontext()
        async with alone, _open(self._writes) as lane:
            sealed = await _aside(len(data), partial(seal, key, value))
            await lane.send(None, ("SET", PREFIX + key, sealed, "PX", milliseconds), bool)

    async def delete(self, key: str) -> bool:
        """See `Values`."""
        dropped = await self._drop(key)
        self._evicted[Eviction.PURGE] += dropped
        return dropped

    async def purge(self, *, stored_before: float | None = None) -> int:
        """See `Values`; the server is asked for a little at a time."""
        before = "" if stored_before is None else repr(stored_before)
        purged, cursor = 0, b"0"
        while True:
            cursor, gone = await _run(
                _open(self._writes), PURGE, cursor, _KEYS_AT_ONCE, before, read=_page
            )
            purged += gone
            self._evicted[Eviction.PURGE] += gone
            if cursor == b"0":
                return purged

    async def tidy(self) -> None:
        """See `Values`: the server sees to it."""

    def resize(self, max_bytes: int) -> None:
        """See `Values`: the server's `maxmemory` says it."""

    async def stats(self) -> ValueStats:
        """See `Values`; from a sample of all keys where there are more than some thousand."""
        seen = entries = size = 0
        oldest: float | None = None
        cursor, keys = b"0", 0
        for _ in range(_MOST_SAMPLES):
            cursor, keys, *found, first = await _run(
                self._reading(), SAMPLE, cursor, _KEYS_AT_ONCE, read=tuple
            )
            seen += _KEYS_AT_ONCE
            entries, size = entries + found[0], size + found[1]
            times = [time for time in (oldest, first and float(first)) if time is not None]
            oldest = min(times, default=None)
            if cursor == b"0":
                return ValueStats(entries, size, oldest)
        return ValueStats(entries * keys // seen, size * keys // seen, oldest)

    async def _gate(self, patience_s: float) -> _Gate:
        from proxy.stores.redis.lane import PATIENCE_TO_CONNECT, Lane

        fuse = Fuse(self._clock.now)
        lane = Lane(self._url, self._place, fuse, patience_s * PATIENCE_TO_CONNECT)
        try:
            await lane.send(None, ("PING",), bool)
        except StoreFailed as error:
            _log.warning("cannot use the cache in Redis: %s", error)
        lane.patience_s = patience_s
        return _Gate(lane, fuse)

    def _reading(self) -> _Gate:
        """The way in for whoever reads; while nothing comes out of it, a PING finds out for all."""
        gate = _open(self._reads)
        if gate.fuse.blown:
            if not gate.fuse.resting:
                ping = partial(gate.lane.send, None, ("PING",), bool)
                self._errands.begin("ping", ping)
            why = f"Redis at {self._place} does not answer; it is left alone for a moment"
            raise StoreFailed(why, sent=False)
        return gate

    async def _mend(self, key: str) -> None:
        _log.warning("a cached value in Redis is damaged, and deleted")
        await self._drop(key)

    async def _drop(self, key: str) -> bool:
        async with _open(self._writes) as lane:
            return await lane.send(None, ("UNLINK", PREFIX + key), bool)


@asynccontextmanager
async def _within(seconds: float, place: str) -> AsyncIterator[None]:
    """Raise `StoreFailed` after so long; in halves, as it may be us who stood still for one."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(None) as limit:
            half_s = seconds / 2
            timer = loop.call_later(half_s, lambda: limit.reschedule(loop.time() + half_s))
            try:
                yield
            finally:
                timer.cancel()
    except TimeoutError:
        raise StoreFailed(f"Redis at {place}: no answer in {seconds:g} s") from None


async def _aside(size: int, work: Callable[[], T]) -> T:
    """What `work` gives; what takes a while is done in a thread."""
    return work() if size < _LARGE else await asyncio.to_thread(work)


async def _run(gate: _Gate, script: Script, *words: Word, read: Callable[[Any], T]) -> T:
    async with gate as lane:
        return await lane.send(script, (PREFIX, "", *words), read)


def _open(gate: _Gate | None) -> _Gate:
    if gate is None:
        raise StoreFailed("the connection to Redis is not open")
    return gate


def _bytes_or_none(reply: object) -> bytes | None:
    return reply if reply is None or type(reply) is bytes else b""


def _page(reply: Sequence[Any]) -> tuple[bytes, int]:
    return bytes(reply[0]), int(reply[1])
