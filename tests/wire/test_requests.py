from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext, suppress
from math import inf
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from proxy.core.call import ANYONE, Call, Endpoint, Upload
from proxy.core.errors import CallerError, InvalidRequest, UnsupportedMedia
from proxy.simulator.calls import RecordedCall
from proxy.wire.audio import HEAD_BYTES
from proxy.wire.requests import (
    MAX_MESSAGES,
    NO_DEFAULTS,
    Bodies,
    Defaults,
    Envelope,
    check_json,
    overheard,
    parse_call,
    unread_call,
)
from tests.conftest import House
from tests.server.plug import HEAD, plugged

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
    return parse_call(envelope(headers), orjson.dumps(body), ANYONE, Bodies(endpoint, defaults))


def test_a_call_keeps_all_fields_also_those_we_do_not_know() -> None:
    fields = {"temperature": 0, "new_field": {"a": [1]}, "stream_options": None, "user": "u"}

    call = parsed(**fields)

    assert call.body == {"model": "m", "messages": HELLO, **fields}
    assert (call.id, call.caller, call.model, call.stream) == ("prx_1", ANYONE, "m", False)
    assert (call.method, call.path, call.query) == ("POST", "chat/completions", "")
    assert call.timeout_s is None


def test_the_same_bytes_are_read_once() -> None:
    bodies, data = Bodies(Endpoint.CHAT), orjson.dumps({"model": "m", "messages": HELLO})

    body = bodies.read(data)

    assert bodies.read(bytes(bytearray(data))) is body
    assert bodies.read(data + b" ") is not body
    assert Bodies(Endpoint.CHAT, Defaults("d", {"n": 2})).read(data).fields["n"] == 2
    assert "n" not in body.fields


@pytest.mark.parametrize("more", [{"user": "u" * 4096}, {"tools": [{}] * 64}])
def test_what_takes_much_room_is_not_remembered(more: dict[str, Any]) -> None:
    bodies, data = Bodies(Endpoint.CHAT), orjson.dumps({"model": "m", "messages": HELLO, **more})

    assert bodies.read(data) is not bodies.read(data)
    assert bodies.read(data) == bodies.read(data)


def test_a_bad_body_is_bad_each_time() -> None:
    bodies = Bodies(Endpoint.CHAT)
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            bodies.read(b'{"model": "m", "messages": []}')


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


FORM = {"Content-Type": "multipart/form-data; boundary=xyz"}
SOUND = bytes(HEAD_BYTES)
END = b"--xyz--\r\n"


def part(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def recording(content: bytes = SOUND) -> bytes:
    return part("file", content, '; filename="a.ogg"')


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def passed_on(rest: AsyncIterator[bytes]) -> tuple[list[bytes], bool]:
    """What went on of an upload, and whether it was ended as a mistake of the client."""
    passed: list[bytes] = []
    try:
        async for piece in rest:
            passed += [piece]
    except InvalidRequest:
        return passed, True
    return passed, False


def sized(*pieces: bytes) -> dict[str, str]:
    return {**FORM, "Content-Length": str(sum(map(len, pieces)))}


async def test_an_upload_that_begins_with_its_model_tells_it_and_goes_on_whole() -> None:
    pieces = [part("model", b"m"), recording(), part("language", b"en"), END]

    audio, rest = await overheard(CIMultiDict(sized(*pieces)), in_pieces(*pieces))

    assert audio.model == "m"
    assert audio.longest_s == sum(map(len, pieces)) / 750
    assert await passed_on(rest) == (pieces, False)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    "behind",
    [
        part("model", b"dear"),
        part("model", b"cheap"),
        part("file", b"x", '; filename="b"'),
        part("x", b"x", '; name="model"'),
        b"--xyz--more",
    ],
)
async def test_what_turns_up_behind_the_file_ends_an_upload(behind: bytes, stated: bool) -> None:
    begun = [part("model", b"cheap"), recording()]
    pieces = [*begun, behind, END]
    headers = sized(*pieces) if stated else FORM

    audio, rest = await overheard(CIMultiDict(headers), in_pieces(*pieces))

    assert audio.model == "cheap"
    assert await passed_on(rest) == (begun, True)


