"""Passages of the builtin store: on disk, and in Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from proxy.embedding.builtin import Builtin
from proxy.stores.embeds import Embeds, Rows
from proxy.stores.passages import Passages
from proxy.stores.passages_kept import KeptPassages
from proxy.stores.passages_open import open_passages
from proxy.stores.protocols import StoreFailed
from tests.benchmarks.handbook import passage
from tests.fakes import FakeClock
from tests.stores.passages_contract import ALL, CAT, SEA, TAX, PassagesLaws, Settled, texts

Opens = Callable[..., KeptPassages]


class Ours:
    """The builtin embedder as another version of it: all axes turned round by `turn`."""

    _builtin: Builtin | None = None

    def __init__(self, turn: int = 0) -> None:
        if Ours._builtin is None:
            Ours._builtin = Builtin()
        self._inner = Ours._builtin
        self._turn = turn
        self.fingerprint = f"{self._inner.fingerprint[:8]}+{turn}"
        self.dim = self._inner.dim
        self.embedded = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def embed(self, texts: Sequence[str]) -> Rows:
        if len(texts) > 1:
            await self.gate.wait()
        self.embedded += len(texts)
        return np.roll(self._inner.vectors(texts), self._turn, axis=1)


class Dying(Ours):
    """An embedder that stands still after it was given many texts."""

    async def embed(self, texts: Sequence[str]) -> Rows:
        rows = await super().embed(texts)
        if len(texts) > 1:
            self.gate.clear()
        return rows


class Broken(Ours):
    """An embedder that fails."""

    async def embed(self, texts: Sequence[str]) -> Rows:
        raise StoreFailed("no vectors today", sent=False)


@pytest.fixture
def opens(redis_url: str | None, tmp_path: Path, clock: FakeClock) -> Opens:
    """Opens the same store once more, as another worker would."""

    def open(embedder: Embeds | None = None, patience_s: float = 5.0) -> KeptPassages:
        ours = embedder or Ours()
        return open_passages(
            tmp_path / "collections", redis_url, clock, lambda: ours, patience_s=patience_s
        )

    return open


@pytest.fixture
async def passages(opens: Opens) -> AsyncIterator[Passages]:
    async with opens() as opened:
        yield opened


@pytest.fixture
def settled() -> Settled:
    async def at_once() -> None:
        """What is written is found from then on."""

    return at_once


class TestPassages(PassagesLaws):
    """The laws, on disk and in Redis."""


async def test_before_anything_is_written_nothing_is_made(tmp_path: Path, clock: FakeClock) -> None:
    ours = Ours()
    async with open_passages(tmp_path / "collections", None, clock, lambda: ours) as passages:
        assert list(await passages.nearest("home", "cat", 3)) == []
        assert list(await passages.shelves()) == []
        assert dict(await passages.ids("home")) == {}
        assert await passages.remove("home", [CAT.id]) == await passages.drop("home") == 0

    assert not (tmp_path / "collections").exists()
    assert ours.embedded == 0


async def test_what_was_written_is_there_after_the_next_opening(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)

    async with opens() as passages:
        assert texts(await passages.nearest("home", "cat", 1)) == [CAT.text]
        assert [shelf.passages for shelf in await passages.shelves()] == [3]


async def test_other_workers_follow_within_half_a_second(opens: Opens) -> None:
    loop = asyncio.get_running_loop()
    took_s = []
    async with opens() as one, opens() as other:
        await one.write("home", [CAT])
        assert texts(await other.nearest("home", "cat", 1)) == [CAT.text]
        for each in (TAX, SEA):
            await one.write("home", [each])
            began = loop.time()
            while texts(await other.nearest("home", each.text, 1)) != [each.text]:
                assert loop.time() - began < 5
                await asyncio.sleep(0.01)
            took_s.append(loop.time() - began)
        assert await other.drop("home") == 3

        assert list(await one.nearest("home", "cat", 3)) == []
        assert list(await one.shelves()) == []

    assert min(took_s) < 0.5  # of two: this machine may be busy with other tests


async def test_without_an_embedder_only_searching_and_writing_fail(
    redis_url: str | None, tmp_path: Path, clock: FakeClock
) -> None:
    there = [Ours()]

    def embedder() -> Embeds | None:
        return there[0] if there else None

    async with open_passages(tmp_path / "c", redis_url, clock, embedder) as passages:
        await passages.write("home", ALL)
        there.clear()

        with pytest.raises(StoreFailed, match="not ready"):
            await passages.nearest("home", "cat", 3)
        with pytest.raises(StoreFailed, match="not ready"):
            await passages.write("home", ALL)

        assert len(await passages.ids("home")) == 3
        assert await passages.remove("home", [CAT.id]) == 1
        assert [shelf.passages for shelf in await passages.shelves()] == [2]
        assert await passages.drop("home") == 2


async def test_an_embedder_that_fails_is_told_as_a_failure_of_the_store(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)

    async with opens(Broken()) as passages:
        with pytest.raises(StoreFailed, match="no vectors today"):
            await passages.nearest("home", "cat", 3)
        with pytest.raises(StoreFailed, match="no vectors today"):
            await passages.write("new", ALL)


async def test_after_a_change_of_the_embedder_all_is_found_as_before(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)
        await passages.write("other", [CAT])
        before = [shelf.version for shelf in await passages.shelves()]

    changed = Ours(turn=7)
    async with opens(changed) as passages:
        assert len(await passages.ids("home")) == 3
        near = (await passages.nearest("home", TAX.text, 1))[0]

        assert near.passage == TAX
        assert near.cosine == pytest.approx(1.0, abs=0.005)
        assert changed.embedded == 1 + 3  # the question and its passages, no other collection
        shelves = await passages.shelves()
        assert [shelf.passages for shelf in shelves] == [3, 1]
        assert [shelf.version == old for shelf, old in zip(shelves, before, strict=True)] == [
            False,
            True,
        ]


async def test_what_is_written_with_another_embedder_brings_the_rest_along(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", [CAT, TAX])

    async with opens(Ours(turn=7)) as passages:
        await passages.write("home", [SEA])

        assert len(await passages.nearest("home", "cat", 9)) == 3
        assert set(await passages.ids("home")) == {each.id for each in ALL}
        assert await passages.drop("home") == 3


async def test_what_is_removed_while_it_is_embedded_anew_is_gone(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)

    changed = Ours(turn=7)
    async with opens(changed, patience_s=0.05) as passages:
        changed.gate.clear()
        with pytest.raises(StoreFailed, match="embedded anew"):
            await passages.nearest("home", "cat", 3)
        assert await passages.remove("home", [CAT.id]) == 1
        changed.gate.set()
        await passages.write("home", [])  # waits for all of it

        assert set(texts(await passages.nearest("home", "cat", 9))) == {TAX.text, SEA.text}
        assert set(await passages.ids("home")) == {TAX.id, SEA.id}


async def test_what_was_dropped_while_it_is_embedded_anew_stays_away(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)

    changed = Ours(turn=7)
    async with opens(changed, patience_s=0.05) as passages, opens() as other:
        changed.gate.clear()
        with pytest.raises(StoreFailed, match="embedded anew"):
            await passages.nearest("home", "cat", 3)
        assert await other.drop("home") == 3
        changed.gate.set()

        await passages.write("home", [SEA])

        assert texts(await passages.nearest("home", "cat", 9)) == [SEA.text]


async def test_many_workers_may_embed_anew_at_once_and_nothing_is_lost(opens: Opens) -> None:
    many = [passage(f"Room {n} is on floor {n // 100}.") for n in range(600)]
    async with opens() as passages:
        await passages.write("home", many)

    async with opens(Ours(turn=7)) as a, opens(Ours(turn=7)) as b, opens(Ours(turn=7)) as c:
        await asyncio.gather(*(each.nearest("home", "room", 3) for each in (a, b, c)))

        for worker in (a, b, c):
            assert set(await worker.ids("home")) == {each.id for each in many}
            assert len(await worker.nearest("home", "room", 600)) == 600


async def test_what_was_embedded_anew_in_part_is_done_again(opens: Opens) -> None:
    many = [passage(f"Room {n} is on floor {n // 100}.") for n in range(400)]
    async with opens() as passages:
        await passages.write("home", many)

    dying = Dying(turn=7)
    async with opens(dying, patience_s=0.2) as passages:
        with pytest.raises(StoreFailed, match="embedded anew"):
            await passages.nearest("home", "room", 1)
        assert dying.embedded > 200

    async with opens(Ours(turn=7)) as passages:
        assert len(await passages.nearest("home", "room", 400)) == 400


async def test_two_versions_do_not_chase_each_other(opens: Opens) -> None:
    one, other = Ours(), Ours(turn=7)
    async with opens(one) as old, opens(other) as new:
        await old.write("home", ALL)
        await new.nearest("home", "cat", 1)
        await old.nearest("home", "cat", 1)
        await new.nearest("home", "cat", 1)
        spent = one.embedded + other.embedded

        for _ in range(3):
            await old.nearest("home", "cat", 1)
            await new.nearest("home", "cat", 1)

        assert one.embedded + other.embedded == spent + 6  # the questions


async def test_whoever_stops_waiting_spoils_nothing(opens: Opens) -> None:
    async with opens() as passages:
        await passages.write("home", ALL)

    async with opens() as passages:
        for _ in range(3):
            asking = asyncio.ensure_future(passages.nearest("home", "cat", 1))
            await asyncio.sleep(0)
            asking.cancel()

        assert texts(await passages.nearest("home", "cat", 1)) == [CAT.text]


async def test_a_disk_that_does_not_work_is_told(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "collections").write_text("no directory")
    ours = Ours()
    async with open_passages(tmp_path / "collections", None, clock, lambda: ours) as passages:
        with pytest.raises(StoreFailed):
            await passages.write("home", ALL)
