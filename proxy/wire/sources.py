"""Where passages come from, told inside an answer: `x_proxy.sources`.

In a stream they stand on the first event, which is a chunk like any other: clients know them before
the first word, also of a stream that breaks off, and need not expect a chunk without choices.
"""

from collections.abc import AsyncIterator, Sequence

from proxy.core.call import Form, Frame, Reply, Source
from proxy.wire.json import dumps

_EVENT = b"data: {"


def with_sources(reply: Reply, sources: Sequence[Source]) -> Reply:
    """A chat's answer with `sources` in it."""
    told = [
        {
            "collection": each.collection,
            "document": each.document,
            "title": each.title,
            "score": each.score,
        }
        for each in sources
    ]
    field = b'"x_proxy":' + dumps({"sources": told})
    add = _to_events if reply.head.form is Form.CHAT else _to_object
    return Reply(reply.head, add(reply.frames, field), reply.summary)


async def _to_events(frames: AsyncIterator[Frame], field: bytes) -> AsyncIterator[Frame]:
    """A stream with a field more in its first object."""
    told = False
    async for frame in frames:
        if not told and frame.startswith(_EVENT):
            told = True
            frame = _EVENT + field + b"," + frame.removeprefix(_EVENT)
        yield frame


async def _to_object(frames: AsyncIterator[Frame], field: bytes) -> AsyncIterator[Frame]:
    async for frame in frames:
        whole = frame.rstrip()
        yield whole.removesuffix(b"}") + b"," + field + b"}" if whole.endswith(b"}") else frame
