"""What makes two calls the same, and whose answers may be shared.

A fingerprint is a hash of canonical JSON: keys in order, no white space, so that neither the order
in which a client wrote its fields nor the process that reads them makes a difference. Nothing else
is smoothed over: text counts letter by letter, and a field that we do not know counts, too.
"""

from hashlib import sha256
from json import dumps
from typing import Any, Final, Literal

import orjson

from proxy.core.call import ANYONE, Call, Caller, Endpoint, JsonObject, Target
from proxy.core.light import light

Uncacheable = Literal["", "endpoint", "stateful", "service_tools", "audio"]

_RULES: Final = 1  # version of what follows: with another one, all that was kept is forgotten

# Fields that are about the way of an answer, and not about its words. The model is the target's.
_LEFT_OUT: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options"),
        *("user", "metadata", "safety_identifier", "prompt_cache_key"),
    }
)
_MOST_NOTES: Final = 16  # of who asked what with the same bytes
_CAP: Final = "max_completion_tokens"
_OLD_CAP: Final = "max_tokens"

_STATEFUL: Final = ("store", "previous_response_id", "conversation", "background", "prompt")
_SERVICE_TOOLS: Final = (
    *("search_settings", "include_domains", "exclude_domains", "web_search_options"),
    *("compound_custom", "plugins"),
)
_CLIENTS_TOOLS: Final = frozenset({"function", "custom"})  # which the client runs itself


@light
class Fingerprint:
    """Two hashes, each of 64 hex digits.

    Calls of one `partition` differ at most in the words of their last user turn; calls of one
    `exact` are the same.
    """

    partition: str
    exact: str


def scope_of(caller: Caller, share: Literal["key", "team", "everyone"]) -> str:
    """The circle in which `caller` shares answers: `key:ID`, `team:NAME`, `everyone` or `open`.

    Without keys nobody can be told apart. A caller without a team is alone where teams share.
    """
    if caller is ANYONE:
        return "open"
    if share == "everyone":
        return share
    return f"team:{caller.team}" if share == "team" and caller.team else f"key:{caller.key_id}"


def cacheable(call: Call) -> Uncacheable:
    """Why the same call may not get the same answer again; "" if it may.

    Temperature, seed and `n` are no reasons: who asks the very same again gets what it got, all
    choices of it. `stateful`: the provider is to remember, or to look up, what cannot be seen from
    here. `service_tools`: the provider looks around, and what it sees changes.
    """
    body = call.body
    if call.endpoint is not Endpoint.CHAT or not isinstance(body, dict):
        return "endpoint"
    if any(map(body.get, _STATEFUL)):
        return "stateful"
    if any(body.get(name) is not None for name in _SERVICE_TOOLS):
        return "service_tools"  # an empty object is enough to have some models search
    tools = body.get("tools")
    if isinstance(tools, list) and not all(map(_is_clients, tools)):
        return "service_tools"
    if body.get("audio") or body.get("modalities") not in (None, [], ["text"]):
        return "audio"
    return ""


def fingerprint(
    call: Call,
    target: Target,
    base_url: str,
    scope: str,
    *,
    rag: str = "",
    namespace: str = "",
) -> Fingerprint:
    """The fingerprint of a chat that `target` at `base_url` is to answer.

    `rag` names what was put in from documents, with its version; `scope` is from `scope_of`, and
    `namespace` what the caller parts its own answers by. Noted on `call` for others like it.
    """
    asked = (target, base_url, scope, rag, namespace)
    found: Fingerprint | None = call.notes.get(asked)
    if found is None:
        if len(call.notes) >= _MOST_NOTES:
            call.notes.clear()
        found = call.notes[asked] = _fingerprint(call, *asked)
    return found


def _fingerprint(
    call: Call, target: Target, base_url: str, scope: str, rag: str, namespace: str
) -> Fingerprint:
    body = call.body
    assert isinstance(body, dict)
    messages = body["messages"]
    last = messages[-1]
    question = last if isinstance(last, dict) and last.get("role") == "user" else None
    partition = sha256(
        _canonical(
            [
                *(_RULES, scope, target.provider, base_url, target.model, rag, namespace),
                _parameters(body),
                messages if question is None else messages[:-1],
                None if question is None else _without_words(question),
            ]
        )
    )
    exact = partition.copy()
    exact.update(_canonical(None if question is None else _words(question)))
    return Fingerprint(partition.hexdigest(), exact.hexdigest())


def _canonical(value: Any) -> bytes:
    """JSON with one spelling for each value, as the same value always takes the same way."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer beyond 64 bits
        return dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _parameters(body: JsonObject) -> JsonObject:
    """All that the client set and that may change the words of the answer."""
    found = {
        name: _number(value) if type(value) is float else value
        for name, value in body.items()
        if value is not None and name not in _LEFT_OUT
    }
    old = found.pop(_OLD_CAP, None)
    # Where two caps differ, providers do not agree which one counts.
    if old is not None and found.setdefault(_CAP, old) != old:
        found[_OLD_CAP] = old
    return found


def _number(value: float) -> float:
    """The integer of the same value, if there is one: what is equal must be spelt alike."""
    return int(value) if value.is_integer() else value


def _without_words(message: JsonObject) -> JsonObject:
    """A message with all that is not text: its images, its other fields, whatever is unknown."""
    content = message.get("content")
    rest = {name: value for name, value in message.items() if name != "content"}
    if isinstance(content, list):
        parts = [part for part in map(_wordless, content) if part is not None]
        return {**rest, "content": parts} if parts else rest
    return rest if content is None or isinstance(content, str) else message


def _words(message: JsonObject) -> Any:
    """The text of a message: what `_without_words` leaves out, each piece at its place."""
    content = message.get("content")
    if isinstance(content, list):
        return [part.get("text") if _wordless(part) is not part else None for part in content]
    return content if content is None or isinstance(content, str) else False


def _wordless(part: Any) -> Any:
    """A content part without its text; None where nothing is left."""
    if not isinstance(part, dict) or part.get("type") != "text":
        return part
    rest = {name: value for name, value in part.items() if name != "text"}
    if not isinstance(part.get("text"), str):
        return part
    return rest if len(rest) > 1 else None


def _is_clients(tool: Any) -> bool:
    """Whether a tool is one that the client runs; one without a type is a function."""
    kind = tool.get("type") or "function" if isinstance(tool, dict) else None
    return isinstance(kind, str) and kind in _CLIENTS_TOOLS
