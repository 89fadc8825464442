from typing import Any

import pytest

from tests.conftest import House, Opener
from tests.sdk.conftest import Sdk, open_sdk, told

# What a provider answers -> what the client's SDK raises, with which status and code.
PROVIDER_SAYS = [
    ("sim/status-400", "BadRequestError", 400, None),
    ("sim/status-400-tool_use_failed", "BadRequestError", 400, "tool_use_failed"),
    ("sim/status-401", "InternalServerError", 502, "upstream_auth"),
    ("sim/status-402", "InternalServerError", 503, "no_capacity"),
    ("sim/status-403", "InternalServerError", 502, "upstream_auth"),
    ("sim/status-403-html", "InternalServerError", 502, "upstream_auth"),
    ("sim/status-404", "NotFoundError", 404, "model_not_found"),
    ("sim/status-405", "APIStatusError", 405, None),
    ("sim/status-409", "ConflictError", 409, None),
    ("sim/status-413", "APIStatusError", 413, "request_too_large"),
    ("sim/too-large", "APIStatusError", 413, "rate_limit_exceeded"),
    ("sim/status-415", "APIStatusError", 415, None),
    ("sim/status-422", "UnprocessableEntityError", 422, None),
    ("sim/status-424", "APIStatusError", 424, None),
    ("sim/429-tpm-5", "RateLimitError", 429, "rate_limit_exceeded"),
    ("sim/capacity", "APIStatusError", 498, "capacity_exceeded"),
    ("sim/status-500", "InternalServerError", 502, "upstream_error"),
    ("sim/status-502-html", "InternalServerError", 502, "upstream_error"),
    ("sim/status-503", "InternalServerError", 503, "upstream_error"),
    ("sim/status-504", "InternalServerError", 502, "upstream_error"),
    ("sim/status-529", "InternalServerError", 503, "upstream_error"),
    ("sim/redirect", "InternalServerError", 502, "bad_upstream_response"),
    ("sim/html", "InternalServerError", 502, "bad_upstream_response"),
    ("sim/wrong-content-type", "InternalServerError", 502, "bad_upstream_response"),
    ("sim/empty", "InternalServerError", 502, "bad_upstream_response"),
    ("sim/error-in-200", "InternalServerError", 502, "upstream_error"),
    ("sim/reset", "InternalServerError", 502, "upstream_unreachable"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "raised", "status", "code"), PROVIDER_SAYS)
async def test_a_providers_failure_raises_what_the_contract_implies(
    brand: Sdk, model: str, raised: str, status: int, code: str | None, stream: bool
) -> None:
    with pytest.raises(brand.library.APIStatusError) as caught:
        await brand.chat(model, stream=stream)

    error = caught.value
    assert type(error).__name__ == raised
    assert error.status_code == status
    assert told(error).get("code") == code
    assert told(error)["message"]
    assert error.response.headers["content-type"] == "application/json"
    assert error.response.headers["x-request-id"]


async def test_the_openai_sdk_has_the_errors_parts_as_attributes(house: House) -> None:
    async with open_sdk(house, "openai") as sdk:
        with pytest.raises(sdk.library.BadRequestError) as caught:
            await sdk.chat(messages=[])

    error = caught.value
    assert (error.type, error.code, error.param) == (
        "invalid_request_error",
        "invalid_request",
        "messages",
    )
    assert "at least one message" in error.message
    assert error.request_id == house.seen.opened[-1].id


async def test_the_groq_sdk_has_the_errors_parts_in_its_body(house: House) -> None:
    async with open_sdk(house, "groq") as sdk:
        with pytest.raises(sdk.library.BadRequestError) as caught:
            await sdk.chat(messages=[])

    assert caught.value.body == {
        "error": {
            "message": "'messages' must be a list of at least one message",
            "type": "invalid_request_error",
            "code": "invalid_request",
            "param": "messages",
        }
    }


@pytest.mark.parametrize("name", ["openai", "openai-sync", "groq", "groq-sync"])
async def test_a_bad_provider_key_is_never_the_clients_401(opener: Opener, name: str) -> None:
    keys = [{"name": "bad", "value": "gsk_invalid"}]
    async with opener(groq={"keys": keys}) as house, open_sdk(house, name) as sdk:
        with pytest.raises(sdk.library.InternalServerError) as caught:
            await sdk.chat()

    assert caught.value.status_code == 502
    assert told(caught.value)["code"] == "upstream_auth"
    assert told(caught.value)["type"] == "upstream_error"
    assert "gsk_" not in str(caught.value)
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_used_up_quota_says_how_long_to_wait(brand: Sdk) -> None:
    with pytest.raises(brand.library.RateLimitError) as caught:
        await brand.chat("sim/429-tpm-5")

    headers = caught.value.response.headers
    assert headers["retry-after"] == "5"
    assert headers["x-ratelimit-limit-tokens"]
    assert "x-should-retry" not in headers
    assert "org_***" in told(caught.value)["message"]


