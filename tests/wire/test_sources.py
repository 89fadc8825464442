"""Where passages come from, inside answers of all forms."""

from collections.abc import AsyncIterator

import orjson

from proxy.core.call import Form, Head, Reply, Source
from proxy.wire.sources import with_sources

LEAVE = Source("handbook", "leave.md", 'Leave "paid"', 0.8)
TOLD = {
    "sources": [
        {"collection": "handbook", "document": "leave.md", "title": 'Leave "paid"', "score": 0.8}
    ]
}


async def sent(form: Form, *frames: bytes) -> list[bytes]:
    async def passing() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame

    reply = Reply(Head(200, form, "", {}), passing())
    return [frame async for frame in with_sources(reply, [LEAVE]).frames]


async def test_a_whole_answer_has_them_beside_its_other_fields() -> None:
    [answer] = await sent(Form.WHOLE, b'{"id": "1", "choices": [{}]}\n')

    assert orjson.loads(answer) == {"id": "1", "choices": [{}], "x_proxy": TOLD}


async def test_of_a_stream_the_first_event_has_them_and_no_other() -> None:
    run, last = await sent(
        Form.CHAT, b'data: {"id": 1}\n\ndata: {"id": 2}\n\n', b'data: {"id": 3}\n\ndata: [DONE]\n\n'
    )

    first, second, _ = run.split(b"\n\n")
    assert orjson.loads(first.removeprefix(b"data: ")) == {"x_proxy": TOLD, "id": 1}
    assert second == b'data: {"id": 2}'
    assert last == b'data: {"id": 3}\n\ndata: [DONE]\n\n'


async def test_an_error_that_comes_first_is_told_as_it_is() -> None:
    error, done = b'event: error\ndata: {"error": {}}\n\n', b"data: [DONE]\n\n"

    assert await sent(Form.CHAT, error, done) == [error, done]


async def test_what_is_no_object_stays_as_it_is() -> None:
    assert await sent(Form.WHOLE, b"[1]") == [b"[1]"]
