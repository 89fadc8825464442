"""SSE of endpoints other than chat: whole events as they come, usage read at the end."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from proxy.core.call import Endpoint, Summary, Usage
from proxy.core.errors import BadAnswer, CutOff, UpstreamError
from proxy.wire.frames import MAX_EVENT_BYTES
from proxy.wire.usage import usage_of

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_FAILED = frozenset({"response.failed", "error"})
_MAYBE_TERMINAL = re.compile(
    rb'(?:event:\s*|"type"\s*:\s*")(?:response\.(?:completed|incomplete|failed)|error)\b'
)
_EVENT_END = re.compile(rb"\n\n|\r\n\r\n")


class EventStream:
    """The interface of `ChatStream` for streams whose events we do not judge.

    A Responses stream is complete when its terminal event came; of others only the transport can
    tell.
    """

    def __init__(self, summary: Summary, endpoint: Endpoint, *, provider: str) -> None:
        self.summary = summary
        self.broken: UpstreamError | None = None
        self.alive = True
        self._endpoint = endpoint
        self._provider = provider
        self._rest = b""
        self._size = 0

    @property
    def committed(self) -> bool:
        """Whether anything was passed on."""
        return self._size > 0

    def feed(self, data: bytes) -> bytes:
        """The whole events that `data` completes."""
        data = self._rest + data if self._rest else data
        lf, crlf = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
        end = max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)
        self._rest = data[end:]
        if len(self._rest) > MAX_EVENT_BYTES:
            self.broken = BadAnswer(
                f"{self._provider} sent an event of over {MAX_EVENT_BYTES} bytes"
            )
        run = data[:end]
        if run:
            self.summary.begun = True
            self._size += len(run)
            if self._endpoint is Endpoint.RESPONSES and _MAYBE_TERMINAL.search(run):
                self._judge(run)
        return run

    def _judge(self, run: bytes) -> None:
        """End the stream if `run` holds its terminal event; what follows is not waited for."""
        ends = [(name, told) for name, told in _events(run) if name in _TERMINAL]
        if not ends:
            return
        self.summary.finish_reason, told = ends[-1]
        response = told.get("response")
        if isinstance(response, dict):
            self.summary.usage = usage_of(response)
        if self.summary.finish_reason in _FAILED:
            self.broken = BadAnswer(f"{self._provider} reported a failure in its stream")
            self.broken.told = True
        else:
            self.summary.ended = True

    def finish(self) -> bytes:
        """The end of the stream: what was left, complete or not."""
        rest, self._rest = self._rest, b""
        if self.summary.ended or self.broken is not None:
            return b""
        if self._endpoint is not Endpoint.RESPONSES:
            self.summary.ended = True
            return rest
        self.broken = CutOff(f"{self._provider} closed the stream before the answer was complete")
        return b""

    def give_up(self, error: UpstreamError) -> bytes:
        """What can be said when the connection broke: nothing more."""
        self.broken = error
        return b""

    def estimate(self, prompt: int) -> Usage:
        """Usage by our own count: about four bytes a token, a quarter of the stream being text."""
        return Usage(prompt=prompt, completion=self._size // 16, exact=False)


def _events(run: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and data of each event; one without a name is called by its `type`."""
    for block in _EVENT_END.split(run):
        name = data = b""
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"event":
                name = value.strip()
            elif field == b"data":
                data += value.strip()
        try:
            told = orjson.loads(data)
        except orjson.JSONDecodeError:
            told = None
        told = told if isinstance(told, dict) else {}
        yield name.decode("utf-8", "replace") or str(told.get("type")), told
