"""How Gemini's answers travel: thoughts hidden in the total, few large chunks, signed calls."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.simulator import tokens
from proxy.simulator.answer import ToolCall
from proxy.simulator.completion import Completion
from proxy.simulator.gemini.models import signs
from proxy.simulator.ids import Ids
from proxy.simulator.reply import Piece, done, frame

_CHUNK = 120  # characters of content in one event


def answer_id(ids: Ids) -> str:
    """Give the id of an answer: 22 characters."""
    return ids.short("")[-22:]


def edge(_request_id: str) -> Mapping[str, str]:
    """Give what every answer carries: nothing by which a request could be named."""
    return {
        "server": "scaffolding on HTTPServer2",
        "vary": "Origin, X-Origin, Referer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "SAMEORIGIN",
        "x-xss-protection": "0",
        "alt-svc": 'h3=":443"; ma=2592000',
    }


def whole(completion: Completion) -> dict[str, Any]:
    """Give the completion object; a message that says nothing has no `content`."""
    message: dict[str, Any] = {"role": "assistant"}
    if completion.content:
        message["content"] = completion.content
    if completion.answer.tool_calls:
        message["tool_calls"] = _calls(completion)
    reason = completion.answer.finish_reason
    choices = [
        {"finish_reason": reason, "index": index, "message": message}
        for index in range(completion.chat.choices)
    ]
    return {"choices": choices, **_head(completion, "chat.completion"), "usage": usage(completion)}


def frames(completion: Completion) -> Iterator[Piece]:
    """Give the events of the stream: the last delta brings the finish reason with it.

    That is `stop` even after calls of functions. Usage, if asked for, is in every chunk, each
    time up to there.
    """
    deltas = list(_deltas(completion))
    written = completion.answer.reasoning_tokens
    reason = completion.answer.finish_reason.replace("tool_calls", "stop")
    for number, (delta, cost) in enumerate(deltas, start=1):
        last = number == len(deltas)
        written += cost
        finish = {"finish_reason": reason} if last else {}
        choices = [
            {"delta": {"role": "assistant", **delta}, **finish, "index": index}
            for index in range(completion.chat.choices)
        ]
        seen = completion.answer.completion_tokens if last else written
        told = {"usage": usage(completion, seen)} if completion.chat.include_usage else {}
        value = {"choices": choices, **_head(completion, "chat.completion.chunk"), **told}
        yield frame(value, completion.total_s if last else completion.written_at_s(written))
    yield done(completion.total_s)


def usage(completion: Completion, written: int | None = None) -> dict[str, int]:
    """Give the usage: thoughts are in the total, and nowhere else."""
    written = completion.answer.completion_tokens if written is None else written
    copies, thought = completion.chat.choices, completion.answer.reasoning_tokens
    return {
        "completion_tokens": copies * (written - thought),
        "prompt_tokens": completion.prompt_tokens,
        "total_tokens": completion.prompt_tokens + copies * written,
    }


def _deltas(completion: Completion) -> Iterator[tuple[dict[str, Any], int]]:
    if completion.answer.tool_calls:
        for call in _calls(completion):
            function = call["function"]
            yield {"tool_calls": [call]}, tokens.count(function["name"] + function["arguments"])
        return
    text = completion.content
    for start in range(0, len(text), _CHUNK) or [0]:
        piece = text[start : start + _CHUNK]
        yield ({"content": piece} if piece else {}), tokens.count(piece)


def _calls(completion: Completion) -> list[dict[str, Any]]:
    """Give the calls, of which the first is signed: it stands for all that were made at once."""
    made = [_call(call) for call in completion.answer.tool_calls]
    if made and signs(completion.chat.model):
        signature = hashlib.sha512(completion.answer.tool_calls[0].id.encode()).digest()
        signed = {"google": {"thought_signature": base64.b64encode(signature).decode()}}
        made[0] = {"extra_content": signed, **made[0]}
    return made


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"arguments": call.arguments, "name": call.name}
    return {"function": function, "id": call.id, "type": "function"}


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "created": completion.created,
        "id": completion.id,
        "model": completion.chat.name,
        "object": kind,
    }
