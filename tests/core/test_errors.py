import orjson
import pytest

from proxy.core.errors import (
    BudgetExhausted,
    CallerError,
    InvalidRequest,
    NotCached,
    Outcome,
    OutOfTokens,
    ProxyError,
    RateLimited,
    Refused,
    Result,
    TooSlow,
    Unpriceable,
    UpstreamError,
)


def below(kind: type[ProxyError]) -> list[type[ProxyError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in below(child))]


@pytest.mark.parametrize("kind", below(ProxyError), ids=lambda kind: kind.__name__)
def test_every_error_has_openais_shape_and_a_known_outcome(kind: type[ProxyError]) -> None:
    error = kind("what happened", param="p")

    told = orjson.loads(error.body())["error"]

    assert told == {
        "message": "what happened",
        "type": error.type,
        "code": error.code,
        "param": "p",
    }
    assert isinstance(error.code, str)
    assert error.outcome in Outcome


@pytest.mark.parametrize("kind", below(CallerError)[1:], ids=lambda kind: kind.__name__)
def test_what_a_client_did_wrong_is_no_5xx_unless_http_says_so_and_never_worth_a_retry(
    kind: type[CallerError],
) -> None:
    if kind is NotCached:
        assert kind.status == 504  # RFC 9111, only-if-cached
    else:
        assert 400 <= kind.status < 500
    assert kind.retryable is (None if kind in {TooSlow, RateLimited, OutOfTokens} else False)
    ours = kind in {RateLimited, OutOfTokens, BudgetExhausted, Unpriceable}
    assert kind.outcome is (Outcome.REJECTED if ours else Outcome.CLIENT_ERROR)


@pytest.mark.parametrize("kind", below(UpstreamError), ids=lambda kind: kind.__name__)
def test_what_a_provider_did_wrong_has_a_result_and_a_kind(kind: type[UpstreamError]) -> None:
    error = kind("x")

    assert isinstance(error, UpstreamError)
    assert error.result in set(Result) - {Result.OK, Result.CANCELLED}
    assert error.kind.isidentifier()
    assert error.status not in {401, 403}


def test_a_code_of_its_own_stays_with_one_error() -> None:
    assert InvalidRequest("x", code="mine").code == "mine"
    assert InvalidRequest("x").code == "invalid_request"


def test_headers_belong_to_one_error() -> None:
    given = {"retry-after": "1"}
    error = ProxyError("x", headers=given)
    error.headers["x"] = "y"

    assert given == {"retry-after": "1"}
    assert ProxyError("x").headers == {}


def test_a_refusal_shows_the_providers_body_where_it_has_one() -> None:
    error = Refused("x")
    assert orjson.loads(error.body())["error"]["message"] == "x"

    error.passed_on = b'{"error":{}}'
    assert error.body() == b'{"error":{}}'
