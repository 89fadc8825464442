import math
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import (
    BadAnswer,
    InvalidRequest,
    KeyRejected,
    NoCapacity,
    QuotaExhausted,
    Refused,
    ServerFailed,
    TierFull,
    UpstreamError,
)
from proxy.wire.refusals import as_event, clean, refusal, retry_after_s

NOW = 1_800_000_000.0
ORG = "org_01kfk38f6bebmb6c6xst"
KEY = "gsk_abcdefghijklmnop"


def refused(status: int, body: Any = b"", **headers: str) -> UpstreamError:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    stated = {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(status, stated, data, provider="groq", wall=NOW, secret="s3cret-s3cret")


def told(**error: Any) -> dict[str, Any]:
    return {"error": {"message": "m", "type": "t", **error}}


@pytest.mark.parametrize(
    ("status", "kind", "seen", "code"),
    [
        (500, ServerFailed, 502, "upstream_error"),
        (501, ServerFailed, 502, "upstream_error"),
        (502, ServerFailed, 502, "upstream_error"),
        (503, ServerFailed, 503, "upstream_error"),
        (504, ServerFailed, 502, "upstream_error"),
        (529, ServerFailed, 503, "upstream_error"),
        (429, QuotaExhausted, 429, "rate_limit_exceeded"),
        (402, NoCapacity, 503, "no_capacity"),
        (401, KeyRejected, 502, "upstream_auth"),
        (403, KeyRejected, 502, "upstream_auth"),
        (400, Refused, 400, "upstream_refused"),
        (404, Refused, 404, "upstream_refused"),
        (413, Refused, 413, "upstream_refused"),
        (422, Refused, 422, "upstream_refused"),
        (424, Refused, 424, "upstream_refused"),
        (498, TierFull, 498, "capacity_exceeded"),
        (301, BadAnswer, 502, "bad_upstream_response"),
        (307, BadAnswer, 502, "bad_upstream_response"),
        (204, BadAnswer, 502, "bad_upstream_response"),
        (206, BadAnswer, 502, "bad_upstream_response"),
    ],
)
@pytest.mark.parametrize("body", [told(), told(code=None), b"", b"<html>sorry</html>"])
def test_each_status_becomes_what_the_client_may_see(
    status: int, kind: type[UpstreamError], seen: int, code: str, body: Any
) -> None:
    error = refused(status, body)

    assert type(error) is kind
    assert (error.status, error.code) == (seen, code)


@pytest.mark.parametrize("status", [400, 403, 429])
@pytest.mark.parametrize("place", ["type", "code"])
def test_an_account_that_is_used_up_is_our_trouble_by_whatever_status(
    status: int, place: str
) -> None:
    error = refused(status, told(**{place: "insufficient_quota"}))

    assert (type(error), error.status, error.code) == (NoCapacity, 503, "no_capacity")


@pytest.mark.parametrize("status", [400, 404, 413, 422, 424, 498])
def test_a_providers_judgement_is_passed_on_as_it_is(status: int) -> None:
    body = orjson.dumps(told(code="json_validate_failed", failed_generation="{", schema_path=[1]))

    error = refused(status, body)

    assert error.body() == body
    assert error.code == "json_validate_failed"


def test_geminis_list_is_understood() -> None:
    body = [told(message="API key expired", code=400, status="INVALID_ARGUMENT")]

    error = refused(400, body)

    assert (error.message, error.code) == ("API key expired", "400")
    assert orjson.loads(error.body()) == body


def test_an_error_that_is_only_a_text_is_understood() -> None:
    assert refused(404, {"error": "model not found"}).message == "model not found"


@pytest.mark.parametrize(
    "body", [b"<html>502</html>", b"error code: 1010", b"", b"[]", b"7", b'{"a":1}']
)
def test_a_body_without_an_error_object_is_not_shown(body: bytes) -> None:
    for status in (400, 429, 500):
        error = refused(status, body)
        assert set(orjson.loads(error.body())["error"]) == {"message", "type", "code", "param"}
        assert str(status) in error.message


def test_a_failing_servers_own_words_are_told() -> None:
    assert "over capacity" in refused(503, told(message="over capacity")).message


def test_a_rejected_keys_own_words_are_not_told() -> None:
    error = refused(401, told(message=f"Invalid API Key {KEY}", code="invalid_api_key"))

    assert orjson.loads(error.body())["error"]["code"] == "upstream_auth"
    assert "Invalid" not in error.message
    assert error.retryable is False


@pytest.mark.parametrize(
    "leak", [ORG, KEY, "sk-proj-abc_def-123", "AIzaSyA1234567", "Bearer abcdef", "s3cret-s3cret"]
)
@pytest.mark.parametrize("around", ["{}", "in `{}`.", "\n{}\n", '"{}"', "a\t{}", "({})"])
@pytest.mark.parametrize("status", [400, 429, 503])
def test_keys_and_organisations_are_shown_nowhere(status: int, around: str, leak: str) -> None:
    text = f"for {around.format(leak)} on tokens"

    error = refused(status, told(message=text, type=text, code=text, param=text))

    bare = leak.removeprefix("Bearer ")
    assert bare not in error.message
    assert bare not in error.code
    assert bare.encode() not in error.body()
    assert orjson.loads(error.body())["error"]["message"]


def test_other_words_stay() -> None:
    text = "Rate limit reached for model `openai/gpt-oss-20b`. Please try again in 18.42s."

    assert clean(text, "s3cret") == text


@pytest.mark.parametrize("message", [None, 7, [], {}, ""])
@pytest.mark.parametrize("code", [None, 7, [], {}, "", "a\nb", "x" * 100, "a b"])
@pytest.mark.parametrize("status", [400, 401, 402, 429, 500])
def test_odd_messages_and_codes_still_make_an_error(status: int, message: Any, code: Any) -> None:
    error = refused(status, told(message=message, code=code, type=code))

    assert error.message
    assert error.code.isascii()
    assert "\n" not in error.code
    assert len(error.code) <= 64


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": formatdate(NOW + 90, usegmt=True)}, 90),
        ({"retry-after": formatdate(NOW - 90, usegmt=True)}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": str(30 * 86_400)}, 30 * 86_400),
        ({"retry-after": str(30 * 86_400 + 1)}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 99 Foo 2026 99:99:99 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 9),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after-ms": "nan"}, None),
    ],
)
def test_a_wait_is_read_in_all_its_forms_and_absurd_ones_are_none(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert retry_after_s(headers, NOW) == wait_s


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,5} [\d:+-]{0,12} ?\w{0,4}"))
def test_any_retry_after_is_a_sane_wait_or_none(stated: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait_s = retry_after_s({name: stated}, NOW)
        assert wait_s is None or 0 <= wait_s <= 30 * 86_400


@pytest.mark.parametrize(
    ("stated", "seen", "retryable"),
    [
        ("0.2", "1", None),
        ("30", "30", None),
        ("30.5", "31", False),
        ("600", "600", False),
        ("-1", "1", None),
        ("nan", "1", None),
    ],
)
def test_a_429_carries_a_whole_number_of_seconds_and_says_if_waiting_helps(
    stated: str, seen: str, retryable: bool | None
) -> None:
    error = refused(429, told(), retry_after=stated)

    assert error.headers["retry-after"] == seen
    assert error.retryable is retryable


def test_a_failing_server_may_ask_to_be_left_alone() -> None:
    assert refused(503, told(), retry_after="2.5").headers == {"retry-after": "3"}
    assert refused(503, told(), retry_after="nan").headers == {}


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (413, False), (498, None)])
def test_only_a_full_tier_may_be_tried_again(status: int, retryable: bool | None) -> None:
    assert refused(status, told()).retryable is retryable


@given(st.integers(200, 599), st.binary(max_size=80), st.text(max_size=12))
def test_any_refusal_becomes_a_sound_error(status: int, body: bytes, wait: str) -> None:
    error = refused(status, body, retry_after=wait)

    assert 400 <= error.status < 600
    assert error.status != 401
    assert orjson.loads(error.body())["error"]
    assert all(math.isfinite(float(value)) for value in error.headers.values())


def test_an_error_as_an_event_is_one_data_line() -> None:
    event = as_event(InvalidRequest("two\n\nlines", param="p"))

    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}}\n\n")
    assert event.count(b"\n") == 2
