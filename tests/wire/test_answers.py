from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import Endpoint, Summary, Usage
from proxy.core.errors import BadAnswer, Refused, ServerFailed, UpstreamError
from proxy.wire.answers import read_whole

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}


def read(answer: Any, endpoint: Endpoint = Endpoint.CHAT) -> Summary:
    body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return read_whole(body, endpoint, provider="groq", secret="s3cret")


def test_a_whole_answer_tells_its_usage_finish_reason_and_id() -> None:
    told = read(
        {
            "choices": [CHOICE],
            "usage": {"prompt_tokens": 9, "completion_tokens": 4},
            "x_groq": {"id": "req_1"},
        }
    )

    assert told == Summary(
        usage=Usage(prompt=9, completion=4),
        finish_reason="stop",
        upstream_id="req_1",
        begun=True,
        ended=True,
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b'{"choices":[{',
        b"[]",
        b"null",
        b'"text"',
        b"\xff",
        {},
        {"choices": None},
        {"choices": []},
        {"choices": 5},
        {"choices": {"a": 1}},
        {"choices": [None]},
        {"choices": "text"},
    ],
)
def test_what_is_no_chat_answer_is_not_used(body: Any) -> None:
    with pytest.raises(BadAnswer):
        read(body)


@pytest.mark.parametrize(
    ("endpoint", "good"),
    [
        (Endpoint.RESPONSES, {"output": []}),
        (Endpoint.EMBEDDINGS, {"data": []}),
        (Endpoint.AUDIO, {"text": "Hello"}),
        (Endpoint.OTHER, {"object": "list"}),
    ],
)
def test_each_endpoint_has_its_own_shape(endpoint: Endpoint, good: Any) -> None:
    assert read({**good, "error": None}, endpoint).ended


@pytest.mark.parametrize("endpoint", [Endpoint.RESPONSES, Endpoint.EMBEDDINGS])
def test_an_answer_without_its_part_is_not_used(endpoint: Endpoint) -> None:
    for body in ({}, {"output": None, "data": 7}):
        with pytest.raises(BadAnswer):
            read(body, endpoint)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        ({"message": "key s3cret of org_01abc"}, BadAnswer, "key *** of org_***"),
        ("overloaded", BadAnswer, "overloaded"),
        ({"message": "no", "status_code": 400}, Refused, "no"),
        ({"message": "no", "status_code": 503}, ServerFailed, "groq failed with status 503: no"),
        ({"x": 1}, BadAnswer, "groq reported an error inside its answer"),
    ],
)
def test_an_error_inside_a_200_is_an_error(
    error: Any, kind: type[UpstreamError], told: str
) -> None:
    with pytest.raises(UpstreamError) as caught:
        read({"choices": [CHOICE], "error": error})

    assert type(caught.value) is kind
    assert caught.value.message == told


@pytest.mark.parametrize("odd", [{"finish_reason": 7}, {"finish_reason": None}, {}])
def test_an_odd_finish_reason_is_none(odd: Any) -> None:
    assert read({"choices": [odd], "x_groq": {"id": 7}}).finish_reason is None


def read_or_error(answer: Any, endpoint: Endpoint) -> Summary | UpstreamError:
    try:
        return read(answer, endpoint)
    except UpstreamError as error:
        return error


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "error", "usage", "x_groq", "message", "status_code", "code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.one_of(JSON, JSON.map(lambda inner: {"error": inner}), st.binary()))
def test_whatever_comes_is_an_answer_or_an_upstream_error(answer: Any) -> None:
    for endpoint in Endpoint:
        told = read_or_error(answer, endpoint)
        assert isinstance(told, UpstreamError) or told.ended