@pytest.mark.parametrize("named", [[part("model", b"m")], []])
async def test_audio_that_turns_out_to_lie_elsewhere_ends_an_upload(named: list[bytes]) -> None:
    begun = [*named, recording()]
    pieces = [*begun, part("url", b"https://x/long.ogg"), END]

    audio, rest = await overheard(CIMultiDict(sized(*pieces)), in_pieces(*pieces))

    assert audio.longest_s < inf
    assert await passed_on(rest) == (begun, True)


async def test_a_model_behind_the_file_is_nobodys_contradiction() -> None:
    pieces = [recording(), part("model", b"m"), END]

    audio, rest = await overheard(CIMultiDict(sized(*pieces)), in_pieces(*pieces))

    assert audio.model == ""
    assert await passed_on(rest) == (pieces, False)


@pytest.mark.parametrize("kind", ["", "multipart/form-data; xboundary=AAA; boundary=xyz"])
async def test_an_upload_that_cannot_be_read_has_no_model_and_no_bound(kind: str) -> None:
    pieces = [part("model", b"m"), recording(), END]
    headers = {**sized(*pieces), "Content-Type": kind}

    audio, rest = await overheard(CIMultiDict(headers), in_pieces(*pieces))

    assert (audio.model, audio.longest_s) == ("", inf)
    assert await passed_on(rest) == (pieces, False)


async def test_an_upload_of_unstated_length_has_no_bound() -> None:
    audio, _ = await overheard(CIMultiDict(FORM), in_pieces(part("model", b"m"), recording(), END))

    assert (audio.model, audio.longest_s) == ("m", inf)


def _upload(length: int, *more: bytes, head: bytes = HEAD) -> bytes:
    head = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + head
    kind = b"Content-Type: multipart/form-data; boundary=xyz\r\n"
    return head + kind + b"".join(more) + b"Content-Length: %d\r\n\r\n" % length


def _uploads(house: House) -> list[RecordedCall]:
    return [call for call in house.simulator.calls if call.method == "POST"]


async def test_no_more_than_the_stated_length_of_an_upload_goes_on(house: House) -> None:
    stated = part("model", b"whisper-large-v3") + recording(b"OggS") + END
    behind = b"GET /healthz HTTP/1.1\r\n" + HEAD + b"\r\n"  # it can only be another request

    async with plugged(house) as (reader, writer):
        writer.write(_upload(len(stated), head=b"Host: localhost\r\n") + stated + behind)
        answers = await reader.read()

    assert answers.count(b"HTTP/1.1 200 ") == 2
    assert [call.raw for call in _uploads(house)] == [stated]


async def test_an_upload_that_ends_before_its_stated_length_is_never_complete(
    house: House,
) -> None:
    whole = part("model", b"whisper-large-v3") + recording(b"OggS") + END

    async with plugged(house) as (reader, writer):
        writer.write(_upload(len(whole) + 1) + whole)
        writer.write_eof()
        answer = await reader.read()
    await house.calls_closed()

    assert b" 200 " not in answer[:20]
    assert [call.status for call in _uploads(house) if call.status] == []


@pytest.mark.parametrize(
    "other", [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 100000\r\n"]
)
async def test_an_upload_that_states_its_length_in_two_ways_is_refused(
    house: House, other: bytes
) -> None:
    async with plugged(house) as (reader, writer):
        writer.write(_upload(5, other) + b"0\r\n\r\n")
        answer = await reader.read()

    assert b" 400 " in answer[:20]
    assert _uploads(house) == []


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
        bodies = Bodies(endpoint, Defaults("d"))
        call = parse_call(envelope(), orjson.dumps(body), ANYONE, bodies)
        assert isinstance(call.body, dict)
