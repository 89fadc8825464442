from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext, suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.core.call import ANYONE, Call, Endpoint, Upload
from proxy.core.errors import CallerError, InvalidRequest, UnsupportedMedia
from proxy.wire.requests import (
    MAX_MESSAGES,
    NO_DEFAULTS,
    Defaults,
    Envelope,
    check_json,
    parse_call,
    unread_call,
)

HELLO = [{"role": "user", "content": "Hello"}]
JSON = {"Content-Type": "application/json"}


def envelope(headers: Mapping[str, str] = JSON, **query: str) -> Envelope:
    return Envelope("prx_1", "POST", "chat/completions", query, CIMultiDict(headers))


def parsed(
    endpoint: Endpoint = Endpoint.CHAT,
    headers: Mapping[str, str] = JSON,
    defaults: Defaults = NO_DEFAULTS,
    **body: Any,
) -> Call:
    body = {"model": "m", "messages": HELLO, **body}
    return parse_call(envelope(headers), orjson.dumps(body), ANYONE, endpoint, defaults)


def test_a_call_keeps_all_fields_also_those_we_do_not_know() -> None:
    fields = {"temperature": 0, "new_field": {"a": [1]}, "stream_options": None, "user": "u"}

    call = parsed(**fields)

    assert call.body == {"model": "m", "messages": HELLO, **fields}
    assert (call.id, call.caller, call.model, call.stream) == ("prx_1", ANYONE, "m", False)
    assert (call.method, call.path, call.query) == ("POST", "chat/completions", "")
    assert call.timeout_s is None


def test_the_field_that_speaks_to_us_does_not_go_on() -> None:
    call = parsed(cache={"no-store": True})

    assert isinstance(call.body, dict)
    assert "cache" not in call.body


@pytest.mark.parametrize(("stream", "meant"), [(True, True), (False, False), (None, False)])
def test_a_stream_is_asked_for_by_true_alone(stream: bool | None, meant: bool) -> None:
    assert parsed(stream=stream).stream is meant


@pytest.mark.parametrize("stream", [1, 0, "true", [], {}])
def test_a_stream_that_is_neither_true_nor_false_is_refused(stream: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(stream=stream)

    assert (caught.value.status, caught.value.param) == (400, "stream")


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("Hello", "messages"),
        ({}, "messages"),
        (5, "messages"),
        (HELLO * (MAX_MESSAGES + 1), "messages"),
        (["Hello"], "messages.0"),
        ([*HELLO, None], "messages.1"),
    ],
)
def test_messages_that_are_none_are_refused(messages: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(messages=messages)

    assert (caught.value.status, caught.value.code) == (400, "invalid_request")
    assert caught.value.param == param


def test_as_many_messages_as_are_allowed_are_read() -> None:
    assert parsed(messages=HELLO * MAX_MESSAGES)


def test_only_chat_needs_messages() -> None:
    assert parsed(Endpoint.EMBEDDINGS, messages=None, input="x").model == "m"


@pytest.mark.parametrize(
    "model", ["", " ", "a b", "a\n", "\x00", "x" * 257, 5, True, [], {}, "a\t"]
)
@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS])
def test_a_name_that_can_be_no_model_is_refused(endpoint: Endpoint, model: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(endpoint, model=model)

    assert (caught.value.status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("model", ["m", "openai/gpt-oss-20b", "x" * 256, "a:b@c!~"])
def test_a_model_keeps_its_name(model: str) -> None:
    assert parsed(model=model).model == model


def test_a_missing_model_is_the_default_one_or_refused() -> None:
    assert parsed(model=None, defaults=Defaults(model="d")).model == "d"
    with pytest.raises(InvalidRequest, match="'model' is missing"):
        parsed(model=None)


def test_a_batch_needs_no_model() -> None:
    assert parsed(Endpoint.OTHER, model=None).model == ""


@pytest.mark.parametrize("left_out", [{}, {"temperature": None}])
def test_defaults_fill_what_is_left_out_or_null(left_out: dict[str, Any]) -> None:
    call = parsed(defaults=Defaults(fields={"temperature": 0.5}), **left_out)

    assert isinstance(call.body, dict)
    assert call.body["temperature"] == 0.5


def test_defaults_never_change_what_the_client_said() -> None:
    call = parsed(defaults=Defaults(fields={"temperature": 0.5}), temperature=0)

    assert isinstance(call.body, dict)
    assert call.body["temperature"] == 0


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
def test_a_default_cap_yields_to_either_spelling(cap: str) -> None:
    call = parsed(defaults=Defaults(fields={"max_completion_tokens": 9}), **{cap: 5})

    assert isinstance(call.body, dict)
    assert {name: call.body[name] for name in call.body if "max" in name} == {cap: 5}


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.api+json", True),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("application/jsonp", False),
        ("text/html; a=application/json", False),
        ("", False),
    ],
)
def test_a_body_is_json_by_its_content_type(kind: str, meant: bool) -> None:
    with nullcontext() if meant else pytest.raises(UnsupportedMedia):
        check_json({"Content-Type": kind})


