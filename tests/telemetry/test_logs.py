import io
import logging
import os
import re
import sys
import threading
from contextlib import suppress
from random import Random

import orjson
import pytest

from proxy.core.call import Form, Usage
from proxy.core.errors import (
    ClientGone,
    Internal,
    InvalidRequest,
    Outcome,
    ProxyError,
    QuotaExhausted,
    TimedOut,
)
from proxy.core.events import ConfigReloaded, KeyChecked, KeyState, LoopLagged
from proxy.telemetry.logs import AccessLog, Formatter, LineWriter, fields, timestamp
from tests.telemetry.records import tell_of_a_call, tell_of_a_refused_call

# observability.md, section 4: always all of them, in this order.
FIELDS = """
    ts level event schema request_id trace_id span_id method endpoint status outcome error_code
    stream stream_end tenant key_hint model_requested model upstream_model upstream_id fallback_from
    attempts retry_reasons upstream_key breaker cache cache_tier similarity entry_age_s saved_usd
    rag_collection rag_chunks rag_top_score prompt_tokens prompt_cached_tokens completion_tokens
    reasoning_tokens usage_source cost_usd budget duration_ms ttft_ms tpot_ms queue_ms upstream_ms
    overhead_ms groq_queue_ms groq_prompt_ms groq_completion_ms ratelimit_remaining_requests
    ratelimit_remaining_tokens finish_reason bytes_in bytes_out client user_agent worker
""".split()  # noqa: SIM905 - a list of sixty lines would hide the sixty names


class Lines(list[bytes]):
    """An access log's lines."""

    def log(self, *, text: bool = False, sample: float = 1.0) -> AccessLog:
        log = AccessLog(self.append, Random(7))
        log.configure(text=text, sample=sample)
        return log

    def only(self) -> dict[str, object]:
        (line,) = self
        told: dict[str, object] = orjson.loads(line)
        return told


def test_a_good_call_is_one_line_with_all_fields() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), usage=Usage(10, 5, 4, 2, queue_s=0.05))

    told = lines.only()
    assert list(told) == FIELDS
    assert (
        told
        | {
            "ts": "2027-01-15T08:00:00.000Z",
            "level": "info",
            "event": "request",
            "schema": 1,
            "request_id": "prx_1",
            "endpoint": "chat_completions",
            "status": 200,
            "outcome": "ok",
            "error_code": None,
            "stream": True,
            "stream_end": "done",
            "model_requested": "openai/gpt-oss-20b",
            "model": "groq/openai/gpt-oss-20b",
            "upstream_model": "groq/openai/gpt-oss-20b",
            "upstream_id": "req_1",
            "attempts": 1,
            "retry_reasons": [],
            "upstream_key": "k1",
            "cache": "off",
            "prompt_tokens": 10,
            "prompt_cached_tokens": 4,
            "completion_tokens": 5,
            "reasoning_tokens": 2,
            "usage_source": "reported",
            "duration_ms": 3000.0,
            "ttft_ms": 1000.0,
            "tpot_ms": 500.0,
            "upstream_ms": 3000.0,
            "overhead_ms": 0.0,
            "groq_queue_ms": 50.0,
            "ratelimit_remaining_tokens": 7927,
            "ratelimit_remaining_requests": None,
            "finish_reason": "stop",
            "bytes_in": 300,
            "bytes_out": 900,
        }
        == told
    )


@pytest.mark.parametrize(
    "error",
    [InvalidRequest("x"), QuotaExhausted("x"), TimedOut("x"), ClientGone("x"), Internal("x")],
)
def test_a_bad_call_has_the_same_fields(error: ProxyError) -> None:
    for tell in (tell_of_a_call, tell_of_a_refused_call):
        lines = Lines()
        tell(lines.log(), error=error)
        told = lines.only()
        assert list(told) == FIELDS
        assert (told["outcome"], told["error_code"]) == (error.outcome, error.code)


@pytest.mark.parametrize("outcome", Outcome)
def test_only_what_spends_the_error_budget_is_an_error(outcome: Outcome) -> None:
    record = tell_of_a_call()
    record.outcome = outcome

    bad = {"upstream_error", "timeout", "breaker_open", "internal_error"}
    assert (fields(record)["level"] == "error") == (outcome in bad)


def test_texts_of_clients_are_cut() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), model="m" * 256, headers={"User-Agent": "u" * 500})

    told = lines.only()
    assert (told["model_requested"], told["user_agent"]) == ("m" * 64, "u" * 96)


def test_what_a_client_sends_cannot_begin_a_line_of_its_own() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(), headers={"User-Agent": 'x"}\n{"event":"request"}'})

    assert b"\n" not in lines[0]
    assert lines.only()["user_agent"] == 'x"}\n{"event":"request"}'


@pytest.mark.parametrize("stated", ["", "-1", "1.5", "many", "²", "1e3"])
def test_an_odd_rate_limit_header_is_unknown(stated: str) -> None:
    record = tell_of_a_call()
    assert record.head is not None
    assert isinstance(record.head.headers, dict)
    record.head.headers["x-ratelimit-remaining-tokens"] = stated

    assert fields(record)["ratelimit_remaining_tokens"] is None


@pytest.mark.parametrize(("sample", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_of_good_calls_the_share_asked_for_is_written(sample: float, share: float) -> None:
    lines = Lines()
    log, record = lines.log(sample=sample), tell_of_a_call()

    for _ in range(2000):
        log.call_closed(record)

    assert len(lines) == pytest.approx(2000 * share, abs=80)


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome != "ok"])
def test_sampling_never_drops_a_bad_call(outcome: Outcome) -> None:
    lines = Lines()
    log, record = lines.log(sample=0.0), tell_of_a_call()
    record.outcome = outcome

    for _ in range(100):
        log.call_closed(record)

    assert len(lines) == 100


