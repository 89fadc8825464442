"""`serve` as a process: it starts, answers, reloads and ends as a well-kept service does."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from tests.cli.test_commands import clean_environment
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

    async def chat(self) -> aiohttp.ClientResponse:
        body = {"messages": QUESTION}
        answer = await self.session.post(f"{self.url}/v1/chat/completions", json=body)
        await answer.read()
        return answer

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def serving(directory: Path, *args: str) -> AsyncIterator[Service]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--demo", "--listen", "127.0.0.1:0", *args),
        cwd=directory,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with aiohttp.ClientSession() as session:
            service = Service(process, session)
            await service.hear("groq-proxy serves at ")
            service.url = service.said.partition("groq-proxy serves at ")[2].split()[0]
            yield service
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_demo_answers_and_says_on_every_answer_that_it_is_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        answer = await service.chat()

        assert answer.status == 200
        assert answer.headers["x-proxy-simulated"] == "true"
        await service.hear("DEMO")


async def test_sigterm_ends_it_with_0_and_every_call_has_its_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.chat()

        assert await service.end() == 0
        assert service.process.stdout is not None
        lines = (await service.process.stdout.read()).splitlines()
        assert [orjson.loads(line)["outcome"] for line in lines] == ["ok"]


async def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("default_model: openai/gpt-oss-20b\n")
    async with serving(tmp_path) as service:
        file.write_text("default_model: openai/gpt-oss-120b\n")
        service.process.send_signal(signal.SIGHUP)
        await service.hear("configuration reloaded")
        second = await service.chat()

        file.write_text("default_model: 7\nnonsense: true\n")
        await service.hear("configuration not reloaded")
        third = await service.chat()

        for answer in (second, third):
            assert answer.headers["x-proxy-served-by"] == "groq/openai/gpt-oss-120b"
        assert "groq-proxy.yaml: " in service.said


async def test_what_only_a_restart_can_change_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("state_dir: ./one\n")
    async with serving(tmp_path) as service:
        file.write_text("state_dir: ./two\n")
        await service.hear("state_dir can only change with a restart")


async def test_without_a_terminal_operational_lines_are_json_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.hear("accepted, ")

        line = next(line for line in service.said.splitlines() if "accepted, " in line)
        assert orjson.loads(line)["event"] == "log"
