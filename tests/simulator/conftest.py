"""A simulator on loopback with both SDKs and a bare HTTP client around it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp
import groq
import openai
import pytest
from groq import AsyncGroq
from openai import AsyncOpenAI

from proxy.simulator.app import Simulator
from proxy.simulator.calls import RecordedCall
from proxy.simulator.clock import Clock, VirtualClock
from proxy.simulator.scenario import parse
from proxy.simulator.settings import SimulatorSettings

MODEL = "openai/gpt-oss-20b"


def asking(text: str = "Why is the sky blue?", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **more}


@dataclass
class Town:
    """Everything that a test of the whole simulator needs."""

    simulator: Simulator
    http: aiohttp.ClientSession
    stack: AsyncExitStack
    key: str = "gsk_test"

    # Made when first used, and without certificates: loading those costs more than most tests.
    @cached_property
    def groq(self) -> AsyncGroq:
        http = groq.DefaultAsyncHttpxClient(verify=False)
        url = self.simulator.origin
        client = AsyncGroq(api_key="gsk_test", base_url=url, max_retries=0, http_client=http)
        self.stack.push_async_callback(client.close)
        return client

    @cached_property
    def openai(self) -> AsyncOpenAI:
        http = openai.DefaultAsyncHttpxClient(verify=False)
        url = self.simulator.base_url
        client = AsyncOpenAI(api_key=self.key, base_url=url, max_retries=0, http_client=http)
        self.stack.push_async_callback(client.close)
        return client

    @property
    def last(self) -> RecordedCall:
        return self.simulator.calls[-1]

    async def arrived(self, count: int = 1) -> None:
        """Wait until so many calls have come in."""
        async with asyncio.timeout(5):
            while len(self.simulator.calls) < count:  # noqa: ASYNC110 - it has no bell for tests
                await asyncio.sleep(0)

    async def post(
        self, path: str, body: Any, key: str | None = None, **more: Any
    ) -> tuple[int, Any, Any]:
        """Give status, headers and JSON of an answer."""
        sent = {"data": body} if isinstance(body, bytes) else {"json": body}
        url = self.simulator.base_url + path
        shown = self.key if key is None else key
        headers = {"authorization": f"Bearer {shown}", **more}
        async with self.http.post(url, headers=headers, **sent) as answer:
            return answer.status, answer.headers, await answer.json(content_type=None)


@asynccontextmanager
async def opened(
    settings: SimulatorSettings | None = None, clock: Clock | None = None, key: str = "gsk_test"
) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        simulator = Simulator(settings, clock=clock or VirtualClock(auto=True))
        await stack.enter_async_context(simulator.serve())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Town(simulator, http, stack, key)


def scripted(*rules: dict[str, Any]) -> SimulatorSettings:
    return SimulatorSettings(scenario=parse({"rules": list(rules)}))


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    async with opened() as town:
        yield town
