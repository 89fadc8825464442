import asyncio
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from proxy.embedding.builtin import Builtin
from proxy.embedding.loading import Loading
from proxy.embedding.protocol import EmbedderFailed
from proxy.embedding.remote import Endpoint, Remote, meet, open_remote
from proxy.embedding.selfcheck import check
from tests.embedding.server import Answer, Server, serving
from tests.fakes import FakeClock

BUDGET_S = 5.0  # enough for a busy machine; the default is shorter


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def server(builtin: Builtin) -> AsyncIterator[Server]:
    async with serving(builtin) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def remote(session: aiohttp.ClientSession, server: Server, clock: FakeClock) -> Remote:
    return await meet(session, clock, Endpoint(server.url, "nomic", "sesame"), BUDGET_S)


def failing(status: int = 500) -> Answer:
    return lambda _: web.Response(status=status, text="no")


async def test_its_vectors_have_length_1_and_the_order_of_the_texts(
    remote: Remote, builtin: Builtin
) -> None:
    texts = ["What is a lion?", "How do I cook rice?", "read a file"]

    vectors = await remote.embed(texts)

    assert np.allclose(vectors, builtin.vectors(texts), atol=1e-5)


async def test_it_asks_for_its_model_with_its_key(remote: Remote, server: Server) -> None:
    await remote.embed(["hello"])

    assert server.asked[-1] == {"model": "nomic", "input": ["hello"], "encoding_format": "float"}
    assert server.keys[-1] == "Bearer sesame"


async def test_it_passes_the_check_of_a_new_embedder(remote: Remote) -> None:
    await check(remote)


async def test_it_knows_its_dimension_from_the_first_answer(remote: Remote) -> None:
    assert (remote.name, remote.dim, remote.max_tokens) == ("nomic", 256, 512)


async def test_another_model_or_place_has_another_fingerprint(
    session: aiohttp.ClientSession, server: Server, clock: FakeClock, remote: Remote
) -> None:
    again = await meet(session, clock, Endpoint(server.url, "nomic"))
    other = await meet(session, clock, Endpoint(server.url, "bge"))
    elsewhere = await meet(session, clock, Endpoint(server.url + "?v=2", "nomic"))

    assert remote.fingerprint == again.fingerprint
    assert len({remote.fingerprint, other.fingerprint, elsewhere.fingerprint}) == 3


async def test_many_texts_go_in_requests_of_64(remote: Remote, server: Server) -> None:
    vectors = await remote.embed([f"question {i}" for i in range(150)])

    assert vectors.shape == (150, 256)
    assert [len(asked["input"]) for asked in server.asked[1:]] == [64, 64, 22]


def shapes(server: Server) -> dict[str, Answer]:
    def data(change: object) -> Answer:
        return lambda asked: web.json_response({"data": change(server.rows(asked))})  # type: ignore[operator]

    def first(embedding: object) -> Answer:
        return data(lambda rows: [{"index": 0, "embedding": embedding}, *rows[1:]])

    return {
        "an error": failing(500),
        "a redirect": lambda _: web.Response(status=307, headers={"Location": "/elsewhere"}),
        "no content": lambda _: web.Response(status=204),
        "no JSON": lambda _: web.Response(text="<html>"),
        "another JSON": lambda _: web.json_response([1, 2]),
        "no data": lambda _: web.json_response({"error": {"message": "no"}}),
        "too few": data(lambda rows: rows[:1]),
        "too many": data(lambda rows: [*rows, {**rows[0], "index": 2}]),
        "one twice": data(lambda rows: [rows[0], rows[0]]),
        "nothing in it": first([]),
        "another dimension": data(
            lambda rows: [{**row, "embedding": row["embedding"][:128]} for row in rows]
        ),
        "two dimensions": first([1.0, 2.0]),
        "no length": first([0.0] * 256),
        "endless": lambda _: web.Response(text='{"data":[{"index":0,"embedding":[1e999]}]}'),
        "no number": first([None] * 256),
        "words": first(["one"] * 256),
        "not a number": lambda asked: web.Response(
            text='{"data":[{"index":0,"embedding":[NaN]},{"index":1,"embedding":[NaN]}]}'
        ),
        "base64": first("AAAA"),
        "a table": first([[1.0]] * 256),
    }


@pytest.mark.parametrize("name", list(shapes(None)))  # type: ignore[arg-type]
async def test_an_odd_answer_is_a_failure(remote: Remote, server: Server, name: str) -> None:
    server.answer = shapes(server)[name]

    with pytest.raises(EmbedderFailed):
        await remote.embed(["hello", "world"])


