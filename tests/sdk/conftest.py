"""The real SDKs, sync and async, behind one face: a test tells its story once for all of them."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import groq
import openai
import pytest

from tests.conftest import QUESTION, House

MODEL = "openai/gpt-oss-20b"
OWN_KEY = "sk-of-the-client"

_SDKS: dict[str, tuple[ModuleType, Any, Any, str]] = {
    "openai": (openai, openai.OpenAI, openai.AsyncOpenAI, "/v1"),
    "groq": (groq, groq.Groq, groq.AsyncGroq, ""),
}


@dataclass(frozen=True, slots=True)
class Sdk:
    """One client of one SDK. Sync ones run in a thread, as in their users' programs."""

    library: ModuleType  # openai or groq, for its exceptions
    client: Any
    threaded: bool

    async def ask(self, method: Callable[..., Any], *args: Any, **fields: Any) -> Any:
        """What `method` of the client gives."""
        if self.threaded:
            return await asyncio.to_thread(method, *args, **fields)
        return await method(*args, **fields)

    async def chat(self, model: str = MODEL, **fields: Any) -> Any:
        """A chat completion, whole."""
        fields.setdefault("messages", QUESTION)
        return await self.ask(self.client.chat.completions.create, model=model, **fields)

    async def raw_chat(self, model: str = MODEL, **fields: Any) -> Any:
        """The raw response of a chat completion."""
        create = self.client.chat.completions.with_raw_response.create
        return await self.ask(create, model=model, messages=QUESTION, **fields)

    async def chunks(self, model: str = MODEL, **fields: Any) -> list[Any]:
        """The chunks of a streamed chat completion, read to its end."""
        fields.setdefault("messages", QUESTION)
        create = self.client.chat.completions.create
        if self.threaded:
            return await asyncio.to_thread(lambda: list(create(model=model, stream=True, **fields)))
        return [chunk async for chunk in await create(model=model, stream=True, **fields)]


def told(error: Any) -> dict[str, Any]:
    """The error object that a client was told: openai gives the inner one, groq the whole body."""
    return error.body.get("error", error.body)


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def read(response: Any) -> bytes:
    """The bytes of a binary answer, which each SDK hands out in a way of its own."""
    content = response.read()
    return await content if inspect.isawaitable(content) else content


@asynccontextmanager
async def open_sdk(
    house: House, name: str = "openai", *, at: str | None = None, **options: Any
) -> AsyncIterator[Sdk]:
    """A client by the name of its SDK (`openai`, `groq`; `-sync`), with that SDK's own base_url."""
    brand, _, kind = name.partition("-")
    library = {"openai": openai, "groq": groq}[brand]
    maker = getattr(
        library, ("" if kind else "Async") + {"openai": "OpenAI", "groq": "Groq"}[brand]
    )
    path = {"openai": "/v1", "groq": ""}[brand] if at is None else at
    client = maker(
        base_url=house.url + path, api_key=OWN_KEY, **{"max_retries": 0, "timeout": 10, **options}
    )
    try:
        yield Sdk(library, client, threaded=bool(kind))
    finally:
        closed = client.close()
        if inspect.isawaitable(closed):
            await closed


@pytest.fixture(
    params=[
        ("openai", "/v1"),
        ("openai", "/openai/v1"),
        ("openai-sync", "/v1"),
        ("openai-sync", "/openai/v1"),
        ("groq", ""),
        ("groq-sync", ""),
    ],
    ids=lambda param: f"{param[0]}:{param[1]}",
)
async def sdk(request: pytest.FixtureRequest, house: House) -> AsyncIterator[Sdk]:
    """Every SDK, sync and async, with every base_url that we promise."""
    name, at = request.param
    async with open_sdk(house, name, at=at) as opened:
        yield opened


@pytest.fixture(params=["openai", "groq"])
async def brand(request: pytest.FixtureRequest, house: House) -> AsyncIterator[Sdk]:
    """Each SDK once, for what cannot depend on threads or the base_url."""
    async with open_sdk(house, request.param) as opened:
        yield opened
