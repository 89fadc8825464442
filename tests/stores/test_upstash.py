"""Passages in Upstash Vector, by the vendor's own library, before the stand-in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.stores.embeds import Embeds
from proxy.stores.passages import Passage
from proxy.stores.protocols import StoreFailed
from proxy.stores.upstash import UpstashPassages
from tests.benchmarks.handbook import passage
from tests.fakes import FakeClock
from tests.stores.passages_contract import ALL, CAT, TAX, PassagesLaws, Settled, texts
from tests.upstash.index import Entry, Kind
from tests.upstash.kinds import BGE, HOSTED, HYBRID, RAW, RAW_HYBRID, SPARSE, Ours, builtin
from tests.upstash.server import TOKEN, Upstash, saying, serving

Opens = Callable[..., Awaitable[tuple[UpstashPassages, Upstash]]]


@pytest.fixture
async def opened(clock: FakeClock) -> AsyncIterator[Opens]:
    """Makes a store before an index of its own, or before one that is there."""
    async with AsyncExitStack() as stack:

        async def open(
            kind: Kind | Upstash,
            *,
            delay_s: float = 0.0,
            embedder: Embeds | None = None,
            token: str = TOKEN,
        ) -> tuple[UpstashPassages, Upstash]:
            if isinstance(kind, Kind):
                upstash = Upstash(kind, clock.now, delay_s)
                await stack.enter_async_context(serving(upstash))
            else:
                upstash = kind
            ours = embedder or Ours()
            store = UpstashPassages(upstash.url, token, lambda: ours, clock, Random(0), budget_s=5)
            return await stack.enter_async_context(store), upstash

        yield open


@pytest.fixture(params=[RAW, HOSTED, HYBRID], ids=["raw", "hosted", "hybrid"])
async def law(request: pytest.FixtureRequest, opened: Opens) -> tuple[UpstashPassages, Upstash]:
    """A store before an index of each kind, where all is found two seconds late."""
    return await opened(request.param, delay_s=2.0)


@pytest.fixture
def passages(law: tuple[UpstashPassages, Upstash]) -> UpstashPassages:
    return law[0]


@pytest.fixture
def settled(law: tuple[UpstashPassages, Upstash], clock: FakeClock) -> Settled:
    async def later() -> None:
        clock.advance(law[1].index.delay_s)

    return later


class TestUpstash(PassagesLaws):
    """The laws, with our vectors and with those of hosted models."""


@pytest.mark.parametrize("kind", [RAW, HOSTED, HYBRID], ids=["raw", "hosted", "hybrid"])
async def test_a_passage_comes_back_as_it_was_written(opened: Opens, kind: Kind) -> None:
    store, _ = await opened(kind)
    await store.write("home", ALL)

    near, *_ = await store.nearest("home", "Where does the cat sleep?", 3)

    assert near.passage == CAT
    assert dict(await store.ids("home")) == {each.id: each.document for each in ALL}


@pytest.mark.parametrize("kind", [RAW, HOSTED, HYBRID], ids=["raw", "hosted", "hybrid"])
@pytest.mark.parametrize("metric", ["COSINE", "DOT_PRODUCT", "EUCLIDEAN"])
async def test_the_cosine_is_that_between_the_vectors_whatever_the_metric_makes_of_it(
    opened: Opens, kind: Kind, metric: str
) -> None:
    asked = "Where does the cat sleep?"
    store, _ = await opened(Kind(256, metric, kind.dense_model, kind.sparse, kind.sparse_model))
    await store.write("home", ALL)

    nears = await store.nearest("home", asked, 3)

    [question] = builtin().vectors([asked])
    for near in nears:
        head = f"{near.passage.title}\n" if near.passage.title else ""
        [vector] = builtin().vectors([head + near.passage.text])
        assert near.cosine == pytest.approx(float(question @ vector), abs=1e-5)
    assert [near.cosine for near in nears] == sorted((n.cosine for n in nears), reverse=True)


async def test_with_a_hosted_model_our_embedder_is_not_needed(opened: Opens) -> None:
    ours = Ours(dim=7)
    store, upstash = await opened(HOSTED, embedder=ours)

    await store.write("home", ALL)

    assert texts(await store.nearest("home", "tax", 1)) == [TAX.text]
    assert ours.embedded == 0
    assert upstash.count("upsert-data") == 1
    assert {shelf.version for shelf in await store.shelves()} == {f"upstash {BGE.name} 1"}


async def test_without_one_texts_are_kept_beside_our_vectors(opened: Opens) -> None:
    ours = Ours()
    store, upstash = await opened(RAW, embedder=ours)

    await store.write("home", ALL)
    await store.nearest("home", "tax", 1)

    assert ours.embedded == 4
    assert upstash.count("upsert-data") == upstash.count("query-data") == 0


async def test_an_index_is_asked_once_what_it_is(opened: Opens) -> None:
    store, upstash = await opened(RAW)

    await store.write("home", ALL)
    for _ in range(3):
        await store.nearest("home", "tax", 1)

    assert upstash.count("info") <= 2  # one of them when it was opened


async def test_many_passages_go_in_orders_of_a_hundred_and_come_back_in_pages(
    opened: Opens,
) -> None:
    store, upstash = await opened(HOSTED)
    many = [passage(f"Room {number} is on floor {number // 100}.") for number in range(1050)]

    await store.write("home", many)

    assert upstash.count("upsert-data") == 11
    assert set(await store.ids("home")) == {each.id for each in many}
    assert upstash.count("range") == 2
    assert await store.remove("home", [each.id for each in many]) == 1050
    assert upstash.count("delete") == 2


async def test_writing_again_changes_nothing(opened: Opens) -> None:
    store, _ = await opened(RAW)

    await store.write("home", ALL)
    await store.write("home", [TAX, TAX])

    assert len(await store.ids("home")) == 3
    assert texts(await store.nearest("home", "When are taxes due?", 9)).count(TAX.text) == 1


async def test_collections_do_not_mix(opened: Opens) -> None:
    store, upstash = await opened(RAW)
    await store.write("pets", [CAT])
    await store.write("money", [TAX])

    assert texts(await store.nearest("pets", "When are taxes due?", 3)) == [CAT.text]
    assert [(each.name, each.passages) for each in await store.shelves()] == [
        ("money", 1),
        ("pets", 1),
    ]
    assert set(upstash.index.names()) == {"", "pets", "money"}


async def test_what_nobody_has_is_empty_and_asking_makes_nothing(opened: Opens) -> None:
    store, upstash = await opened(RAW)

    assert await store.nearest("none", "tax", 3) == []
    assert await store.ids("none") == {}
    assert await store.remove("none", ["ab"]) == 0
    assert await store.drop("none") == 0
    assert await store.shelves() == []
    assert upstash.index.names() == [""]


async def test_nothing_is_asked_for_nothing(opened: Opens) -> None:
    store, upstash = await opened(RAW)

    assert await store.nearest("home", " \n", 3) == ()
    assert await store.nearest("home", "tax", 0) == ()
    assert await store.remove("home", []) == 0
    await store.write("home", [])

    assert {command for command, _, _ in upstash.asked} <= {"info"}


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a?all", "a b", "ü", "%2e"])
async def test_a_name_cannot_leave_its_place_in_the_path(opened: Opens, name: str) -> None:
    store, upstash = await opened(RAW)

    await store.write(name, ALL)

    assert upstash.index.names() == ["", name]
    assert len(await store.nearest(name, "tax", 3)) == 3
    assert await store.drop(name) == 3


async def test_a_collection_is_dropped_as_a_whole(opened: Opens) -> None:
    store, upstash = await opened(RAW, delay_s=1.0)
    await store.write("home", ALL)

    assert await store.drop("home") == 3
    assert await store.drop("home") == 0
    assert upstash.index.names() == [""]


async def test_what_is_pending_is_told_and_found_later(opened: Opens, clock: FakeClock) -> None:
    store, _ = await opened(RAW, delay_s=3.0)

    await store.write("home", ALL)
    [before] = await store.shelves()
    early = await store.nearest("home", "tax", 3)
    clock.advance(3.0)
    [after] = await store.shelves()

    assert (before.passages, before.pending, early) == (3, 3, [])
    assert (after.passages, after.pending) == (3, 0)
    assert len(await store.nearest("home", "tax", 3)) == 3


async def test_an_edited_text_is_found_in_one_form_or_the_other_at_any_time(
    opened: Opens, clock: FakeClock
) -> None:
    store, upstash = await opened(RAW, delay_s=3.0)
    await store.write("home", [TAX])
    clock.advance(3.0)
    later = passage("Taxes are due in the middle of May.", TAX.document)

    await store.write("home", [later])
    before = clock.now()
    assert await store.remove("home", [TAX.id]) == 1

    assert 3.0 <= clock.now() - before < 4.0
    found = upstash.index.namespace("home").found.values()
    assert later.text in {entry.data for entry in found}


async def test_a_removal_does_not_wait_for_ever(opened: Opens, clock: FakeClock) -> None:
    store, _ = await opened(RAW, delay_s=1000.0)
    await store.write("home", ALL)

    before = clock.now()
    assert await store.remove("home", [TAX.id]) == 1

    assert clock.now() - before < 11


async def test_after_a_change_of_embedder_the_old_vectors_are_not_found_and_can_be_removed(
    opened: Opens,
) -> None:
    old, upstash = await opened(RAW, embedder=Ours("old"))
    await old.write("home", ALL)
    new, _ = await opened(upstash, embedder=Ours("new"))

    assert await new.nearest("home", "tax", 3) == []
    foreign = await new.ids("home")
    assert sorted(foreign.values()) == sorted(each.document for each in ALL)
    assert not foreign.keys() & {each.id for each in ALL}
    await new.write("home", ALL)
    assert await new.remove("home", list(foreign)) == 3

    assert set(await new.ids("home")) == {each.id for each in ALL}
    assert texts(await new.nearest("home", "tax", 1)) == [TAX.text]
    assert await old.nearest("home", "tax", 3) == []


async def test_what_others_wrote_is_found_with_a_hosted_model_and_never_removed(
    opened: Opens,
) -> None:
    store, upstash = await opened(HOSTED)
    theirs = "The lighthouse is open on Sundays."
    upstash.index.put("home", [Entry("42", BGE.embed(theirs), None, {"title": "Sights"}, theirs)])
    upstash.index.put("home", [Entry("bare", BGE.embed("lighthouse"))])

    [near] = await store.nearest("home", "lighthouse", 9)

    assert near.passage == Passage("42", "", "Sights", theirs)
    assert await store.ids("home") == {}


async def test_without_one_what_others_wrote_is_no_neighbour(opened: Opens) -> None:
    store, upstash = await opened(RAW)
    upstash.index.put("home", [Entry("42", BGE.embed("tax"), None, {"document": "x"}, "tax")])

    assert await store.nearest("home", "tax", 9) == []
    assert await store.ids("home") == {}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (SPARSE, "a sparse index"),
        (RAW_HYBRID, "a hybrid index without a hosted model"),
        (Kind(384), "384 numbers, and ours have 256"),
        (Kind(256, "COSINE", None), None),
    ],
)
async def test_an_index_that_does_not_fit_says_why(
    opened: Opens, kind: Kind, why: str | None
) -> None:
    store, _ = await opened(kind)
    if why is None:
        await store.write("home", ALL)
        return

    with pytest.raises(StoreFailed, match=why):
        await store.nearest("home", "tax", 3)
    with pytest.raises(StoreFailed, match=why):
        await store.write("home", ALL)


async def test_an_index_that_needs_an_embedder_waits_for_it_to_be_ready(clock: FakeClock) -> None:
    upstash = Upstash(RAW, clock.now)
    ready: list[Embeds] = []
    async with (
        serving(upstash),
        UpstashPassages(
            upstash.url, TOKEN, lambda: ready[0] if ready else None, clock, Random(0)
        ) as store,
    ):
        with pytest.raises(StoreFailed, match="not ready"):
            await store.nearest("home", "tax", 3)
        assert await store.shelves() == []
        ready.append(Ours())
        await store.write("home", ALL)

        assert len(await store.nearest("home", "tax", 3)) == 3


async def test_a_long_question_is_cut(opened: Opens) -> None:
    store, upstash = await opened(HOSTED)
    await store.write("home", ALL)

    await store.nearest("home", "tax " * 100_000, 1)

    [body] = [body for command, _, body in upstash.asked if command == "query-data"]
    assert len(body["data"]) == 32_000


async def test_nothing_is_told_of_the_machine(opened: Opens) -> None:
    store, upstash = await opened(HOSTED)

    await store.write("home", ALL)

    assert not [name for each in upstash.headers for name in each if "telemetry" in name.lower()]


PASSAGES = st.builds(
    passage, st.text(min_size=1, max_size=40), st.text(max_size=20), st.text(max_size=20)
)


@given(written=st.sets(PASSAGES, min_size=1, max_size=50))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_text_survives_the_way(opened: Opens, written: set[Passage]) -> None:
    store, _ = await opened(RAW)

    await store.write("home", list(written))

    assert {near.passage for near in await store.nearest("home", "any", 99)} == written


async def test_half_a_character_does_not_stop_the_rest(opened: Opens) -> None:
    store, _ = await opened(HOSTED)

    await store.write("home", [Passage("ab", "a\udcff", "b\ud800", "tax \ud800!"), CAT])

    assert (await store.nearest("home", "tax\udfff", 1))[0].passage == Passage(
        "ab", "a?", "b?", "tax ?!"
    )


async def test_closing_does_not_wait_for_a_vendor_that_is_silent(clock: FakeClock) -> None:
    upstash = Upstash(RAW, clock.now)
    upstash.slow_s = 30.0
    async with serving(upstash):
        async with asyncio.timeout(5):
            async with UpstashPassages(
                upstash.url, TOKEN, Ours, clock, Random(0), budget_s=0.02
            ) as store:
                with pytest.raises(StoreFailed, match="within 20 ms"):
                    await store.nearest("home", "tax", 1)
        upstash.slow_s = 0.0


async def test_a_namespace_that_is_refused_as_missing_is_empty(opened: Opens) -> None:
    store, upstash = await opened(RAW)
    await store.shelves()
    upstash.trouble = saying(404, "Namespace home for the index x does not exist")

    assert await store.ids("home") == {}
    assert await store.remove("home", ["ab"]) == 0
