"""The rows of the ledger, as they stand in their stream."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.core.money import Kind, Row
from proxy.stores.redis.connection import Connection

ROWS_AT_ONCE: Final = 500  # about 3 ms, in which the server does nothing else


@dataclass(frozen=True, slots=True)
class Entry:
    """A row with its number (1, 2, 3, …), and where it counts in what was spent."""

    number: int
    row: Row
    slot: int
    who: str


async def entries_after(connection: Connection, number: int, count: int) -> Sequence[Entry]:
    """At most `count` entries that follow the one of that number."""
    found: list[Entry] = []
    while len(found) < count:
        at_once = min(ROWS_AT_ONCE, count - len(found))
        _, [entries] = await connection.look(
            ("XRANGE", "rows", f"{number + 1}-0", "+", "COUNT", at_once)
        )
        found += [_entry(*entry) for entry in entries]
        if len(entries) < at_once:
            break
        number = found[-1].number
    return found


def seq_of(number: int) -> str:
    """A row's number, so that rows sort as texts do."""
    return f"{number:016d}"


def _entry(id: str, flat: Sequence[Any]) -> Entry:
    number = int(id.partition("-")[0])
    told = dict(zip(flat[::2], flat[1::2], strict=True))
    row = Row(
        seq_of(number),
        float(told["at"]),
        told["hold"],
        Kind(told["kind"]),
        int(told["amount"]),
        tuple(orjson.loads(told["buckets"])),
        told["reason"],
        told["price"],
    )
    return Entry(number, row, int(told["slot"]), told["who"])
