"""Answers of providers that depart from the common shape, brought into it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeGuard
from uuid import uuid4

import orjson

from proxy.core.call import JsonObject
from proxy.wire.json import MAX_CONTAINERS, count_containers

# One event of a stream. In: what stands behind `data: `; b"" when the stream ended without a
# `[DONE]`. Out: what is to stand there instead, perhaps with the border to another event inside;
# b"" for nothing.
Translate = Callable[[bytes], bytes]

_DONE = b"[DONE]"
_BORDER = b"\n\ndata: "
_HEAD = ("id", "object", "created", "model")  # what all chunks of a stream have in common
_REUSED_ID = re.compile(r"chatcmpl-[0-9]{1,3}")


class Whole(Protocol):
    """A whole body -> the same in the common shape; as it is, where it cannot be read."""

    def __call__(self, body: bytes, id: str = "") -> bytes:
        """The body to pass on."""
        ...


class Events(Protocol):
    """What translates one stream; None if it is in the common shape already."""

    def __call__(self, id: str = "") -> Translate | None:
        """A new translator, or None."""
        ...


def as_it_is(body: bytes, id: str = "") -> bytes:  # noqa: ARG001 - as `Whole` has it
    """A body that needs nothing."""
    return body


def nothing_to_do(id: str = "") -> Translate | None:  # noqa: ARG001 - as `Events` has it
    """For streams that need nothing."""
    return None


def gemini_whole(body: bytes, id: str = "") -> bytes:  # noqa: ARG001 - its ids are good
    """Usage with the thinking in it, `content` in every message, `tool_calls` as a reason."""
    answer = _object(body)
    if answer is None:
        return body
    if isinstance(answer.get("usage"), dict):
        answer["usage"] = _with_thinking(answer["usage"])
    for choice in _objects(answer.get("choices")):
        message = choice.get("message")
        if isinstance(message, dict):
            message.setdefault("content", None)  # a blocked answer has none
            if message.get("tool_calls") and choice.get("finish_reason") == "stop":
                choice["finish_reason"] = "tool_calls"
    return orjson.dumps(answer)


def gemini_events(id: str = "") -> Translate:  # noqa: ARG001 - its ids are good
    """A translator for one stream."""
    return _GeminiStream().read


def ollama_whole(body: bytes, id: str = "") -> bytes:
    """With an id of its own: Ollama has a thousand of them, which it uses again and again."""
    return _with_id(body, _new_id(id))


def ollama_events(id: str = "") -> Translate:
    """A translator for one stream, all chunks of which get the same id."""
    new = _new_id(id)
    return lambda data: _with_id(data, new)


class _GeminiStream:
    """Reads usage that is repeated, numbers tool calls, and tells when they are why it ended.

    Usage may stand in any chunk or in all, cumulative. The last one is held until `[DONE]` and then
    given in a chunk of its own, as OpenAI does it.
    """

    def __init__(self) -> None:
        self._usage: JsonObject | None = None
        self._head: JsonObject = {}
        self._calls: dict[str, _Calls] = {}  # by the index of a choice

    def read(self, data: bytes) -> bytes:
        if data in {_DONE, b""}:
            return _BORDER.join(filter(None, (self._owed(), data)))
        chunk = _object(data)
        if chunk is None or chunk.get("error"):
            return data
        self._head = {name: chunk[name] for name in _HEAD if name in chunk}
        usage = chunk.pop("usage", None)
        if isinstance(usage, dict):
            self._usage = _with_thinking(usage)
            if not chunk.get("choices"):
                return b""
        for choice in _objects(chunk.get("choices")):
            self._read_choice(choice)
        return orjson.dumps(chunk)

    def _owed(self) -> bytes:
        usage, self._usage = self._usage, None
        if usage is None:
            return b""
        return orjson.dumps({**self._head, "choices": [], "usage": usage})

    def _read_choice(self, choice: JsonObject) -> None:
        place = str(choice.get("index"))
        delta = choice.get("delta")
        for call in _objects(delta.get("tool_calls")) if isinstance(delta, dict) else []:
            call["index"] = self._calls.setdefault(place, _Calls()).number(call)
        if place in self._calls and choice.get("finish_reason") == "stop":
            choice["finish_reason"] = "tool_calls"


class _Calls:
    """The tool calls of one choice: which index belongs to which id."""

    def __init__(self) -> None:
        self._ids: dict[int, Any] = {}
        self._last = 0

    def number(self, call: Mapping[str, Any]) -> int:
        """The index of `call`: its own, if that is not another call's, else the next one."""
        id, index, function = call.get("id") or None, call.get("index"), call.get("function")
        if not _is_count(index):
            begins = id is not None or (isinstance(function, dict) and function.get("name"))
            index = self._next() if begins else self._last
        elif id is not None and self._ids.get(index) not in (None, id):
            index = self._next()
        self._ids[index] = id or self._ids.get(index)
        self._last = index
        return index

    def _next(self) -> int:
        return max(self._ids, default=-1) + 1


def _with_thinking(usage: JsonObject) -> JsonObject:
    """Gemini counts its thinking in the total alone, and bills it as output."""
    prompt, total = usage.get("prompt_tokens"), usage.get("total_tokens")
    said = usage.get("completion_tokens") or 0
    if not (_is_count(prompt) and _is_count(total) and _is_count(said)):
        return usage
    thought = total - prompt - said
    if thought <= 0:
        return usage
    details = usage.get("completion_tokens_details")
    known = details if isinstance(details, dict) else {}
    return {
        **usage,
        "completion_tokens": said + thought,
        "completion_tokens_details": {**known, "reasoning_tokens": thought},
    }


def _with_id(data: bytes, new: str) -> bytes:
    if b"chatcmpl-" not in data:
        return data
    message = _object(data)
    if message is None:
        return data
    id = message.get("id")
    if not isinstance(id, str) or not _REUSED_ID.fullmatch(id):
        return data
    return orjson.dumps({**message, "id": new})


def _new_id(id: str) -> str:
    return f"chatcmpl-{id or uuid4().hex}"


def _object(data: bytes) -> JsonObject | None:
    if count_containers(data) > MAX_CONTAINERS:  # whoever reads it next refuses it
        return None
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
