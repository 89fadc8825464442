"""The store of answers breaks in many ways: every call is answered, soon, and rightly."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import psutil
import pytest

from tests.cli.commands import clean_environment
from tests.cli.crew import ended, until
from tests.cli.service import Service, attended
from tests.conftest import House, open_house
from tests.stores.redis_server import redis_server
from tests.stories.books import at_rest
from tests.stories.raw import RawProvider, raw
from tests.stories.test_cache_tenants import Told, teller

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
MODEL = "openai/gpt-oss-20b"
QUESTIONS = 100 if os.environ.get("SOAK") else 40  # of each of eight clients
SOON_S = 5.0  # for a call, on a machine that is busy with other tests
_PATIENCE = 4.0  # longer than usual is waited for a store, and not so long as that
PATIENCE_S = 15
FILE = "cache.db"
CACHE = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
# Holds the file, and the right to change it, as another process may.
HOLDER = """
import fcntl, sqlite3, sys
lock = open(sys.argv[2], "r+b")
fcntl.flock(lock, fcntl.LOCK_EX)
file = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=5)
file.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def kept_in(state: Path, **knobs: Any) -> AsyncIterator[tuple[House, RawProvider]]:
    async with (
        raw(teller) as provider,
        open_house(
            state, groq={"base_url": provider.url}, cache=CACHE, patience=_PATIENCE, **knobs
        ) as house,
    ):
        yield house, provider
        await at_rest(house)


