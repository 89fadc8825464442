"""The vendor's own library does not notice that this is not the vendor."""

from typing import Any

import httpx
import pytest
from upstash_vector import AsyncIndex, Index, Vector
from upstash_vector.errors import UpstashError
from upstash_vector.types import (
    Data,
    FusionAlgorithm,
    MetadataUpdateMode,
    QueryMode,
    SparseVector,
    WeightingStrategy,
)

from tests.fakes import FakeClock
from tests.upstash.conftest import Opens
from tests.upstash.index import Kind
from tests.upstash.kinds import HOSTED, HYBRID, RAW_HYBRID, SPARSE
from tests.upstash.server import READ_ONLY_TOKEN, TOKEN

TWO = Kind(2)


async def filled(opened: Opens, **more: Any) -> AsyncIndex:
    index, _ = await opened(TWO, **more)
    await index.upsert(
        [
            ("right", [1.0, 0.0], {"n": 1, "tags": ["x"]}, "to the right"),
            ("up", [0.0, 2.0], {"n": 2}),
            Vector("left", [-1.0, 0.0]),
            {"id": "slope", "vector": [1.0, 1.0], "metadata": {"n": 3}},
        ]
    )
    return index


async def test_the_score_of_a_cosine_index_is_half_of_one_plus_the_cosine(opened: Opens) -> None:
    index = await filled(opened)

    found = await index.query([3.0, 0.0], top_k=4)

    assert [each.id for each in found] == ["right", "slope", "up", "left"]
    assert [each.score for each in found] == pytest.approx([1, 0.8535534, 0.5, 0])
    assert (found[0].metadata, found[0].data, found[0].vector) == (None, None, None)


@pytest.mark.parametrize(
    ("metric", "score"), [("COSINE", 0.5), ("EUCLIDEAN", 1 / 3), ("DOT_PRODUCT", 0.5)]
)
async def test_each_metric_has_a_score_of_its_own(opened: Opens, metric: str, score: float) -> None:
    index, _ = await opened(Kind(2, metric))
    await index.upsert([("up", [0.0, 1.0])])

    [found] = await index.query([1.0, 0.0])

    assert found.score == pytest.approx(score)
    assert (await index.info()).similarity_function == metric


async def test_a_query_includes_what_it_asks_for(opened: Opens) -> None:
    index = await filled(opened)

    found = await index.query(
        [1.0, 0.0], top_k=1, include_metadata=True, include_data=True, include_vectors=True
    )

    assert found[0].metadata == {"n": 1, "tags": ["x"]}
    assert (found[0].data, found[0].vector) == ("to the right", [1.0, 0.0])


async def test_several_queries_are_answered_in_order_and_one_alone_too(opened: Opens) -> None:
    index = await filled(opened)

    both = await index.query_many(
        queries=[{"vector": [1.0, 0.0], "top_k": 1}, {"vector": [0.0, 1.0], "top_k": 2}]
    )
    one = await index.query_many(queries=[{"vector": [-1.0, 0.0], "top_k": 1}])

    assert [[each.id for each in found] for found in both] == [["right"], ["up", "slope"]]
    assert [[each.id for each in found] for found in one] == [["left"]]


async def test_a_filter_leaves_out_and_a_small_budget_leaves_out_more(opened: Opens) -> None:
    wide, narrow = await filled(opened), await filled(opened, budget=2)

    for index, ids in ((wide, ["slope", "up"]), (narrow, ["slope"])):
        found = await index.query([1.0, 0.0], filter="n >= 2 AND HAS NOT FIELD tags")
        assert [each.id for each in found] == ids


async def test_namespaces_are_apart_and_come_into_being_by_the_first_upsert(opened: Opens) -> None:
    index = await filled(opened)

    assert await index.query([1.0, 0.0], namespace="other") == []
    assert await index.list_namespaces() == [""]
    await index.upsert([("a", [1.0, 0.0])], "other")

    assert await index.list_namespaces() == ["", "other"]
    assert [each.id for each in await index.query([1.0, 0.0], namespace="other")] == ["a"]
    await index.delete_namespace("other")
    assert await index.list_namespaces() == [""]
    with pytest.raises(UpstashError, match=r"Namespace other .* does not exist"):
        await index.delete_namespace("other")


