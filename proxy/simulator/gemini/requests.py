"""What Gemini reads of a request: a list of fields, and nothing beside it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.simulator import checks, messages, shape
from proxy.simulator.catalogue import Kind
from proxy.simulator.gemini.models import GEMINI, signs
from proxy.simulator.problems import About, Problem, bad
from proxy.simulator.request import Chat

_RULES = checks.Rules(GEMINI, json_with_tools=True)
_MOST_CHOICES = 8

_PROPERTIES: dict[str, shape.Check] = {
    "messages": shape.array,
    "model": shape.string,
    "extra_body": shape.mapping,
    "max_completion_tokens": shape.integer(1),
    "max_tokens": shape.integer(1),
    "n": shape.integer(1, _MOST_CHOICES),
    "reasoning_effort": shape.string,
    "response_format": shape.mapping,
    "stop": shape.stops,
    "stream": shape.boolean,
    "stream_options": shape.mapping,
    "temperature": shape.number(0, 2),
    "tool_choice": shape.anything,
    "tools": shape.array,
    "top_p": shape.number(0, 1),
}
_ROLES = ("system", "user", "assistant", "tool")
_OF_MESSAGES = ("role", "content", "name", "tool_calls", "tool_call_id", "extra_content")
_OWN = ("extra_body", "n")  # what the common checks do not read


def chat(body: Mapping[str, Any]) -> Chat:
    """Give the request in a body, or raise what is wrong with it."""
    shape.fields(body, _PROPERTIES, ("model", "messages"))
    model = checks.served(body["model"], Kind.CHAT, GEMINI)
    for name in body.get("stream_options") or {}:
        if name != "include_usage":
            raise _unknown(name, "stream_options")
    _thinking(body)
    _messages(body["messages"])
    if signs(model):
        _signatures(body["messages"])
    common = {name: value for name, value in body.items() if name not in _OWN}
    common["messages"] = [_common(message) for message in body["messages"]]
    common["response_format"] = checks.loosened(body.get("response_format"))
    common["reasoning_effort"] = body.get("reasoning_effort") or model.default_effort
    common["reasoning_format"] = "hidden"
    return replace(checks.chat(common, _RULES), choices=body.get("n") or 1)


def _thinking(body: Mapping[str, Any]) -> None:
    extra = body.get("extra_body") or {}
    for name in extra:
        if name != "google":
            raise _unknown(name, "extra_body")
    own = extra.get("google")
    budget = own.get("thinking_config") if isinstance(own, dict) else None
    if budget and body.get("reasoning_effort") is not None:
        raise bad("Expected one of either `reasoning_effort` or custom `thinking_config`.")


def _messages(listed: list[Any]) -> None:
    if not listed:
        raise bad("* GenerateContentRequest.contents: contents is not specified")
    for number, message in enumerate(listed):
        if not isinstance(message, dict):
            raise shape.wrong(f"messages[{number}]", "value must be an object")
        for name in message:
            if name not in _OF_MESSAGES:
                raise _unknown(name, f"messages[{number}]")
        if message.get("role") not in _ROLES:
            raise bad(f"Please use a valid role: {', '.join(_ROLES)}.")


def _signatures(listed: list[Any]) -> None:
    """Demand the signature of the first call of each message since the user last spoke."""
    turn = max((n for n, m in enumerate(listed) if m["role"] == "user"), default=-1)
    for number, message in enumerate(listed[turn + 1 :], start=turn + 1):
        calls = message.get("tool_calls")
        first = calls[0] if isinstance(calls, list) and calls else None
        if message["role"] == "assistant" and isinstance(first, dict) and not _signature(first):
            raise bad(
                "Function call is missing a thought_signature in functionCall parts. This is "
                f"required for tools to work correctly. Additional data, position {number + 1}."
            )


def _signature(call: Mapping[str, Any]) -> object:
    extra = call.get("extra_content")
    own = extra.get("google") if isinstance(extra, dict) else None
    return own.get("thought_signature") if isinstance(own, dict) else None


def _common(message: Mapping[str, Any]) -> dict[str, Any]:
    """Give a message as the common checks know it: without its Gemini fields, and sound as text."""
    known = messages.PROPERTIES[message["role"]]
    made = {name: value for name, value in message.items() if name in known}
    if isinstance(made.get("content"), list):
        made["content"] = [checks.heard(part) for part in made["content"]]
    return made


def _unknown(name: str, at: str) -> Problem:
    return bad(shape.unsupported(name, ()), about=About(unknown=name, at=at))
