"""Spans -> a collector, from a thread of its own."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import urlsplit

from proxy.telemetry.spans import Span

MOST_WAITING: Final = 8192  # spans
_GATHER_S: Final = 1.0
_AT_ONCE: Final = 64  # encoding them holds up the event loop's thread, so not too many
_GRPC_PORT: Final = 4317

_log = logging.getLogger(__name__)


class Exporter(Protocol):
    """The way to one collector. May block; never raises."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Send them; whether they were taken."""
        ...

    def close(self) -> None:
        """Give up what is under way, and take nothing more."""
        ...


class SpanSender:
    """Sends spans to a collector, and loses them rather than hold up a call.

    Bounded: while the collector hangs, spans are dropped and counted, and so are those that it did
    not take. `retire` lets it end by itself once all is sent; `close` waits for that, but not long.
    """

    def __init__(
        self,
        exporter: Exporter,
        url: str,
        *,
        most_waiting: int = MOST_WAITING,
        gather_s: float = _GATHER_S,
    ) -> None:
        """`url` is for messages."""
        self.url = url
        self._exporter = exporter
        self._most_waiting = most_waiting
        self._gather_s = gather_s
        self._spans: deque[Span] = deque()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._dropped_here = self._dropped_there = 0  # each is counted in one thread only
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many spans were lost."""
        return self._dropped_here + self._dropped_there

    def send(self, spans: Sequence[Span]) -> None:
        """Take the spans of one call, all or none."""
        if len(self._spans) + len(spans) > self._most_waiting or self._ending.is_set():
            self._dropped_here += len(spans)
            return
        self._spans.extend(spans)
        if not self._wake.is_set():
            self._wake.set()

    def retire(self) -> None:
        """Take nothing more, send what waits, end."""
        self._ending.set()
        self._wake.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """`retire`, and wait for at most `timeout_s`; what is not sent then is lost."""
        self.retire()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._dropped_here += len(self._spans)
            self._exporter.close()

    def _run(self) -> None:
        while not (self._ending.is_set() and not self._spans):
            self._wake.wait()
            self._ending.wait(self._gather_s)  # those that come close together go out together
            self._wake.clear()
            while self._spans:
                self._send_some()
        self._exporter.close()

    def _send_some(self) -> None:
        batch = [self._spans.popleft() for _ in range(min(_AT_ONCE, len(self._spans)))]
        taken = self._exporter.export(batch)
        if not taken:
            self._dropped_there += len(batch)
        if taken is self._failing:
            self._failing = not taken
            if taken:
                _log.info("spans are taken again at %s", self.url)
            else:
                _log.warning("spans are not taken at %s: they are lost until they are", self.url)


def advice_on(url: str) -> str:
    """What may be wrong with a collector's address; "" where nothing seems so."""
    if urlsplit(url).port == _GRPC_PORT:
        return f"port {_GRPC_PORT} is usually for gRPC; spans go by HTTP, which has port 4318"
    return ""
