"""The program as users run it, in a process of its own, besieged: what must hold after any case."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import orjson
import psutil
import yaml

from tests.conftest import NO_CACHE
from tests.stories.raw import DONE, EVENTS, LAST, MIB, WHOLE, Line, said, stopped

T = TypeVar("T")

SECRET = "gsk_" + "siegeSECRETkey0123456789abcdef"  # the provider's key
MODEL = "openai/gpt-oss-20b"
HELLO = "Hello"  # what a provider answers to a good call
MOST_GROWTH = 64 * MIB  # by one client
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 20.0
_TIDY_WITHIN_S = 15.0
_SOON_S = 0.1
_GOOD_CALL_S = 20.0
_LOOKS = 6  # that find a process unchanged
_ROOT = Path(__file__).parents[2]
_TIMEOUTS = {"connect_s": 1, "first_byte_s": 1, "idle_s": 1, "total_s": 3, "stream_total_s": 3}


@dataclass
class Fortress:
    """A running gateway, seen from outside."""

    url: str
    host: str
    port: int
    process: psutil.Process
    provider_port: int
    said: Path
    fallen: bool = False  # it did not serve after a case: whoever asks it more only waits
    _settled_fds: int | None = None

    def output(self) -> str:
        """All whole lines that it has said so far, on stdout and stderr."""
        said = self.said.read_text("utf-8", "replace")
        return said[: said.rfind("\n") + 1]

    def tracebacks(self, since: int = 0) -> list[str]:
        """What it said after its first `since` bytes that tells of a bug."""
        with self.said.open("rb") as file:
            file.seek(since)
            told = file.read().decode("utf-8", "replace")
        return [line for line in told.splitlines() if "Traceback" in line]

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE

    def rss(self) -> int:
        """Bytes of memory that it holds."""
        size: int = self.process.memory_info().rss
        return size

    def fds(self) -> int:
        """Open file descriptors but what is opened once and kept, whenever it is first needed.

        That is connections to the provider, and the ledger's files, of each of its readers.
        To tell them apart takes as long as a case: ask only when `num_fds` has grown.
        """
        found = self.process.net_connections("tcp")
        upstream = [each for each in found if each.raddr and each.raddr.port == self.provider_port]
        ledger = [file for file in self.process.open_files() if "/ledger.sqlite3" in file.path]
        return self.process.num_fds() - len(upstream) - len(ledger)

    def settled_fds(self) -> int:
        """`fds()` between cases. No case may change it, so that it is counted once."""
        if self._settled_fds is None:
            self._settled_fds = self.fds()
        return self._settled_fds

    async def take_stock(self) -> None:
        """After a case that failed: the next ones shall neither pay nor wait for it."""
        self.fallen, self._settled_fds = True, None
        with contextlib.suppress(AssertionError, OSError, ValueError, aiohttp.ClientError):
            await self.chat()
            self.fallen = False

    async def chat(self, *, stream: bool = False) -> None:
        """One good call, which must be answered as the provider's `answer_well` answers."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        async with (
            asyncio.timeout(_GOOD_CALL_S),
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/chat/completions", json=body) as answer,
        ):
            heard = await answer.read()
            assert answer.status == 200, heard
        assert (_streamed(heard) if stream else _whole(heard)) == HELLO

    async def get(self, path: str) -> str:
        """The body at one of its own addresses."""
        async with (
            asyncio.timeout(_GOOD_CALL_S),
            aiohttp.ClientSession() as session,
            session.get(self.url + path) as answer,
        ):
            return await answer.text()


def _whole(heard: bytes) -> str:
    content: str = orjson.loads(heard)["choices"][0]["message"]["content"]
    return content


