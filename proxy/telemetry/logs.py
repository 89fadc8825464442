"""Records -> one line a call; and the lines of `logging` in the same shape."""

import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any, TextIO

import orjson

from proxy.core.errors import Outcome
from proxy.core.events import ConfigReloaded, Event, KeyChecked
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord

_MAX_WAITING = 10_000
_GATHER_S = 0.02
_SLOW_S = 10.0  # a call that took longer is always worth a line
_operations = logging.getLogger("proxy")


class LineWriter:
    """Writes lines from a thread of its own, so that a blocked pipe never holds up the event loop.

    Bounded: when the reader of the log hangs, lines are dropped and counted. `close` writes what
    waits.
    """

    def __init__(self, out: TextIO, on_drop: Callable[[], None] = lambda: None) -> None:
        self._out = out
        self._on_drop = on_drop
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take one line, without its end."""
        if len(self._lines) >= _MAX_WAITING:
            self._on_drop()
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for at most `timeout_s`."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not (self._closing and not self._lines):
            self._wake.wait()
            if not self._closing:
                # Lines that come close together go out in one write.
                time.sleep(_GATHER_S)
            self._wake.clear()
            batch = [self._lines.popleft() for _ in range(len(self._lines))]
            if batch:
                try:
                    self._out.buffer.write(b"\n".join(batch) + b"\n")
                    self._out.buffer.flush()
                except (OSError, ValueError):  # the reader is gone; the calls go on
                    for _ in batch:
                        self._on_drop()


class AccessLog:
    """The observer that writes a line a call."""

    def __init__(self, write: Callable[[bytes], None], random: Random) -> None:
        self._write = write
        self._random = random
        self.configure(text=False, sample=1.0)

    def configure(self, *, text: bool, sample: float) -> None:
        """Write lines for people or for machines, and of that share of the good calls."""
        self._line = _as_text if text else _as_json
        self._sample = sample

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is written before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Write the line of a call; of calls that were good and quick only the sampled share."""
        if (
            record.outcome is Outcome.OK
            and record.duration_s < _SLOW_S
            and self._sample < 1
            and self._random.random() >= self._sample
        ):
            return
        self._write(self._line(record))

    def flight_closed(self, record: FlightRecord) -> None:
        """A flight's facts stand in the line of its call."""

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt's too."""

    def happened(self, event: Event) -> None:
        """Say what the operator should know."""
        match event:
            case KeyChecked(reason="accepted again"):
                _operations.info("key %s/%s: accepted again", event.provider, event.key)
            case KeyChecked(models=None):
                _operations.warning("key %s/%s: %s", event.provider, event.key, event.reason)
            case KeyChecked():
                _operations.info(
                    "key %s/%s: accepted, %d models", event.provider, event.key, event.models
                )
            case ConfigReloaded(ok=True):
                _operations.info("configuration reloaded")
            case ConfigReloaded():
                _operations.error("configuration not reloaded: %s", event.reason)
            case _:
                pass


