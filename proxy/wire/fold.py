"""A chat stream -> the whole answer that says the same.

Of the fields of a chunk and of a choice the last one counts, but null and what is empty replace
nothing. What a delta says is continued: texts and lists grow by what comes, objects by their
fields, tool calls each by its `index`; of all else the last one counts, and so it does of `role`,
`id` and `type`, which some providers repeat.

Left out is what only streams have: `obfuscation`, `delta.channel`, the `index` of tool calls, the
copy of usage in `x_groq`. Groq's streams begin with an empty content also where calls follow, and
its whole answers have none then; of other providers an empty content stays what it is.
"""

import json
from typing import Any

import orjson

from proxy.core.call import JsonObject, Usage
from proxy.wire.frames import DONE
from proxy.wire.json import MAX_CONTAINERS

SAID_AT_ONCE = frozenset({"role", "id", "type"})  # texts that are never continued
OF_DELTAS = frozenset({"channel"})  # what a delta has and a message has not
_CONTAINERS = 8  # that an event may have: chunk, choices, choice, delta, call, function, ...
_BATCH_BYTES = 16 << 10  # decoded together: events alone cost more, and more hold the loop

_DATA = b"data: "
_OBJECT = b"data: {"
_DONE = DONE.rstrip()


class Fold:
    """Puts one chat stream together while its frames pass, a batch of them at a time.

    So the work is spread over the stream, and at its end there is little left to do.
    """

    __slots__ = ("_answer", "_batch", "_done", "_frames", "_halves", "_left", "_size", "_spare")

    def __init__(self, max_bytes: int, *, batch_bytes: int = _BATCH_BYTES) -> None:
        """Of a stream that is longer than `max_bytes` nothing is kept."""
        self._left = max_bytes
        self._batch = batch_bytes
        self._frames: list[bytes] = []  # since the last batch
        self._size = 0  # of these
        self._answer: _Answer | None = _Answer()  # until it is given up
        self._done = False
        self._halves = False  # some texts may hold half a character
        self._spare = MAX_CONTAINERS  # objects and lists, beyond those that each event may have

    def feed(self, frame: bytes) -> None:
        """Hear the next frame, as it went to the client. It may begin and end anywhere."""
        if self._answer is None:
            return
        self._left -= len(frame)
        if self._left < 0:
            self._give_up()
        elif not self._done:
            self._frames.append(frame)
            self._size += len(frame)
            if self._size >= self._batch:
                self._digest(self._answer)

    def whole(self, counted: Usage | None = None) -> JsonObject | None:
        """The answer as a whole call would have got it; None where the stream is not complete.

        Complete is what has `[DONE]`, a finish_reason for each choice, and no error; None is also
        what was longer than `max_bytes` and what cannot be put together. `counted` stands in where
        the stream does not state its usage, as when that was hidden from the client.
        """
        if self._answer is not None and not self._done:
            self._digest(self._answer)
        if self._answer is None or not self._done:
            return None
        answer = self._answer.whole(counted)
        return _mended(answer) if self._halves else answer

    def _digest(self, answer: "_Answer") -> None:
        """Add the events that are whole, and free their bytes."""
        *blocks, rest = b"".join(self._frames).split(b"\n\n")
        self._frames, self._size = [rest], 0
        try:
            self._add(blocks, answer)
        except (_Odd, ValueError, RecursionError):
            self._give_up()

    def _add(self, blocks: list[bytes], answer: "_Answer") -> None:
        events, self._done = _events(blocks)
        data = b",".join(events)
        # Those in texts, too: it is a bound.
        self._spare -= data.count(b"{") + data.count(b"[") - _CONTAINERS * len(events)
        if self._spare < 0:
            raise _Odd
        chunks = self._read(b"[%b]" % data)
        if len(chunks) != len(events):
            raise _Odd
        for chunk in chunks:
            answer.add(_object(chunk))
        if answer.failed:
            raise _Odd

    def _read(self, data: bytes) -> list[Any]:
        chunks: list[Any]
        try:
            chunks = orjson.loads(data)
        except orjson.JSONDecodeError:  # JSON to clients only, perhaps: half a character
            chunks = json.loads(data)
            self._halves = True
        return chunks

    def _give_up(self) -> None:
        """Free all: what is there cannot become an answer any more."""
        self._answer, self._frames = None, []


class _Odd(Exception):
    """What came cannot be put together."""


def _events(blocks: list[bytes]) -> tuple[list[bytes], bool]:
    """The data of the events up to `[DONE]`, and whether that is there."""
    events: list[bytes] = []
    for block in blocks:
        if block.startswith(_OBJECT):  # as nearly all do
            events.append(block[len(_DATA) :])
            continue
        said = _without_comments(block) if block.startswith(b":") else block
        if said == _DONE:
            return events, True
        if said.startswith(_DATA):
            events.append(said[len(_DATA) :])
        elif said:
            raise _Odd
    return events, False


def _without_comments(block: bytes) -> bytes:
    return b"\n".join(line for line in block.split(b"\n") if not line.startswith(b":"))


def _mended(answer: JsonObject | None) -> JsonObject | None:
    """`answer` written and read again: two halves of a character are one then.

    One half alone is nothing to keep.
    """
    try:
        mended = orjson.loads(json.dumps(answer))
    except (ValueError, RecursionError):
        return None
    return mended if isinstance(mended, dict) else None


