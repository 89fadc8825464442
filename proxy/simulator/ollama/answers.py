"""How Ollama's answers travel: as at OpenAI, with `reasoning`, and with little around them."""

from collections.abc import Iterator, Mapping
from typing import Any

from proxy.simulator import tokens
from proxy.simulator.answer import ToolCall
from proxy.simulator.completion import Completion
from proxy.simulator.reply import Piece, done, frame


def edge(_request_id: str) -> Mapping[str, str]:
    """Give what every answer carries: nothing."""
    return {}


def whole(completion: Completion) -> dict[str, Any]:
    """Give the completion object."""
    message: dict[str, Any] = {"role": "assistant", "content": completion.content}
    if completion.reasoning:
        message["reasoning"] = completion.reasoning
    if completion.answer.tool_calls:
        message["tool_calls"] = _calls(completion)
    choice = {"index": 0, "message": message, "finish_reason": completion.answer.finish_reason}
    head = _head(completion, "chat.completion")
    return {**head, "choices": [choice], "usage": usage(completion)}


def frames(completion: Completion) -> Iterator[Piece]:
    """Give the events of the stream: role, deltas, finish reason, and usage if asked for."""
    yield _chunk(completion, {"role": "assistant", "content": ""}, completion.first_token_s)
    written = 0.0
    for delta, cost in _deltas(completion):
        written += cost
        yield _chunk(completion, delta, completion.written_at_s(written))
    reason = completion.answer.finish_reason
    yield _chunk(completion, {"role": "assistant", "content": ""}, completion.total_s, reason)
    if completion.chat.include_usage:
        head = _head(completion, "chat.completion.chunk")
        yield frame({**head, "choices": [], "usage": usage(completion)}, completion.total_s)
    yield done(completion.total_s)


def usage(completion: Completion) -> dict[str, int]:
    """Give the usage: three figures and no details."""
    read, written = completion.prompt_tokens, completion.answer.completion_tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _deltas(completion: Completion) -> Iterator[tuple[dict[str, Any], float]]:
    for piece in tokens.pieces(completion.reasoning):
        delta = {"role": "assistant", "content": "", "reasoning": piece}
        yield delta, len(piece) / tokens.CHARS_PER_TOKEN
    if completion.answer.tool_calls:
        called = {"role": "assistant", "content": "", "tool_calls": _calls(completion)}
        yield called, completion.answer.completion_tokens
        return
    for piece in tokens.pieces(completion.content):
        yield {"role": "assistant", "content": piece}, len(piece) / tokens.CHARS_PER_TOKEN


def _calls(completion: Completion) -> list[dict[str, Any]]:
    return [_call(call, index) for index, call in enumerate(completion.answer.tool_calls)]


def _call(call: ToolCall, index: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{call.id[-8:]}", "index": index, "type": "function", "function": function}


def _chunk(
    completion: Completion, delta: dict[str, Any], at_s: float, finish: str | None = None
) -> Piece:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return frame({**_head(completion, "chat.completion.chunk"), "choices": [choice]}, at_s)


def _head(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.chat.name,
        "system_fingerprint": "fp_ollama",
    }
