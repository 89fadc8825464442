"""Limits by time and at a time, in Redis: shared by all workers of all hosts."""

import math
import secrets
from collections.abc import Sequence
from typing import Final

import orjson

from proxy.core.rates import Level, Short, Take
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.scripts import script

TAKE: Final = script("rates", "take")
CORRECT: Final = script("rates", "correct")
ENTER: Final = script("enter")
LEAVE: Final = script("leave")

_MOST_LOST: Final = 1000


class RedisCounters:
    """See `Counters`.

    A place whose fate is unknown (Redis went away, or nobody waited for it any more) is given back
    with the next one that is asked for.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lost: dict[tuple[str, str], None] = {}

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        """As `Counters` says; of several buckets with too little, the one that takes longest."""
        if not takes:
            return []

        def read(reply: bytes) -> Sequence[Level] | Short:
            short, *levels = orjson.loads(reply)
            if short < 0:
                return [_level(take, used) for take, used in zip(takes, levels, strict=True)]
            take, [used] = takes[short], levels
            over = used + take.amount - take.capacity
            fits = take.amount <= take.capacity
            wait_s = over * take.window_s / take.capacity if fits else math.inf
            return Short(short, _level(take, used), wait_s)

        asked = orjson.dumps([_asked(take) for take in takes])
        return await self._connection.run(TAKE, asked, read=read)

    async def correct(self, take: Take, used: int) -> None:
        """As `Counters` says; a bucket is never more than full."""
        if used != take.amount:
            more = used - take.amount
            await self._connection.run(CORRECT, orjson.dumps(_asked(take)), more, read=bool)

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:
        """As `Counters` says; the place of a process that died is free after `ttl_s`."""
        place = secrets.token_hex(8)
        lost = list(self._lost)
        asked = (name, most, repr(ttl_s), place, orjson.dumps(lost))
        try:
            entered = await self._connection.run(ENTER, *asked, read=bool)
        except BaseException:  # cancelled as well: it may be taken by then
            self._lose(name, place)
            raise
        for each in lost:
            self._lost.pop(each, None)
        return place if entered else None

    async def leave(self, name: str, place: str) -> None:
        """As `Counters` says; a second time does nothing."""
        try:
            await self._connection.run(LEAVE, name, place, read=bool)
        except BaseException:
            self._lose(name, place)
            raise

    def _lose(self, name: str, place: str) -> None:
        self._lost[name, place] = None
        if len(self._lost) > _MOST_LOST:
            del self._lost[next(iter(self._lost))]  # it is free again when its time is over


def _asked(take: Take) -> tuple[str, int, float, int]:
    return take.name, take.capacity, take.window_s, take.amount


def _level(take: Take, used: float) -> Level:
    drains_s = take.window_s / take.capacity if take.capacity else math.inf
    return Level(take.capacity - used, used * drains_s if used > 0 else 0.0)
