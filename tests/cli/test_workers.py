"""`serve --workers N` as processes: together they are one service, whatever happens to one."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.test_commands import clean_environment
from tests.cli.test_serve import PATIENCE_S, Service
from tests.conftest import QUESTION

HANG_S = 1.5  # what a worker that hangs may cost a scrape, with a margin for a busy machine


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
            while not seen(scrape := await self.scrape()):
                pass
        return scrape

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
        self.samples = [
            s for family in text_string_to_metric_families(text) for s in family.samples
        ]

    def by_worker(self, name: str, **labels: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for sample in self.samples:
            if sample.name == f"llmproxy_{name}" and labels.items() <= sample.labels.items():
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
            await service.hear("groq-proxy serves at ")
            started = service.workers()
            service.url = service.said.partition("groq-proxy serves at ")[2].split()[0]
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


async def test_all_serve_and_whichever_is_asked_counts_every_call_once(tmp_path: Path) -> None:
    async with crew(tmp_path, workers=3) as service:
        calls = await service.busy_all()

        # A record may close just after its client has seen the end.
        await service.until(lambda scrape: scrape.all_calls() == calls)
        scrapes = [await service.scrape() for _ in range(20)]

        assert {scrape.all_calls() for scrape in scrapes} == {calls}
        assert scrapes[0].up() == {"0": 1, "1": 1, "2": 1}
        assert await service.end() == 0
        lines = [orjson.loads(line) for line in service.lines()]
        assert len(lines) == calls
        assert {line["worker"] for line in lines} == {0, 1, 2}


async def test_a_worker_that_dies_is_replaced_and_no_call_is_counted_twice(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        calls = await service.busy_all()
        before = (await service.until(lambda scrape: scrape.all_calls() == calls)).calls()

        successor = await service.kill(service.workers()[0])
        await service.kill(successor)  # the second time it is left dead for a moment
        dead = await service.until(lambda scrape: 0.0 in scrape.up().values())
        [gone] = [worker for worker, up in dead.up().items() if not up]
        await service.until(lambda scrape: set(scrape.up().values()) == {1.0})
        await service.call(10)
        expected = 10 + sum(calls for worker, calls in before.items() if worker != gone)
        after = await service.until(lambda scrape: scrape.all_calls() == expected)

        assert {(await service.scrape()).all_calls() for _ in range(10)} == {expected}
        assert after.by_worker("workers_restarts_total") == {"0": 0, "1": 0, gone: 2}
        await service.hear("was ended by SIGKILL; it is started again in 0.5 s")


async def test_a_worker_that_hangs_is_left_out_of_a_scrape(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        frozen, _ = service.workers()
        frozen.suspend()
        await until(lambda: frozen.status() == psutil.STATUS_STOPPED)

        loop = asyncio.get_running_loop()
        started = loop.time()
        scrape = await service.scrape()
        took_s = loop.time() - started
        frozen.resume()

        assert sorted(scrape.up().values()) == [0, 1]
        assert took_s < 2 * HANG_S
        await service.until(lambda scrape: set(scrape.up().values()) == {1.0})


async def test_without_their_supervisor_the_workers_end(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        workers = service.workers()

        service.process.kill()

        await ended(workers)


async def test_a_stream_in_flight_ends_well_before_they_do(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        body = {"model": "sim/tokens-1500", "messages": QUESTION, "stream": True}
        async with service.session.post(f"{service.url}/v1/chat/completions", json=body) as stream:
            first = await stream.content.readline()
            service.process.send_signal(signal.SIGTERM)
            rest = await stream.content.read()

        assert first.startswith(b"data: ")
        assert rest.endswith(b"data: [DONE]\n\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await service.process.wait() == 0
        assert [orjson.loads(line)["outcome"] for line in service.lines()] == ["ok"]


async def test_a_stream_ends_well_too_when_every_process_is_told_to_stop(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        body = {"model": "sim/tokens-1000", "messages": QUESTION, "stream": True}
        async with service.session.post(f"{service.url}/v1/chat/completions", json=body) as stream:
            await stream.content.readline()
            for worker in service.workers():  # as systemd does
                worker.terminate()
            service.process.terminate()
            rest = await stream.content.read()

        assert rest.endswith(b"data: [DONE]\n\n")
        async with asyncio.timeout(PATIENCE_S):
            assert await service.process.wait() == 0


async def test_told_twice_to_stop_they_do_not_wait_for_a_stream(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        body = {"model": "sim/stall-after-2", "messages": QUESTION, "stream": True}
        async with service.session.post(f"{service.url}/v1/chat/completions", json=body) as stream:
            await stream.content.readline()
            service.process.send_signal(signal.SIGINT)
            await service.hear("signal again to stop now")

            assert await service.end(signal.SIGINT) == 0


def replace(file: Path, text: str) -> None:
    """Change a file at once: whoever looks sees the old text or the new one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def all_at_least(least: float, by_worker: dict[str, float]) -> bool:
    return len(by_worker) == 2 and min(by_worker.values()) >= least


