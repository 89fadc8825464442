"""Whether the ledger in Redis adds up, while it goes on being written."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from proxy.core.money import Kind
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.rows import ROWS_AT_ONCE, Entry, entries_after

_FIELDS_AT_ONCE: Final = 500
_SLOTS_AT_ONCE: Final = 4
_MOST_TOLD: Final = 1000

_CLOSING: Final = {Kind.SETTLE, Kind.RELEASE, Kind.EXPIRE}


class _Seen(NamedTuple):
    """A sum, and the number of the last row when it was looked at."""

    value: int
    at: int


class _Kept(NamedTuple):
    """A hold among the open ones, and the number of the last row when it was looked at."""

    amount: int | None  # None: no hold of this id is open
    at: int


@dataclass(slots=True)
class _Life:
    """A hold, as its rows tell it so far."""

    begun: int  # the number of its first row
    promised: int = 0
    closed: Kind | None = None
    final: bool = False  # after L or F
    charged: int = 0


class Audit:
    """To be run once.

    First all sums are looked at, some at a time, each with the number of the last row of that very
    moment. Then all rows are gone through, and each sum must be that of the rows up to its own.
    That the keys' sum is the teams' and the whole (I5) follows: a row changes its buckets alike.

    The lives of all holds are remembered meanwhile: some 200 bytes each.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wrong: list[str] = []
        self._first = 0  # the last row before we looked at anything
        self._seen: dict[str, _Seen] = {}
        self._added: defaultdict[str, int] = defaultdict(int)
        self._kept: dict[str, _Kept] = {}
        self._lives: dict[str, _Life] = {}
        self._open_then: dict[str, bool] = {}  # those of `_kept`, by the rows, when looked at

    async def run(self) -> Sequence[str]:
        """One sentence for each thing that is wrong, up to a thousand."""
        self._first, _ = await self._connection.look()
        await self._look_at_buckets()
        await self._look_at_slots()
        await self._look_at_holds()
        last, _ = await self._connection.look()
        number = 0
        while number < last:
            entries = await entries_after(self._connection, number, ROWS_AT_ONCE)
            for entry in entries:
                if entry.number > last:
                    break
                if entry.number != number + 1:
                    self._wrong.append(f"the ledger lacks rows {number + 1} to {entry.number - 1}")
                self._follow(entry)
                number = entry.number
            if not entries or entries[-1].number > last > number:
                self._wrong.append(f"the ledger lacks rows {number + 1} to {last}")
                break
        self._compare_sums()
        self._compare_holds()
        return self._wrong[:_MOST_TOLD]

    async def _look_at_buckets(self) -> None:
        cursor = "0"
        while True:
            at, [[cursor, flat]] = await self._connection.look(
                ("HSCAN", "buckets", cursor, "COUNT", _FIELDS_AT_ONCE)
            )
            each = iter(flat)
            for field, value in zip(each, each, strict=True):
                id, _, letter = field.rpartition("|")
                self._see(_bucket(id, letter), int(value), at)
            if cursor == "0":
                return

    async def _look_at_slots(self) -> None:
        _, [slots] = await self._connection.look(("ZRANGE", "spent", 0, -1))
        each = iter(slots)
        while some := list(islice(each, _SLOTS_AT_ONCE)):
            at, sums = await self._connection.look(*(("HGETALL", f"spent:{slot}") for slot in some))
            for slot, flat in zip(some, sums, strict=True):
                pairs = iter(flat)
                for field, value in zip(pairs, pairs, strict=True):
                    if field.startswith("a"):
                        self._see(_spent(int(slot), field[1:]), int(value), at)

    async def _look_at_holds(self) -> None:
        cursor = "0"
        while True:
            _, [[cursor, flat]] = await self._connection.look(
                ("ZSCAN", "open", cursor, "COUNT", _FIELDS_AT_ONCE)
            )
            ids = list(flat)[::2]
            if ids:
                at, kept = await self._connection.look(
                    *(("HGET", f"hold:{id}", "amount") for id in ids)
                )
                for id, amount in zip(ids, kept, strict=True):
                    self._kept[id] = _Kept(int(amount) if amount else None, at)
            if cursor == "0":
                return

    def _see(self, name: str, value: int, at: int) -> None:
        self._seen[name] = _Seen(value, at)
        if value < 0:
            self._wrong.append(f"{name} is negative: {value}")

    def _add(self, name: str, change: int, number: int) -> None:
        seen = self._seen.get(name)
        if number <= (self._first if seen is None else seen.at):
            self._added[name] += change

    def _follow(self, entry: Entry) -> None:
        """Let a row do to the sums what it says."""
        row, number = entry.row, entry.number
        life = self._lives.get(row.hold_id)
        if life is None:
            life = self._lives[row.hold_id] = _Life(number)
        self._judge(entry, life)
        settled = row.amount if row.kind not in {Kind.RESERVE, Kind.RELEASE} else 0
        reserved = 0
        if row.kind is Kind.RESERVE:
            life.promised = reserved = row.amount
        elif row.kind in _CLOSING and life.closed is None:
            life.closed, reserved = row.kind, -life.promised
        life.final |= row.kind in {Kind.LATE, Kind.REFUND}
        life.charged += settled
        if life.charged < 0:
            self._wrong.append(f"hold {row.hold_id} was charged {life.charged} in all")
        for id in row.buckets:
            self._add(_bucket(id, "s"), settled, number)
            self._add(_bucket(id, "r"), reserved, number)
        self._add(_spent(entry.slot, entry.who), settled, number)
        kept = self._kept.get(row.hold_id)
        if kept is not None and number <= kept.at:
            self._open_then[row.hold_id] = life.closed is None

    def _judge(self, entry: Entry, life: _Life) -> None:
        """Say so where this row cannot follow those before it."""
        row, known = entry.row, life.begun < entry.number
        good = {
            Kind.RESERVE: not known,
            Kind.SETTLE: life.closed is None,
            Kind.RELEASE: life.closed is None and row.amount == -life.promised,
            Kind.EXPIRE: known and life.closed is None,
            Kind.LATE: life.closed is Kind.EXPIRE and not life.final,
            Kind.REFUND: life.closed is not None,
            Kind.ADMIN: True,
        }
        if not good[row.kind]:
            before = life.closed or ("R" if known else "nothing")
            self._wrong.append(
                f"hold {row.hold_id}: row {entry.number} of kind {row.kind} cannot follow {before}"
            )

    def _compare_sums(self) -> None:
        for name in sorted(self._seen.keys() | self._added.keys()):
            value = self._seen[name].value if name in self._seen else 0
            added = self._added.get(name, 0)
            if value != added:
                self._wrong.append(f"{name} is {value}, and its rows make {added}")

    def _compare_holds(self) -> None:
        for id, kept in self._kept.items():
            told = self._promised(id) if self._open_then.get(id) else None
            if kept.amount != told:
                self._wrong.append(
                    f"hold {id} has {kept.amount} reserved (None: it is closed), and its rows say"
                    f" {told}"
                )
        for id, life in self._lives.items():
            if life.closed is None and life.begun <= self._first and id not in self._kept:
                self._wrong.append(f"hold {id} was never closed, and is not among the open ones")

    def _promised(self, id: str) -> int | None:
        return self._lives[id].promised if id in self._lives else None


def _bucket(id: str, letter: str) -> str:
    return f"bucket {id}: {'settled' if letter == 's' else 'reserved'}"


def _spent(slot: int, who: str) -> str:
    return f"spent in slot {slot} by {who}: the amount"
