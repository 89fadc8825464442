"""Spans -> OTLP over HTTP. The one room of the OpenTelemetry library, which is an extra.

Of its variables those count that say more than where to send: OTEL_EXPORTER_OTLP_HEADERS (and
_TIMEOUT, _COMPRESSION, _CERTIFICATE), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES.
"""

import logging
import socket
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy.telemetry.spans import Kind, Span

_PATH: Final = "/v1/traces"
_KINDS: Final = {
    Kind.SERVER: SpanKind.SERVER,
    Kind.CLIENT: SpanKind.CLIENT,
    Kind.INTERNAL: SpanKind.INTERNAL,
}
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)

_log = logging.getLogger(__name__)


class Collector:
    """The way to the collector at `url`."""

    def __init__(self, url: str, *, version: str, worker: int) -> None:
        # What it says at each try would fill the log while a collector is down; we tell once.
        logging.getLogger(OTLPSpanExporter.__module__).setLevel(logging.CRITICAL)
        self._exporter = OTLPSpanExporter(endpoint=endpoint_of(url))
        self._resource = _resource(version, worker)
        self._scope = InstrumentationScope("groq-proxy", version)
        self._closed = False

    def export(self, spans: Sequence[Span]) -> bool:
        """Send them; whether they were taken."""
        if self._closed:
            return False
        try:
            result = self._exporter.export([self._readable(span) for span in spans])
        except Exception:  # noqa: BLE001 - whatever a library does, no call may feel it
            _log.debug("spans could not be sent", exc_info=True)
            return False
        return result is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is under way, and take nothing more."""
        if not self._closed:
            self._closed = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            _context(span.trace_id, span.span_id),
            _context(span.trace_id, span.parent_id, remote=span.remote) if span.parent_id else None,
            self._resource,
            span.attributes,
            [Event(name, timestamp=at) for name, at in span.events],
            [Link(_context(*link)) for link in span.links],
            _KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self._scope,
        )


def endpoint_of(url: str) -> str:
    """Where spans go: a collector's address is completed as the standard has it."""
    bare = url.rstrip("/")
    return bare if bare.endswith(_PATH) else f"{bare}{_PATH}"


def _context(trace_id: str, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), remote, _SAMPLED)


def _resource(version: str, worker: int) -> Resource:
    own = Resource(
        {
            "service.name": "groq-proxy",
            "service.version": version,
            "service.instance.id": f"{socket.gethostname()}:{worker}",
        }
    )
    given = Resource.create()  # by its variables, with a name of its own where they have none
    named = not str(given.attributes.get("service.name", "")).startswith("unknown_service")
    merged = given.merge(own)
    if named:
        merged = merged.merge(Resource({"service.name": given.attributes["service.name"]}))
    return merged