async def test_a_bad_file_reaches_none_of_them_and_a_good_one_all(tmp_path: Path) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("default_model: openai/gpt-oss-20b\n")
    async with crew(tmp_path) as service:
        replace(file, "default_model: openai/gpt-oss-120b\n")
        service.process.send_signal(signal.SIGHUP)
        taken = await service.until(
            lambda scrape: all_at_least(1, scrape.by_worker("config_reloads_total", result="ok"))
        )

        replace(file, "default_model: 7\n")  # which is noticed without a signal
        refused = await service.until(
            lambda scrape: all_at_least(1, scrape.by_worker("config_reloads_total", result="error"))
        )
        service.workers()[0].kill()  # its successor starts while the file is bad
        await service.until(
            lambda scrape: (
                sum(scrape.by_worker("workers_restarts_total").values()) == 1
                and set(scrape.up().values()) == {1.0}
            )
        )
        answers = [await service.chat() for _ in range(6)]

        assert taken.by_worker("config_reloads_total", result="error") == {"0": 0, "1": 0}
        assert refused.by_worker("config_reloads_total", result="error") == {"0": 1, "1": 1}
        served_by = {answer.headers["x-proxy-served-by"] for answer in answers}
        assert served_by == {"groq/openai/gpt-oss-120b"}
        await service.hear("configuration not reloaded: ")
        assert service.said.count("configuration not reloaded") == 1


async def test_what_only_a_restart_can_change_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("state_dir: ./one\n")
    async with crew(tmp_path) as service:
        file.write_text("state_dir: ./two\n")

        await service.hear("state_dir can only change with a restart")


async def test_the_demo_has_one_quota_for_all_of_them(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        answers = await asyncio.gather(*(service.chat() for _ in range(6)))

        limit = int(answers[0].headers["x-ratelimit-limit-requests"])
        left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers]
        assert min(left) == limit - 6


async def test_an_address_in_use_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        taken = service.url.removeprefix("http://")
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--demo", "--listen", taken),
            *("--workers", "2"),
            cwd=tmp_path,
            env=clean_environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, err = await second.communicate()

        assert second.returncode == 1
        assert out == b""
        assert err.decode() == f"groq-proxy: cannot listen on {taken}: Address already in use\n"


async def test_when_one_cannot_even_start_all_end_with_exit_code_1(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--demo", "--listen", "127.0.0.1:0"),
        *("--workers", "2"),
        cwd=tmp_path,
        env=clean_environment(),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    supervisor = psutil.Process(process.pid)
    await until(lambda: bool(supervisor.children()))
    workers = supervisor.children()

    workers[0].kill()  # long before it can serve

    async with asyncio.timeout(PATIENCE_S):
        assert await process.wait() == 1
    await ended(workers)


async def test_ten_deaths_leave_nothing_behind(tmp_path: Path) -> None:
    async with crew(tmp_path, workers=5) as service:
        supervisor = psutil.Process(service.process.pid)

        def descriptors() -> int:
            """All but the connections of workers to the simulator, which is in this process."""
            return supervisor.num_fds() - len(supervisor.net_connections("inet"))

        before = descriptors()

        for _ in range(2):
            for victim in (victims := service.workers()):
                victim.kill()
            await ended(victims)
            await until(lambda: len(service.workers()) == 5)
            await service.until(lambda scrape: list(scrape.up().values()) == [1.0] * 5)

        meeting = tmp_path / "state" / "demo" / "workers"
        sockets = {path.name for path in meeting.glob("*.sock")}
        assert sockets == {f"{index}.sock" for index in range(5)}
        assert all(worker.status() != psutil.STATUS_ZOMBIE for worker in service.workers())
        await until(lambda: descriptors() == before)
        assert await service.end() == 0
        assert list(meeting.glob("*.sock")) == []


async def test_workers_run_the_code_that_their_supervisor_runs(tmp_path: Path) -> None:
    stranger = tmp_path / "proxy"
    stranger.mkdir()
    (stranger / "__init__.py").write_text("raise SystemExit('a folder of the same name')\n")

    # As the installed command does, this does not look for modules in the current folder.
    async with crew(tmp_path, python=("-P",)) as service:
        await service.call()