async def test_what_is_missing_is_null_and_a_prefix_finds_many(opened: Opens) -> None:
    index = await filled(opened)

    some = await index.fetch(["up", "nowhere", "left"], include_metadata=True)
    both = await index.fetch(prefix="l", include_vectors=True)

    assert [each and each.id for each in some] == ["up", None, "left"]
    assert [each and each.vector for each in both] == [[-1.0, 0.0]]


async def test_a_range_is_walked_in_pages_until_the_cursor_is_empty(opened: Opens) -> None:
    index = await filled(opened)

    first = await index.range("0", 3)
    last = await index.range(first.next_cursor, 3)

    assert len(first.vectors) == 3
    assert len(last.vectors) == 1
    assert last.next_cursor == ""
    assert [each.id for each in (await index.range("0", 9, prefix="r")).vectors] == ["right"]


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"ids": "up"}, 1),
        ({"ids": ["up", "left", "nowhere"]}, 2),
        ({"prefix": "r"}, 1),
        ({"filter": "n > 1"}, 2),
    ],
)
async def test_a_deletion_says_how_many_there_were(
    opened: Opens, what: dict[str, Any], gone: int
) -> None:
    index = await filled(opened)

    assert (await index.delete(**what)).deleted == gone
    assert len((await index.range("0", 9)).vectors) == 4 - gone


async def test_an_update_changes_parts_of_a_vector(opened: Opens) -> None:
    index = await filled(opened)
    patch = {"n": None, "m": {"k": 1}}

    assert await index.update("right", vector=[0.0, -1.0])
    assert await index.update(
        "right", metadata=patch, metadata_update_mode=MetadataUpdateMode.PATCH
    )
    assert await index.update("up", metadata={"only": True}, data="up there")
    assert not await index.update("nowhere", data="?")

    right, up = await index.fetch(
        ["right", "up"], include_metadata=True, include_vectors=True, include_data=True
    )
    assert right is not None
    assert up is not None
    assert (right.vector, right.metadata) == ([0.0, -1.0], {"tags": ["x"], "m": {"k": 1}})
    assert (up.data, up.metadata) == ("up there", {"only": True})


async def test_an_upsert_is_found_only_later_and_pending_until_then(
    opened: Opens, clock: FakeClock
) -> None:
    index, _ = await opened(TWO, delay_s=2.0)
    await index.upsert([("a", [1.0, 0.0])], "ns")

    assert await index.query([1.0, 0.0], namespace="ns") == []
    assert [each and each.id for each in await index.fetch("a", namespace="ns")] == ["a"]
    waiting = (await index.info()).namespaces["ns"]
    assert (waiting.vector_count, waiting.pending_vector_count) == (0, 1)

    clock.advance(2.0)
    assert len(await index.query([1.0, 0.0], namespace="ns")) == 1
    there = await index.info()
    assert (there.vector_count, there.pending_vector_count) == (1, 0)


async def test_what_was_deleted_is_found_a_little_longer(opened: Opens, clock: FakeClock) -> None:
    index, _ = await opened(TWO, delay_s=2.0)
    await index.upsert([("a", [1.0, 0.0])])
    clock.advance(2.0)

    await index.delete("a")

    assert len(await index.query([1.0, 0.0])) == 1
    assert await index.fetch("a") == [None]
    clock.advance(2.0)
    assert await index.query([1.0, 0.0]) == []


async def test_a_reset_empties_one_namespace_or_all(opened: Opens) -> None:
    index = await filled(opened)
    await index.upsert([("a", [1.0, 0.0])], "one")

    await index.reset("one")
    assert await index.list_namespaces() == ["", "one"]
    assert (await index.info()).vector_count == 4
    await index.reset(all=True)
    assert (await index.info()).vector_count == 0


