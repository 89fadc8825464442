"""An answer as it is kept, and as it is told again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from proxy.core.call import Call, Form, Frame, Head, Reply, Summary, Target, Usage
from proxy.core.light import light
from proxy.wire.json import dumps
from proxy.wire.unfold import unfold

_VERSION = 2
_OF_USAGE = ("prompt", "completion", "cached", "reasoning", "exact", "written", "tier")


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a kept answer. `seconds` is how long it took to get.

    `scope` is the circle that shares it, as `scope_of` names it; `usage` what it was charged for.
    """

    scope: str
    partition: str  # all but the last question, as the fingerprint has it
    text: str  # of the last question, where it may be found by its meaning
    target: Target
    usage: Usage | None
    finish_reason: str | None
    dropped: tuple[str, ...]
    seconds: float


@light
class Kept:
    """A whole, good answer, as JSON."""

    about: About
    answer: bytes

    def written(self) -> bytes:
        """All of it in a line of JSON, and then the answer as it is: a hit need not parse it."""
        about, usage = self.about, self.about.usage
        told = {
            "v": _VERSION,
            "scope": about.scope,
            "partition": about.partition,
            "text": about.text,
            "target": [about.target.provider, about.target.model],
            "usage": None if usage is None else [getattr(usage, name) for name in _OF_USAGE],
            "finish_reason": about.finish_reason,
            "dropped": about.dropped,
            "seconds": about.seconds,
        }
        return dumps(told) + b"\n" + self.answer

    def replay(self, call: Call, *, age_s: float, entry: str, score: float | None = None) -> Reply:
        """The answer for `call`, whole or as a stream, whichever way it came.

        `score`: how sure it is that it answers the same question; None where that is certain.
        """
        told = {} if score is None else {"x-proxy-cache-score": f"{score:.4f}"}
        about, form = self.about, Form.CHAT if call.stream else Form.WHOLE
        head = Head(
            status=200,
            form=form,
            content_type=(
                "text/event-stream; charset=utf-8" if call.stream else "application/json"
            ),
            headers={"Age": str(int(age_s)), "x-proxy-cache-entry": entry, **told},
            target=about.target,
            attempts=0,
            dropped=about.dropped,
            cache="exact" if score is None else "semantic",
        )
        summary = Summary(about.usage, about.finish_reason, begun=True, ended=True)
        return Reply(head, _Frames(self._frame(call)), summary)

    def _frame(self, call: Call) -> Frame:
        if not call.stream:
            return self.answer
        options = call.body.get("stream_options") if isinstance(call.body, dict) else None
        asked = isinstance(options, dict) and bool(options.get("include_usage"))
        groq = self.about.target.provider == "groq"
        return b"".join(unfold(orjson.loads(self.answer), include_usage=asked, groq=groq))


def read(data: bytes) -> Kept | None:
    """What was written; None where another version wrote it."""
    first, _, answer = data.partition(b"\n")
    about = _read(first)
    return None if about is None else Kept(about, answer)


@lru_cache(maxsize=1024)  # the same answers are wanted again and again
def _read(line: bytes) -> About | None:
    try:
        told: dict[str, Any] = orjson.loads(line)
        if told["v"] != _VERSION:
            return None
        usage = told["usage"]
        return About(
            scope=told["scope"],
            partition=told["partition"],
            text=told["text"],
            target=Target(*told["target"]),
            usage=None if usage is None else Usage(**dict(zip(_OF_USAGE, usage, strict=True))),
            finish_reason=told["finish_reason"],
            dropped=tuple(told["dropped"]),
            seconds=told["seconds"],
        )
    except (ValueError, TypeError, KeyError):
        return None


class _Frames:
    """One frame, as a reply has them."""

    __slots__ = ("_frame",)

    def __init__(self, frame: Frame) -> None:
        self._frame: Frame | None = frame

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        frame, self._frame = self._frame, None
        if frame is None:
            raise StopAsyncIteration
        return frame
