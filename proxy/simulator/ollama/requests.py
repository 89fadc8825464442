"""What Ollama reads of a request, and what it drops without a word."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from proxy.simulator import checks, messages, shape
from proxy.simulator.catalogue import Kind, Model
from proxy.simulator.ollama.models import OLLAMA
from proxy.simulator.problems import bad
from proxy.simulator.request import Chat

_RULES = checks.Rules(OLLAMA, json_with_tools=True, cuts=True)
_ANY_NUMBER = shape.number(-inf, inf)

_PROPERTIES: dict[str, shape.Check] = {
    "messages": shape.array,
    "model": shape.string,
    "frequency_penalty": _ANY_NUMBER,
    "logprobs": shape.boolean,
    "max_tokens": shape.integer(),
    "presence_penalty": _ANY_NUMBER,
    "reasoning": shape.mapping,
    "reasoning_effort": shape.string,
    "response_format": shape.mapping,
    "seed": shape.integer(),
    "stop": shape.anything,
    "stream": shape.boolean,
    "stream_options": shape.mapping,
    "temperature": _ANY_NUMBER,
    "tools": shape.array,
    "top_logprobs": shape.integer(),
    "top_p": _ANY_NUMBER,
}
_OF_MESSAGES = ("role", "content", "name", "reasoning", "tool_calls", "tool_call_id")
_PARTS = ("text", "image_url", "input_audio")

Fields = Mapping[str, Any]


def anyone(key: str, organisations: Mapping[str, str]) -> str:
    """Give the organisation of a key; there are no keys here, and everyone is welcome."""
    return organisations.get(key, "local")


def known(body: Fields, names: frozenset[str]) -> tuple[Fields, tuple[str, ...]]:
    """Give the fields that are read, and the names of the others."""
    kept = {name: value for name, value in body.items() if name in names}
    return kept, tuple(name for name in body if name not in names)


def chat(body: Fields) -> Chat:
    """Give the request in a body, or raise what is wrong with it."""
    read, ignored = known(body, frozenset(_PROPERTIES))
    if not read.get("messages"):
        raise bad("[] is too short - 'messages'")
    shape.fields(read, _PROPERTIES, ("model",))
    model = checks.served(read["model"], Kind.CHAT, OLLAMA)
    if read.get("tools") and not model.tools:
        raise bad(f"{model.id} does not support tools")
    common = {
        "model": read["model"],
        "messages": [_message(message, model) for message in read["messages"]],
        "max_tokens": _ceiling(read.get("max_tokens"), model),
        "response_format": checks.loosened(read.get("response_format")),
        "seed": read.get("seed"),
        "stream": read.get("stream"),
        "stream_options": _stream_options(read),
        "tools": read.get("tools"),
        **_thinking(read, model),
    }
    made = checks.chat(common, _RULES)
    lost = (*ignored, *_lost(read), *_cut(made))
    return replace(made, stop=_stops(read.get("stop")), ignored=lost)


def _message(message: Any, model: Model) -> dict[str, Any]:
    """Give a message as the common checks know it."""
    if not isinstance(message, dict) or not isinstance(message.get("role"), str | None):
        raise bad("json: cannot unmarshal messages into Go value of type openai.Message")
    role = message.get("role")
    calls = message.get("tool_calls")
    if message.get("content") is None and not calls:
        raise bad("invalid message content type: <nil>")
    made = {"role": role if role in messages.PROPERTIES else "user", **_content(message, model)}
    if made["role"] == "tool":
        made["tool_call_id"] = str(message.get("tool_call_id") or "")
    if made["role"] == "assistant" and calls:
        made["tool_calls"] = calls
    return made


def _content(message: Fields, model: Model) -> Fields:
    content = message.get("content")
    if content is None:
        return {"content": ""}
    if isinstance(content, str):
        return {"content": content}
    if not isinstance(content, list):
        raise bad(f"invalid message content type: {type(content).__name__}")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or kind not in _PARTS:
            raise bad("invalid message format")
        if kind == "image_url" and not model.vision:
            raise bad(f"{model.id} does not support image input")
    return {"content": [checks.heard(part) for part in content]}


def _ceiling(asked: int | None, model: Model) -> int | None:
    """Give the bound of the answer; zero and less mean none."""
    return min(asked, model.max_completion_tokens) if asked is not None and asked > 0 else None


def _stream_options(read: Fields) -> Fields:
    options = read.get("stream_options") or {}
    return {"include_usage": options.get("include_usage") is True}


def _thinking(read: Fields, model: Model) -> dict[str, str]:
    own = (read.get("reasoning") or {}).get("effort")
    asked = read.get("reasoning_effort") or (own if isinstance(own, str) else None)
    if not model.efforts:
        if asked not in (None, "none"):
            raise bad(f'"{model.id}" does not support thinking')
        return {}
    if asked is not None and asked not in model.efforts:
        listed = ", ".join(f'"{effort}"' for effort in model.efforts)
        raise bad(f"invalid reasoning value: '{asked}' (must be one of {listed})")
    return {"reasoning_effort": asked or model.default_effort, "reasoning_format": "parsed"}


def _stops(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(stop for stop in listed if isinstance(stop, str) and stop)


def _lost(read: Fields) -> tuple[str, ...]:
    """Name what is dropped deeper in the request."""
    found = [
        f"messages.{name}"
        for message in read["messages"]
        for name in message
        if name not in _OF_MESSAGES
    ]
    form = (read.get("response_format") or {}).get("json_schema")
    if isinstance(form, dict):
        found += [f"response_format.json_schema.{name}" for name in form if name != "schema"]
    return tuple(dict.fromkeys(found))


def _cut(made: Chat) -> tuple[str, ...]:
    """Tell that a prompt was longer than the window: what does not fit is not read."""
    over = made.prompt_tokens - made.model.context_window
    return (f"messages: {over} tokens beyond the context window",) if over > 0 else ()