async def test_a_hosted_model_reads_and_keeps_texts(opened: Opens) -> None:
    index, _ = await opened(HOSTED)
    await index.upsert(
        [
            Data("cat", "The cat sleeps on the sofa."),
            Data("tax", "Taxes are due in April.", {"y": 1}),
        ]
    )

    found = await index.query(data="where does the cat sleep?", include_data=True, top_k=1)
    info = await index.info()

    assert [(each.id, each.data) for each in found] == [("cat", "The cat sleeps on the sofa.")]
    assert info.dense_index is not None
    assert info.dense_index.embedding_model == "BAAI/bge-small-en-v1.5"
    assert info.sparse_index is None


async def test_texts_with_the_same_beginning_are_the_same_to_a_hosted_model(opened: Opens) -> None:
    index, _ = await opened(HOSTED)
    long = "word " * 600
    await index.upsert([Data("a", long + "apples"), Data("b", long + "zebras")])

    first, second = await index.query(data="zebras", top_k=2)

    assert first.score == second.score


async def test_text_needs_a_model(opened: Opens) -> None:
    index, _ = await opened(TWO)

    with pytest.raises(UpstashError, match="embedding model"):
        await index.upsert([Data("a", "text")])
    with pytest.raises(UpstashError, match="embedding model"):
        await index.query(data="text")


@pytest.mark.parametrize(
    ("mode", "best"), [(QueryMode.HYBRID, "both"), (QueryMode.SPARSE, "word"), (None, "both")]
)
async def test_a_hybrid_index_asks_both_parts_or_one(
    opened: Opens, mode: QueryMode | None, best: str
) -> None:
    index, _ = await opened(HYBRID)
    await index.upsert(
        [
            Data("meaning", "Cats nap on couches, and felines rest."),
            Data("word", "sleeping"),
            Data("both", "A cat is sleeping on the couch."),
        ]
    )

    found = await index.query(data="sleeping cats", query_mode=mode, top_k=3)
    dense = await index.query(data="sleeping cats", query_mode=QueryMode.DENSE, top_k=3)

    assert best in {each.id for each in found[:2]}
    assert all(0 <= each.score <= 1 for each in dense)
    assert len(dense) == 3


@pytest.mark.parametrize("fusion", list(FusionAlgorithm))
async def test_a_hybrid_index_of_ones_own_vectors_fuses_scores(
    opened: Opens, fusion: FusionAlgorithm
) -> None:
    index, _ = await opened(RAW_HYBRID)
    east, north = [1.0] + [0.0] * 255, [0.0, 1.0] + [0.0] * 254
    await index.upsert(
        [
            Vector("a", east, sparse_vector=SparseVector([1, 2], [1.0, 1.0])),
            Vector("b", north, sparse_vector=([7], [1.0])),
        ]
    )

    found = await index.query(
        east,
        sparse_vector=SparseVector([1, 7], [1.0, 0.5]),
        fusion_algorithm=fusion,
        weighting_strategy=WeightingStrategy.IDF,
        include_vectors=True,
    )

    assert [each.id for each in found] == ["a", "b"]
    assert found[0].sparse_vector == SparseVector([1, 2], [1.0, 1.0])
    with pytest.raises(UpstashError, match="requires sparse"):
        await index.upsert([("c", east)])


async def test_a_sparse_index_finds_by_words_alone(opened: Opens) -> None:
    index, _ = await opened(SPARSE)
    await index.upsert([Data("a", "the red door"), Data("b", "the blue window")])

    found = await index.query(data="red", weighting_strategy=WeightingStrategy.IDF)
    info = await index.info()

    assert [each.id for each in found] == ["a"]
    assert (info.dimension, info.dense_index) == (0, None)


async def test_a_resumable_query_goes_on_until_it_is_ended(opened: Opens, clock: FakeClock) -> None:
    index = await filled(opened)

    first, handle = await index.resumable_query([1.0, 0.0], top_k=1, max_idle=60)
    second = await handle.fetch_next(2)
    third = await handle.fetch_next(5)

    ids = [each.id for part in (first, second, third) for each in part]
    assert ids == ["right", "slope", "up", "left"]
    clock.advance(61)
    with pytest.raises(UpstashError, match="does not exist"):
        await handle.stop()


