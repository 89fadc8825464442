"""What one hostile answer may cost the gateway in memory, measured in a process of its own."""

import asyncio
import contextlib
import gzip
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from tests.conftest import QUESTION
from tests.siege.fortress import still
from tests.stories.raw import EVENTS, LAST, MIB, Line, chunk, event, head, raw, said, whole

MOST_BYTES = 64 * MIB
_BLOCK = 64 << 10
_BOMB = gzip.compress(bytes(96 * MIB), 1)


async def _flood(line: Line, piece: bytes, mib: int) -> None:
    """Say `piece` again and again, as long as somebody takes it."""
    for _ in range(mib * MIB // len(piece)):
        await line.say(piece)


async def _endless_body(line: Line) -> None:
    await line.say(head(content_type="application/json", transfer_encoding="chunked"))
    await _flood(line, chunk(b" " * _BLOCK), 200)


async def _bomb(line: Line) -> None:
    await line.say(whole(_BOMB, content_encoding="gzip"))


async def _bomb_in_a_refusal(line: Line) -> None:
    await line.say(whole(_BOMB, "400 No", content_encoding="gzip"))


async def _endless_event(line: Line) -> None:
    await line.say(EVENTS, chunk(b"data: {"))
    await _flood(line, chunk(b" " * _BLOCK), 200)


async def _endless_header(line: Line) -> None:
    await line.say(b"HTTP/1.1 200 OK\r\nx-huge: ")
    await _flood(line, b"h" * _BLOCK, 200)


async def _endless_headers(line: Line) -> None:
    await line.say(b"HTTP/1.1 200 OK\r\n")
    await _flood(line, b"x-huge: " + b"h" * 60_000 + b"\r\n", 200)


async def _endless_trailers(line: Line) -> None:
    await line.say(head(content_type="application/json", transfer_encoding="chunked"))
    await line.say(chunk(b'{"choices":[{}]}'), b"0\r\n")
    await _flood(line, b"x-huge: " + b"h" * 60_000 + b"\r\n", 200)


async def _endless_refusal(line: Line) -> None:
    await line.say(head("500 No", transfer_encoding="chunked"))
    await _flood(line, chunk(b" " * _BLOCK), 200)


async def _endless_comments(line: Line) -> None:
    await line.say(EVENTS)
    await _flood(line, chunk(b": comment\n\n" * 6000), 100)


async def _junk_after_gzip(line: Line) -> None:
    packed = gzip.compress(b'{"choices":[{"message":{"content":"x"}}]}')
    await line.say(
        head(content_type="application/json", content_encoding="gzip", transfer_encoding="chunked")
    )
    await line.say(chunk(packed))
    await _flood(line, chunk(b"j" * _BLOCK), 200)


async def _millions_of_arrays_in_an_event(line: Line) -> None:
    await line.say(EVENTS, said("x"))
    await line.say(chunk(b'data: {"usage":[[]' + b",[]" * 300_000 + b"]}\n\n"), LAST)


async def _cut_after_much(line: Line) -> None:
    await line.say(EVENTS)
    await _flood(line, said("x" * 3000), 31)
    await line.say(LAST)


async def _cut_after_many(line: Line) -> None:
    await line.say(EVENTS)
    await _flood(line, said("x") * 500, 40)
    await line.say(LAST)


async def _only_roles(line: Line) -> None:
    await line.say(EVENTS)
    await _flood(line, event({"choices": [{"index": 0, "delta": {"role": "assistant"}}]}) * 500, 60)
    await line.say(LAST)


async def _endless_content(line: Line) -> None:
    await line.say(EVENTS)
    await _flood(line, said("x" * _BLOCK), 200)


async def _millions_of_objects(line: Line) -> None:
    await line.say(head(content_type="application/json", transfer_encoding="chunked"))
    await line.say(chunk(b'{"choices":[{}'))
    await _flood(line, chunk(b",{}" * 20_000), 30)
    await line.say(chunk(b"]}"), LAST)


HOSTILE = [
    (_millions_of_objects, False),
    (_endless_body, False),
    (_bomb, False),
    (_bomb, True),
    (_bomb_in_a_refusal, False),
    (_endless_event, True),
    (_endless_header, False),
    (_endless_headers, False),
    (_endless_trailers, False),
    (_endless_refusal, False),
    (_endless_comments, True),
    (_endless_content, True),
    (_junk_after_gzip, False),
    (_millions_of_arrays_in_an_event, True),
    (_cut_after_much, True),
    (_cut_after_many, True),
    (_only_roles, True),
]


@dataclass
class Gateway:
    """A gateway in a process of its own."""

    url: str
    process: psutil.Process

    async def growth(self, *, stream: bool) -> int:
        """Bytes by which its memory grew, at the most, while it served one call."""
        before = most = self.process.memory_info().rss
        call = asyncio.ensure_future(self._call(stream=stream))
        while not call.done():
            await asyncio.wait([call], timeout=0.002)
            most = max(most, self.process.memory_info().rss)
        await call
        return most - before

    async def _call(self, *, stream: bool) -> None:
        body = {"model": "openai/gpt-oss-20b", "messages": QUESTION, "stream": stream}
        async with (
            asyncio.timeout(10),
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/v1/chat/completions", json=body) as answer,
        ):
            with contextlib.suppress(aiohttp.ClientPayloadError):
                async for _ in answer.content.iter_chunked(_BLOCK):
                    pass


@asynccontextmanager
async def gateway(base_url: str, directory: Path) -> AsyncIterator[Gateway]:
    config = directory / "groq-proxy.yaml"
    config.write_text(
        "listen: 127.0.0.1:0\n"
        "cache: {exact: {enabled: false}}\n"
        f"providers: {{groq: {{base_url: '{base_url}', keys: [{{name: a, value: gsk_test}}],"
        " timeouts: {first_byte_s: 0.5, idle_s: 0.5, total_s: 2, stream_total_s: 2}}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--config", str(config)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            # Freed memory goes back at once: what one call took must not hide what the next takes.
            "MALLOC_TRIM_THRESHOLD_": "0",
            "MALLOC_MMAP_THRESHOLD_": "65536",
        },
    )
    assert process.stderr is not None
    try:
        while line := (await process.stderr.readline()).decode():
            if found := re.search(r"serves at (http\S+)", line):
                break
        assert line, "the gateway did not start"
        assert found
        drain = asyncio.ensure_future(process.stderr.read())
        running = Gateway(found[1], psutil.Process(process.pid))
        await running.growth(stream=True)  # what the first call of all costs is not the second's
        await still(running.process)
        yield running
    finally:
        process.kill()
        await process.wait()
    await drain


Script = Callable[[Line], Awaitable[None]]


async def test_no_hostile_answer_costs_more_than_its_share_of_memory(
    tmp_path: Path,
) -> None:
    async def script(line: Line) -> None:
        await now(line)

    async def harmless(line: Line) -> None:
        await line.say(EVENTS, event({"choices": []}), LAST)

    now: Script = harmless
    grown = {}
    async with raw(script) as provider, gateway(provider.url, tmp_path) as running:
        for hostile, stream in HOSTILE:
            now = hostile
            grown[hostile.__name__, stream] = await running.growth(stream=stream)

    assert {name: size // MIB for name, size in grown.items() if size > MOST_BYTES} == {}
