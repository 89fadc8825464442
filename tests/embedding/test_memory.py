import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import EmbedderFailed
from tests.embedding.fakes import Scripted, hashed


async def test_a_text_is_embedded_once() -> None:
    inner = Scripted(hashed)
    embedder = Remembering(inner)

    first = await embedder.embed(["a", "b"])
    second = await embedder.embed(["b", "c", "a"])

    assert inner.asked == [["a", "b"], ["c"]]
    assert np.array_equal(second[[2, 0]], first)


async def test_a_text_twice_in_one_request_is_embedded_once() -> None:
    inner = Scripted(hashed)

    vectors = await Remembering(inner).embed(["a", "b", "a"])

    assert inner.asked == [["a", "b"]]
    assert np.array_equal(vectors, hashed(["a", "b", "a"]))


async def test_the_text_used_longest_ago_is_forgotten_first() -> None:
    inner = Scripted(hashed)
    embedder = Remembering(inner, remembered=2)

    for text in ("a", "b", "a", "c", "a", "b"):
        await embedder.embed([text])

    assert inner.asked == [["a"], ["b"], ["c"], ["b"]]


async def test_a_failure_is_not_remembered() -> None:
    answers = iter([EmbedderFailed("busy"), None])

    def once(texts: list[str]) -> np.ndarray:
        if error := next(answers):
            raise error
        return hashed(texts)

    embedder = Remembering(Scripted(once))
    try:
        await embedder.embed(["a"])
    except EmbedderFailed:
        vectors = await embedder.embed(["a"])

    assert np.array_equal(vectors, hashed(["a"]))


async def test_what_a_caller_does_with_its_vectors_changes_no_memory() -> None:
    embedder = Remembering(Scripted(hashed))

    for _ in range(2):
        vectors = await embedder.embed(["a"])
        assert np.array_equal(vectors, hashed(["a"]))
        vectors[:] = 7


async def test_it_passes_for_the_embedder_behind_it() -> None:
    inner = Scripted(hashed)
    embedder = Remembering(inner)

    assert embedder.fingerprint == inner.fingerprint
    assert (embedder.name, embedder.dim, embedder.max_tokens) == ("scripted", 4, 8)


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=8), st.integers(1, 4))
async def test_remembered_or_not_the_vectors_are_the_same(
    requests: list[list[str]], remembered: int
) -> None:
    embedder = Remembering(Scripted(hashed), remembered)

    for texts in requests:
        assert np.array_equal(await embedder.embed(texts), hashed(texts))
        assert len(embedder._known) <= remembered
