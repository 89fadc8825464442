"""Streams for tests: chunks, and bytes cut anywhere."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
from hypothesis import strategies as st

from proxy.core.call import Summary
from proxy.wire.frames import DONE, Splitter
from proxy.wire.transcript import ChatStream


def chunk(content: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """One event of a chat stream; `delta` takes the place of the content."""
    delta = fields.pop("delta", {} if content is None else {"content": content})
    choice = {"index": fields.pop("index", 0), "delta": delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **fields})


def event(data: Any, name: str = "") -> bytes:
    """One event with `data` as JSON."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + orjson.dumps(data) + b"\n\n"


ROLE = chunk(delta={"role": "assistant", "content": ""})
STOP = chunk(finish="stop")
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
USAGE_ONLY = event({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
WHOLE = ROLE + chunk("Hel") + chunk("lo") + STOP + DONE


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` in pieces that end at `places`."""
    borders = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(borders)]


@st.composite
def cuttings(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> tuple[bytes, list[bytes]]:
    """A stream and a partition of it: anything from one piece to single bytes."""
    data = draw(streams)
    if draw(st.booleans()):
        size = draw(st.integers(1, 9))
        return data, [data[i : i + size] for i in range(0, len(data), size)]
    return data, cut(data, draw(st.lists(st.integers(0, len(data)), max_size=12)))


def split(pieces: Sequence[bytes]) -> bytes:
    """What `Splitter` makes of `pieces`, to the end of the stream."""
    splitter = Splitter()
    return b"".join(map(splitter.feed, pieces)) + splitter.flush()


def relay(*pieces: bytes, **knobs: Any) -> tuple[bytes, ChatStream]:
    """What goes on to the client, and the stream after its provider has closed."""
    stream = ChatStream(Summary(), provider="groq", **knobs)
    return b"".join(map(stream.feed, pieces)) + stream.finish(), stream
