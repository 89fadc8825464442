"""Which answers are kept: whole and good ones, of the model that was asked.

What is kept is told again for a day, so a doubt is enough to let it go.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson

from proxy.core.call import Call, Head, JsonObject, Summary, Target
from proxy.wire.json import dumps

MAX_BYTES: Final = 1 << 20  # of an answer as JSON

Flaw = Literal[
    "",
    "error",
    "fallback",
    "incomplete",
    "length",
    "filtered",
    "other_end",
    "refused",
    "service_tools",
    "malformed",
    "empty",
]

_BAD_ENDS: Final[Mapping[str, Flaw]] = {"length": "length", "content_filter": "filtered"}
_CALLS: Final = frozenset({"tool_calls", "function_call"})
_GOOD_ENDS: Final = _CALLS | {"stop"}

# Where providers tell, of a whole answer or of one message, what their own tools have found.
_FOUND: Final = ("executed_tools", "mcp_list_tools", "search_results", "citations")
_OF_THE_CALL: Final = ("document_citation", "function_citation")  # annotations
_JSON_FORMATS: Final = frozenset({"json_object", "json_schema"})


def why_not(call: Call, answer: JsonObject, head: Head, summary: Summary, *, asked: Target) -> Flaw:
    """Why a whole `answer` to `call` is not to be kept; "" if it is.

    `asked` is the target that the fingerprint is about. `other_end`: a finish_reason that we do not
    know. `malformed`: the client cannot read what it asked for, JSON or the arguments of a tool.
    `service_tools`: it tells what the provider has found elsewhere.
    """
    if head.status != 200 or answer.get("error") or _object(answer.get("x_groq")).get("error"):
        return "error"
    if head.target != asked:
        return "fallback"
    choices = answer.get("choices")
    if not summary.ended or not isinstance(choices, list) or not choices:
        return "incomplete"
    if any(map(answer.get, _FOUND)):
        return "service_tools"
    body = call.body if isinstance(call.body, dict) else {}
    if len(choices) < _choices_of(body):
        return "incomplete"
    as_json, must_call = _wants_json(body), body.get("tool_choice") == "required"
    for choice in choices:
        if flaw := _flaw_of(_object(choice), as_json=as_json, must_call=must_call):
            return flaw
    return ""


def written(answer: JsonObject) -> bytes | None:
    """A whole answer as it is kept; None where it is too large, or is no JSON."""
    try:
        data = dumps(answer)
    except (UnicodeEncodeError, RecursionError):  # half a character; nested without an end
        return None
    return data if len(data) <= MAX_BYTES else None


def _flaw_of(choice: JsonObject, *, as_json: bool, must_call: bool) -> Flaw:
    end, message = choice.get("finish_reason"), choice.get("message")
    if not isinstance(end, str) or not end or not isinstance(message, dict):
        return "incomplete"
    if end not in _GOOD_ENDS:
        return _BAD_ENDS.get(end, "other_end")
    parts = _objects(message.get("content"))
    if message.get("refusal") or any(part.get("refusal") for part in parts):
        return "refused"
    if _found_elsewhere(message):
        return "service_tools"
    wanted = _wanted(message)
    if wanted:
        return "" if all(map(_is_complete, wanted)) else "malformed"
    if end in _CALLS or must_call:
        return "incomplete"
    text = _text(message.get("content"))
    if not text.strip():
        return "empty"
    return "malformed" if as_json and _parsed(text) is None else ""


def _found_elsewhere(message: JsonObject) -> bool:
    notes = [note.get("type") for note in _objects(message.get("annotations"))]
    return any(map(message.get, _FOUND)) or any(note not in _OF_THE_CALL for note in notes)


def _wanted(message: JsonObject) -> Sequence[JsonObject]:
    """The calls of tools that a message holds, in the older form, too."""
    calls, older = message.get("tool_calls"), message.get("function_call")
    wanted = [_object(call) for call in calls] if isinstance(calls, list) else []
    return [*wanted, {"function": older}] if older else wanted


def _is_complete(call: JsonObject) -> bool:
    """Whether a client can run the call: it is named, and its arguments are an object."""
    custom = call.get("custom")
    if isinstance(custom, dict):  # whose input is any text
        return bool(custom.get("name")) and isinstance(custom.get("input"), str)
    function = _object(call.get("function"))
    arguments = function.get("arguments")
    return (
        bool(function.get("name"))
        and isinstance(arguments, str)
        and isinstance(_parsed(arguments), dict)
    )


def _choices_of(body: JsonObject) -> int:
    wanted = body.get("n")
    return int(wanted) if isinstance(wanted, int | float) else 1


def _wants_json(body: JsonObject) -> bool:
    kind = _object(body.get("response_format")).get("type")
    return isinstance(kind, str) and kind in _JSON_FORMATS


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in _objects(content))
    return "".join(text for text in texts if isinstance(text, str))


def _parsed(text: str) -> Any:
    """The JSON in `text`; None where there is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _object(value: Any) -> JsonObject:
    """`value`, if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> Sequence[JsonObject]:
    """The objects in `value`, if it is a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
