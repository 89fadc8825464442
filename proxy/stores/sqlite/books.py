"""What the file tells those who read it, and the calls that are counted in it."""

import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Final

import orjson

from proxy.core.money import (
    NOTHING_SAVED,
    Balance,
    Kind,
    Row,
    Saved,
    Served,
    Spender,
    Spent,
    Tokens,
    Traffic,
    slot_of,
)

# A step of the scale of times: [1.05**n, 1.05**(n + 1)) seconds, from a millisecond to a day.
_STEP: Final = math.log(1.05)
_LEAST: Final = math.floor(math.log(0.001) / _STEP)
_MOST: Final = math.floor(math.log(86_400) / _STEP)

_FOREVER: Final = 2**62

_SAVED: Final = "saved_calls, saved_amount, saved_prompt, saved_completion"
_ADD_TRAFFIC: Final = (
    "INSERT OR REPLACE INTO traffic "  # noqa: S608
    f"(slot, key, team, provider, model, calls, failed, seconds, times, {_SAVED}) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

_BATCH_KEPT_S: Final = 86_400.0  # nobody hands a batch over again after that
_NOTE_BATCH: Final = "INSERT OR IGNORE INTO batches (id, at) VALUES (?, ?)"
_FORGET_BATCHES: Final = "DELETE FROM batches WHERE at < ?"


@dataclass(slots=True)
class _Tally:
    calls: int = 0
    failed: int = 0
    seconds: float = 0.0
    times: Counter[int] = field(default_factory=Counter)
    saved: Saved = NOTHING_SAVED

    def add(self, call: Served) -> None:
        self.calls += 1
        self.failed += call.failed
        self.seconds += call.seconds
        self.times[_step(call.seconds)] += 1
        if call.saved is not NOTHING_SAVED:
            self.saved += call.saved


def balances(connection: sqlite3.Connection, ids: Sequence[str]) -> Sequence[Balance]:
    """What buckets hold, in the order of `ids`."""
    found = connection.execute(
        "SELECT id, settled, reserved FROM buckets WHERE id IN (SELECT value FROM json_each(?))",
        (orjson.dumps(ids),),
    )
    known = {id: Balance(settled, reserved) for id, settled, reserved in found}
    return [known.get(id, Balance()) for id in ids]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the books: these slots, of one key or of all."""

    since: int
    until: int | None
    key: str | None

    def of(self, connection: sqlite3.Connection, table: str, sums: str) -> sqlite3.Cursor:
        """The rows of `table` that belong to it, in order, as slot, spender and `sums`."""
        return connection.execute(
            f"SELECT slot, key, team, provider, model, {sums} FROM {table} "  # noqa: S608
            "WHERE slot >= :since AND slot < :until AND (:key IS NULL OR key = :key) "
            "ORDER BY slot, key, team, provider, model",
            {
                "since": slot_of(self.since),
                "until": _FOREVER if self.until is None else self.until,
                "key": self.key,
            },
        )


def spent(connection: sqlite3.Connection, part: Part) -> Sequence[Spent]:
    """The money spent in a part of the books."""
    sums = "requests, amount, listed, wasted, refunded, prompt, cached, completion"
    return [
        Spent(
            *(row[0], Spender(*row[1:5])),
            requests=row[5],
            amount=row[6],
            listed=row[7],
            wasted=row[8],
            refunded=row[9],
            tokens=Tokens(*row[10:13]),
        )
        for row in part.of(connection, "spent", sums)
    ]


def traffic(connection: sqlite3.Connection, part: Part) -> Sequence[Traffic]:
    """The calls of a part of the books."""
    sums = f"calls, failed, seconds, times, {_SAVED}"
    return [
        Traffic(
            *(row[0], Spender(*row[1:5])),
            calls=row[5],
            failed=row[6],
            seconds=row[7],
            times=_times(orjson.loads(row[8])),
            saved=Saved(*row[9:13]),
        )
        for row in part.of(connection, "traffic", sums)
    ]


def rows(connection: sqlite3.Connection, after: str, count: int) -> Sequence[Row]:
    """Rows of the ledger after the one of that `seq`."""
    found = connection.execute(
        "SELECT seq, at, hold, kind, amount, buckets, reason, price_version "
        "FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?",
        (int(after or 0), count),
    )
    return [
        Row(str(seq), at, hold, Kind(kind), amount, tuple(orjson.loads(buckets)), reason, prices)
        for seq, at, hold, kind, amount, buckets, reason, prices in found
    ]


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls that are counted together, under a name by which they are counted once."""

    id: str
    calls: Sequence[Served]
    wall: float


def count_all(connection: sqlite3.Connection, batches: Sequence[Batch]) -> Sequence[None]:
    """Add calls to their slots; a handler of `Database.submit`."""
    tallies: defaultdict[tuple[int, Spender], _Tally] = defaultdict(_Tally)
    for batch in batches:
        if not connection.execute(_NOTE_BATCH, (batch.id, batch.wall)).rowcount:
            continue
        for call in batch.calls:
            tallies[slot_of(call.at), call.spender].add(call)
    connection.execute(_FORGET_BATCHES, (batches[-1].wall - _BATCH_KEPT_S,))
    for (slot, who), tally in tallies.items():
        key = (slot, who.key, who.team, who.provider, who.model)
        old = connection.execute(
            f"SELECT calls, failed, seconds, times, {_SAVED} FROM traffic "  # noqa: S608
            "WHERE slot = ? AND key = ? AND team = ? AND provider = ? AND model = ?",
            key,
        ).fetchone()
        if old is not None:
            tally.calls += old[0]
            tally.failed += old[1]
            tally.seconds += old[2]
            tally.times.update({int(step): n for step, n in orjson.loads(old[3]).items()})
            tally.saved += Saved(*old[4:8])
        times = orjson.dumps(tally.times, option=orjson.OPT_NON_STR_KEYS).decode()
        sums = (tally.calls, tally.failed, tally.seconds, times, *astuple(tally.saved))
        connection.execute(_ADD_TRAFFIC, (*key, *sums))
    return [None] * len(batches)


def _step(seconds: float) -> int:
    if seconds <= 0:
        return _LEAST
    return min(max(math.floor(math.log(seconds) / _STEP), _LEAST), _MOST)


def _times(counts: Mapping[str, int]) -> tuple[tuple[float, int], ...]:
    steps = sorted((int(step), count) for step, count in counts.items())
    return tuple((math.exp((step + 0.5) * _STEP), count) for step, count in steps)