def _streamed(heard: bytes) -> str:
    *events, last = [line[6:] for line in heard.split(b"\n") if line.startswith(b"data: ")]
    assert last == b"[DONE]", heard
    choices = [choice for event in events for choice in orjson.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def answer_well(line: Line) -> None:
    """What a `RawProvider` says to a good call, so that `Fortress.chat` is content."""
    if line.body.get("stream"):
        await line.say(EVENTS, said(HELLO[:3]), said(HELLO[3:]), stopped(), DONE, LAST)
    else:
        await line.say(WHOLE)


@asynccontextmanager
async def fortress(
    base_url: str,
    directory: Path,
    *,
    args: Sequence[str] = (),
    env: Mapping[str, str] = {},
    **knobs: Any,
) -> AsyncIterator[Fortress]:
    """The program, serving from `directory`, with `base_url` as its provider.

    `knobs` are sections of its configuration file, laid over those that a test needs.
    """
    groq = {
        "base_url": base_url,
        "keys": [{"name": "a", "value": SECRET}],
        "timeouts": _TIMEOUTS,
    }
    given = {
        "listen": "127.0.0.1:0",
        "state_dir": str(directory / "state"),
        "cache": NO_CACHE,
    }
    config = directory / "groq-proxy.yaml"
    config.write_text(yaml.safe_dump(_laid_over({**given, "providers": {"groq": groq}}, knobs)))
    out = directory / "output"
    with out.open("ab") as everything:  # a file never keeps the program waiting, as a pipe would
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--config", str(config), *args),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=everything,
            stderr=everything,
            cwd=directory,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(_ROOT),
                # Freed memory goes back at once: what one case took must not hide the next one's.
                "MALLOC_TRIM_THRESHOLD_": "0",
                "MALLOC_MMAP_THRESHOLD_": "65536",
                **env,
            },
        )
    try:
        url = await _address(out, process)
        where = urlsplit(url)
        assert where.hostname
        assert where.port
        provider_port = urlsplit(base_url).port or 443
        running = psutil.Process(process.pid)
        await still(running)
        yield Fortress(url, where.hostname, where.port, running, provider_port, out)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _laid_over(tree: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`tree` with the values of `more`; sections are merged, all else is replaced."""
    merged = dict(tree)
    for name, value in more.items():
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = _laid_over(below, value)
        merged[name] = value
    return merged


async def _address(out: Path, process: asyncio.subprocess.Process) -> str:
    """Where the program serves, as its banner tells."""

    def told() -> re.Match[str] | None:
        if process.returncode is not None:
            raise AssertionError(f"it ended with {process.returncode}: {out.read_text()}")
        return re.search(r"serves at (http\S+)\s", out.read_text())

    await until(lambda: told() is not None, within_s=_STARTS_WITHIN_S, why=out.read_text)
    found = told()
    assert found is not None
    return found[1]


async def still(process: psutil.Process) -> None:
    """Wait until a process neither opens files nor grows: what it opens behind us is open."""
    seen: list[tuple[int, int]] = []
    while len(seen) < _LOOKS or len(set(seen[-_LOOKS:])) > 1:
        seen.append((process.num_fds(), process.memory_info().rss >> 20))
        await asyncio.sleep(0.05)


async def until(
    holds: Callable[[], bool], *, within_s: float, why: Callable[[], object] = lambda: "too late"
) -> None:
    """Wait until something holds in the other process, which sends no event when it does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not holds():
        assert loop.time() < end, why()
        await asyncio.sleep(0.005)


@asynccontextmanager
async def unharmed(
    fortress: Fortress, *, within_s: float, growth: int = MOST_GROWTH
) -> AsyncIterator[None]:
    """Around a case: it ends within `within_s`, and leaves the fortress as it was before.

    Alive, at no moment larger by `growth` bytes, with no more open files, no traceback in what it
    says, and serving as ever.
    """
    assert not fortress.fallen, "it does not serve since an earlier case"
    assert fortress.alive(), fortress.output()[-4000:]
    try:
        said, total = fortress.said.stat().st_size, fortress.process.num_fds()
        fortress.settled_fds()
        async with _small(fortress, growth), asyncio.timeout(within_s):
            yield
        await _tidied_up(fortress, total)
        await fortress.chat()
        assert not fortress.tracebacks(since=said)
    except Exception:
        await fortress.take_stock()
        raise


@asynccontextmanager
async def _small(fortress: Fortress, growth: int) -> AsyncIterator[None]:
    """Around what it must survive without growing by `growth` bytes at any moment."""
    before = most = fortress.rss()

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, fortress.rss())
            await asyncio.sleep(0.005)

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert fortress.alive(), fortress.output()[-4000:]
    grown = max(most, fortress.rss()) - before
    assert grown < growth, f"it grew by {grown / MIB:.1f} MiB"


async def _tidied_up(fortress: Fortress, total: int) -> None:
    """Wait until no more files are open than before; first by the count that is quick."""
    try:
        await until(lambda: fortress.process.num_fds() <= total, within_s=_SOON_S)
    except AssertionError:  # perhaps only because of more connections to the provider
        settled = fortress.settled_fds()
        await until(
            lambda: fortress.fds() <= settled,
            within_s=_TIDY_WITHIN_S,
            why=lambda: f"{fortress.fds()} open files, {settled} before",
        )


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What all of them give, side by side; when one fails, the others end before this does."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]
