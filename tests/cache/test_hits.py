"""Which answers to other questions were told to whom lately."""

from dataclasses import replace

from proxy.cache.bins import CANONICAL
from proxy.cache.hits import Hit, LastHits
from tests.cache.test_semantic import ListedValues
from tests.fakes import FakeClock


def hit(entry: str = "e", score: float = 0.96, tier: str = "near") -> Hit:
    return Hit(entry, score, "What?", b"{}", tier=tier)


async def test_a_caller_speaks_once_of_what_it_was_told_itself() -> None:
    hits = LastHits()
    hits.near("ann", hit())

    assert await hits.take("bob", "e") is None
    assert await hits.take("ann", "else") is None
    assert await hits.take("ann", "e") == hit()
    assert await hits.take("ann", "e") is None


async def test_the_last_way_counts() -> None:
    hits = LastHits()
    hits.near("ann", hit(score=0.96))
    hits.near("ann", hit(score=0.99))
    assert await hits.take("ann", "e") == hit(score=0.99)

    hits.near("ann", hit())
    hits.exactly("bob", "e")
    hits.exactly("ann", "else")
    hits.exactly("ann", "e")
    assert await hits.take("ann", "e") is None


async def test_only_so_many_are_remembered() -> None:
    hits = LastHits(most=2)
    for entry in "abab":
        hits.near("ann", hit(entry))
    hits.near("ann", hit("c"))

    assert [bool(await hits.take("ann", entry)) for entry in "abc"] == [False, True, True]


def test_equal_keys_count_in_a_bin_of_their_own() -> None:
    assert hit(score=0.97).bin == "0.95"
    assert hit(score=1.0, tier="canonical").bin == CANONICAL


async def test_another_worker_knows_of_a_hit_for_an_hour() -> None:
    clock = FakeClock()
    values = ListedValues(clock)
    here, there = LastHits(values), LastHits(values)
    told = replace(hit(score=0.96), circle="team:x", subject="?")
    here.near("ann", told)
    await here.share("ann", told)

    assert await there.take("bob", "e") is None
    taken = await there.take("ann", "e")
    assert taken == replace(told, question="", answer=b"")
    assert await there.take("ann", "e") is None

    await here.share("ann", told)
    clock.advance(3601)
    assert await there.take("ann", "e") is None


async def test_an_answer_to_the_same_call_is_no_hit_by_meaning_for_anybody_any_more() -> None:
    values = ListedValues(FakeClock())
    here, there = LastHits(values), LastHits(values)
    here.near("ann", hit())
    await here.share("ann", hit())
    assert not there.exactly("ann", "e")
    assert here.exactly("ann", "e")
    await here.forget("ann", "e")
    await here.share("ann", hit())  # it came late

    assert await there.take("ann", "e") is None


async def test_without_a_store_each_worker_knows_its_own_hits() -> None:
    values = ListedValues(FakeClock())
    values.failing = True
    hits = LastHits(values)
    hits.near("ann", hit())
    await hits.share("ann", hit())

    assert await hits.take("bob", "e") is None
    assert await hits.take("ann", "e") == hit()
