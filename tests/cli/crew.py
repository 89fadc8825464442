"""`serve --workers N` as users run it: several processes that together are one service."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
from prometheus_client.metrics_core import Sample
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.commands import clean_environment
from tests.cli.service import PATIENCE_S, Service

_LOOK_AGAIN_S = 0.05  # they need the processor for what is waited for


@dataclass
class Crew(Service):
    """A running `groq-proxy serve --workers N`. Each of its requests has its own connection."""

    directory: Path = field(default_factory=Path)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def kill(self, worker: psutil.Process) -> psutil.Process:
        """End one worker without a word; the one that is started in its place."""
        others = {*self.workers(), worker}
        worker.kill()
        await until(lambda: not others.issuperset(self.workers()))
        [successor] = {*self.workers()} - others
        return successor

    async def call(self, times: int = 1) -> None:
        """Calls that cost nobody a quota."""
        for _ in range(times):
            async with self.session.get(f"{self.url}/v1/models") as answer:
                assert answer.status == 200

    async def scrape(self) -> "Scrape":
        async with self.session.get(f"{self.url}/metrics") as answer:
            assert answer.status == 200
            return Scrape(await answer.text())

    async def until(self, seen: Callable[["Scrape"], bool]) -> "Scrape":
        """The first scrape that is as wanted."""
        async with asyncio.timeout(PATIENCE_S):
            while not seen(scrape := await self.scrape()):  # noqa: ASYNC110 - as `until` below
                await asyncio.sleep(_LOOK_AGAIN_S)
        return scrape

    async def all_kept(self, calls: int) -> None:
        """Wait until so many calls would not be forgotten, whichever worker died now."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self.session.get(f"{self.url}/admin/live") as answer:
                    workers = (await answer.json())["workers"]
                if sum(each["kept_calls"] for each in workers) == calls:
                    return

    async def busy_all(self) -> int:
        """Call until every worker had some calls; how many there were."""
        calls = 0
        async with asyncio.timeout(PATIENCE_S):
            while 0.0 in (await self.scrape()).calls().values():
                await asyncio.gather(*(self.call() for _ in range(10)))
                calls += 10
        return calls

    def lines(self) -> list[bytes]:
        return (self.directory / "out").read_bytes().splitlines()


class Scrape:
    """What `/metrics` said."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)

    def samples(self, name: str) -> list[Sample]:
        """Those of one name: to read all takes longer than what is waited for."""
        text = "".join(line for line in self._lines if line.startswith(f"{name}{{"))
        return [s for family in text_string_to_metric_families(text) for s in family.samples]

    def by_worker(self, name: str, **labels: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for sample in self.samples(f"llmproxy_{name}"):
            if labels.items() <= sample.labels.items():
                worker = sample.labels["worker"]
                found[worker] = found.get(worker, 0.0) + sample.value
        return found

    def up(self) -> dict[str, float]:
        return self.by_worker("worker_up")

    def calls(self) -> dict[str, float]:
        """Calls to `/v1/models` by worker; 0 for one that had none."""
        had = self.by_worker("requests_total", endpoint="models")
        return {worker: had.get(worker, 0.0) for worker, up in self.up().items() if up}

    def all_calls(self) -> float:
        return sum(self.calls().values())


@asynccontextmanager
async def crew(
    directory: Path, *, workers: int = 2, python: tuple[str, ...] = ()
) -> AsyncIterator[Crew]:
    """The program with several workers, serving the demo from `directory`."""
    with (directory / "out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *python, "-m", "proxy", "serve", "--demo"),
            *("--listen", "127.0.0.1:0", "--workers", str(workers)),
            cwd=directory,
            env=clean_environment(),
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
        )
    connector = aiohttp.TCPConnector(force_close=True)
    started: list[psutil.Process] = []
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            service = Crew(process, session, directory=directory)
            await service.hear_address()
            started = service.workers()
            yield service
    finally:
        if process.returncode is None:
            started += psutil.Process(process.pid).children()
            process.kill()
            await process.wait()
        for worker in started:
            if worker.is_running():  # which also knows a process number that was given anew
                worker.kill()


async def until(seen: Callable[[], bool]) -> None:
    """Look again and again, for a bounded time."""
    async with asyncio.timeout(PATIENCE_S):
        while not seen():  # noqa: ASYNC110 - processes tell nobody what becomes of them
            await asyncio.sleep(0.02)


async def ended(processes: list[psutil.Process]) -> None:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, PATIENCE_S)
    assert not alive
