"""What every refusal looks like, and how to send a body as it is."""

from typing import Any

import aiohttp
import orjson

from tests.conftest import House

CHAT = "/v1/chat/completions"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
JSON = "application/json"


async def send(
    house: House,
    body: Any,
    *,
    path: str = CHAT,
    kind: str = JSON,
    **headers: str,
) -> aiohttp.ClientResponse:
    """Post a body, bytes or what becomes JSON; the answer is read."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await house.session.post(
        house.url + path, data=data, headers={"Content-Type": kind, **headers}
    )
    await answer.read()
    return answer


async def refusal(answer: aiohttp.ClientResponse, status: int, code: str) -> dict[str, Any]:
    """The error in an answer, which must be one of ours in OpenAI's shape."""
    assert answer.status == status, await answer.text()
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-request-id"] == answer.headers["x-proxy-request-id"]
    error: dict[str, Any] = orjson.loads(await answer.read())["error"]
    assert error.keys() == {"message", "type", "code", "param"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["message"]
    return error


def chats(house: House) -> int:
    """How many chats reached the provider."""
    return sum(call.path.endswith("/chat/completions") for call in house.simulator.calls)