async def test_a_message_shows_neither_the_text_nor_the_key(remote: Remote, server: Server) -> None:
    server.answer = failing(401)

    with pytest.raises(EmbedderFailed) as failure:
        await remote.embed(["my secret question"])

    assert "401" in str(failure.value)
    assert "secret" not in str(failure.value)
    assert "sesame" not in f"{failure.value} {Endpoint('u', 'm', 'sesame')!r}"


async def test_a_late_answer_is_a_failure(
    session: aiohttp.ClientSession, server: Server, clock: FakeClock
) -> None:
    remote = await meet(session, clock, Endpoint(server.url, "nomic"), budget_s=0.0)

    with pytest.raises(EmbedderFailed, match="within 0 ms"):
        await remote.embed(["hello"])


async def test_several_texts_may_take_as_long_as_a_server_loads_its_model(
    session: aiohttp.ClientSession, server: Server, clock: FakeClock
) -> None:
    remote = await meet(session, clock, Endpoint(server.url, "nomic"), budget_s=0.0)

    await check(remote)


@pytest.mark.parametrize("status", [404, 405])
async def test_an_address_that_is_not_the_full_one_is_named_with_a_hint(
    session: aiohttp.ClientSession, server: Server, clock: FakeClock, status: int
) -> None:
    server.answer = failing(status)

    with pytest.raises(EmbedderFailed) as failure:
        await meet(session, clock, Endpoint(server.url, "nomic"))

    assert f"POST {server.url} answered {status}; `url` is the full address" in str(failure.value)


async def test_nobody_there_is_a_failure(session: aiohttp.ClientSession, clock: FakeClock) -> None:
    with pytest.raises(EmbedderFailed, match="unreachable"):
        await meet(session, clock, Endpoint("http://127.0.0.1:1/v1/embeddings", "nomic"))


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host/x", "http://[bad/"])
async def test_an_address_that_is_none_is_a_failure(
    session: aiohttp.ClientSession, clock: FakeClock, url: str
) -> None:
    with pytest.raises(EmbedderFailed):
        await meet(session, clock, Endpoint(url, "nomic"))


async def test_a_text_that_is_no_unicode_is_a_failure(remote: Remote, server: Server) -> None:
    with pytest.raises(EmbedderFailed):
        await remote.embed(["\ud800"])


async def failures(remote: Remote, count: int) -> None:
    for _ in range(count):
        with pytest.raises(EmbedderFailed):
            await remote.embed(["hello"])


async def test_after_three_failures_the_server_is_left_in_peace(
    remote: Remote, server: Server, clock: FakeClock
) -> None:
    server.answer = failing()
    await failures(remote, 3)
    asked = len(server.asked)

    clock.advance(9.9)
    await failures(remote, 5)

    assert len(server.asked) == asked


async def test_after_the_rest_one_request_sees_whether_it_is_well(
    remote: Remote, server: Server, clock: FakeClock
) -> None:
    server.answer = failing()
    await failures(remote, 3)
    asked = len(server.asked)

    clock.advance(10.1)
    await failures(remote, 3)
    still_ill = len(server.asked)
    server.answer = server.honest
    clock.advance(10.1)
    await asyncio.gather(remote.embed(["hello"]), return_exceptions=True)
    await remote.embed(["hello"])

    assert still_ill == asked + 1
    assert len(server.asked) == still_ill + 2


async def test_while_one_request_looks_the_others_go_on_resting(
    remote: Remote, server: Server, clock: FakeClock
) -> None:
    server.answer = failing()
    await failures(remote, 3)
    server.answer = server.honest
    clock.advance(10.1)

    results = await asyncio.gather(
        *(remote.embed(["hello"]) for _ in range(4)), return_exceptions=True
    )

    assert [isinstance(result, EmbedderFailed) for result in results] == [False, True, True, True]


async def test_an_answer_in_between_forgives_earlier_failures(
    remote: Remote, server: Server
) -> None:
    for _ in range(3):
        server.answer = failing()
        await failures(remote, 2)
        server.answer = server.honest
        await remote.embed(["hello"])


async def test_it_loads_behind_the_back_of_the_gateway(
    session: aiohttp.ClientSession, server: Server, clock: FakeClock
) -> None:
    endpoint = Endpoint(server.url, "nomic")

    async with Loading(lambda: open_remote(session, clock, endpoint, BUDGET_S), clock) as loading:
        async with asyncio.timeout(60):
            while loading.state == "loading":  # noqa: ASYNC110 - the server is in this loop too
                await asyncio.sleep(0)

        assert loading.state == "ready"
