from collections.abc import AsyncIterator

import pytest

from proxy.core.call import ANYONE, Call, Endpoint, JsonObject, Upload
from proxy.wire.estimates import OUTPUT_TOKENS, tokens_of


def call(
    *,
    size: int = 400,
    endpoint: Endpoint = Endpoint.CHAT,
    body: JsonObject | Upload | None = None,
    **fields: object,
) -> Call:
    body = {"messages": [], **fields} if body is None else body
    return Call("c1", ANYONE, endpoint, "POST", "/chat/completions", "", "m", body, False, size)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (100, OUTPUT_TOKENS)),
        ({"max_tokens": 7}, (100, 7)),
        ({"max_tokens": 7, "max_completion_tokens": 9}, (100, 9)),
        ({"max_tokens": None}, (100, OUTPUT_TOKENS)),
        ({"max_tokens": True}, (100, OUTPUT_TOKENS)),
        ({"max_tokens": -1}, (100, OUTPUT_TOKENS)),
    ],
)
def test_a_prompt_is_estimated_by_its_bytes_and_an_answer_by_its_cap(
    fields: JsonObject, expected: tuple[int, int]
) -> None:
    assert tokens_of(call(size=399, **fields)) == expected


def test_only_answers_in_tokens_count_as_such() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a recording"

    upload = Upload("multipart/form-data", 10**7, pieces())

    assert tokens_of(call(body=upload, size=0, endpoint=Endpoint.AUDIO)) == (0, 0)
    assert tokens_of(call(endpoint=Endpoint.EMBEDDINGS)) == (100, 0)
    assert tokens_of(call(endpoint=Endpoint.RESPONSES, max_output_tokens=5)) == (100, 5)


def test_an_image_does_not_count_by_its_bytes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10**6}}
    body = {"messages": [{"role": "user", "content": [{"type": "text", "text": "é"}, picture]}]}

    prompt, _ = tokens_of(call(body=body, size=10**6 + 100))

    assert 1_000 <= prompt < 1_010


def test_token_ids_count_as_tokens() -> None:
    ids = list(range(10_000, 20_000))

    prompt, _ = tokens_of(call(body={"input": ids}, size=60_000, endpoint=Endpoint.EMBEDDINGS))

    assert prompt == 10_000