def fields(record: CallRecord) -> dict[str, Any]:
    """All fields of the access line, always all of them; null where nothing is known."""
    flight, sent, call = record.flight, record.sent, record.call
    usage = flight.summary.usage if flight else None
    attempts = flight.attempts if flight else []
    last = attempts[-1] if attempts else None
    headers = record.head.headers if record.head else {}
    target = record.head.target if record.head else record.target
    content_s = _between(sent.first_content_at, sent.last_content_at)
    return {
        "ts": timestamp(record.started_wall),
        "level": "error" if record.outcome in _BAD else "info",
        "event": "request",
        "schema": 1,
        "request_id": record.id,
        "trace_id": None,
        "span_id": None,
        "method": record.method,
        "endpoint": record.endpoint,
        "status": record.status,
        "outcome": record.outcome,
        "error_code": record.error.code if record.error else None,
        "stream": record.stream,
        "stream_end": record.stream_end,
        "tenant": record.caller.name if record.caller else None,
        "key_hint": None,
        "model_requested": call.model[:64] if call else None,
        "model": str(record.target) if record.target else None,
        "upstream_model": str(target) if target else None,
        "upstream_id": flight.summary.upstream_id if flight else None,
        "fallback_from": None,
        "attempts": len(attempts),
        "retry_reasons": [each.error.kind for each in attempts[:-1] if each.error],
        "upstream_key": last.key if last else None,
        "breaker": None,
        "cache": "off",
        "cache_tier": None,
        "similarity": None,
        "entry_age_s": None,
        "saved_usd": None,
        "rag_collection": None,
        "rag_chunks": None,
        "rag_top_score": None,
        "prompt_tokens": usage.prompt if usage else None,
        "prompt_cached_tokens": usage.cached if usage else None,
        "completion_tokens": usage.completion if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "usage_source": ("reported" if usage.exact else "estimated") if usage else None,
        "cost_usd": None,
        "budget": None,
        "duration_ms": _ms(record.duration_s),
        "ttft_ms": _ms(_between(record.started, sent.first_content_at)),
        "tpot_ms": (
            _ms(content_s / (usage.completion - 1))
            if usage and usage.completion >= 2 and content_s
            else None
        ),
        "queue_ms": None,
        "upstream_ms": _ms(flight.waited_s) if flight else None,
        "overhead_ms": _ms(record.overhead_s),
        "groq_queue_ms": _ms(usage.queue_s) if usage else None,
        "groq_prompt_ms": _ms(usage.prompt_s) if usage else None,
        "groq_completion_ms": _ms(usage.completion_s) if usage else None,
        "ratelimit_remaining_requests": _number(headers.get("x-ratelimit-remaining-requests")),
        "ratelimit_remaining_tokens": _number(headers.get("x-ratelimit-remaining-tokens")),
        "finish_reason": flight.summary.finish_reason if flight else None,
        "bytes_in": record.received_bytes,
        "bytes_out": sent.body_bytes,
        "client": None,
        "user_agent": record.user_agent[:96] or None,
        "worker": 0,
    }


_BAD = frozenset(
    {Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.BREAKER_OPEN, Outcome.INTERNAL_ERROR}
)


def _as_json(record: CallRecord) -> bytes:
    return orjson.dumps(fields(record))


def _as_text(record: CallRecord) -> bytes:
    """A line for people: when, what came of it, how long, how much."""
    told = fields(record)
    clock = told["ts"][11:23]
    parts = [clock, str(told["status"]), told["outcome"].ljust(14), told["endpoint"]]
    if told["upstream_model"]:
        parts.append(told["upstream_model"])
    parts.append(f"{told['duration_ms']:.0f} ms")
    if told["ttft_ms"] is not None:
        parts.append(f"first token {told['ttft_ms']:.0f} ms")
    if told["completion_tokens"] is not None:
        parts.append(f"{told['prompt_tokens']}+{told['completion_tokens']} tokens")
    if told["error_code"]:
        parts.append(told["error_code"])
    parts.append(told["request_id"])
    return "  ".join(parts).encode()


class Formatter(logging.Formatter):
    """`logging` records in the shape of the access log."""

    def __init__(self, *, text: bool) -> None:
        super().__init__()
        self._text = text

    def format(self, record: logging.LogRecord) -> str:
        """One line: JSON, or text for a terminal."""
        message = record.getMessage()
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else None
        ts = timestamp(record.created)
        if self._text:
            line = f"{ts[11:23]}  {record.levelname.lower()}: {message}"
            return f"{line}\n{trace}" if trace else line
        told = {
            "ts": ts,
            "level": record.levelname.lower(),
            "event": "log",
            "schema": 1,
            "logger": record.name,
            "message": message,
            "traceback": trace,
        }
        return orjson.dumps(told).decode()


def set_up(*, text: bool, out: TextIO = sys.stderr) -> None:
    """Send `logging` to `out`, warnings of libraries and our own from info on."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(Formatter(text=text))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    _operations.setLevel(logging.INFO)


def timestamp(wall: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    second = int(wall)
    return f"{_to_second(second)}.{int((wall - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _to_second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _ms(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None


def _between(start: float | None, end: float | None) -> float | None:
    return end - start if start is not None and end is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