def test_a_body_that_does_not_call_itself_json_is_a_415() -> None:
    for headers in ({}, {"Content-Type": "text/plain"}):
        with pytest.raises(UnsupportedMedia) as caught:
            parsed(headers=headers)
        assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip"])
def test_a_compressed_body_is_a_415(encoding: str) -> None:
    headers = {**JSON, "Content-Encoding": encoding}

    with pytest.raises(UnsupportedMedia):
        parsed(headers=headers)
    with pytest.raises(UnsupportedMedia):
        unread_call(envelope(headers), ANYONE, Endpoint.AUDIO, no_pieces())


@pytest.mark.parametrize("encoding", ["identity", "", " Identity "])
def test_an_encoding_that_is_none_is_fine(encoding: str) -> None:
    assert parsed(headers={**JSON, "content-encoding": encoding})


@pytest.mark.parametrize(
    ("stated", "meant"), [("1", 0.001), ("1500", 1.5), ("00001500", 1.5), ("86400000", 86_400.0)]
)
def test_a_client_may_state_its_own_patience(stated: str, meant: float) -> None:
    assert parsed(headers={**JSON, "X-Proxy-Timeout-Ms": stated}).timeout_s == meant


@pytest.mark.parametrize(
    "stated",
    [
        "",
        "0",
        "-5",
        "1.5",
        "1e3",
        "abc",
        "86400001",
        "9" * 5000,
        "0" * 11 + "1" + "9" * 5000,
        "²",
        "٣",
    ],
)
def test_a_patience_that_makes_no_sense_is_refused(stated: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(headers={**JSON, "x-proxy-timeout-ms": stated})

    assert (caught.value.status, caught.value.param) == (400, "x-proxy-timeout-ms")


async def no_pieces() -> AsyncIterator[bytes]:
    return
    yield


def test_an_upload_goes_on_unread_with_its_type_and_length() -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "12"}
    pieces = no_pieces()

    call = unread_call(envelope(headers), ANYONE, Endpoint.AUDIO, pieces)

    assert call.body == Upload("multipart/form-data; boundary=x", 12, pieces)
    assert (call.model, call.stream) == ("", False)


def test_a_call_without_a_body_has_none() -> None:
    call = unread_call(envelope({"x-proxy-timeout-ms": "5"}), ANYONE, Endpoint.OTHER, None)

    assert call.body is None
    assert call.timeout_s == 0.005


def test_of_the_query_only_known_parameters_go_on() -> None:
    asked = envelope({}, limit="10", after="batch_1-a.b", key="gsk_secret", order="asc")

    call = unread_call(asked, ANYONE, Endpoint.OTHER, None)

    assert call.query == "limit=10&after=batch_1-a.b&order=asc"


@pytest.mark.parametrize("value", ["", "a b", "a&b=c", "a#b", "é", "a\r\nb", "x" * 129, "%26"])
def test_a_query_that_would_need_escaping_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        unread_call(envelope({}, after=value), ANYONE, Endpoint.OTHER, None)

    assert caught.value.param == "after"


FIELDS = st.sampled_from(["model", "messages", "stream", "stream_options", "cache", "max_tokens"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=6,
)


@given(ODD | st.dictionaries(FIELDS, ODD), st.sampled_from(list(Endpoint)))
def test_whatever_a_client_sends_is_a_call_or_its_own_mistake(
    body: Any, endpoint: Endpoint
) -> None:
    with suppress(CallerError):
        call = parse_call(envelope(), orjson.dumps(body), ANYONE, endpoint, Defaults("d"))
        assert isinstance(call.body, dict)
