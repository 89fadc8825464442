"""The ledger and its books in Redis; `scripts/ledger.lua` tells what is kept, and how."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import orjson

from proxy.core.money import (
    Balance,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Refund,
    Row,
    Served,
    Settled,
    Spender,
    Spent,
    Traffic,
    slot_of,
)
from proxy.stores.protocols import NO_BUCKET, check_amounts
from proxy.stores.redis.audit import Audit
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.rows import entries_after
from proxy.stores.redis.scripts import script
from proxy.stores.redis.usage import (
    Sums,
    by_spender,
    counted,
    fields_of,
    spent_of,
    text_of,
    traffic_of,
)

RESERVE: Final = script("ledger", "reserve")
SETTLE: Final = script("ledger", "settle")
SWEEP: Final = script("ledger", "sweep")
REFUND: Final = script("ledger", "refund")
SERVED: Final = script("served")

MOST_SWEPT: Final = 500
_SWEPT_AT_ONCE: Final = 100  # about 5 ms, in which the server does nothing else
_SLOTS_AT_ONCE: Final = 8
_FIELDS_AT_ONCE: Final = 1000

T = TypeVar("T")


async def _all(awaited: Iterable[Awaitable[object]]) -> None:
    await asyncio.gather(*awaited)


class RedisLedger:
    """Promises, charges, and what was spent; both `Ledger` and `Books`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def wall(self) -> float:
        """The server's clock."""
        return self._connection.wall()

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        """See `Ledger`."""
        check_amounts(hold)
        asked = {
            **_asked(hold),
            "windows": [
                (each.start, _or_false(each.end), _or_false(each.limit)) for each in hold.buckets
            ],
            "ttl_s": hold.ttl_s,
        }

        def read(reply: bytes) -> Granted | Denied | Moved:
            word, wall, n, *sums = reply.split()
            self._connection.saw(float(wall))
            if word == b"granted":
                return Granted(_balances(sums))
            if word == b"moved":
                return Moved(float(wall))
            bucket = hold.buckets[int(n)] if hold.buckets else NO_BUCKET
            return Denied(bucket, next(iter(_balances(sums)), Balance()))

        return self._connection.run(RESERVE, orjson.dumps(asked), read=read)

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        """See `Ledger`."""
        check_amounts(hold, charge)
        billed = charge.kind is Kind.SETTLE
        asked = {
            **_asked(hold),
            "kind": charge.kind,
            "charge": str(charge.amount if billed else 0),
            "reason": charge.reason,
            "listed": str(charge.listed),
            "wasted": str(charge.wasted if billed else 0),
            "prompt": str(charge.tokens.prompt),
            "cached": str(charge.tokens.cached),
            "completion": str(charge.tokens.completion),
        }

        def read(reply: bytes) -> Settled:
            wall, duplicate, overrun, *sums = reply.split()
            self._connection.saw(float(wall))
            return Settled(_balances(sums), int(overrun), duplicate == b"1")

        return self._connection.run(SETTLE, orjson.dumps(asked), read=read)

    def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> Awaitable[None]:
        """See `Ledger`; they go out together, and are done one by one."""
        for closing in closings:
            check_amounts(*closing)
        settled = [self.settle(hold, charge) for hold, charge in closings]
        return asyncio.ensure_future(_all(settled))

    async def sweep(self) -> Sequence[Settled]:
        """See `Ledger`; at most 500, and few at once, so that others come in between."""
        swept: list[Settled] = []
        while len(swept) < MOST_SWEPT:
            wall, *closed = await self._connection.run(SWEEP, _SWEPT_AT_ONCE, read=list)
            self._connection.saw(float(wall))
            swept += [Settled(_balances(sums.split())) for sums in closed]
            if len(closed) < _SWEPT_AT_ONCE:
                break
        return swept

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        """See `Ledger`."""
        reply = await self._connection.run(REFUND, id, why, read=_texts)
        back = [Refund(hold, int(n)) for hold, n in zip(reply[::2], reply[1::2], strict=True)]
        return sorted(back, key=lambda each: (len(each.hold_id), each.hold_id))

    async def balances(self, ids: Sequence[str]) -> Sequence[Balance]:
        """See `Books`."""
        if not ids:
            return []
        fields = [f"{id}|{letter}" for id in ids for letter in "sr"]
        _, [sums] = await self._connection.look(("HMGET", "buckets", *fields))
        return _balances(sums)

    async def served(self, calls: Iterable[Served], batch: str) -> None:
        """See `Books`. A batch with many spenders goes out in parts, each of which counts once."""
        sums, part = iter(counted(calls).items()), 0
        while some := list(islice(sums, _FIELDS_AT_ONCE)):
            by_slot: defaultdict[str, dict[str, str]] = defaultdict(dict)
            for (slot, field), number in some:
                by_slot[str(slot)][field] = str(number)
            part += 1
            order = (orjson.dumps(by_slot), f"{batch}:{part}")
            await self._connection.run(SERVED, *order, read=bool)

    async def spent(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Spent]:
        """See `Books`."""
        return await self._sums("spent", since, until, key, spent_of)

    async def traffic(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Traffic]:
        """See `Books`."""
        return await self._sums("traffic", since, until, key, traffic_of)

    async def rows(self, after: str = "", count: int = 1000) -> Sequence[Row]:
        """See `Books`. `seq` has leading zeros, so that it sorts as text."""
        found = await entries_after(self._connection, int(after or 0), count)
        return [entry.row for entry in found]

    async def check(self) -> Sequence[str]:
        """See `Books`; the server is asked for a little at a time."""
        return await Audit(self._connection).run()

    async def _sums(
        self,
        name: str,
        since: int,
        until: int | None,
        key: str | None,
        make: Callable[[int, Spender, Sums], T],
    ) -> Sequence[T]:
        before = "+inf" if until is None else f"({until}"
        _, [slots] = await self._connection.look(("ZRANGEBYSCORE", name, slot_of(since), before))
        found: list[T] = []
        each = iter(slots)
        while some := list(islice(each, _SLOTS_AT_ONCE)):
            _, sums = await self._connection.look(*(_slot(f"{name}:{slot}", key) for slot in some))
            if key is not None:
                sums = [fields for _, fields in sums]
            # In a thread: the spenders of a slot may be thousands.
            found += await asyncio.to_thread(_made, some, sums, make)
        return found


