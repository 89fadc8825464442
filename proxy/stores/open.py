"""From settings to open stores; nobody else knows which kind runs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from proxy.core.clock import Clock
from proxy.stores.counters import HostCounters
from proxy.stores.disk import READ_S, DiskValues
from proxy.stores.protocols import Books, Counters, Records, Values
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.ledger import SqliteLedger
from proxy.stores.sqlite.records import SqliteRecords
from proxy.stores.unsettled import Unsettled
from proxy.stores.watched import (
    Watch,
    WatchedCounters,
    WatchedLedger,
    WatchedRecords,
    WatchedValues,
    Watcher,
    unwatched,
)


@dataclass(frozen=True, slots=True)
class Stores:
    """All that the house keeps beyond a call."""

    kind: str  # sqlite | redis
    ledger: Unsettled
    books: Books
    counters: Counters
    records: Records
    values: Values


@asynccontextmanager
async def open_stores(
    directory: Path,
    redis: str | None,
    clock: Clock,
    *,
    alone: bool = False,
    cache_bytes: int = 10**9,
    patience: float = 1.0,
    watcher: Watcher = unwatched,
) -> AsyncIterator[Stores]:
    """The stores in `directory`, or at the URL `redis` where there is one; raises `StoreFailed`.

    `alone`: no other process of this host serves from there. What is asked for is waited for
    `patience` times as long as usual. `watcher` hears of each operation.
    """

    def watch(store: str) -> Watch:
        return Watch(store, watcher, clock)

    chance = Random()  # noqa: S311 - no two answers are to end at the same time
    async with AsyncExitStack() as stack:
        if redis is not None:
            # Imported here: most installs do without it, and it may not even be there.
            from proxy.stores.redis.connection import Connection
            from proxy.stores.redis.counters import RedisCounters
            from proxy.stores.redis.ledger import RedisLedger
            from proxy.stores.redis.records import RedisRecords
            from proxy.stores.redis.values import RedisValues

            connecting = Connection(redis, clock, patience_s=0.25 * patience)
            connection = await stack.enter_async_context(connecting)
            remote = RedisLedger(connection)
            ledger = await stack.enter_async_context(
                Unsettled(WatchedLedger(remote, watch("ledger")), directory, clock)
            )
            values = await stack.enter_async_context(
                RedisValues(redis, clock, chance, read_s=READ_S * patience)
            )
            yield Stores(
                "redis",
                ledger,
                remote,
                WatchedCounters(RedisCounters(connection), watch("counters")),
                WatchedRecords(RedisRecords(connection), watch("records")),
                WatchedValues(values, watch("cache")),
            )
            return
        database = await stack.enter_async_context(Database(directory / "ledger.sqlite3", clock))
        local = SqliteLedger(database)
        ledger = await stack.enter_async_context(
            Unsettled(WatchedLedger(local, watch("ledger")), directory, clock)
        )
        counters = stack.enter_context(HostCounters(directory, clock, alone=alone))
        kept = DiskValues(
            directory / "cache", clock, chance, max_bytes=cache_bytes, read_s=READ_S * patience
        )
        await stack.enter_async_context(kept)
        yield Stores(
            "sqlite",
            ledger,
            local,
            WatchedCounters(counters, watch("counters")),
            WatchedRecords(SqliteRecords(database), watch("records")),
            WatchedValues(kept, watch("cache")),
        )