class _Answer:
    """The whole answer, growing by chunks."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._x_groq: JsonObject = {}
        self._copied: JsonObject | None = None  # the usage that stood in `x_groq`
        self._choices: dict[int, _Choice] = {}
        self._last: JsonObject = {}

    def add(self, chunk: JsonObject) -> None:
        for choice in _objects(chunk.pop("choices", None)):
            index = _index(choice)
            if index not in self._choices:
                self._choices[index] = _Choice()
            self._choices[index].add(choice)
        if chunk == self._last:  # as most are
            return
        self._last = chunk
        for key, value in chunk.items():
            if key == "x_groq" and isinstance(value, dict):
                self._add_x_groq(value)
            elif key != "obfuscation":
                _settle(self._fields, key, value)

    def _add_x_groq(self, told: JsonObject) -> None:
        for key, value in told.items():
            if key == "usage" and isinstance(value, dict) and "prompt_tokens" in value:
                self._copied = value
            else:  # a usage of another kind counts what Groq's caches had
                _settle(self._x_groq, key, value)

    @property
    def failed(self) -> bool:
        """Whether an error was told: whatever comes behind it, this is no answer."""
        return bool(self._fields.get("error") or self._x_groq.get("error"))

    def whole(self, counted: Usage | None) -> JsonObject | None:
        """The answer, None where some choice has not ended."""
        fields = dict(self._fields)
        choices = [choice.whole() for _, choice in sorted(self._choices.items())]
        if not choices or not all(choice.get("finish_reason") for choice in choices):
            return None
        if self._x_groq:
            fields["x_groq"] = self._x_groq
            for choice in choices:
                _leave_out_empty_content(choice["message"])
        if not isinstance(fields.get("usage"), dict):
            usage = self._copied or (_told(counted) if counted and counted.exact else None)
            if usage:
                fields["usage"] = usage
        return {**fields, "object": "chat.completion", "choices": choices}


class _Choice:
    """One choice, growing by what chunks say of it."""

    def __init__(self) -> None:
        self._fields: JsonObject = {}
        self._message = _Parts()
        self._logprobs: _Parts | None = None
        self._last: JsonObject = {}

    def add(self, choice: JsonObject) -> None:
        self._message.add(_object(choice.pop("delta", None) or {}))
        if isinstance(choice.get("logprobs"), dict):
            self._logprobs = self._logprobs or _Parts()
            self._logprobs.add(choice.pop("logprobs"))
        if choice == self._last:
            return
        self._last = choice
        for key, value in choice.items():
            _settle(self._fields, key, value)

    def whole(self) -> JsonObject:
        message = self._message.whole()
        for key in OF_DELTAS:
            message.pop(key, None)
        logprobs = {"logprobs": self._logprobs.whole()} if self._logprobs else {}
        return {**self._fields, "message": message, **logprobs}


class _Parts:
    """An object that comes in parts: see the rules for deltas above.

    Objects inside are continued too, but not what is inside of those: no provider does that, and
    how deep they go would be the provider's choice.
    """

    __slots__ = ("_deep", "_fields")

    def __init__(self, *, deep: bool = True) -> None:
        self._deep = deep
        self._fields: dict[str, Any] = {}

    def add(self, part: JsonObject) -> None:
        fields = self._fields
        for key, value in part.items():
            held = fields.get(key)
            if isinstance(value, str) and key not in SAID_AT_ONCE:
                # To add up strings would be quadratic, and many small ones take much room.
                if type(held) is not bytearray:
                    held = fields[key] = bytearray()
                held += value.encode(errors="surrogatepass")
            elif key == "tool_calls" and value:
                if type(held) is not _Calls:
                    held = fields[key] = _Calls()
                held.add(value)
            elif isinstance(value, dict) and self._deep:
                if type(held) is not _Parts:
                    held = fields[key] = _Parts(deep=False)
                held.add(value)
            elif type(held) is list and isinstance(value, list):
                held += value
            else:
                _settle(fields, key, value)

    def whole(self) -> JsonObject:
        return {key: _finished(value) for key, value in self._fields.items()}


class _Calls:
    """The tool calls of a message."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[int, _Parts] = {}

    def add(self, parts: object) -> None:
        for part in _objects(parts):
            index = _index(part)
            if index not in self._calls:
                self._calls[index] = _Parts()
            del part["index"]
            self._calls[index].add(part)

    def whole(self) -> list[JsonObject]:
        return [call.whole() for _, call in sorted(self._calls.items())]


def _settle(fields: JsonObject, key: str, value: object) -> None:
    """Let `value` count, unless it is empty and there was another before."""
    if value or key not in fields or isinstance(value, int | float):
        fields[key] = value


def _index(part: JsonObject) -> int:
    index = part.get("index")
    if isinstance(index, int):
        return index
    raise _Odd


def _object(value: object) -> JsonObject:
    if isinstance(value, dict):
        return value
    raise _Odd


def _objects(value: object) -> list[JsonObject]:
    if value is None:
        return []
    if isinstance(value, list):
        return [_object(each) for each in value]
    raise _Odd


def _finished(value: Any) -> Any:
    if isinstance(value, bytearray):
        return value.decode(errors="surrogatepass")
    return value.whole() if isinstance(value, _Parts | _Calls) else value


def _leave_out_empty_content(message: JsonObject) -> None:
    if message.get("content") == "" and (message.get("tool_calls") or message.get("function_call")):
        del message["content"]


def _told(usage: Usage) -> JsonObject:
    """Usage in the words of chat; details are left out where there is nothing to tell."""
    prompt = {"cached_tokens": usage.cached} if usage.cached else {}
    if usage.written is not None:
        prompt["cache_write_tokens"] = usage.written
    details = {
        "prompt_tokens_details": prompt,
        "completion_tokens_details": (
            {"reasoning_tokens": usage.reasoning} if usage.reasoning else {}
        ),
    }
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        **{name: told for name, told in details.items() if told},
    }
