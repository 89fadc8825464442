import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.embedding.builtin import Builtin
from proxy.embedding.loading import Loading, open_builtin
from proxy.embedding.protocol import Embedder, EmbedderFailed
from tests.embedding.fakes import Scripted, hashed
from tests.fakes import FakeClock


class Door:
    """Gives what stands in the list, one at a time, when it is opened."""

    def __init__(self, *answers: Embedder | EmbedderFailed) -> None:
        self.answers = list(answers)
        self.open = asyncio.Event()
        self.closed = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Embedder]:
        await self.open.wait()
        answer = self.answers.pop(0)
        if not self.answers:
            self.open.clear()
        if isinstance(answer, EmbedderFailed):
            raise answer
        try:
            yield answer
        finally:
            self.closed += 1


async def settled(loading: Loading, state: str) -> None:
    async with asyncio.timeout(60):
        while not loading.state.startswith(state):  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)


async def test_there_is_none_until_it_is_loaded(builtin: Builtin) -> None:
    door = Door(builtin)

    async with Loading(door, FakeClock()) as loading:
        before = (loading.embedder, loading.state)
        door.open.set()
        await settled(loading, "ready")

        assert before == (None, "loading")
        assert loading.embedder is not None
        assert loading.embedder.fingerprint == builtin.fingerprint


async def test_a_failure_is_told_and_raises_nothing(caplog: pytest.LogCaptureFixture) -> None:
    door = Door(EmbedderFailed("no such file"))
    door.open.set()

    with caplog.at_level(logging.WARNING):
        async with Loading(door, FakeClock()) as loading:
            await settled(loading, "failed")

            assert loading.state == "failed: no such file"
            assert loading.embedder is None
    assert "no such file" in caplog.text


async def test_an_embedder_without_sense_is_never_shown() -> None:
    door = Door(Scripted(hashed))
    door.open.set()

    async with Loading(door, FakeClock()) as loading:
        await settled(loading, "failed")

        assert "cannot tell questions apart" in loading.state
        assert loading.embedder is None


async def test_after_a_failure_it_is_tried_again(
    builtin: Builtin, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(EmbedderFailed("away"), EmbedderFailed("away"), builtin)
    door.open.set()
    clock = FakeClock()

    with caplog.at_level(logging.WARNING):
        async with Loading(door, clock) as loading:
            await settled(loading, "ready")

    assert clock.now() == 1000 + 2 * 60
    assert caplog.text.count("away") == 1


async def test_what_is_loaded_remembers_texts(builtin: Builtin) -> None:
    inner = Scripted(builtin.vectors, builtin.dim)
    door = Door(inner)
    door.open.set()

    async with Loading(door, FakeClock()) as loading:
        await settled(loading, "ready")
        assert loading.embedder is not None
        asked = len(inner.asked)
        await loading.embedder.embed(["hello"])
        await loading.embedder.embed(["hello"])

        assert len(inner.asked) == asked + 1


async def test_the_builtin_embedder_loads_in_a_thread() -> None:
    async with Loading(open_builtin, FakeClock()) as loading:
        await settled(loading, "ready")


async def test_closing_does_not_wait_for_the_loading() -> None:
    async with Loading(Door(), FakeClock()) as loading:
        assert loading.state == "loading"


async def test_what_was_loaded_is_closed_at_the_end(builtin: Builtin) -> None:
    door = Door(builtin)
    door.open.set()

    async with Loading(door, FakeClock()) as loading:
        await settled(loading, "ready")
        open_yet = door.closed == 0

    assert open_yet
    assert door.closed == 1
    assert loading.embedder is None


async def test_an_embedder_that_is_refused_is_closed() -> None:
    door = Door(Scripted(hashed))
    door.open.set()

    async with Loading(door, FakeClock()) as loading:
        await settled(loading, "failed")

        assert door.closed == 1
