"""Prompts and answers -> files, redacted: only where an operator asked for it, and no client minds.

What is captured waits in a bounded queue for a thread, which hands it to a scribe, a process of its
own (`scribe.py`). One that takes too long or dies is ended and started again; what it had in hand
is lost, and counted.
"""

import logging
import select
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from proxy.core.call import Form
from proxy.core.children import import_flags
from proxy.core.errors import Outcome
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord, Heard
from proxy.core.parcels import parcel
from proxy.telemetry.logs import timestamp
from proxy.telemetry.scribe import MOST_BYTES, orders

Mode = Literal["off", "errors", "full"]

NO_CAPTURE: Final = "x-no-capture"
_MOST_WAITING: Final = 256
_MOST_BYTES_WAITING: Final = 32 << 20
_PATIENCE_S: Final = 5.0  # for one capture
_FORMS: Final = {Form.CHAT: "chat", Form.EVENTS: "events"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Settings:
    mode: Mode = "off"
    patterns: tuple[str, ...] = ()


class Captures:
    """The observer that keeps bodies. `dropped` counts those that were to be kept and are lost."""

    def __init__(self, path: Path, known: Callable[[], Mapping[str, str]]) -> None:
        """`known` are the secrets that must not be kept: as written -> what is shown."""
        self._path = path
        self._known = known
        self._settings = _Settings()
        self._waiting: deque[tuple[_Settings, bytes]] = deque()
        self._bytes_in = self._bytes_out = 0  # each is counted in one thread only
        self._in_hand = 0
        self._wake = threading.Event()
        self._closing = False
        self._dropped_here = self._dropped_there = 0  # each is counted in one thread only
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """How many are lost."""
        return self._dropped_here + self._dropped_there

    def configure(self, mode: Mode, patterns: tuple[str, ...]) -> None:
        """Keep none, those of calls that did not end well, or all, without what these match."""
        self._settings = _Settings(mode, patterns)
        if mode != "off" and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="captures", daemon=True)
            self._thread.start()

    def begin(self, headers: Mapping[str, str]) -> Heard | None:
        """Where to note what a client hears; None where that is not to be kept."""
        if self._settings.mode == "off" or headers.get(NO_CAPTURE, "0") != "0":
            return None
        return Heard(MOST_BYTES)

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is kept before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Keep what was asked and answered."""
        settings, heard = self._settings, record.heard
        record.heard = None  # whoever keeps the record keeps no bodies
        bad = record.outcome is not Outcome.OK
        if heard is None or settings.mode == "off" or not (bad or settings.mode == "full"):
            return
        held = self._bytes_in - self._bytes_out
        if len(self._waiting) >= _MOST_WAITING or held > _MOST_BYTES_WAITING:
            self._dropped_here += 1
            return
        try:
            content = orjson.dumps(_capture(record, heard))
        except (TypeError, ValueError):  # half a character, or a number beyond all measure
            self._dropped_here += 1
            return
        self._bytes_in += len(content)
        self._waiting.append((settings, content))
        self._wake.set()

    def flight_closed(self, record: FlightRecord) -> None:
        """A flight's answer is kept with its call."""

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt's too."""

    def happened(self, event: Event) -> None:
        """What happens outside calls has no bodies."""

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for at most `timeout_s`."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                self._dropped_here += len(self._waiting) + self._in_hand

    def _run(self) -> None:
        scribe: _Scribe | None = None
        while not (self._closing and not self._waiting):
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                self._in_hand = 1
                settings, content = self._waiting.popleft()
                self._bytes_out += len(content)
                known = self._known()
                if scribe is None or scribe.settings != settings or scribe.known is not known:
                    scribe = self._started(settings, known, scribe)
                if scribe is None or not scribe.write(content):
                    self._dropped_there += 1
                    scribe = None
                self._in_hand = 0
        if scribe is not None:
            scribe.end()

    def _started(
        self, settings: _Settings, known: Mapping[str, str], before: "_Scribe | None"
    ) -> "_Scribe | None":
        if before is not None:
            before.end()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            first = orders(self._path, known, settings.patterns)
            return _Scribe(settings, known, first)
        except OSError as error:
            _log.warning("bodies cannot be captured: %s", error)
            return None


class _Scribe:
    """The process, while it lives."""

    def __init__(self, settings: _Settings, known: Mapping[str, str], first: bytes) -> None:
        self.settings = settings
        self.known = known
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, *import_flags(), "-m", "proxy.telemetry.scribe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # whatever breaks there may quote a prompt
            start_new_session=True,  # a signal to the gateway's group is for the gateway
        )
        self._send(first)

    def write(self, content: bytes) -> bool:
        """Whether it is written; if not, the process is ended."""
        said = b""
        if self._send(content):
            stdout = self._process.stdout
            assert stdout is not None
            waiting = select.poll()
            waiting.register(stdout, select.POLLIN)
            ready = waiting.poll(_PATIENCE_S * 1000)
            said = stdout.read(1) if ready else b""
            if not ready:
                _log.warning(
                    "a capture took longer than %g s to redact and is lost: is a pattern of"
                    " `telemetry.redact` slow?",
                    _PATIENCE_S,
                )
        if said != b"+":
            self.end()
        return said == b"+"

    def end(self) -> None:
        """End it now; it holds nothing that is not written."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _send(self, content: bytes) -> bool:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(parcel(content))
            stdin.flush()
        except OSError:
            return False
        return True


def _capture(record: CallRecord, heard: Heard) -> dict[str, Any]:
    """What a scribe gets; bodies go as they are, and are looked at there."""
    call, error, head, trace = record.call, record.error, record.head, record.trace
    body, answer, size = None, b"".join(heard.pieces), heard.size
    form = _FORMS.get(head.form, "whole") if head is not None and heard.size else "whole"
    if not answer and error is not None:
        answer = error.body()
        size = len(answer)
    if call is not None and isinstance(call.body, dict):
        body = call.body if call.size <= 2 * MOST_BYTES else f"[{call.size} bytes]"
    if form == "whole" and head is not None and head.form is Form.BYTES:
        answer = b""
    return {
        "ts": timestamp(record.started_wall),
        "request_id": record.id,
        "trace_id": trace.trace_id if trace else None,
        "endpoint": record.endpoint,
        "model": str(record.target) if record.target else None,
        "tenant": record.caller.name if record.caller else None,
        "status": record.status,
        "outcome": record.outcome,
        "error_code": error.code if error else None,
        "stream": record.stream,
        "request": body,
        "form": form,
        "answer": answer.decode("latin-1"),
        "answer_bytes": size,
    }
