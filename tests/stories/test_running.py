"""The running program: reloads, blocked sinks, closing."""

import asyncio
import io
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proxy.config.errors import ConfigError
from proxy.config.settings import Config
from proxy.core.call import Endpoint, Sent
from tests.conftest import House
from tests.stories.books import at_rest, balanced
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    WHOLE,
    Line,
    raw,
    said,
    stopped,
    whole,
)
from tests.stories.reading import content_of, events_of
from tests.stories.running import configured, running

MAX_WAITING = 10_000  # lines of the log


async def _whole(line: Line) -> None:
    await line.say(WHOLE)


@dataclass
class File:
    """A configuration file in memory."""

    config: Config | ConfigError
    reads: int = 0

    def read(self) -> Config:
        self.reads += 1
        if isinstance(self.config, ConfigError):
            raise self.config
        return self.config


async def test_a_bad_file_at_reload_keeps_the_old_configuration(tmp_path: Path) -> None:
    async with raw(_whole) as provider:
        file = File(configured(tmp_path, provider.url))
        async with running(file.read(), reload=file.read) as house:
            await house.chat()
            file.config = ConfigError(None, None, "providers.groq: no such knob")
            house.app.reload()
            answer = await house.chat()

            assert answer.status == 200
            assert await house.metric("config_reloads_total", result="error") == 1
            assert await house.metric("config_reloads_total", result="ok") == 0
            assert len(provider.lines) == 2


async def test_a_knob_that_needs_a_restart_keeps_the_old_configuration(tmp_path: Path) -> None:
    async with raw(_whole) as provider:
        file = File(configured(tmp_path, provider.url))
        async with running(file.read(), reload=file.read) as house:
            file.config = configured(tmp_path / "elsewhere", provider.url, limits={"body": 10})
            house.app.reload()
            answer = await house.chat()

            assert answer.status == 200
            assert await house.metric("config_reloads_total", result="error") == 1


async def test_a_good_reload_serves_the_next_call_and_leaves_a_running_stream_alone(
    tmp_path: Path,
) -> None:
    async def old_script(line: Line) -> None:
        await line.say(EVENTS, said("old "))
        await reloaded.wait()
        await line.say(said("to the end"), stopped(usage=USAGE), DONE, LAST)

    reloaded = asyncio.Event()
    async with raw(old_script) as old, raw(_whole) as new:
        file = File(configured(tmp_path, old.url))
        async with running(file.read(), reload=file.read) as house:
            stream = await house.chat(stream=True)
            file.config = configured(tmp_path, new.url)
            house.app.reload()
            answer = await house.chat()
            reloaded.set()
            events = await events_of(stream)
            await at_rest(house)

            assert answer.status == 200
            assert (len(old.lines), len(new.lines)) == (1, 1)
            assert content_of(events) == "old to the end"
            assert events[-1] == "[DONE]"
            assert await house.metric("config_reloads_total", result="ok") == 1
    await balanced(house)


class _Stuck(io.BytesIO):
    """A pipe that nobody reads, until somebody does."""

    def __init__(self) -> None:
        super().__init__()
        self.met = threading.Event()
        self.free = threading.Event()

    def write(self, data: Any) -> int:
        self.met.set()
        self.free.wait(20)
        return super().write(data)


@dataclass
class _Silent:
    """An exchange of which only its record matters."""

    id: str = "prx_x"
    method: str = "GET"
    sent: Sent = field(default_factory=Sent)
    headers: dict[str, str] = field(default_factory=dict)
    received_bytes: int = 0
    read_at: float | None = None
    waited_s: float = 0.0
    trace: None = None
    interrupted: bool = False


async def test_a_log_that_nobody_reads_holds_up_no_call(tmp_path: Path) -> None:
    pipe = _Stuck()
    out = io.TextIOWrapper(pipe)
    async with (
        raw(_whole) as provider,
        running(configured(tmp_path, provider.url), out=out) as house,
    ):
        await house.chat()
        await asyncio.to_thread(pipe.met.wait, 5)
        answers = [await house.chat() for _ in range(20)]

        assert [answer.status for answer in answers] == [200] * 20
        assert await house.metric("telemetry_dropped_total", signal="logs") == 0
        pipe.free.set()

    lines = [orjson.loads(line) for line in pipe.getvalue().splitlines()]
    assert [line["outcome"] for line in lines] == ["ok"] * 21


