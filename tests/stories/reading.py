"""What a client makes of an answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
from openai import AsyncOpenAI

from tests.conftest import House


async def error_of(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The error in an answer, whose shape is checked."""
    assert answer.content_type == "application/json"
    told: dict[str, Any] = orjson.loads(await answer.read())
    assert told.keys() == {"error"}
    assert told["error"].keys() >= {"message", "type"}  # a provider's own may lack the others
    error: dict[str, Any] = told["error"]
    return error


async def events_of(answer: aiohttp.ClientResponse) -> list[Any]:
    """The events of a stream, each checked to be one clean `data:` line; `[DONE]` stays text."""
    assert answer.status == 200
    assert answer.content_type == "text/event-stream"
    text = await answer.text()
    assert text.endswith("\n\n")
    blocks = text.removesuffix("\n\n").split("\n\n")
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
    payloads = [block.removeprefix("data: ") for block in blocks]
    return [p if p == "[DONE]" else orjson.loads(p) for p in payloads]


def content_of(events: list[Any]) -> str:
    """The text that a stream's events add up to."""
    deltas = [c["delta"] for e in events if isinstance(e, dict) for c in e.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


@asynccontextmanager
async def openai_sdk(house: House) -> AsyncIterator[AsyncOpenAI]:
    """The official client, which does not try again by itself."""
    async with AsyncOpenAI(api_key="unused", base_url=f"{house.url}/v1", max_retries=0) as client:
        yield client