async def test_a_quota_that_is_away_for_long_is_not_to_be_waited_for(brand: Sdk) -> None:
    with pytest.raises(brand.library.RateLimitError) as caught:
        await brand.chat("sim/429-tpd-578")

    assert caught.value.response.headers["retry-after"] == "578"
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_a_busy_provider_says_how_long_to_wait(brand: Sdk) -> None:
    with pytest.raises(brand.library.InternalServerError) as caught:
        await brand.chat("sim/status-503-7")

    assert caught.value.response.headers["retry-after"] == "7"


async def test_a_message_never_quotes_the_providers_key(brand: Sdk) -> None:
    with pytest.raises(brand.library.BadRequestError) as caught:
        await brand.chat("sim/echo-key")

    assert "gsk_test" not in caught.value.response.text
    assert "***" in told(caught.value)["message"]


async def test_an_unknown_model_is_the_providers_404(brand: Sdk) -> None:
    with pytest.raises(brand.library.NotFoundError) as caught:
        await brand.chat("no-such-model")

    assert told(caught.value)["code"] == "model_not_found"
    assert "`no-such-model`" in told(caught.value)["message"]


async def test_a_wrong_method_is_a_405(brand: Sdk, house: House) -> None:
    with pytest.raises(brand.library.APIStatusError) as caught:
        await brand.client.get(f"{house.url}/v1/chat/completions", cast_to=object)

    assert caught.value.status_code == 405
    assert told(caught.value)["code"] == "method_not_allowed"


async def test_a_body_that_does_not_call_itself_json_is_a_415(brand: Sdk) -> None:
    with pytest.raises(brand.library.APIStatusError) as caught:
        await brand.chat(extra_headers={"Content-Type": "text/plain"})

    assert caught.value.status_code == 415
    assert told(caught.value)["code"] == "unsupported_media_type"


@pytest.mark.parametrize("name", ["openai", "groq"])
async def test_a_body_over_the_limit_is_a_413(opener: Opener, name: str) -> None:
    async with opener(limits={"body": 1000}) as house, open_sdk(house, name) as sdk:
        with pytest.raises(sdk.library.APIStatusError) as caught:
            await sdk.chat(messages=[{"role": "user", "content": "a" * 2000}])

    assert caught.value.status_code == 413
    assert told(caught.value)["code"] == "request_too_large"


@pytest.mark.parametrize("name", ["groq", "groq-sync"])
async def test_a_groq_client_with_a_doubled_base_url_is_told_of_its_mistake(
    house: House, name: str
) -> None:
    async with open_sdk(house, name, at="/openai/v1") as sdk:
        with pytest.raises(sdk.library.NotFoundError) as caught:
            await sdk.chat()

    assert "/openai/v1 twice" in told(caught.value)["message"]
    assert "base_url" in str(caught.value)


async def _broken_stream(sdk: Sdk, model: str) -> tuple[list[Any], Any]:
    """The chunks that came before a stream broke, and what it then raised."""
    chunks = []
    try:
        async for chunk in await sdk.chat(model, stream=True):
            chunks.append(chunk)  # noqa: PERF401 - a comprehension would lose them
    except sdk.library.APIError as error:
        return chunks, error
    pytest.fail("the stream looked complete")


@pytest.mark.parametrize("model", ["sim/error-event-after-5", "sim/error-event-after-5-unnamed"])
async def test_an_error_event_in_a_stream_is_raised_with_our_words(brand: Sdk, model: str) -> None:
    chunks, error = await _broken_stream(brand, model)

    assert len(chunks) == 5
    assert error.message == "groq failed with status 500: Internal Server Error"
    assert error.body["code"] == "upstream_error"
    assert error.body["type"] == "upstream_error"


@pytest.mark.parametrize("how", ["reset", "eof", "clean_end"])
async def test_a_stream_that_is_cut_is_raised_and_never_looks_complete(
    brand: Sdk, house: House, how: str
) -> None:
    chunks, error = await _broken_stream(brand, f"sim/cut-after-5-{how}")

    assert len(chunks) == 5
    assert error.body["code"] == "stream_interrupted"
    assert error.body["type"] == "upstream_error"
    assert "groq" in error.message
    await house.calls_closed()
    assert house.seen.calls[-1].outcome == "upstream_error"


async def test_the_openai_sdk_has_the_code_of_an_error_in_a_stream(house: House) -> None:
    async with open_sdk(house, "openai") as sdk:
        _, error = await _broken_stream(sdk, "sim/cut-after-5")

    assert error.code == "stream_interrupted"


async def test_a_stream_cut_before_its_first_content_is_still_a_status(brand: Sdk) -> None:
    with pytest.raises(brand.library.InternalServerError) as caught:
        await brand.chat("sim/cut-after-1", stream=True)

    assert caught.value.status_code == 502


@pytest.mark.parametrize("name", ["openai", "groq"])
async def test_a_body_far_over_the_limit_is_a_413_and_no_broken_connection(
    house: House, name: str
) -> None:
    async with open_sdk(house, name) as sdk:
        with pytest.raises(sdk.library.APIStatusError) as caught:
            await sdk.chat(messages=[{"role": "user", "content": "a" * 11_000_000}])

    assert caught.value.status_code == 413
    assert told(caught.value)["code"] == "request_too_large"
