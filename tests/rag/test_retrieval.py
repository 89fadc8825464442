"""Which collection a call wants, what is found there, and what happens where nobody answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from proxy.config.settings import Config
from proxy.core.call import ANYONE, Call, Caller, Endpoint
from proxy.core.errors import Forbidden, InvalidRequest, StoreUnavailable
from proxy.core.journal import RagRecord
from proxy.rag.ranking import candidates, ranked
from proxy.rag.retrieval import Informed, Retrieval, Wish
from proxy.rag.search import score_of
from proxy.rag.shelves import Patience, Shelves
from proxy.stores.fuse import FAILURES
from proxy.stores.passages import Near, Shelf
from proxy.stores.protocols import StoreFailed
from tests.fakes import FakeClock
from tests.rag.shelf_of import MemoryPassages, passage, scored
from tests.rag.test_injection import call, messages_of

UPSTASH = {"url": "https://x.upstash.io", "token": "t"}
LEAVE = passage("The leave is thirty days long.", title="Leave")
PAY = passage("Pay comes on the last day of the month.", title="Pay", document="pay.md")
PATIENCE = Patience(search_s=0.05, look_s=0.05, look_every_s=0.5)
KEYED = Caller("k_1", "app", rag=("handbook", "wiki"))


def config(**rag: Any) -> Config:
    groq = {"keys": [{"name": "a", "value": "x"}]}
    return Config.model_validate(
        {"providers": {"groq": groq}, "rag": rag, "upstash": UPSTASH}, strict=False
    )


async def retrieval(
    store: MemoryPassages | None = None, clock: FakeClock | None = None, **rag: Any
) -> tuple[Retrieval, MemoryPassages]:
    """One over a store that holds two passages, by default in `handbook`, as both kinds."""
    if store is None:
        store = MemoryPassages()
        await store.write("handbook", [LEAVE, PAY])
    clock = clock or FakeClock()
    stores = {name: Shelves(name, store, clock, PATIENCE) for name in ("builtin", "upstash")}
    return Retrieval(config(**rag), stores, clock), store


def asking(text: str, caller: Caller = ANYONE) -> Call:
    return replace(call({"role": "user", "content": text}), caller=caller)


async def informed(
    it: Retrieval, text: str, name: str = "handbook", *, named: bool = True
) -> tuple[Informed, RagRecord]:
    record = RagRecord(name)
    return await it.inform(asking(text), Wish(name, named=named), record), record


# Which one


@pytest.mark.parametrize(
    ("said", "caller", "wanted"),
    [
        (None, ANYONE, Wish("usual", named=False)),
        ("off", ANYONE, Wish("usual", named=False, off=True)),
        ("handbook", ANYONE, Wish("handbook", named=True)),
        (" handbook ", ANYONE, Wish("handbook", named=True)),
        ("", ANYONE, Wish("usual", named=False)),
        (None, KEYED, Wish("handbook", named=False)),
        ("OFF", KEYED, Wish("handbook", named=False, off=True)),
        ("wiki", KEYED, Wish("wiki", named=True)),
    ],
)
async def test_the_header_wins_then_the_key_then_what_is_put_in_always(
    said: str | None, caller: Caller, wanted: Wish
) -> None:
    it, _ = await retrieval(handbook={}, usual={"inject": "always"}, more={"inject": "always"})
    headers = {} if said is None else {"x-proxy-rag": said}

    assert it.wanted(asking("?", caller), headers) == wanted


async def test_without_a_word_of_documents_none_are_looked_at() -> None:
    it, _ = await retrieval(handbook={})

    assert it.wanted(asking("?"), {}) is None
    assert it.wanted(asking("?"), {"x-proxy-rag": "off"}) is None
    forwarded = replace(asking("?"), endpoint=Endpoint.RESPONSES)
    assert it.wanted(forwarded, {"x-proxy-rag": "handbook"}) is None


@pytest.mark.parametrize("name", ["a b", "../x", "a/b", "x" * 65, "ä", "a\nb"])
async def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    it, _ = await retrieval()

    with pytest.raises(InvalidRequest, match="x-proxy-rag must be off, or a collection's name"):
        it.wanted(asking("?"), {"x-proxy-rag": name})


async def test_a_key_with_collections_may_use_no_other() -> None:
    it, _ = await retrieval(other={})

    with pytest.raises(Forbidden, match="may not use the collection 'other'") as refused:
        it.wanted(asking("?", KEYED), {"x-proxy-rag": "other"})

    assert refused.value.code == "collection_not_allowed"


async def test_a_collection_that_is_not_there_is_refused_with_the_known_ones() -> None:
    it, _ = await retrieval(wiki={})

    with pytest.raises(InvalidRequest, match="'nowhere'; known are handbook, wiki") as refused:
        await informed(it, "?", "nowhere")

    assert refused.value.code == "collection_not_found"


async def test_a_key_is_not_told_of_the_collections_of_others() -> None:
    it, _ = await retrieval(secret={})
    caller = replace(KEYED, rag=("gone", "handbook"))

    with pytest.raises(InvalidRequest, match=r"known are handbook$"):
        await it.inform(asking("?", caller), Wish("gone", named=True), RagRecord("gone"))


async def test_what_the_client_did_not_name_may_be_missing() -> None:
    it, _ = await retrieval(empty={})

    for name, named in (("gone", False), ("empty", True)):
        found, record = await informed(it, "How long is the leave?", name, named=named)

        assert (record.result, record.sources) == ("empty", [])
        assert messages_of(found.call) == [{"role": "user", "content": "How long is the leave?"}]


async def test_a_new_collection_is_seen_half_a_second_later() -> None:
    clock = FakeClock()
    it, store = await retrieval(clock=clock)
    await informed(it, "?")
    await store.write("new", [LEAVE])

    with pytest.raises(InvalidRequest):
        await informed(it, "leave", "new")
    clock.advance(0.5)
    _, record = await informed(it, "leave", "new")

    assert record.result == "ok"


# What is found


async def test_passages_are_put_in_and_told() -> None:
    it, _ = await retrieval(handbook={"min_score": 0.3})

    found, record = await informed(it, "How long is the leave?")

    assert LEAVE.text in messages_of(found.call)[0]["content"]
    assert (record.result, record.told()) == ("ok", "handbook;chunks=1")
    [source] = record.sources
    assert (source.collection, source.document, source.title) == ("handbook", "guide.md", "Leave")
    assert source.score == record.top_score == 0.8
    assert record.tokens > 64


async def test_a_passage_below_the_least_score_is_left_out() -> None:
    it, _ = await retrieval(handbook={"min_score": 0.9})

    found, record = await informed(it, "How long is the leave?")

    assert (record.result, record.top_score) == ("empty", 0.8)
    assert record.told() == "handbook;chunks=0"
    assert messages_of(found.call)[0]["content"] == "How long is the leave?"


async def test_turned_off_nothing_is_looked_for() -> None:
    it, store = await retrieval()
    plain, record = asking("How long is the leave?"), RagRecord("handbook")

    found = await it.inform(plain, Wish("handbook", named=False, off=True), record)

    assert (found.call, found.identity, record.result, record.told()) == (plain, "", "skipped", "")
    assert store.asked == []


async def test_what_says_little_is_looked_for_with_the_turn_before() -> None:
    it, store = await retrieval(handbook={"min_score": 0.2})
    talk = call(
        {"role": "user", "content": "Tell me of the leave, please."},
        {"role": "assistant", "content": "Gladly."},
        {"role": "user", "content": "Length?"},
    )
    record = RagRecord("handbook")

    found = await it.inform(talk, Wish("handbook", named=True), record)

    assert len(store.asked) == 2
    assert record.result == "ok"
    assert messages_of(found.call)[2]["content"].startswith("Passages from")


async def test_the_identity_is_the_collection_its_version_and_what_was_put_in() -> None:
    it, store = await retrieval(handbook={"min_score": 0.3})
    first, _ = await informed(it, "How long is the leave?")
    again, _ = await informed(it, "how long is the leave")
    other, _ = await informed(it, "When comes the pay?")
    await store.remove("handbook", [LEAVE.id])
    await store.write("handbook", [edited := passage("The leave is forty days long.")])
    changed, _ = await informed(it, "How long is the leave?")

    assert first.identity == again.identity == f"1\nhandbook\nupstash words\n{LEAVE.id}"
    assert messages_of(first.call)[0] != messages_of(again.call)[0]  # the marks differ
    assert other.identity.endswith(PAY.id)
    assert changed.identity.endswith(edited.id)
    assert (await informed(it, "xyz"))[0].identity == "1\nhandbook\nupstash words"


# Where nobody answers


async def test_where_the_store_fails_the_call_goes_on_without() -> None:
    it, _ = await retrieval(MemoryPassages(broken="out of reach"), handbook={})

    found, record = await informed(it, "How long is the leave?")

    assert found.identity == ""
    assert messages_of(found.call)[0]["content"] == "How long is the leave?"
    assert (record.result, record.degraded) == ("error", "rag")


async def test_where_the_configuration_wants_that_the_call_is_refused() -> None:
    store = MemoryPassages(broken="out of reach")
    it, _ = await retrieval(store, handbook={"on_failure": "refuse"})

    with pytest.raises(StoreUnavailable, match="the documents of 'handbook' are out of reach") as e:
        await informed(it, "How long is the leave?")

    assert (e.value.status, e.value.code) == (503, "rag_unavailable")


class Stuck(MemoryPassages):
    """Never answers, once it is stuck; before, it takes some time."""

    stuck = False
    takes_s = 0.0

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(self.takes_s)
        return await super().nearest(collection, question, k)

    async def shelves(self) -> Sequence[Shelf]:
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        return await super().shelves()


async def test_nobody_waits_for_a_store_that_does_not_answer_and_soon_it_is_left_alone() -> None:
    clock, store = FakeClock(), Stuck()
    await store.write("handbook", [LEAVE])
    it, _ = await retrieval(store, clock, handbook={"min_score": 0.3})
    await informed(it, "leave")
    store.stuck = True

    results = [(await informed(it, "leave"))[1].result for _ in range(FAILURES)]
    store.stuck = False
    _, resting = await informed(it, "leave")
    clock.advance(1.0)
    _, after = await informed(it, "leave")

    assert results == ["error"] * FAILURES
    assert (resting.result, after.result) == ("error", "ok")


async def test_many_calls_for_an_unknown_collection_look_once() -> None:
    it, store = await retrieval()

    found = await asyncio.gather(*(informed(it, "leave") for _ in range(20)))

    assert {record.result for _, record in found} == {"ok"}
    assert store.looks == 1


async def test_a_store_that_fails_says_so_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    shelves = Shelves("upstash", MemoryPassages(broken="HTTP 401"), clock, PATIENCE)
    for pause_s in (0, 1, 61):
        clock.advance(pause_s)
        with pytest.raises(StoreFailed):
            await shelves.look(1.0)

    warned = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warned == ["no passages from the upstash store: HTTP 401"] * 2


async def test_a_name_that_nobody_knows_is_no_label_of_a_failure() -> None:
    it, store = await retrieval(handbook={})
    store.broken = "HTTP 500"

    told = {name: (await informed(it, "leave", name))[1] for name in ("handbook", "made-up")}

    assert {name: (each.result, each.known) for name, each in told.items()} == {
        "handbook": ("error", True),
        "made-up": ("error", False),
    }


# The first search


FIRST = replace(PATIENCE, first_s=0.5)


async def test_the_first_search_waits_for_what_is_being_loaded() -> None:
    store, loaded = MemoryPassages(broken="the embedder is not ready"), asyncio.Event()
    store.kept["handbook"] = {LEAVE.id: LEAVE}

    async def ready() -> None:
        await loaded.wait()

    shelves = Shelves("builtin", store, FakeClock(), FIRST, ready)
    searching = asyncio.create_task(shelves.nearest("handbook", "leave", 1))
    await asyncio.sleep(0)
    store.broken = ""
    loaded.set()

    assert [near.passage for near in await searching] == [LEAVE]


async def test_what_cannot_be_loaded_is_waited_for_only_once() -> None:
    store, waits = MemoryPassages(), list[float]()
    clock = FakeClock()

    async def never() -> None:
        began = asyncio.get_running_loop().time()
        try:
            await asyncio.Event().wait()
        finally:
            waits.append(asyncio.get_running_loop().time() - began)

    shelves = Shelves("upstash", store, clock, replace(FIRST, first_s=0.1), never)
    store.broken = "the embedder is not ready"
    for _ in range(3):
        with pytest.raises(StoreFailed, match="not ready"):
            await shelves.nearest("handbook", "leave", 1)
        clock.advance(0.1)

    assert waits[0] >= 0.09
    assert max(waits[1:]) < 0.09


async def test_the_first_search_may_take_longer_and_no_other_one() -> None:
    store = Stuck()
    store.takes_s = 0.1
    shelves = Shelves("builtin", store, FakeClock(), FIRST)

    await shelves.nearest("handbook", "leave", 1)

    with pytest.raises(StoreFailed, match=r"no answer within 0\.05 s"):
        await shelves.nearest("handbook", "leave", 1)


async def test_who_waits_behind_others_that_look_waits_no_longer_than_they() -> None:
    store = Stuck()
    store.stuck = True
    shelves = Shelves("upstash", store, FakeClock(), PATIENCE)
    began = asyncio.get_running_loop().time()

    looks = [shelves.shelf("handbook") for _ in range(4)]
    failures = await asyncio.gather(*looks, return_exceptions=True)

    assert all(isinstance(each, StoreFailed) for each in failures)
    assert asyncio.get_running_loop().time() - began < 0.05 * 3


# The order


def test_of_passages_as_near_the_one_with_the_rare_words_comes_first() -> None:
    found = [
        scored("Pumps of all kinds are checked each spring.", 0.80),
        scored("The pump X-200 is checked each autumn.", 0.78),
    ]

    assert [each.score for each in ranked("When is the X-200 checked?", found, 3)] == [0.78, 0.80]


def test_words_do_not_lift_what_is_far_off() -> None:
    found = [scored("It is ten days.", 0.95), scored("How long is the leave at sea?", 0.60)]

    assert [each.score for each in ranked("How long is the leave?", found, 1)] == [0.95]


def test_what_was_said_already_takes_no_room() -> None:
    text = "The leave is thirty days long for all who work here since a year or longer."
    found = [scored(text, 0.9), scored(text + " Ask.", 0.89, document="b"), scored("Else.", 0.7)]

    assert [each.score for each in ranked("How long is the leave?", found, 3)] == [0.9, 0.7]


def test_more_are_looked_for_than_are_wanted_but_not_without_end() -> None:
    assert [candidates(k) for k in (1, 3, 50)] == [4, 12, 74]


def test_scores_of_our_embedder_mean_the_same_as_cosines_of_others() -> None:
    ours: Mapping[float, float] = {c: score_of(c, "f" * 64) for c in (0.2, 0.4, 0.5, 0.7)}

    assert list(ours.values()) == sorted(ours.values())
    assert ours[0.4] == pytest.approx(0.6, abs=0.01)
    assert score_of(0.7, "upstash BAAI/bge-m3") == 0.7
    assert (score_of(-0.5, "upstash x"), score_of(1.2, "upstash x")) == (0.0, 1.0)
