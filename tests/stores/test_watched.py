import asyncio
from pathlib import Path
from random import Random

import pytest

from proxy.core.clock import SystemClock
from proxy.stores.open import open_stores
from proxy.stores.protocols import StoreFailed, StoreSlow
from proxy.stores.watched import Watch
from tests.fakes import FakeClock

Told = list[tuple[str, str, float, str]]


def watching(told: Told) -> tuple[Watch, FakeClock]:
    clock = FakeClock()
    return Watch("s", lambda *said: told.append(said), clock), clock


async def after(clock: FakeClock, seconds: float, error: Exception | None = None) -> int:
    clock.advance(seconds)
    if error is not None:
        raise error
    return 5


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (None, "ok"),
        (StoreFailed("x"), "error"),
        (StoreSlow("x"), "timeout"),
        (TimeoutError(), "timeout"),
    ],
)
async def test_an_operation_is_told_with_its_time_and_how_it_went(
    error: Exception | None, result: str
) -> None:
    told: Told = []
    watch, clock = watching(told)
    for begun in (watch.of, watch.under_way):
        work = begun("get", after(clock, 2.0, error))
        if error is None:
            assert await work == 5
        else:
            with pytest.raises(type(error)):
                await work
        await asyncio.sleep(0)

    assert told == [("s", "get", 2.0, result)] * 2


async def test_what_nobody_waits_for_any_more_is_told_all_the_same() -> None:
    told: Told = []
    watch, clock = watching(told)
    watch.under_way("settle", after(clock, 1.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert told == [("s", "settle", 1.0, "ok")]


async def test_an_operation_that_its_asker_left_is_no_failure() -> None:
    told: Told = []
    watch, _ = watching(told)
    task = asyncio.create_task(watch.of("get", asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert told == []


async def test_all_stores_of_the_house_are_watched(tmp_path: Path) -> None:
    told: Told = []
    async with open_stores(
        tmp_path, None, SystemClock(), watcher=lambda *said: told.append(said)
    ) as stores:
        key = f"k{Random(1).random()}"
        await stores.values.put(key, b"a", 60)
        assert (await stores.values.get(key)) is not None
        await stores.records.put("kind", "id", b"x")
        await stores.ledger.sweep()
        assert await stores.counters.enter("name", 1, 60)

    assert {(store, op) for store, op, _, result in told if result == "ok"} >= {
        ("cache", "put"),
        ("cache", "get"),
        ("records", "put"),
        ("ledger", "sweep"),
        ("counters", "enter"),
    }
