"""I1 to I6 from the ledger's rows alone: what a store says of itself is not believed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from proxy.core.money import Balance, Kind, Row
from proxy.stores.protocols import Books

_TERMINAL = {Kind.SETTLE, Kind.RELEASE, Kind.EXPIRE}


async def all_rows(books: Books) -> Sequence[Row]:
    """The whole ledger."""
    rows: list[Row] = []
    while piece := await books.rows(rows[-1].seq if rows else ""):
        rows.extend(piece)
    return rows


async def violations(books: Books, limits: Mapping[str, int]) -> Sequence[str]:
    """What breaks an invariant, by bucket or hold; `limits` are those of hard buckets."""
    rows = await all_rows(books)
    ids = sorted({id for row in rows for id in row.buckets} | set(limits))
    kept = dict(zip(ids, await books.balances(ids), strict=True))
    return [*_replayed(rows, limits, kept), *await books.check()]


def _replayed(
    rows: Sequence[Row], limits: Mapping[str, int], kept: Mapping[str, Balance]
) -> Iterator[str]:
    settled: defaultdict[str, int] = defaultdict(int)
    reserved: defaultdict[str, int] = defaultdict(int)
    lives: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        before = lives[row.hold_id]
        promised = sum(one.amount for one in before if one.kind is Kind.RESERVE)
        for id in row.buckets:
            if row.kind is Kind.RESERVE:
                reserved[id] += row.amount
            elif row.kind in _TERMINAL:
                reserved[id] -= promised
            if row.kind not in {Kind.RESERVE, Kind.RELEASE}:
                settled[id] += row.amount
            if id in limits and settled[id] + reserved[id] > limits[id]:
                yield f"I1: {id} has {settled[id]} + {reserved[id]}, above {limits[id]}"
            if settled[id] < 0 or reserved[id] < 0:
                yield f"I6: {id} has {settled[id]} and {reserved[id]}"
        before.append(row)
    for id, life in lives.items():
        kinds = [row.kind for row in life]
        if sum(kind in _TERMINAL for kind in kinds) > 1 or len(set(kinds)) < len(kinds):
            yield f"I4: {id} was closed more than once: {''.join(kinds)}"
        if Kind.LATE in kinds and Kind.EXPIRE not in kinds:
            yield f"I4: {id} is late, and never expired"
    for id, balance in kept.items():
        if balance.reserved != reserved[id]:
            yield f"I2: {id} has {balance.reserved} reserved, {reserved[id]} by its rows"
        if balance.settled != settled[id]:
            yield f"I3: {id} has {balance.settled} settled, {settled[id]} by its rows"
    totals: defaultdict[str, int] = defaultdict(int)
    for id, amount in settled.items():
        totals[id.partition("|")[0].partition(":")[0]] += amount
    if not totals["key"] == totals["team"] == totals["global"]:
        yield f"I5: {dict(totals)}"
