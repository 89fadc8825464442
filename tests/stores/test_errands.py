"""Small jobs that nobody waits for."""

import asyncio

from proxy.stores.errands import Errands
from proxy.stores.protocols import StoreFailed


async def test_one_of_each_name_is_under_way_and_some_in_all() -> None:
    errands, go, done = Errands(), asyncio.Event(), []

    async def job() -> None:
        await go.wait()
        done.append(1)

    for _ in range(3):
        errands.begin("a", job)
    for n in range(100):
        errands.begin(str(n), job)
    go.set()
    await errands.end(5.0)

    assert len(done) == 64


async def test_it_may_be_done_again_when_it_is_over() -> None:
    errands, done = Errands(), []

    async def job() -> None:
        done.append(1)

    for _ in range(2):
        errands.begin("a", job)
        await asyncio.wait(errands._tasks.values())
    await errands.end(5.0)
    errands.begin("a", job)  # it is too late

    assert len(done) == 2
    assert not errands._tasks


async def test_what_a_store_fails_is_no_trouble() -> None:
    errands = Errands()

    async def job() -> None:
        raise StoreFailed("no room")

    errands.begin("a", job)

    await errands.end(5.0)


async def test_what_takes_too_long_is_ended() -> None:
    errands = Errands()
    errands.begin("a", asyncio.Event().wait)

    await errands.end(0.0)

    assert not errands._tasks
