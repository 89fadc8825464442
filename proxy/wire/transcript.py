"""What a chat stream has said so far, and whether it may go on: the tap on the relay.

A stream ends in one of three ways: `finish_reason` and `[DONE]`; an error event; a broken
connection. `ChatStream` holds everything back until the first content (the commit point: before it
a failure can still become a status), notices errors and garbage, and looks for usage only at the
tail.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import orjson

from proxy.core.call import Summary, Usage
from proxy.core.errors import BadAnswer, Costs, CutOff, UpstreamError
from proxy.wire.answers import finish_reason_of, request_id_of, text_bytes
from proxy.wire.frames import DONE, Splitter, payloads
from proxy.wire.refusals import failure_inside
from proxy.wire.usage import usage_of

MAX_ANSWER_BYTES = 32 << 20
_KEPT_BYTES = 1 << 20  # of an answer's end, for what is asked of it afterwards
_HELD_BYTES = 1 << 20  # of an answer that says nothing
_TAIL_BYTES = 8192
_SILENT_BLOCKS = 3

_SPEAKS = re.compile(rb'"content"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*\{|"function_call"\s*:\s*\{')
_USAGE_ONLY = re.compile(rb'"choices"\s*:\s*\[\s*\]')


Translate = Callable[[bytes], bytes]


class ChatStream:
    """A provider's bytes in, frames for the client out.

    `feed` and `finish` never raise for what a provider did: they give the bytes that are still
    good and leave the failure in `broken`, so that nothing good is lost.
    """

    def __init__(
        self,
        summary: Summary,
        *,
        provider: str,
        secret: str = "",
        hide_usage: bool = False,
        translate: Translate | None = None,
    ) -> None:
        """`translate` brings what stands behind `data: ` into the common shape; see `_events`."""
        self.summary = summary
        self.broken: UpstreamError | None = None
        self.committed = False
        self._provider = provider
        self._secret = secret
        self._hide_usage = hide_usage
        self._translate = translate
        self._splitter = Splitter()
        self._held: list[bytes] = []
        self._runs: deque[bytes] = deque()
        self._kept = 0  # bytes in `_runs`
        self._size = 0  # bytes of all runs there were

    @property
    def alive(self) -> bool:
        """False once only comments keep coming: those hold a connection up, but are no progress."""
        return self._splitter.silent <= _SILENT_BLOCKS

    def feed(self, data: bytes) -> bytes:
        """The frame that `data` completes; b"" while there is nothing to pass on."""
        if self.broken is not None or self.summary.ended:
            return b""
        try:
            run = self._splitter.feed(data)
        except BadAnswer as error:
            return self._break(error)
        return self._take(run) if run else b""

    def finish(self) -> bytes:
        """The last frame, when the provider closed: what was left, and `[DONE]` if it was owed."""
        if self.broken is not None or self.summary.ended:
            return b""
        rest = self._take(_whole(self._splitter.flush()))
        if self.broken is not None or self.summary.ended:
            return rest
        return rest + self.give_up(
            CutOff(f"{self._provider} closed the stream before the answer was complete")
        )

    def give_up(self, error: UpstreamError) -> bytes:
        """What can be said when no more bytes come: the owed `[DONE]`, or nothing and `error`."""
        self._read_tail()
        if not self._all_finished():
            return self._break(error)
        self.summary.ended = True
        if self._translate is None:
            return self._release(DONE)
        # What a translator still owes comes with the `[DONE]` that the provider left out.
        owed = self._inspect(DONE)
        self._keep(owed)
        self._read_tail()
        return self._release(owed)

    def _take(self, run: bytes) -> bytes:
        plain = self._translate is None and self._splitter.clean and b'"error"' not in run
        if not (plain and _is_json(run)) or self._hides(run):
            run = self._inspect(run)
        elif run.endswith(DONE):
            self.summary.ended = True
        if not run:
            return b""
        self._size += len(run)
        if self._size > MAX_ANSWER_BYTES:
            return self._break(
                BadAnswer(f"{self._provider} sent more than {MAX_ANSWER_BYTES} bytes").costing(
                    Costs.ALL
                )
            )
        self._keep(run)
        if not self.summary.begun and _SPEAKS.search(run):
            self.summary.begun = True
        if self.summary.ended:
            self._read_tail()
            if self.summary.finish_reason is None:
                self.summary.ended = False
                run = run.removesuffix(DONE)
                self._break(CutOff(f"{self._provider} ended the stream without a finish_reason"))
        return self._release(run)

    def _keep(self, run: bytes) -> None:
        self._runs.append(run)
        self._kept += len(run)
        while self._kept > _KEPT_BYTES and len(self._runs) > 1:
            self._kept -= len(self._runs.popleft())

    def _hides(self, run: bytes) -> bool:
        return self._hide_usage and _USAGE_ONLY.search(run) is not None

    def _release(self, run: bytes) -> bytes:
        if self.committed:
            return run
        self._held.append(run)
        if not (self.summary.begun or self.summary.ended or _moves(run)):
            if self._size > _HELD_BYTES:
                self._break(
                    BadAnswer(f"{self._provider} sent {self._size} bytes without content").costing(
                        Costs.ALL
                    )
                )
            return b""
        self.committed = True
        run = b"".join(self._held)
        self._held.clear()
        return run

    def _break(self, error: UpstreamError) -> bytes:
        self.broken = error
        return b""

    def _inspect(self, run: bytes) -> bytes:
        """The events of `run` up to the first bad one or `[DONE]`; what looks odd is decoded."""
        good = []
        for failed, data in self._events(run):
            if data == b"[DONE]":
                self.summary.ended = True
                good.append(DONE)
                break
            if not failed and _looks_good(data) and not self._hides(data):
                good.append(b"data: " + data + b"\n\n")
                continue
            chunk = _decode(data)
            if failed or chunk is None or _error_in(chunk):
                self._break(self._failure(failed, chunk, data))
                break
            if self._hide_usage and chunk.get("choices") == [] and chunk.get("usage"):
                self.summary.usage = usage_of(chunk) or self.summary.usage
                continue
            good.append(b"data: " + data + b"\n\n")
        return b"".join(good)

    def _events(self, run: bytes) -> Iterator[tuple[bool, bytes]]:
        """(whether it is an error, data) of all events; one may become none or several."""
        for failed, data in payloads(run):
            if self._translate is None or failed:
                yield failed, data
            elif translated := self._translate(data):
                for each in translated.split(b"\n\ndata: "):
                    yield False, each

    def _failure(self, failed: bool, chunk: dict[str, Any] | None, data: bytes) -> UpstreamError:
        if chunk is None and not failed:
            return BadAnswer(f"{self._provider} sent an event that is not JSON")
        return failure_inside(data, provider=self._provider, secret=self._secret)

    def _read_tail(self) -> None:
        """Find usage and finish_reason, last first: what is stated twice is meant once."""
        tail = b""
        for run in reversed(self._runs):
            tail = run + tail
            if len(tail) >= _TAIL_BYTES:
                break
        self._read(tail)
        if self.summary.finish_reason is None and len(tail) < self._kept:
            self._read(b"".join(self._runs))

    def _read(self, run: bytes) -> None:
        summary = self.summary
        for _, data in reversed(payloads(run)):
            if b"usage" not in data and b"finish_reason" not in data:
                continue
            chunk = _decode(data) or {}
            summary.usage = summary.usage or usage_of(chunk)
            summary.upstream_id = summary.upstream_id or request_id_of(chunk, self._secret)
            for choice in _choices(chunk):
                summary.finish_reason = summary.finish_reason or finish_reason_of(choice)
            if summary.usage and summary.finish_reason:
                return

    def _all_finished(self) -> bool:
        """Whether every choice that was begun has its finish_reason."""
        if self.summary.finish_reason is None:
            return False
        begun: set[str] = set()
        finished: set[str] = set()
        for _, data in payloads(b"".join(self._runs)):
            for choice in _choices(_decode(data) or {}):
                index = str(choice.get("index"))
                (finished if finish_reason_of(choice) else begun).add(index)
        return begun <= finished

    def estimate(self, prompt: int) -> Usage:
        """Usage by our own count where the provider stated none: about four bytes a token."""
        said = 0
        for _, data in payloads(b"".join(self._runs)):
            for choice in _choices(_decode(data) or {}):
                delta = choice.get("delta")
                if isinstance(delta, dict):
                    said += text_bytes([v for key, v in delta.items() if key != "role"])
        if self._size > self._kept:  # the part that was not kept will have been alike
            said = said * self._size // self._kept
        return Usage(prompt=prompt, completion=-(-said // 4), exact=False)


def _whole(rest: bytes) -> bytes:
    """The last event of a stream, where only its blank line is missing; half of one is none."""
    for _, data in payloads(rest):
        if data != b"[DONE]" and _decode(data) is None:
            return b""
    return rest


def _is_json(run: bytes) -> bool:
    """Whether all events of a clean run are. It costs a microsecond an event (of 270 bytes)."""
    if run == DONE:
        return True
    try:
        for data in run.removesuffix(DONE)[6:-2].split(b"\n\ndata: "):
            orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _looks_good(data: bytes) -> bool:
    return data.startswith(b"{") and b'"error"' not in data and _is_json_to_others(data)


def _is_json_to_others(data: bytes) -> bool:
    """Whether clients can read it: unlike orjson, they take half a character in an escape."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            json.loads(data, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return False
    return True


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _decode(data: bytes) -> dict[str, Any] | None:
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return chunk if isinstance(chunk, dict) else None


def _error_in(chunk: dict[str, Any]) -> bool:
    x_groq = chunk.get("x_groq")
    return bool(chunk.get("error") or (isinstance(x_groq, dict) and x_groq.get("error")))


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]


def _moves(run: bytes) -> bool:
    """Whether a run says anything: a delta beyond its role, or a finish_reason."""
    for _, data in payloads(run):
        for choice in _choices(_decode(data) or {}):
            delta = choice.get("delta")
            if finish_reason_of(choice):
                return True
            if isinstance(delta, dict) and any(v for k, v in delta.items() if k != "role"):
                return True
    return False