async def test_a_log_that_nobody_reads_is_dropped_and_counted_at_its_bound(tmp_path: Path) -> None:
    pipe = _Stuck()
    out = io.TextIOWrapper(pipe)
    async with (
        raw(_whole) as provider,
        running(configured(tmp_path, provider.url), out=out) as house,
    ):
        await house.chat()
        await asyncio.to_thread(pipe.met.wait, 5)
        exchange: Any = _Silent()
        for _ in range(MAX_WAITING + 50):
            with house.app.state.journal.call(exchange, Endpoint.OTHER):
                pass
        answer = await house.chat()

        assert answer.status == 200
        await house.calls_closed(MAX_WAITING + 52)
        dropped = await house.metric("telemetry_dropped_total", signal="logs")
        pipe.free.set()

    assert dropped == 51
    assert len(pipe.getvalue().splitlines()) == MAX_WAITING + 1


class _Gone(io.BytesIO):
    """A pipe whose reader has left."""

    def write(self, data: Any) -> int:
        raise BrokenPipeError


async def test_lines_of_a_log_whose_reader_is_gone_are_counted_as_dropped(tmp_path: Path) -> None:
    out = io.TextIOWrapper(_Gone())
    async with raw(_whole) as provider:
        async with running(configured(tmp_path, provider.url), out=out) as house:
            answers = [await house.chat() for _ in range(3)]

        assert [answer.status for answer in answers] == [200] * 3
        assert await house.metric("telemetry_dropped_total", signal="logs") == 3


async def _by_key(line: Line) -> None:
    """Accepts the key `gsk_good` alone."""
    good = b"Bearer gsk_good" in line.request
    await line.say(WHOLE if good else whole({"error": {"message": "no"}}, "401 No"))


def _with_key(state: Path, url: str, value: str) -> Config:
    groq = {"base_url": url, "keys": [{"name": "k", "value": value}]}
    return configured(state, url, providers={"groq": groq})


async def test_readiness_follows_what_calls_learn_of_the_key(tmp_path: Path) -> None:
    async with raw(_by_key) as provider:
        file = File(_with_key(tmp_path, provider.url, "gsk_bad"))
        async with running(file.read(), reload=file.read) as house:
            refused = await house.chat()
            before = await house.session.get(f"{house.url}/readyz")
            file.config = _with_key(tmp_path, provider.url, "gsk_good")
            house.app.reload()
            answered = await house.chat()
            after = await house.session.get(f"{house.url}/readyz")

            assert [refused.status, before.status] == [502, 503]
            assert [answered.status, after.status] == [200, 200]
            assert await house.metric("upstream_key_state", state="active") == 1
            assert await house.metric("upstream_key_state", state="disabled") == 0


async def test_a_reload_takes_over_the_log_and_shows_what_runs(tmp_path: Path) -> None:
    async with raw(_whole) as provider:
        file = File(configured(tmp_path, provider.url))
        async with running(file.read(), reload=file.read) as house:
            file.config = configured(tmp_path, provider.url, telemetry={"log": "json", "sample": 0})
            before = await _hashes(house)
            house.app.reload()
            await house.chat()
            await house.calls_closed()

            assert len(await _hashes(house)) == 1
            assert await _hashes(house) != before
        assert house.log.lines() == []


async def _hashes(house: House) -> set[str]:
    page = await (await house.session.get(f"{house.url}/metrics")).text()
    return {part.split('"')[1] for part in page.split("config_hash=")[1:]}


async def test_a_stall_of_the_provider_is_not_our_overhead(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await line.until_left()

    groq = {"keys": [{"name": "k", "value": "gsk_test"}], "timeouts": {"idle_s": 0.3}}
    async with raw(script) as provider:
        groq["base_url"] = provider.url
        async with running(configured(tmp_path, "", providers={"groq": groq})) as house:
            await (await house.chat(stream=True)).text()
            await house.calls_closed()

            (call,) = house.seen.calls
            assert call.duration_s > 0.3
            assert call.overhead_s < 0.15


async def test_a_client_that_writes_odd_bytes_has_its_line_too(tmp_path: Path) -> None:
    async with raw(_whole) as provider, running(configured(tmp_path, provider.url)) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.split(":")[-1]))
        head = b"GET /v1/nowhere HTTP/1.1\r\nHost: localhost\r\nUser-Agent: \xff\xfe\r\n\r\n"
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        await house.calls_closed()
        writer.close()
    assert len([line for line in house.log.lines() if '"request"' in line]) == 1
