"""A collector on loopback: what OTLP over HTTP brought, as spans that can be asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.stories.receiver import Receiver, receiving

trace_service = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="needs the extra otel"
)

KINDS = {1: "internal", 2: "server", 3: "client"}


@dataclass(frozen=True)
class Seen:
    """A span as a collector got it. Ids are in hex, times in seconds."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: float
    ended: float
    attributes: dict[str, Any]
    failed: bool
    events: list[str]
    links: list[str]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What came, in all requests."""

    receiver: Receiver

    @property
    def url(self) -> str:
        return self.receiver.url

    @property
    def spans(self) -> list[Seen]:
        """All that came, by their beginning."""
        found = [
            span
            for got in self.receiver.got
            if got.path == "/v1/traces"
            for span in _spans(got.body)
        ]
        return sorted(found, key=lambda span: (span.began, -span.ended))

    async def having(self, count: int) -> list[Seen]:
        """The spans, when there are so many."""
        async with asyncio.timeout(10):
            while len(self.spans) < count:  # noqa: ASYNC110 - the receiver tells no event
                await asyncio.sleep(0.02)
        return self.spans


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port."""
    async with receiving() as receiver:
        yield Collector(receiver)


def tree(spans: list[Seen], parent: str = "") -> list[Any]:
    """Names, each with those below it."""
    return [
        (span.name, below) if (below := tree(spans, span.id)) else span.name
        for span in spans
        if span.parent == parent
    ]


def _spans(body: bytes) -> list[Seen]:
    request = trace_service.ExportTraceServiceRequest.FromString(body)
    return [
        Seen(
            span.name,
            KINDS[span.kind],
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano / 1e9,
            span.end_time_unix_nano / 1e9,
            _values(span.attributes),
            span.status.code == 2,
            [event.name for event in span.events],
            [link.span_id.hex() for link in span.links],
            _values(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    told = getattr(value, kind)
    return [_value(each) for each in told.values] if kind == "array_value" else told
