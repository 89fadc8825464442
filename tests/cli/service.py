"""`serve` as users run it: a process, what it says, and how it is asked and ended."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.cli.commands import clean_environment
from tests.conftest import QUESTION

PATIENCE_S = 20


@dataclass
class Service:
    """A running `groq-proxy serve`."""

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    url: str = ""
    said: str = ""

    async def hear(self, word: str) -> None:
        """Read what it says on stderr until `word` came."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_S):
            while word not in self.said:
                line = (await self.process.stderr.readline()).decode()
                assert line, f"it ended, saying: {self.said}"
                self.said += line

    async def hear_address(self) -> None:
        """Read until it tells where it serves."""
        await self.hear("groq-proxy serves at ")
        self.url = self.said.partition("groq-proxy serves at ")[2].split()[0]

    async def chat(self) -> aiohttp.ClientResponse:
        """Post the one question; each time a provider is asked."""
        url, body = f"{self.url}/v1/chat/completions", {"messages": QUESTION}
        answer = await self.session.post(url, json=body, headers={"x-proxy-cache": "off"})
        await answer.read()
        return answer

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def serving(directory: Path, *args: str, shell: str = 'exec "$@"') -> AsyncIterator[Service]:
    """The program in a process of its own, serving the demo from `directory`; `shell` starts it."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell, "sh"),
        *(sys.executable, "-m", "proxy", "serve", "--demo", "--listen", "127.0.0.1:0", *args),
        cwd=directory,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with attended(process) as service:
        yield service


@asynccontextmanager
async def attended(process: asyncio.subprocess.Process) -> AsyncIterator[Service]:
    """A process that serves or is about to, however it was started; it ends with the case."""
    try:
        async with aiohttp.ClientSession() as session:
            service = Service(process, session)
            await service.hear_address()
            yield service
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
