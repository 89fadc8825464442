"""What must be true of the file, whatever happened to it.

Rows of the ledger have no gaps, and each carries a checksum: one that was edited or removed by
hand is found. All else is made from the rows, and must say what they say.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import orjson

from proxy.core.money import GLOBAL, Kind
from proxy.stores.sqlite.page import checksum

_MOST: Final = 1000

_ROWS: Final = (
    "SELECT seq, at, hold, kind, amount, buckets, reason, price_version, checksum "
    "FROM ledger ORDER BY seq"
)
_RESERVED: Final = (
    "SELECT json_each.value, sum(amount) FROM holds, json_each(buckets) "
    "WHERE state = 'R' GROUP BY 1"
)
# What a hold's rows say: which kinds, in their order, and what they have settled and promised.
_HOLDS: Final = """
SELECT told.hold, state, holds.amount, charged, kinds, settled, promised
FROM (
  SELECT hold, group_concat(kind, '') AS kinds,
    sum(CASE WHEN kind IN ('S', 'E', 'L', 'F') THEN amount ELSE 0 END) AS settled,
    sum(CASE WHEN kind = 'R' THEN amount ELSE 0 END) AS promised
  FROM (SELECT hold, kind, amount FROM ledger WHERE kind <> 'A' ORDER BY hold, seq) GROUP BY hold
) AS told
LEFT JOIN holds ON holds.id = told.hold
"""
_SPENT: Final = """
SELECT slot, key, team, provider, model, sum(told), sum(kept) FROM (
  SELECT slot, key, team, provider, model, ledger.amount AS told, 0 AS kept
  FROM ledger JOIN holds ON holds.id = ledger.hold WHERE kind IN ('S', 'E', 'L', 'F')
  UNION ALL
  SELECT slot, key, team, provider, model, 0, amount FROM spent
) GROUP BY 1, 2, 3, 4, 5 HAVING sum(told) <> sum(kept)
"""

_LIVES: Final = {"R", "RS", "RX", "RE", "REL", "RSF", "REF", "RELF", "S", "SF", "X"}
_SETTLING: Final = {Kind.SETTLE, Kind.EXPIRE, Kind.LATE, Kind.REFUND, Kind.ADMIN}


@dataclass(slots=True)
class _Sums:
    """What the rows add up to."""

    settled: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    # (window and start, `key` or `team`): whether each row in the global bucket is in one of them
    covered: dict[tuple[str, str], bool] = field(default_factory=dict)

    def add(self, buckets: Sequence[str], amount: int) -> None:
        families: dict[str, list[str]] = {}
        for id in buckets:
            self.settled[id] += amount
            scope, _, when = id.partition("|")
            families.setdefault(when, []).append(scope.partition(":")[0])
        for when, scopes in families.items():
            for family in ("key", "team"):
                whole = scopes.count(GLOBAL) == scopes.count(family) == 1
                self.covered[when, family] = self.covered.get((when, family), True) and whole


def complaints(connection: sqlite3.Connection) -> Sequence[str]:
    """One sentence for each thing that does not add up, a thousand at most."""
    connection.execute("BEGIN")  # all of it as it was at one moment
    try:
        return list(islice(_complaints(connection), _MOST))
    finally:
        connection.execute("ROLLBACK")


def _complaints(connection: sqlite3.Connection) -> Iterator[str]:
    for (line,) in connection.execute("PRAGMA quick_check(10)"):
        if line != "ok":
            yield f"the file is damaged: {line}"
    sums = _Sums()
    yield from _of_rows(connection, sums)
    yield from _of_buckets(connection, sums)
    yield from _of_holds(connection)
    for slot, *who, told, kept in connection.execute(_SPENT):
        names = "/".join(who)
        yield f"spent in slot {slot} by {names} is {kept}, and {told} by the ledger"


def _of_rows(connection: sqlite3.Connection, sums: _Sums) -> Iterator[str]:
    expected = 1
    for seq, at, hold, kind, amount, buckets, reason, prices, kept in connection.execute(_ROWS):
        if seq != expected:
            yield f"rows {expected} to {seq - 1} of the ledger are missing"
        expected = seq + 1
        ids = orjson.loads(buckets)
        if checksum(at, hold, kind, amount, ids, reason, prices) != kept:
            yield f"row {seq} of the ledger, of hold {hold}, was changed"
        if kind in _SETTLING:
            sums.add(ids, amount)


def _of_buckets(connection: sqlite3.Connection, sums: _Sums) -> Iterator[str]:
    kept = {
        id: (settled, reserved)
        for id, settled, reserved in connection.execute("SELECT id, settled, reserved FROM buckets")
    }
    promised = dict(connection.execute(_RESERVED).fetchall())
    for id in sorted(kept.keys() | promised.keys() | sums.settled.keys()):
        settled, reserved = kept.get(id, (0, 0))
        if settled < 0 or reserved < 0:
            yield f"bucket {id} holds less than nothing: settled {settled}, reserved {reserved}"
        if reserved != promised.get(id, 0):
            yield f"bucket {id} has {reserved} reserved, and {promised.get(id, 0)} by open holds"
        if settled != sums.settled[id]:
            yield f"bucket {id} has {settled} settled, and {sums.settled[id]} by the ledger"
    yield from _of_families({id: settled for id, (settled, _) in kept.items()}, sums)


def _of_families(settled: Mapping[str, int], sums: _Sums) -> Iterator[str]:
    parts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for id, amount in settled.items():
        scope, _, when = id.partition("|")
        parts[when, scope.partition(":")[0]] += amount
    for (when, family), whole in sums.covered.items():
        if whole and parts[when, family] != parts[when, GLOBAL]:
            yield (
                f"bucket {GLOBAL}|{when} has {parts[when, GLOBAL]} settled, "
                f"and its {family} buckets {parts[when, family]}"
            )


def _of_holds(connection: sqlite3.Connection) -> Iterator[str]:
    found = connection.execute(_HOLDS)
    for hold, state, amount, charged, kinds, settled, promised in found:
        if kinds not in _LIVES:
            yield f"hold {hold} has the rows {kinds}, which is no life of a hold"
        if state is None:
            yield f"hold {hold} is in the ledger only"
        elif state != kinds[-1]:
            yield f"hold {hold} is in state {state}, and {kinds[-1]} by the ledger"
        elif charged != settled:
            yield f"hold {hold} was charged {charged}, and {settled} by the ledger"
        elif "R" in kinds and amount != promised:
            yield f"hold {hold} promised {amount}, and {promised} by the ledger"
    lost = connection.execute("SELECT id FROM holds WHERE id NOT IN (SELECT hold FROM ledger)")
    for (hold,) in lost:
        yield f"hold {hold} has no row in the ledger"
