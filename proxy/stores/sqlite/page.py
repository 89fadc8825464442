"""What a group of operations sees of the ledger's file, and what it changes there.

Read in a few statements, changed in memory, written in a few statements: Python gives up its lock
at each one, and has to wait for a busy event loop to get it back.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import orjson

from proxy.core.money import Balance, Kind, Spender, Tokens

_FEW: Final = 8  # up to here, rows written one by one cost less than a document of all

_HOLD: Final = (
    *("id", "state", "amount", "charged", "slot", "expires_at", "buckets"),
    *("key", "team", "provider", "model", "price_version"),
)
_ROW: Final = ("at", "hold", "kind", "amount", "buckets", "reason", "price_version", "checksum")
_WHO: Final = ("slot", "key", "team", "provider", "model")
_SUMS: Final = (
    *("requests", "amount", "listed", "wasted", "refunded"),
    *("prompt", "cached", "completion"),
)

_LISTED: Final = "WHERE id IN (SELECT value FROM json_each(?))"
_READ_HOLDS: Final = f"SELECT {', '.join(_HOLD)} FROM holds {_LISTED}"  # noqa: S608
_READ_BUCKETS: Final = f"SELECT id, settled, reserved FROM buckets {_LISTED}"  # noqa: S608


class _Writing:
    """Puts rows into a table: one by one where they are few, else all by one statement."""

    def __init__(self, verb: str, table: str, fields: Sequence[str], otherwise: str = "") -> None:
        items = ", ".join(f"json_extract(value, '$[{index}]')" for index in range(len(fields)))
        into = f"{verb} INTO {table} ({', '.join(fields)})"
        self._one = f"{into} VALUES ({', '.join('?' * len(fields))}) {otherwise}"
        self._all = f"{into} SELECT {items} FROM json_each(?) WHERE true {otherwise}"  # noqa: S608

    def put(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        if len(rows) <= _FEW:
            connection.executemany(self._one, rows)
        else:
            connection.execute(self._all, (orjson.dumps(rows),))


_BUCKETS: Final = _Writing("INSERT OR REPLACE", "buckets", ("id", "settled", "reserved"))
_HOLDS: Final = _Writing("INSERT OR REPLACE", "holds", _HOLD)
_ROWS: Final = _Writing("INSERT", "ledger", _ROW)
_SPENT: Final = _Writing(
    *("INSERT", "spent", (*_WHO, *_SUMS)),
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{sum} = {sum} + excluded.{sum}' for sum in _SUMS)}",
)

_KINDS: Final = {kind.value: kind for kind in Kind}


@dataclass(slots=True)
class Held:
    """A hold as it was reserved, and what became of it: `state` is the kind of its last row."""

    id: str
    state: Kind
    amount: int
    charged: int  # what its buckets have settled of it, less what was given back
    slot: int
    expires_at: float
    buckets: tuple[str, ...]
    spender: Spender
    price_version: str

    @property
    def is_open(self) -> bool:
        """Whether its amount is still reserved."""
        return self.state is Kind.RESERVE


class Page:
    """The holds and buckets that a transaction works on. `wall` is the time of all its changes."""

    def __init__(self, connection: sqlite3.Connection, wall: float) -> None:
        self.wall = float(wall)  # as it will be read again
        self._connection = connection
        self._holds: dict[str, Held | None] = {}
        self._buckets: dict[str, Balance] = {}
        self._changed_holds: dict[str, Held] = {}
        self._changed_buckets: set[str] = set()
        self._rows: list[tuple[object, ...]] = []
        self._spent: dict[tuple[int, Spender], tuple[int, ...]] = {}

    def load(self, holds: Iterable[str], buckets: Iterable[str]) -> None:
        """Read what will be asked for, those that are here already excepted."""
        unknown = [id for id in holds if id not in self._holds]
        if unknown:
            self._holds.update(dict.fromkeys(unknown))
            for row in self._connection.execute(_READ_HOLDS, (orjson.dumps(unknown),)):
                self._holds[row[0]] = _held(row)
        unknown = [id for id in buckets if id not in self._buckets]
        if unknown:
            self._buckets.update(dict.fromkeys(unknown, Balance()))
            for id, settled, reserved in self._connection.execute(
                _READ_BUCKETS, (orjson.dumps(unknown),)
            ):
                self._buckets[id] = Balance(settled, reserved)

    def hold(self, id: str) -> Held | None:
        """The hold, None where it is not known."""
        if id not in self._holds:
            self.load([id], ())
        return self._holds[id]

    def overdue(self, most: int) -> Sequence[Held]:
        """Open holds whose time is over, the longest first."""
        self.write()
        ids = self._ids(
            "SELECT id FROM holds WHERE state = 'R' AND expires_at <= ? "
            "ORDER BY expires_at LIMIT ?",
            self.wall,
            most,
        )
        return self._known(ids)

    def of_call(self, call_id: str) -> Sequence[Held]:
        """The holds `CALL.N` of a call, by N."""
        self.write()
        first, last = f"{call_id}.", f"{call_id}/"  # "/" comes after "."
        ids = self._ids("SELECT id FROM holds WHERE id > ? AND id < ?", first, last)
        numbers = {id: id.removeprefix(first) for id in ids}
        own = [id for id in ids if numbers[id].isdecimal()]
        return self._known(sorted(own, key=lambda own_id: int(numbers[own_id])))

    def balances(self, ids: Sequence[str]) -> tuple[Balance, ...]:
        """What these buckets hold, with the changes of this page."""
        try:
            return tuple([self._buckets[id] for id in ids])
        except KeyError:
            self.load((), ids)
            return tuple([self._buckets[id] for id in ids])

    def enter(
        self, held: Held, amount: int, reason: str, *, settled: int = 0, reserved: int = 0
    ) -> tuple[Balance, ...]:
        """Keep `held`, with a row that tells its new state, and change its buckets; what they hold.

        `amount` is the row's; `settled` and `reserved` are what each bucket changes by.
        """
        buckets = self.balances(held.buckets)
        if settled or reserved:
            buckets = tuple([Balance(b.settled + settled, b.reserved + reserved) for b in buckets])
            self._buckets.update(zip(held.buckets, buckets, strict=True))
            self._changed_buckets.update(held.buckets)
        self._holds[held.id] = held
        self._changed_holds[held.id] = held
        kind, prices = held.state.value, held.price_version
        check = checksum(self.wall, held.id, kind, amount, held.buckets, reason, prices)
        ids = _text(held.buckets)
        self._rows.append((self.wall, held.id, kind, amount, ids, reason, prices, check))
        return buckets

    def count(
        self,
        held: Held,
        *,
        requests: int = 0,
        amount: int = 0,
        listed: int = 0,
        wasted: int = 0,
        refunded: int = 0,
        tokens: Tokens | None = None,
    ) -> None:
        """Add to what its spender spent, in the slot in which it was reserved."""
        used = tokens or Tokens()
        sums = (requests, amount, listed, wasted, refunded)
        more = (*sums, used.prompt, used.cached, used.completion)
        if any(more):
            key = (held.slot, held.spender)
            old = self._spent.get(key)
            self._spent[key] = (
                tuple([a + b for a, b in zip(old, more, strict=True)]) if old else more
            )

    def write(self) -> None:
        """Bring what has changed into the transaction."""
        if self._changed_buckets:
            balances = [(id, self._buckets[id]) for id in self._changed_buckets]
            rows = [(id, balance.settled, balance.reserved) for id, balance in balances]
            _BUCKETS.put(self._connection, rows)
            self._changed_buckets.clear()
        if self._changed_holds:
            _HOLDS.put(self._connection, [_row(held) for held in self._changed_holds.values()])
            self._changed_holds.clear()
        if self._rows:
            _ROWS.put(self._connection, self._rows)
            self._rows.clear()
        if self._spent:
            spent = [
                (slot, who.key, who.team, who.provider, who.model, *sums)
                for (slot, who), sums in self._spent.items()
            ]
            _SPENT.put(self._connection, spent)
            self._spent.clear()

    def _ids(self, statement: str, *arguments: object) -> list[str]:
        return [id for (id,) in self._connection.execute(statement, arguments)]

    def _known(self, ids: Sequence[str]) -> Sequence[Held]:
        self.load(ids, ())
        found = [held for id in ids if (held := self._holds[id]) is not None]
        self.load((), {bucket for held in found for bucket in held.buckets})
        return found


def checksum(
    at: float,
    hold: str,
    kind: str,
    amount: int,
    buckets: Sequence[str],
    reason: str,
    price_version: str,
) -> int:
    """What tells a row of the ledger that was edited from one that we wrote."""
    return crc32(repr((at, hold, kind, amount, *buckets, reason, price_version)).encode())


def _text(buckets: Sequence[str]) -> str:
    return orjson.dumps(buckets).decode()


def _held(row: Sequence[str]) -> Held:
    id, state, amount, charged, slot, expires_at, buckets, *spender, prices = row
    return Held(
        id,
        _KINDS[state],
        int(amount),
        int(charged),
        int(slot),
        float(expires_at),
        tuple(orjson.loads(buckets)),
        Spender(*spender),
        prices,
    )


def _row(held: Held) -> tuple[object, ...]:
    who = held.spender
    return (
        held.id,
        held.state.value,
        held.amount,
        held.charged,
        held.slot,
        held.expires_at,
        _text(held.buckets),
        who.key,
        who.team,
        who.provider,
        who.model,
        held.price_version,
    )
