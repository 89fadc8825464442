"""`serve --workers N` as processes: together they are one service, whatever happens to one."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import orjson
import psutil
import pytest

from tests.cli.commands import clean_environment
from tests.cli.crew import crew, ended, until
from tests.cli.service import PATIENCE_S
from tests.conftest import QUESTION

pytestmark = pytest.mark.long

WORKERS = 5 if os.environ.get("SOAK") else 2  # that die twice each
SERVES_AFTER_S = 0.4  # at the earliest: it has to import all
HANG_S = 1.5  # what a worker that hangs may cost a scrape, with a margin for a busy machine


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


async def test_a_worker_that_dies_is_replaced_and_each_call_is_counted_once(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        calls = await service.busy_all()
        before = (await service.until(lambda scrape: scrape.all_calls() == calls)).calls()
        await service.all_kept(calls)

        successor = await service.kill(service.workers()[0])
        newborn = await service.kill(successor)  # the second time it is left dead for a moment
        newborn.suspend()  # so that the moment is long enough to be seen
        dead = await service.until(lambda scrape: 0.0 in scrape.up().values())
        newborn.resume()
        [gone] = [worker for worker, up in dead.up().items() if not up]
        await service.until(lambda scrape: set(scrape.up().values()) == {1.0})
        await service.call(10)
        expected = 10 + sum(before.values())
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
        assert took_s < 4 * HANG_S
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
    for _ in range(10):
        if not await _killed_late(tmp_path):
            return
    pytest.fail("this machine is too slow to kill a worker in time")


async def _killed_late(tmp_path: Path) -> bool:
    """Whether the worker could have served already; if not, check what becomes of the others."""
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

    workers[0].suspend()
    late = time.time() - workers[0].create_time() > SERVES_AFTER_S
    workers[0].kill()

    async with asyncio.timeout(PATIENCE_S):
        if late:
            process.terminate()
            await process.wait()
        else:
            assert await process.wait() == 1
    await ended(workers)
    return late


async def test_deaths_leave_nothing_behind(tmp_path: Path) -> None:
    async with crew(tmp_path, workers=WORKERS) as service:
        supervisor = psutil.Process(service.process.pid)

        def descriptors() -> int:
            """All but the connections of workers to the simulator, which is in this process."""
            return supervisor.num_fds() - len(supervisor.net_connections("inet"))

        before = descriptors()

        for _ in range(2):
            for victim in (victims := service.workers()):
                victim.kill()
            await ended(victims)
            await until(lambda: len(service.workers()) == WORKERS)
            await service.until(lambda scrape: list(scrape.up().values()) == [1.0] * WORKERS)

        meeting = tmp_path / "state" / "demo" / "workers"
        sockets = {path.name for path in meeting.glob("*.sock")}
        assert sockets == {f"{index}.sock" for index in range(WORKERS)}
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