def _slot(name: str, key: str | None) -> Sequence[str | int]:
    """How to ask for the sums of a slot, of one spender's key or of all."""
    if key is None:
        return "HGETALL", name
    # With such a COUNT, one step goes through the whole hash.
    return "HSCAN", name, 0, "COUNT", 10**9, "MATCH", fields_of(key)


def _made(
    slots: Sequence[str], sums: Sequence[Any], make: Callable[[int, Spender, Sums], T]
) -> Sequence[T]:
    return [
        make(int(slot), *one)
        for slot, fields in zip(slots, sums, strict=True)
        for one in by_spender(fields)
    ]


def _asked(hold: Hold) -> dict[str, Any]:
    # Amounts are texts, as the scripts compute in doubles.
    return {
        "id": hold.id,
        "amount": str(hold.amount),
        "buckets": orjson.dumps([bucket.id for bucket in hold.buckets]).decode(),
        "who": text_of(hold.spender),
        "price": hold.price_version,
    }


def _or_false(number: int | None) -> int | bool:
    return False if number is None else number  # Lua's tables cannot hold a nil


def _balances(sums: Sequence[Any]) -> tuple[Balance, ...]:
    numbers = [int(number or 0) for number in sums]
    return tuple([Balance(*pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)])


def _texts(reply: Sequence[bytes]) -> Sequence[str]:
    return [text.decode() for text in reply]
