import inspect
import io
from typing import Any

import pytest

from tests.conftest import House
from tests.sdk.conftest import OWN_KEY, Sdk, open_sdk

# All that a provider may learn from headers; framing included.
OUTGOING = {
    "accept",
    "accept-encoding",
    "authorization",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
}
OF_THE_CLIENT = {
    "Cookie": "session=secret-cookie",
    "Forwarded": "for=10.1.2.3",
    "Helicone-Cache-Enabled": "false",
    "OpenAI-Organization": "org-secret",
    "OpenAI-Project": "proj-secret",
    "Referer": "https://secret.example",
    "X-Api-Key": "secret-api-key",
    "X-Forwarded-For": "10.1.2.3",
    "X-Real-Ip": "10.1.2.3",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "x-proxy-cache": "off",
    "x-proxy-timeout-ms": "9000",
    "x-portkey-cache-force-refresh": "true",
    "x-request-id": "secret-request-id",
}
NOISE = ("set-cookie", "server", "via", "alt-svc", "cf-ray", "cf-cache-status")


def _check_outgoing(house: House) -> None:
    headers = house.simulator.calls[-1].headers
    assert headers.keys() <= OUTGOING
    assert headers["authorization"] == "Bearer gsk_test"
    assert headers["user-agent"].startswith("groq-proxy/")
    everything = " ".join(headers.values())
    assert OWN_KEY not in everything
    assert "secret" not in everything


async def test_nothing_of_the_clients_headers_reaches_the_provider(sdk: Sdk, house: House) -> None:
    await sdk.chat(extra_headers=OF_THE_CLIENT)

    _check_outgoing(house)


async def test_nothing_of_a_streams_headers_reaches_the_provider(brand: Sdk, house: House) -> None:
    await brand.chunks(extra_headers=OF_THE_CLIENT)

    _check_outgoing(house)


async def test_nothing_of_an_uploads_headers_reaches_the_provider(brand: Sdk, house: House) -> None:
    await brand.client.audio.transcriptions.create(
        model="whisper-large-v3", file=("a.wav", io.BytesIO(b"x")), extra_headers=OF_THE_CLIENT
    )

    _check_outgoing(house)


async def test_nothing_of_a_gets_headers_reaches_the_provider(brand: Sdk, house: House) -> None:
    await brand.client.files.list(extra_headers=OF_THE_CLIENT)

    _check_outgoing(house)


async def test_a_clients_query_does_not_reach_the_provider(brand: Sdk, house: House) -> None:
    await brand.chat(extra_query={"api_key": "secret", "limit": "1"})

    assert house.simulator.calls[-1].path == "/openai/v1/chat/completions"


async def test_the_field_that_speaks_to_us_does_not_reach_the_provider(
    brand: Sdk, house: House
) -> None:
    await brand.chat(extra_body={"cache": {"no-cache": True}})

    assert "cache" not in house.simulator.calls[-1].body


async def test_raw_responses_tell_what_the_provider_and_we_have_to_say(
    sdk: Sdk, house: House
) -> None:
    raw = await sdk.raw_chat()
    parsed = raw.parse()
    answer = await parsed if inspect.isawaitable(parsed) else parsed

    headers = raw.headers
    assert raw.status_code == 200
    assert headers["x-request-id"] == house.simulator.calls[-1].request_id
    assert headers["x-request-id"] == answer.x_groq.id if sdk.library.__name__ == "groq" else True
    assert headers["x-proxy-request-id"] == house.seen.opened[-1].id
    assert headers["x-proxy-served-by"] == "groq/openai/gpt-oss-20b"
    assert headers["x-groq-region"] == "sim"
    for what in ("requests", "tokens"):
        assert int(headers[f"x-ratelimit-limit-{what}"]) > 0
        assert int(headers[f"x-ratelimit-remaining-{what}"]) > 0
        assert headers[f"x-ratelimit-reset-{what}"].endswith("s")


async def test_the_openai_sdk_keeps_the_providers_request_id(house: House) -> None:
    async with open_sdk(house, "openai") as sdk:
        answer = await sdk.chat()

    assert answer._request_id == house.simulator.calls[-1].request_id


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("openai/gpt-oss-20b", {}),
        ("openai/gpt-oss-20b", {"stream": True}),
        ("sim/status-400", {}),
        ("sim/status-503", {}),
    ],
    ids=["whole", "streamed", "refused", "failed"],
)
async def test_the_noise_of_the_providers_edge_does_not_reach_the_client(
    brand: Sdk, house: House, model: str, options: dict[str, Any]
) -> None:
    try:
        headers = (await brand.raw_chat(model, **options)).headers
    except brand.library.APIStatusError as error:
        headers = error.response.headers

    assert headers["x-request-id"] == house.simulator.calls[-1].request_id
    assert not [name for name in NOISE if name in headers]
    assert not [name for name in headers if name.startswith("cf-")]


async def test_two_clients_do_not_share_cookies(brand: Sdk, house: House) -> None:
    for _ in range(2):
        await brand.chat()

    assert "cookie" not in house.simulator.calls[-1].headers
