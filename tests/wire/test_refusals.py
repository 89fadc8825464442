import math
from datetime import UTC, datetime
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
    TooLargeForQuota,
    UpstreamError,
)
from proxy.wire.refusals import (
    as_event,
    clean,
    failure_inside,
    refusal,
    retry_after_s,
)

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


def google(status: str, message: str = "m", *details: Any, code: int = 400) -> dict[str, Any]:
    """An error in Google's shape."""
    return {"error": {"code": code, "message": message, "status": status, "details": [*details]}}


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}


def violated(quota: str) -> dict[str, Any]:
    """The detail that names a quota, of one model and project on the free tier."""
    kind = "type.googleapis.com/google.rpc.QuotaFailure"
    return {"@type": kind, "violations": [{"quotaId": f"GenerateRequests{quota}-FreeTier"}]}


PER_MINUTE = violated("PerMinutePerProjectPerModel")
PER_DAY = violated("PerDayPerProjectPerModel")


@pytest.mark.parametrize(
    ("status", "word", "kind", "seen", "code"),
    [
        (400, "INVALID_ARGUMENT", Refused, 400, "invalid_argument"),
        (400, "FAILED_PRECONDITION", KeyRejected, 502, "upstream_auth"),
        (401, "UNAUTHENTICATED", KeyRejected, 502, "upstream_auth"),
        (403, "PERMISSION_DENIED", KeyRejected, 502, "upstream_auth"),
        (404, "NOT_FOUND", Refused, 404, "model_not_found"),
        (429, "RESOURCE_EXHAUSTED", QuotaExhausted, 429, "rate_limit_exceeded"),
        (500, "INTERNAL", ServerFailed, 502, "upstream_error"),
        (503, "UNAVAILABLE", ServerFailed, 503, "upstream_error"),
        (504, "DEADLINE_EXCEEDED", ServerFailed, 502, "upstream_error"),
    ],
)
@pytest.mark.parametrize("listed", [True, False])
def test_googles_errors_are_told_in_openais_shape(
    status: int, word: str, kind: type[UpstreamError], seen: int, code: str, listed: bool
) -> None:
    body = google(word, code=status)

    error = refused(status, [body] if listed else body)

    assert type(error) is kind
    assert (error.status, error.code) == (seen, code)
    told_to_client = orjson.loads(error.body())["error"]
    assert told_to_client.keys() == {"message", "type", "code", "param"}
    assert told_to_client["code"] == code


def test_a_field_that_gemini_does_not_know_is_named() -> None:
    message = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'

    error = refused(400, [google("INVALID_ARGUMENT", message)])

    assert orjson.loads(error.body()) == {
        "error": {
            "message": message,
            "type": "invalid_request_error",
            "code": "invalid_argument",
            "param": "seed",
        }
    }


@pytest.mark.parametrize(
    "body",
    [
        google("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", BAD_KEY),
        google("INVALID_ARGUMENT", "something else", BAD_KEY),
        google("INVALID_ARGUMENT", "Please pass a valid API key."),
        google("INVALID_ARGUMENT", "API key expired. Please renew the API key."),
        google("INVALID_ARGUMENT", "API Key not found. Please pass a valid API key."),
    ],
)
def test_geminis_400_about_a_key_is_a_rejected_key(body: Any) -> None:
    for shape in (body, [body]):
        error = refused(400, shape)
        assert type(error) is KeyRejected
        assert "alid" not in error.message


@pytest.mark.parametrize(
    "body",
    [
        google("INVALID_ARGUMENT", 'Unknown name "API key not valid": Cannot find field.'),
        google("INVALID_ARGUMENT", "m", {"reason": "BAD_FIELD"}, 7, "API_KEY_INVALID"),
        google("invalid_argument", "API key not valid"),
        told(message="API key not valid", code=400),
    ],
)
def test_what_a_client_wrote_about_keys_does_not_reject_ours(body: Any) -> None:
    assert type(refused(400, body)) is Refused


