"""`/v1/embeddings`: our own embedder by the name `builtin`, all others forwarded."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openai
import orjson
import pytest

from proxy.core.clock import SystemClock
from proxy.core.errors import InvalidRequest, Unavailable
from proxy.embedding.api import OwnEmbeddings
from proxy.embedding.builtin import Builtin
from proxy.embedding.loading import Loading
from proxy.embedding.protocol import Embedder, EmbedderFailed
from tests.conftest import House, open_house
from tests.fakes import FakeClock
from tests.stories.money import eventually, key, shown

TEXTS = ["How do I reset my router?", "Why is the sky blue?"]


@pytest.fixture(scope="module")
def builtin() -> Builtin:
    return Builtin()


async def until_ready(house: House) -> None:
    words = house.app.state.nearness.embedders.words

    async def is_ready() -> bool:
        return words.state == "ready"

    await eventually(is_ready)


@asynccontextmanager
async def ready(state: Path, **knobs: Any) -> AsyncIterator[House]:
    async with open_house(state, **knobs) as house:
        await until_ready(house)
        yield house


async def embed(
    house: House, wanted: Any, headers: Mapping[str, str] | None = None, **fields: Any
) -> tuple[int, Mapping[str, str], Any]:
    body = {"model": "builtin", "input": wanted, **fields}
    url = f"{house.url}/v1/embeddings"
    async with house.session.post(url, json=body, headers=headers or {}) as answer:
        return answer.status, answer.headers, orjson.loads(await answer.read())


async def test_our_own_embedder_answers_in_openais_shape(tmp_path: Path, builtin: Builtin) -> None:
    async with ready(tmp_path) as house:
        status, headers, told = await embed(house, TEXTS)

    assert status == 200
    assert (told["object"], told["model"]) == ("list", "builtin")
    assert [each["index"] for each in told["data"]] == [0, 1]
    assert {each["object"] for each in told["data"]} == {"embedding"}
    rows = np.array([each["embedding"] for each in told["data"]], np.float32)
    assert np.array_equal(rows, builtin.vectors(TEXTS))
    pieces = sum(len(builtin.words.numbers(text)) for text in TEXTS)
    assert told["usage"] == {"prompt_tokens": pieces, "total_tokens": pieces}
    assert headers["x-proxy-served-by"] == "proxy/builtin"
    assert headers["x-proxy-cost-usd"] == "0"
    assert headers["x-proxy-cache"] == "off"


@pytest.mark.parametrize("form", ["float", "base64"])
async def test_openais_sdk_gets_vectors_in_either_form(
    tmp_path: Path, builtin: Builtin, form: Any
) -> None:
    async with (
        ready(tmp_path) as house,
        openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="x", max_retries=0) as client,
    ):
        answer = await client.embeddings.create(
            model="builtin", input=TEXTS, encoding_format=form, dimensions=256
        )
        unsaid = await client.embeddings.create(model="builtin", input=TEXTS[0])

    found: Any = [each.embedding for each in answer.data]
    if form == "base64":
        found = [np.frombuffer(base64.b64decode(each), "<f4") for each in found]
    assert np.array_equal(np.array(found, np.float32), builtin.vectors(TEXTS))
    [only] = unsaid.data
    assert np.array_equal(np.array(only.embedding, np.float32), builtin.vectors(TEXTS[:1])[0])


async def test_the_provider_is_not_asked_for_ours_but_for_all_others(tmp_path: Path) -> None:
    async with ready(tmp_path) as house:
        own = await embed(house, "hello")
        theirs = await embed(house, "hello", model="groq/builtin")
        attempts = await house.metric("upstream_attempts_total")
        timed = await house.metric("embedding_duration_seconds_count", purpose="api")
        counted = await house.metric("requests_total", endpoint="embeddings", model="proxy/builtin")

    assert own[0] == 200
    assert "x-proxy-served-by" not in theirs[1]  # it knows no such model
    assert attempts == 1
    assert (timed, counted) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"input": [1, 2]}, "input", "no token numbers"),
        ({"input": [[1, 2]]}, "input", "no token numbers"),
        ({"input": ["a", 7]}, "input", "a text or a list of texts"),
        ({"input": None}, "input", "'input' is missing"),
        ({"input": []}, "input", "1 to 2048"),
        ({"input": ["a"] * 2049}, "input", "not 2049"),
        ({"input": ["a", ""]}, "input", "empty: input[1]"),
        ({"input": "word " * 600}, "input", "8,192 characters of input[0]"),
        ({"input": ["a", "x" * 9000]}, "input", "too long: 'builtin' reads up to 512 word pieces"),
        ({"dimensions": 128}, "dimensions", "can only be 256"),
        ({"dimensions": "256"}, "dimensions", "can only be 256"),
        ({"encoding_format": "int8"}, "encoding_format", "float or base64"),
        ({"encoding_format": ["float"]}, "encoding_format", "float or base64"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_embedded_is_refused_by_name(
    builtin: Builtin, fields: dict[str, Any], param: str, told: str
) -> None:
    async with opened(builtin) as own:
        with pytest.raises(InvalidRequest, match=param) as refused:
            await own.answer({"input": "a", **fields})

    assert refused.value.param == param
    assert told in refused.value.message


async def test_as_many_texts_as_openai_takes_are_taken(builtin: Builtin) -> None:
    async with opened(builtin) as own:
        body, pieces = await own.answer({"input": ["word"] * 2048})

    assert len(orjson.loads(body)["data"]) == pieces == 2048


async def test_many_long_texts_let_others_run_in_between(builtin: Builtin) -> None:
    turns, texts = 0, [f"{number} {'word ' * 300}" for number in range(100)]

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with opened(builtin) as own:
        await own.answer({"input": "its words are read"})
        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        turns = 0
        await own.answer({"input": texts})
        beside.cancel()

    assert turns >= 2 * len(texts) / 8


async def test_its_tokens_are_in_the_log(tmp_path: Path) -> None:
    async with ready(tmp_path) as house:
        _, _, told = await embed(house, TEXTS)

    lines = [orjson.loads(line) for line in house.log.lines()]
    [line] = [line for line in lines if line["endpoint"] == "embeddings"]
    assert line["prompt_tokens"] == told["usage"]["prompt_tokens"]
    assert (line["completion_tokens"], line["usage_source"]) == (0, "reported")


async def test_a_key_needs_leave_to_use_it(tmp_path: Path) -> None:
    keys = [key("some", models=["builtin"]), key("other", models=["openai/gpt-oss-20b"])]
    async with ready(tmp_path, keys=keys) as house:
        allowed, _, _ = await embed(house, "hello", shown("some"))
        refused, _, told = await embed(house, "hello", shown("other"))
        unknown, _, _ = await embed(house, "hello")

    assert (allowed, refused, unknown) == (200, 403, 401)
    assert "'builtin': its `models` do not name it" in told["error"]["message"]
    assert told["error"]["code"] == "model_not_allowed"


async def test_its_pieces_count_for_limits_on_tokens(tmp_path: Path) -> None:
    async with ready(tmp_path, keys=[key("app", limits=["1000 tokens/day"])]) as house:
        statuses = [(await embed(house, ["word " * 100] * 4, shown("app")))[0] for _ in range(4)]

    assert statuses == [200, 200, 429, 429]


async def until_settled(loading: Loading) -> None:
    async def is_settled() -> bool:
        return loading.state != "loading"

    await eventually(is_settled)


@asynccontextmanager
async def opened(builtin: Builtin) -> AsyncIterator[OwnEmbeddings]:
    """Our embeddings, ready."""

    @asynccontextmanager
    async def there() -> AsyncIterator[Embedder]:
        yield builtin

    clock = FakeClock()
    async with Loading(there, clock) as loading:
        await until_settled(loading)
        yield OwnEmbeddings(lambda: loading, clock)


async def test_while_it_loads_clients_are_told_to_come_back() -> None:
    @asynccontextmanager
    async def never() -> AsyncIterator[Embedder]:
        await asyncio.get_running_loop().create_future()
        yield Builtin()

    async with Loading(never, FakeClock()) as loading:
        with pytest.raises(Unavailable) as refused:
            await OwnEmbeddings(lambda: loading, FakeClock()).answer({"input": "a"})

    assert (refused.value.status, refused.value.code) == (503, "embedder_loading")
    assert refused.value.headers["retry-after"] == "1"


async def test_what_cannot_be_loaded_is_told_with_its_reason() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Embedder]:
        raise EmbedderFailed("its file is gone")
        yield

    async with Loading(broken, SystemClock()) as loading:
        await until_settled(loading)
        with pytest.raises(Unavailable, match="cannot be used: its file is gone") as refused:
            await OwnEmbeddings(lambda: loading, FakeClock()).answer({"input": "a"})

    assert refused.value.headers["retry-after"] == "60"