def test_a_line_for_people_tells_what_matters() -> None:
    lines = Lines()

    tell_of_a_call(lines.log(text=True))
    tell_of_a_call(lines.log(text=True), error=TimedOut("x"))
    tell_of_a_call(lines.log(text=True), form=Form.WHOLE, usage=None)

    good, late, plain = (line.decode() for line in lines)
    assert re.sub(" {2,}", "  ", good) == (
        "08:00:00.000  200  ok  chat_completions  groq/openai/gpt-oss-20b  3000 ms"
        "  first token 1000 ms  10+5 tokens  prx_1"
    )
    assert "504  timeout" in late
    assert "upstream_timeout  prx_1" in late
    assert "tokens" not in plain


@pytest.mark.parametrize(
    ("wall", "told"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.9999, "2027-01-15T08:00:00.999Z"),
        (1_800_000_000.0625, "2027-01-15T08:00:00.062Z"),
    ],
)
def test_times_are_utc_with_milliseconds(wall: float, told: str) -> None:
    assert timestamp(wall) == told


def test_operators_hear_of_keys_and_reloads_and_of_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Lines().log()

    with caplog.at_level(logging.INFO, "proxy"):
        log.happened(KeyChecked("groq", "a", KeyState.ACTIVE, 12, "accepted"))
        log.happened(KeyChecked("groq", "b", KeyState.DISABLED, None, "not accepted"))
        log.happened(ConfigReloaded(ok=True))
        log.happened(ConfigReloaded(ok=False, reason="listen: no"))
        log.happened(LoopLagged(1.0))

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "key groq/a: accepted, 12 models"),
        ("WARNING", "key groq/b: not accepted"),
        ("INFO", "configuration reloaded"),
        ("ERROR", "configuration not reloaded: listen: no"),
    ]


def logged(*, text: bool, fail: bool) -> str:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord(
            "proxy.x", logging.ERROR, "f", 1, "%s failed", ("it",), sys.exc_info() if fail else None
        )
    return Formatter(text=text).format(record)


def test_messages_have_the_shape_of_the_access_log() -> None:
    told = orjson.loads(logged(text=False, fail=True))

    assert told["event"] == "log"
    assert (told["level"], told["logger"], told["message"]) == ("error", "proxy.x", "it failed")
    assert told["traceback"].endswith("ValueError: two\nlines\n")
    assert "\n" not in logged(text=False, fail=True)


def test_messages_for_people_are_short() -> None:
    assert logged(text=True, fail=False).endswith("  error: it failed")
    assert "ValueError" in logged(text=True, fail=True)


class Pipe:
    """A writer on a pipe that nobody reads until `end`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._read, write = os.pipe()
        self._out = os.fdopen(write, "w")
        self.writer = LineWriter(self._out, on_drop=self._drop)

    def _drop(self) -> None:
        self.dropped += 1

    def end(self) -> list[bytes]:
        """All lines, to the end."""
        pieces: list[bytes] = []
        reader = threading.Thread(
            target=lambda: pieces.extend(iter(lambda: os.read(self._read, 1 << 20), b""))
        )
        reader.start()
        self.writer.close(timeout_s=10)
        self._out.close()
        reader.join()
        os.close(self._read)
        return b"".join(pieces).splitlines()


def test_lines_are_written_in_order_and_closing_writes_what_waits() -> None:
    out = io.TextIOWrapper(io.BytesIO())
    writer = LineWriter(out)
    lines = [b"line %d" % number for number in range(5000)]

    for line in lines:
        writer.write(line)
    writer.close()

    assert out.buffer.getvalue().splitlines() == lines  # type: ignore[attr-defined]


def test_lines_of_many_threads_are_never_mixed() -> None:
    out = io.TextIOWrapper(io.BytesIO())
    writer = LineWriter(out)

    def write(name: int) -> None:
        for number in range(500):
            writer.write(b"%d %d" % (name, number))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    lines = out.buffer.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2000
    for name in range(4):
        mine = [line for line in lines if line.startswith(b"%d " % name)]
        assert mine == [b"%d %d" % (name, number) for number in range(500)]


def test_a_pipe_that_nobody_reads_costs_lines_and_never_time() -> None:
    pipe, count = Pipe(), 60_000

    for number in range(count):  # to wait once would be to wait forever
        pipe.writer.write(b"%08d" % number + b"x" * 100)
    assert pipe.dropped > 0

    lines = pipe.end()
    assert len(lines) + pipe.dropped == count
    assert lines == sorted(lines)
    assert {len(line) for line in lines} == {108}


def test_closing_does_not_wait_for_a_pipe_that_nobody_reads() -> None:
    pipe = Pipe()
    for _ in range(2000):
        pipe.writer.write(b"x" * 100)

    pipe.writer.close(timeout_s=0.1)

    assert len(pipe.end()) == 2000


def test_lines_that_nobody_can_read_any_more_are_counted() -> None:
    read, write = os.pipe()
    os.close(read)
    dropped: list[None] = []
    out = os.fdopen(write, "w")
    writer = LineWriter(out, on_drop=lambda: dropped.append(None))

    writer.write(b"line")
    writer.close()

    assert len(dropped) == 1
    with suppress(BrokenPipeError):
        out.close()


def test_a_stream_that_was_closed_costs_its_lines_alone() -> None:
    out = io.TextIOWrapper(io.BytesIO())
    dropped: list[None] = []
    writer = LineWriter(out, on_drop=lambda: dropped.append(None))
    out.close()

    writer.write(b"line")
    writer.close()

    assert len(dropped) == 1
