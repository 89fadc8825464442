"""Entries that were found wrong."""

from collections.abc import Sequence

from proxy.cache.quarantine import Quarantine
from proxy.stores.marks import KeptMarks
from proxy.stores.protocols import StoreFailed
from tests.cache.observing import ListedRecords
from tests.fakes import FakeClock


class Index:
    """Hears which entries are removed; `failing` puts it out of reach."""

    def __init__(self) -> None:
        self.failing = False
        self.removed: list[Sequence[str]] = []

    async def remove(self, entries: Sequence[str]) -> None:
        if self.failing:
            raise StoreFailed("the disk is full")
        self.removed.append(list(entries))


async def test_what_is_taken_out_is_gone_for_all_and_known_here() -> None:
    index = Index()
    quarantine = Quarantine(index.remove)
    await quarantine.take_out(["a", "b"])

    assert index.removed == [["a", "b"]]
    assert "a" in quarantine
    assert "c" not in quarantine


async def test_what_the_store_could_not_do_is_out_here_and_done_later() -> None:
    index, trouble = Index(), list[str]()
    quarantine = Quarantine(index.remove, trouble.append)
    index.failing = True
    await quarantine.take_out(["a"])

    assert "a" in quarantine
    assert trouble == ["quarantine"]

    index.failing = False
    await quarantine.refresh()
    await quarantine.refresh()
    assert index.removed == [["a"]]


async def test_what_came_back_is_taken_out_again() -> None:
    index = Index()
    quarantine = Quarantine(index.remove)
    await quarantine.take_out(["a"])
    await quarantine.take_out(["a"])

    assert index.removed == [["a"], ["a"]]


async def test_only_so_many_are_remembered() -> None:
    quarantine = Quarantine(Index().remove)
    await quarantine.take_out([str(number) for number in range(10_001)])

    assert "0" not in quarantine
    assert "10000" in quarantine


class Workers:
    """Quarantines of several workers with one store."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.records = ListedRecords()
        self.index = Index()

    def new(self) -> Quarantine:
        marks = KeptMarks(self.records, self.clock, "quarantine")
        return Quarantine(self.index.remove, marks=marks, clock=self.clock)


async def test_other_workers_and_later_ones_heed_what_one_took_out() -> None:
    workers = Workers()
    one, other = workers.new(), workers.new()
    await one.take_out(["a"])
    await other.refresh()
    later = workers.new()
    await later.refresh()

    assert "a" in other
    assert "a" in later
    assert "b" not in later
    assert workers.index.removed == [["a"]]


async def test_what_was_taken_out_is_let_in_after_a_month() -> None:
    workers = Workers()
    quarantine = workers.new()
    await quarantine.take_out(["a"])
    workers.clock.advance(29 * 86_400)
    assert "a" in quarantine

    workers.clock.advance(2 * 86_400)
    later = workers.new()
    await later.refresh()
    assert "a" not in quarantine
    assert "a" not in later


async def test_what_the_store_of_marks_could_not_do_is_done_later() -> None:
    workers = Workers()
    one, other = workers.new(), workers.new()
    workers.records.failing = True
    await one.take_out(["a"])
    await other.refresh()
    assert "a" in one
    assert workers.index.removed == [["a"]]

    workers.records.failing = False
    await one.refresh()
    await other.refresh()
    assert "a" in other
