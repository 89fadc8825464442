"""Checks of the messages in a chat request, role by role."""

from collections.abc import Mapping
from typing import Any

from proxy.simulator.catalogue import Model
from proxy.simulator.problems import Problem, bad
from proxy.simulator.shape import unsupported, wrong

# The properties of each role. `name` is known to the SDKs and refused by Groq, but for the old
# function role.
PROPERTIES: dict[str, tuple[str, ...]] = {
    "system": ("role", "content"),
    "developer": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "tool_calls", "function_call", "reasoning"),
    "tool": ("role", "content", "tool_call_id"),
    "function": ("role", "content", "name"),
}
_PARTS = ("text", "image_url", "document")


def check(messages: Any, model: Model) -> None:
    """Raise the 400 for the first message that is wrong."""
    if not isinstance(messages, list):
        raise wrong("messages", "value must be an array")
    if not messages:
        raise wrong("messages", "minimum number of items is 1")
    for number, message in enumerate(messages):
        _message(f"messages.{number}", message, model)


def _message(path: str, message: Any, model: Model) -> None:
    if not isinstance(message, dict):
        raise wrong(path, "value must be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in PROPERTIES:
        raise wrong(path, "discriminator property 'role' has invalid value")
    known = PROPERTIES[role]
    for name in message:
        if name not in known:
            raise _unmet(path, role, path, unsupported(name, known))
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise _unmet(path, role, f"{path}.tool_call_id", "value must be a string")
    if role == "assistant":
        _tool_calls(path, message.get("tool_calls"))
        if not isinstance(message.get("reasoning"), str | None):
            raise _unmet(path, role, f"{path}.reasoning", "value must be a string")
    _content(path, role, message, model)


def _content(path: str, role: str, message: Mapping[str, Any], model: Model) -> None:
    content = message.get("content")
    if isinstance(content, str) or (content is None and role in {"assistant", "function"}):
        return
    here = f"{path}.content"
    if content is None and "content" not in message:
        raise _unmet(path, role, here, "property 'content' is missing")
    if not isinstance(content, list):
        either = "value must be a string OR value must be an array"
        raise _unmet(path, role, here, f"one of the following must be satisfied[{either}]")
    for number, part in enumerate(content):
        rule = _part(part, role)
        if rule is not None:
            raise _unmet(path, role, f"{here}.{number}", rule)
        if part["type"] == "image_url" and not model.vision:
            raise bad(f"{path.replace('.', '[', 1)}].content must be a string")


def _part(part: Any, role: str) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str) or kind not in _PARTS:
        return "discriminator property 'type' has invalid value"
    inner = part.get(kind)
    if kind == "text":
        return None if isinstance(inner, str) else "property 'text' is missing"
    if not isinstance(inner, dict):
        return f"property '{kind}' is missing"
    if kind == "image_url" and role != "user":
        return "images are only allowed in user messages"
    if kind == "image_url" and not isinstance(inner.get("url"), str):
        return "property 'url' is missing"
    return None


def _tool_calls(path: str, calls: Any) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _unmet(path, "assistant", f"{path}.tool_calls", "value must be an array")
    for number, call in enumerate(calls):
        here = f"{path}.tool_calls.{number}"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(call.get("id"), str):
            raise _unmet(path, "assistant", here, "properties 'id' and 'function' are required")
        if not all(isinstance(function.get(name), str) for name in ("name", "arguments")):
            raise _unmet(path, "assistant", f"{here}.function", "value must be a string")


def _unmet(path: str, role: str, where: str, rule: str) -> Problem:
    return wrong(path, f"for 'role:{role}' the following must be satisfied[('{where}' : {rule})]")