async def ask(session: aiohttp.ClientSession, url: str, question: str) -> Told:
    """One call, which is answered rightly."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "user": "u"}
    patience = aiohttp.ClientTimeout(total=PATIENCE_S)
    address = f"{url}/v1/chat/completions"
    async with session.post(address, json=body, timeout=patience) as answer:
        assert answer.status == 200, await answer.text()
        text = (await answer.json())["choices"][0]["message"]["content"]
        entry = answer.headers.get("x-proxy-cache-entry", "")
        told = Told(200, answer.headers["x-proxy-cache"], text, entry)
    assert told.question == question
    return told


async def soon(house: House, question: str) -> str:
    """What the cache was to a call that did not take long."""
    began = time.monotonic()
    told = await ask(house.session, house.url, question)
    assert time.monotonic() - began < SOON_S
    return told.word


async def works_again(house: House) -> None:
    """Ask until something new is told again: a store that failed is left alone for a moment."""
    async with asyncio.timeout(PATIENCE_S):
        n = 0
        while True:
            n += 1
            await soon(house, f"anew {n}")
            await house.app.state.flights.idle()
            if await soon(house, f"anew {n}") == "exact":
                return
            await asyncio.sleep(0.05)  # a store that rests tells nobody when it works again


async def all_missed(house: House, name: str, times: int = 8) -> None:
    """Ask the same again and again, which is answered each time, and never by the cache."""
    for _ in range(times):
        assert (await soon(house, f"{name} missed")).startswith("miss")
        await house.app.state.flights.idle()


async def errors(house: House) -> float:
    return await house.metric("cache_errors_total")


async def test_a_broken_file_is_replaced_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / FILE).write_bytes(Random(1).randbytes(100_000))

    async with kept_in(tmp_path) as (house, _):
        assert await soon(house, "one") == "miss;why=absent"
        await house.app.state.flights.idle()
        assert await soon(house, "one") == "exact"


async def test_a_file_that_breaks_under_way_is_replaced(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as (house, _):
        for n in range(50):
            await soon(house, f"old {n}")
        await house.app.state.flights.idle()
        for rest in ("", "-wal"):
            path = tmp_path / "cache" / f"{FILE}{rest}"
            path.write_bytes(Random(1).randbytes(path.stat().st_size))

        for n in range(100):  # those before are remembered, and right
            await soon(house, f"old {n}")
        await works_again(house)


@contextmanager
def held(cache: Path) -> Iterator[None]:
    """Another process has the file, and gives it back at the end."""
    command = [sys.executable, "-c", HOLDER, str(cache / FILE), str(cache / "cache.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == b"held\n"
            yield
        finally:
            holder.kill()


async def test_a_file_that_somebody_else_holds_is_done_without(tmp_path: Path) -> None:
    async with kept_in(tmp_path) as (house, _):
        await soon(house, "one")
        await house.app.state.flights.idle()
        with held(tmp_path / "cache"):
            for n in range(20):
                assert (await soon(house, f"new {n}")).startswith("miss")
            assert await soon(house, "one") == "exact"  # which is remembered
            await house.app.state.flights.idle()

        assert await errors(house) > 0
        await works_again(house)


@pytest.mark.parametrize("place", ["a file", "nobody may write"])
async def test_a_directory_that_cannot_be_used_is_done_without(tmp_path: Path, place: str) -> None:
    cache = tmp_path / "cache"
    if place == "a file":
        cache.write_bytes(b"what is this?")
    else:
        cache.symlink_to("/proc")  # where the superuser may not write, either
    async with kept_in(tmp_path) as (house, _):
        await all_missed(house, place)
        assert await errors(house) > 0

        cache.unlink()
        await works_again(house)


def configured(directory: Path, url: str) -> Path:
    """A configuration with a cache."""
    path = directory / "groq-proxy.yaml"
    told = {
        "state_dir": str(directory / "state"),
        "providers": {"groq": {"base_url": url, "keys": [{"name": "k", "value": "gsk_test"}]}},
        "cache": CACHE,
        "retries": 0,
    }
    path.write_text(json.dumps(told))  # JSON is YAML
    return path


@asynccontextmanager
async def serving(directory: Path, url: str, *args: str) -> AsyncIterator[Service]:
    """The program as users run it; nothing of it is left at the end."""
    started: list[psutil.Process] = []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--config", str(configured(directory, url))),
        *("--listen", "127.0.0.1:0", *args),
        cwd=directory,
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,  # a full disk is not about the log
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with attended(process) as service:
            yield service
            started = psutil.Process(process.pid).children()
            await service.end()
    finally:
        for worker in started:
            if worker.is_running():
                worker.kill()


async def cache_errors(service: Service) -> float:
    async with service.session.get(f"{service.url}/metrics") as answer:
        page = await answer.text()
    found = re.findall(r"^llmproxy_cache_errors_total\{[^}]*\} (\S+)$", page, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.skipif(sys.platform != "linux", reason="needs prlimit")
async def test_a_full_disk_keeps_nothing_more_and_answers(tmp_path: Path) -> None:
    import resource

    async with raw(teller) as provider, serving(tmp_path, provider.url) as service:
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (500_000, unlimited))
        for n in range(300):
            began = time.monotonic()
            await ask(service.session, service.url, f"full {n} {'x' * 20_000}")
            assert time.monotonic() - began < SOON_S
        assert await cache_errors(service) > 0

        resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

        async with asyncio.timeout(PATIENCE_S):
            n, word = 0, ""
            while word != "exact":
                n += 1
                await ask(service.session, service.url, f"anew {n}")
                await asyncio.sleep(0.05)  # it is kept behind our back
                word = (await ask(service.session, service.url, f"anew {n}")).word


async def test_a_redis_that_is_dead_is_done_without(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        async with kept_in(tmp_path / "state", redis=server.url) as (house, _):
            await soon(house, "one")
            await house.app.state.flights.idle()
            assert await soon(house, "one") == "exact"
            server.kill()
            await all_missed(house, "dead")
            assert await errors(house) > 0

            server.start()
            await works_again(house)


async def test_a_redis_that_stands_still_is_done_without(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        async with kept_in(tmp_path / "state", redis=server.url) as (house, _):
            await soon(house, "one")
            await house.app.state.flights.idle()
            server.freeze()
            await all_missed(house, "frozen")
            assert await errors(house) > 0

            server.thaw()
            await works_again(house)
            assert (await ask(house.session, house.url, "one")).word == "exact"


async def killing(service: Service, moments: Callable[[], bool], random: Random) -> int:
    """Kill one worker after another while calls run; how many."""
    killed = 0
    while not moments():
        known = psutil.Process(service.process.pid).children()
        random.choice(known).send_signal(signal.SIGKILL)
        killed += 1
        await until(lambda known=known: fresh(service, known))  # type: ignore[misc]
    return killed


def fresh(service: Service, known: list[psutil.Process]) -> bool:
    """Whether another worker stands in the place of the one that was killed."""
    there = psutil.Process(service.process.pid).children()
    return len(there) == len(known) and not {*there} <= {*known}


async def test_workers_that_are_killed_while_they_write_lose_nothing(tmp_path: Path) -> None:
    random = Random(1)
    found: set[str] = set()
    words: Counter[str] = Counter()

    async def insist(session: aiohttp.ClientSession, url: str, question: str) -> Told:
        """Ask until there is an answer: a killed worker gives none, a busy one may not look."""
        while True:
            with suppress(aiohttp.ClientError):
                told = await ask(session, url, question)
                words[told.word.partition(";")[0]] += 1
                if told.word != "miss;why=store":
                    return told

    def is_committed(told: Told) -> bool:
        """Whether it is on disk: who is killed may have told what it had only in memory."""
        with closing(sqlite3.connect(tmp_path / "state" / "cache" / FILE)) as file:
            found = file.execute("SELECT 1 FROM Cache WHERE key = ?", (told.entry,))
            return found.fetchone() is not None

    async def keep_asking(n: int, session: aiohttp.ClientSession, url: str) -> None:
        for m in range(QUESTIONS):
            question = f"question {n}-{m}"
            for _ in range(3):
                told = await insist(session, url, question)
                if told.word == "exact" and is_committed(told):
                    found.add(question)
                    break

    async with raw(teller) as provider, serving(tmp_path, provider.url, "--workers", "2") as crew:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(60):
            asking = asyncio.gather(*(keep_asking(n, session, crew.url) for n in range(8)))
            killed = await killing(crew, asking.done, random)
            await asking

            assert killed >= 2
            assert len(found) > QUESTIONS
            for question in found:
                assert (await insist(session, crew.url, question)).word == "exact"
        workers = psutil.Process(crew.process.pid).children()
    await ended(workers)
