"""Work that outlives the call that began it."""

import asyncio

from proxy.cache.underway import Underway


async def nothing() -> None:
    """Work that is done at once."""


def ignore(_: BaseException) -> None:
    raise AssertionError("there is no bug")


async def test_only_so_many_are_under_way() -> None:
    underway = Underway(2)

    assert [underway.start(nothing(), ignore) for _ in range(3)] == [True, True, False]
    assert len(underway) == 2
    await underway.idle()
    assert underway.start(nothing(), ignore)
    await underway.drain()
    assert not len(underway)


async def test_a_bug_is_told_to_who_began_the_work() -> None:
    underway, told = Underway(), list[BaseException]()

    async def broken() -> None:
        raise ValueError("a bug")

    underway.start(broken(), told.append)
    await underway.idle()
    await asyncio.sleep(0)

    assert [str(error) for error in told] == ["a bug"]


async def test_after_draining_nothing_begins() -> None:
    underway = Underway()
    await underway.drain()

    assert not underway.start(nothing(), ignore)
    assert underway.drained


async def test_what_takes_too_long_is_cancelled() -> None:
    underway, cancelled = Underway(), asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    underway.start(hang(), ignore)
    await asyncio.sleep(0)
    await underway.drain(within_s=0)

    assert cancelled.is_set()
