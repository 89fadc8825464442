"""A whole chat answer -> a stream that says the same.

The order is that of a provider: role, thoughts, content, what else a message has, tool calls,
finish. Long texts are cut, at a space where there is one, never inside a character.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from proxy.core.call import JsonObject
from proxy.wire.fold import OF_DELTAS, SAID_AT_ONCE
from proxy.wire.frames import DONE
from proxy.wire.json import dumps

_PIECE_BYTES = 2048
_ALL_CHUNKS = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
_TEXTS = ("reasoning", "reasoning_content", "content", "refusal")  # in this order, before others
_NOT_CUT = SAID_AT_ONCE | OF_DELTAS


def unfold(answer: JsonObject, *, include_usage: bool, groq: bool) -> list[bytes]:
    """The events of a stream that says what `answer` says, `[DONE]` the last of them.

    `include_usage` adds OpenAI's chunk of usage without choices. `groq`, and an answer that has
    `x_groq`, gets Groq's form: usage beside the last finish_reason, whether asked for or not.
    """
    head = {key: answer[key] for key in _ALL_CHUNKS if key in answer}
    head["object"] = "chat.completion.chunk"
    choices = [_Choice(place, choice) for place, choice in enumerate(answer["choices"])]
    parts = [part for choice in choices for part in choice.said()]
    # The first choice finishes last: its reason is the one that stands for the answer.
    parts += [choice.finish() for choice in reversed(choices)]
    chunks = [{**head, "choices": [part]} for part in parts]
    chunks[0].update(_said_once(answer))
    chunks[-1].update(_groq_end(answer, groq=groq))
    if include_usage and isinstance(answer.get("usage"), dict):
        chunks.append({**head, "choices": [], "usage": answer["usage"]})
    return [*(b"data: " + dumps(chunk) + b"\n\n" for chunk in chunks), DONE]


def _said_once(answer: JsonObject) -> JsonObject:
    """The fields that only the first chunk has."""
    fields = {key: answer[key] for key in answer if key not in _ALL_CHUNKS and key != "choices"}
    if isinstance(fields.get("usage"), dict):
        del fields["usage"]
    return fields


def _groq_end(answer: JsonObject, *, groq: bool) -> JsonObject:
    """What Groq adds to the finish: usage, twice. An id is not invented where there is none."""
    usage, x_groq = answer.get("usage"), answer.get("x_groq")
    if isinstance(x_groq, dict):
        id = {"id": x_groq["id"]} if "id" in x_groq else {}
    elif groq:
        id = {}
    else:
        return {}
    if not isinstance(usage, dict):
        return {"x_groq": id} if id else {}
    return {"x_groq": {**id, "usage": usage}, "usage": usage}


class _Choice:
    """One choice of a whole answer, and the parts that it comes in."""

    def __init__(self, place: int, choice: JsonObject) -> None:
        self._choice = choice
        index, message, logprobs = (choice.get(key) for key in ("index", "message", "logprobs"))
        self._index = index if isinstance(index, int) else place
        self._message: JsonObject = message if isinstance(message, dict) else {}
        self._logprobs: JsonObject = logprobs if isinstance(logprobs, dict) else {}

    def said(self) -> Iterator[JsonObject]:
        """All of it but the finish."""
        texts, calls = self._texts(), self._calls()
        said = {*texts, *OF_DELTAS, *(["tool_calls"] if calls else [])}
        rest = {key: value for key, value in self._message.items() if key not in said}
        opening = {key: rest.pop(key) for key in [*rest] if key in SAID_AT_ONCE or not rest[key]}
        if "content" in texts:
            opening["content"] = ""
        yield self._first(opening)
        others = self._logprobs.keys() - texts.keys()
        alone = {key: tokens for key in sorted(others) if (tokens := self._tokens(key))}
        if alone:
            yield {**self._part({}), "logprobs": {**dict.fromkeys(self._logprobs), **alone}}
        for key, text in texts.items():
            yield from self._spoken(key, text)
        if rest:
            yield self._part(rest)
        for place, call in enumerate(calls):
            for delta in _call(place, call):
                yield self._part({"tool_calls": [delta]})

    def finish(self) -> JsonObject:
        """The part that ends it."""
        return {**self._part({}), "finish_reason": self._choice.get("finish_reason")}

    def _part(self, delta: JsonObject) -> JsonObject:
        logprobs = {"logprobs": None} if "logprobs" in self._choice else {}
        return {"index": self._index, "delta": delta, **logprobs, "finish_reason": None}

    def _first(self, opening: JsonObject) -> JsonObject:
        """The role, what is empty, and the fields that stand beside the message.

        It has no tokens: openai-python 3.52 counts those of a first part twice.
        """
        part = self._part(opening)
        known = {*part, "message"}
        part.update({key: value for key, value in self._choice.items() if key not in known})
        if self._logprobs:
            later = {key: list[Any]() for key in self._logprobs if self._tokens(key)}
            part["logprobs"] = {**self._logprobs, **later}
        return part

    def _texts(self) -> dict[str, str]:
        return {
            key: self._message[key]
            for key in dict.fromkeys([*_TEXTS, *self._message])
            if key not in _NOT_CUT
            and isinstance(self._message.get(key), str)
            and self._message[key]
        }

    def _calls(self) -> list[JsonObject]:
        calls = self._message.get("tool_calls")
        if isinstance(calls, list) and all(isinstance(call, dict) for call in calls):
            return calls
        return []

    def _tokens(self, key: str) -> list[Any]:
        tokens = self._logprobs.get(key)
        return tokens if isinstance(tokens, list) else []

    def _spoken(self, key: str, text: str) -> Iterator[JsonObject]:
        """A text in pieces, with the logprobs of their tokens."""
        for piece, tokens in _with_tokens(text, self._tokens(key)):
            part = self._part({key: piece})
            if tokens:
                part["logprobs"] = {**dict.fromkeys(self._logprobs), key: tokens}
            yield part


def _call(place: int, call: JsonObject) -> Iterator[JsonObject]:
    """A tool call in parts: all but the arguments, then these."""
    function = call.get("function")
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments, str):
        yield {**call, "index": place}
        return
    yield {**call, "index": place, "function": {**function, "arguments": ""}}
    for piece in _pieces(arguments):
        yield {"index": place, "function": {"arguments": piece}}


def _pieces(text: str) -> Iterator[str]:
    """`text`, cut: none has more than `_PIECE_BYTES`, and none is cut where it need not be."""
    said, at = text.encode(), 0
    while len(said) - at > _PIECE_BYTES:
        end = at + _PIECE_BYTES
        half = at + _PIECE_BYTES // 2
        space = max(said.rfind(b" ", half, end), said.rfind(b"\n", half, end))
        end = space + 1 if space > 0 else _border(said, end)
        yield said[at:end].decode()
        at = end
    if at < len(said):
        yield said[at:].decode()


def _border(said: bytes, at: int) -> int:
    """The last place up to `at` that is not inside a character."""
    while said[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _with_tokens(text: str, tokens: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Pieces of `text`, each with its tokens; all with the first one if they do not spell it."""
    said = text.encode()
    spelled = [_spelling(token) for token in tokens]
    if b"".join(spelled) != said:
        for number, piece in enumerate(_pieces(text)):
            yield piece, [] if number else tokens
        return
    start = at = first = 0
    for number, token in enumerate(spelled):
        full = at > start and at + len(token) - start > _PIECE_BYTES
        if full and token and said[at] & 0xC0 != 0x80:
            yield said[start:at].decode(), tokens[first:number]
            start, first = at, number
        at += len(token)
    yield said[start:].decode(), tokens[first:]


def _spelling(token: object) -> bytes:
    """The bytes of a token: stated, as it may be a part of a character, or those of its text."""
    if not isinstance(token, dict):
        return b""
    stated, text = token.get("bytes"), token.get("token")
    if isinstance(stated, list):
        try:
            return bytes(stated)
        except (TypeError, ValueError):
            return b""
    return text.encode() if isinstance(text, str) else b""
