"""What hears an answer on its way, and what it makes of it."""

from collections.abc import AsyncIterator

import pytest

from proxy.cache.tap import Tap
from proxy.cache.worth import MAX_BYTES
from proxy.core.call import Form, Frame, Head, JsonObject, Reply, Summary
from tests.wire.sse import ROLE, STOP, WHOLE, chunk


async def heard(*frames: Frame, form: Form = Form.WHOLE) -> JsonObject | None:
    """What a tap makes of an answer in these frames, all of which it passes on."""

    async def said() -> AsyncIterator[Frame]:
        for frame in frames:
            yield frame

    head = Head(status=200, form=form, content_type="", headers={})
    tap = Tap(Reply(head, said(), Summary()))

    assert [frame async for frame in tap] == [*frames]
    return tap.answer()


async def test_a_whole_answer_is_read() -> None:
    assert await heard(b'{"id": "c1"}') == {"id": "c1"}


async def test_a_stream_is_folded() -> None:
    answer = await heard(WHOLE, form=Form.CHAT)

    assert answer is not None
    assert answer["choices"][0]["message"]["content"] == "Hello"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"oops",
        b"[]",
        b'{"created": 99999999999999999999999}',
        b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'"%b"' % bytes(MAX_BYTES),
    ],
    ids=lambda body: str(body[:20]),
)
async def test_what_cannot_be_read_is_no_answer(body: bytes) -> None:
    assert await heard(body) is None


async def test_a_stream_that_breaks_off_is_no_answer() -> None:
    assert await heard(ROLE, chunk("Hel"), STOP, form=Form.CHAT) is None
