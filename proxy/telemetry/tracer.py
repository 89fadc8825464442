"""The observer that has the spans of calls sent, of those that are to be traced."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.core.secrets import Secrets
from proxy.core.trace import Trace
from proxy.telemetry.sender import Exporter, SpanSender, advice_on
from proxy.telemetry.spans import Places, late_spans_of, spans_of
from proxy.telemetry.tracing import Tracing, kept

_MOST_LATE: Final = 1000  # flights that go on after their call

NO_LIBRARY: Final = (
    "telemetry.traces needs an extra: pip install 'groq-proxy[otel]'; no spans are sent"
)

Connect = Callable[[str], Exporter]  # a collector's address -> the way there

_log = logging.getLogger(__name__)


class Tracer:
    """Draws the spans of traced calls and hands them over. Nothing is drawn of the others."""

    def __init__(self, tracing: Tracing, secrets: Secrets, connect: Connect) -> None:
        """`connect` raises `ImportError` where its library is absent."""
        self._tracing = tracing
        self._secrets = secrets
        self._connect = connect
        self._sender: SpanSender | None = None
        self._lost_before = 0  # by senders that are gone
        self._late: OrderedDict[FlightRecord, tuple[CallRecord, Trace]] = OrderedDict()
        self._places = Places()
        self._show = lru_cache(maxsize=1024)(secrets.hide)

    @property
    def dropped(self) -> int:
        """How many spans were lost."""
        return self._lost_before + (self._sender.dropped if self._sender else 0)

    def configure(self, url: str | None, sample: float, places: Places) -> None:
        """Send spans to `url` (None: nowhere), of that share of the traces that begin here."""
        self._places = places
        self._show = lru_cache(maxsize=1024)(self._secrets.hide)
        if url != (self._sender.url if self._sender else None):
            self._move(url)
        self._tracing.configure(on=self._sender is not None, sample=sample)

    def close(self) -> None:
        """Send what waits, for a bounded time."""
        if self._sender is not None:
            self._sender.close()

    def _move(self, url: str | None) -> None:
        if self._sender is not None:
            self._lost_before += self._sender.dropped
            self._sender.retire()
            self._sender = None
        if url is None:
            return
        try:
            self._sender = SpanSender(self._connect(url), url)
        except ImportError:
            _log.warning(NO_LIBRARY)
            return
        if advice := advice_on(url):
            _log.warning("telemetry.traces: %s", advice)

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is drawn before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Send the spans of a call that is to be traced."""
        trace = kept(record)
        if trace is None or self._sender is None:
            return
        self._sender.send(spans_of(record, trace, self._show, self._places))
        flight = record.flight
        if flight is not None and not flight.ended:
            self._late[flight] = record, trace
            if len(self._late) > _MOST_LATE:
                self._late.popitem(last=False)

    def flight_closed(self, record: FlightRecord) -> None:
        """Send the spans of a flight that its call did not wait for."""
        if not self._late:
            return
        call, trace = self._late.pop(record, (None, None))
        if call is not None and trace is not None and self._sender is not None:
            self._sender.send(late_spans_of(call, trace, self._show, self._places))

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt is drawn with its flight."""

    def happened(self, event: Event) -> None:
        """What happens outside calls is in no trace."""