@pytest.mark.parametrize(
    ("details", "seen", "retryable"),
    [
        ([PER_MINUTE, RETRY], "35", False),
        ([PER_MINUTE, {**RETRY, "retryDelay": "9s"}], "9", None),
        ([PER_MINUTE], "1", None),
        ([{**RETRY, "retryDelay": "soon"}], "1", None),
        ([{**RETRY, "retryDelay": "99999999s"}], "1", None),
        ([7, {"violations": [7, {}]}, {"retryDelay": 7}], "1", None),
    ],
)
def test_geminis_429_asks_for_the_wait_in_its_details(
    details: list[Any], seen: str, retryable: bool | None
) -> None:
    error = refused(429, [google("RESOURCE_EXHAUSTED", "quota", *details, code=429)])

    assert (error.headers["retry-after"], error.retryable) == (seen, retryable)


@pytest.mark.parametrize(
    ("utc", "hours"),
    [
        ((2026, 11, 21, 12), 20),  # 4:00 there
        ((2026, 7, 1, 12), 19),  # 5:00 in summer
        ((2026, 11, 21, 8), 24),
        ((2026, 11, 1, 7), 25),  # the day on which summer ends
    ],
)
def test_geminis_quota_of_a_day_is_back_at_midnight_in_california(
    utc: tuple[int, int, int, int], hours: int
) -> None:
    body = orjson.dumps([google("RESOURCE_EXHAUSTED", "quota", PER_MINUTE, PER_DAY, RETRY)])
    wall = datetime(*utc, tzinfo=UTC).timestamp()

    error = refusal(429, {}, body, provider="gemini", wall=wall)

    assert error.headers["retry-after"] == str(hours * 3600)
    assert error.retryable is False
    assert error.shortage.until_day_end


@pytest.mark.parametrize(
    ("message", "headers", "wait_s"),
    [
        ("Please try again in 7m12.5s. Need more tokens?", {}, 432.5),
        ("Please try again in 18.42s.", {}, 18.42),
        ("Please try again in 547ms.", {}, 0.547),
        ("Please try again in 9m38.016s.", {"retry-after": "5"}, 5),
        ("Please try again in 18.42s.", {"retry-after": "nan"}, 18.42),
        ("Please try again in 99999h.", {}, None),
        ("Please try again later.", {}, None),
        (7, {}, None),
        (None, {}, None),
    ],
)
def test_a_wait_is_read_from_the_text_where_no_header_says_it(
    message: Any, headers: dict[str, str], wait_s: float | None
) -> None:
    body = orjson.dumps(told(message=message))

    error = refusal(429, headers, body, provider="groq", wall=NOW)

    # Our books take the text's word first, as it is more exact.
    exact_s = 578.016 if "9m38" in str(message) else wait_s
    assert error.shortage.wait_s == (None if exact_s is None else pytest.approx(exact_s, abs=1e-9))
    assert error.headers["retry-after"] == str(math.ceil(wait_s or 1))
    assert error.retryable is (False if wait_s is not None and wait_s > 30 else None)


@pytest.mark.parametrize("code", ["blocked_api_access", "organization_restricted"])
@pytest.mark.parametrize("status", [400, 403])
def test_an_organisation_that_groq_has_closed_has_no_capacity(code: str, status: int) -> None:
    error = refused(status, told(message=f"Organization {ORG} is restricted", code=code))

    assert type(error) is NoCapacity
    assert ORG not in error.body().decode()


def test_a_call_that_is_larger_than_a_quota_is_told_apart_from_one_that_is_too_long() -> None:
    text = f"Request too large for model `M` in organization `{ORG}` on tokens per minute (TPM)"

    quota = refused(413, told(message=text, type="tokens", code="rate_limit_exceeded"))
    size = refused(413, told(message="body too large"))

    assert (type(quota), quota.status, quota.retryable) == (TooLargeForQuota, 413, False)
    assert quota.code == "rate_limit_exceeded"
    assert ORG.encode() not in quota.body()
    assert (type(size), size.status) == (Refused, 413)


def test_ollamas_missing_model_gets_the_code_that_it_lacks() -> None:
    stated = {
        "message": 'model "x" not found, try pulling it first',
        "type": "not_found_error",
        "param": None,
        "code": None,
    }

    error = refused(404, {"error": stated})

    assert error.code == "model_not_found"
    assert orjson.loads(error.body()) == {"error": {**stated, "code": "model_not_found"}}


def test_googles_error_inside_an_answer_is_what_its_code_says() -> None:
    body = orjson.dumps(google("UNAVAILABLE", "overloaded", code=503))

    error = failure_inside(body, provider="gemini")

    assert (type(error), error.status) == (ServerFailed, 503)


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