async def test_a_resumable_query_by_text_can_be_ended(opened: Opens) -> None:
    index, _ = await opened(HOSTED)
    await index.upsert([Data("a", "one"), Data("b", "two")])

    first, handle = await index.resumable_query(data="one", top_k=1)
    await handle.stop()

    assert [each.id for each in first] == ["a"]
    with pytest.raises(UpstashError):
        await handle.fetch_next(1)


async def test_the_blocking_library_works_as_well(opened: Opens) -> None:
    import asyncio

    _, upstash = await opened(TWO)
    index = Index(upstash.url, TOKEN)

    def use() -> list[str]:
        with index._client:
            index.upsert([("a", [1.0, 0.0])])
            return [each.id for each in index.query([1.0, 0.0])]

    assert await asyncio.to_thread(use) == ["a"]
    assert upstash.headers[0]["Upstash-Telemetry-Sdk"].startswith("upstash-vector-py@v")


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        (
            "upsert",
            '{"id": "a", "vector": [1, 2, 3]}',
            422,
            "Invalid vector dimension: 3, expected: 2",
        ),
        ("upsert", '{"id": "", "vector": [1, 2]}', 422, "Invalid request: id is required"),
        ("upsert", '{"id": ', 400, "Invalid request: the body is no JSON"),
        ("query", '{"vector": [1, 2], "filter": "a ="}', 400, "Invalid filter: it ends too early"),
        ("query", '{"vector": [1, 2], "topK": 1001}', 400, None),
        ("query", '{"vector": ["x", 2]}', 400, None),
        ("update", '{"id": "a", "metadataUpdateMode": "MERGE"}', 400, None),
        ("delete", "{}", 400, None),
        ("delete-namespace/none", "", 404, "Namespace none for the index stand-in does not exist"),
        ("info/ns", "", 404, None),
        ("nothing", "", 404, None),
    ],
)
async def test_a_refusal_has_its_status_in_both_places(
    opened: Opens, path: str, body: str, status: int, error: str | None
) -> None:
    _, upstash = await opened(TWO)
    authorization = {"Authorization": f"Bearer {TOKEN}"}

    async with httpx.AsyncClient(base_url=upstash.url, headers=authorization) as client:
        answer = await client.post(path, content=body)

    assert answer.status_code == answer.json()["status"] == status
    assert isinstance(answer.json()["error"], str)
    assert error in (None, answer.json()["error"])


async def test_what_the_library_lacks_is_there_too(opened: Opens) -> None:
    index = await filled(opened)
    await index.upsert([("a", [1.0, 0.0])], "old")
    authorization = {"Authorization": f"Bearer {TOKEN}"}

    async with httpx.AsyncClient(base_url=index._url, headers=authorization) as client:
        names = {"namespace": "old", "newNamespace": "new"}
        renamed = (await client.post("rename-namespace", json=names)).json()
        random = (await client.get("random/new")).json()
        nothing = (await client.get("random/old")).json()
        bare = (await client.request("DELETE", "delete", json="up")).json()
        wrong = await client.patch("info")
        flat = (await client.post("query", json=[{"vector": [1, 0], "topK": 1}])).json()

    assert renamed == {"result": {"renamed": True}}
    assert random == {"result": {"id": "a", "vector": [1.0, 0.0]}}
    assert nothing == {"result": None}
    assert bare == {"result": {"deleted": 1}}
    assert (wrong.status_code, wrong.json()["status"]) == (405, 405)
    assert flat == {"result": [{"id": "right", "score": 1.0}]}


async def test_nobody_is_let_in_without_the_token_and_one_token_only_reads(opened: Opens) -> None:
    stranger, _ = await opened(TWO, token="guessed")
    reader, _ = await opened(TWO, token=READ_ONLY_TOKEN)

    with pytest.raises(UpstashError, match=r"^Unauthorized: Invalid auth token$"):
        await stranger.info()
    assert await reader.query([1.0, 0.0]) == []
    with pytest.raises(UpstashError, match="Unauthorized"):
        await reader.upsert([("a", [1.0, 0.0])])
