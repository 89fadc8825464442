"""A whole answer: is it usable, and what does it say of itself."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from proxy.core.call import Endpoint, Summary
from proxy.core.errors import BadAnswer, Costs
from proxy.wire.json import MAX_CONTAINERS, count_containers
from proxy.wire.refusals import failure_inside
from proxy.wire.usage import usage_of

_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
_NO_WORDS = frozenset({"id", "type", "role"})
_ID = re.compile(r"[\w-]{1,64}", re.ASCII)

_USABLE: dict[Endpoint, Callable[[Mapping[str, Any]], bool]] = {
    Endpoint.CHAT: lambda answer: _is_list_of_objects(answer.get("choices")),
    Endpoint.RESPONSES: lambda answer: isinstance(answer.get("output"), list),
    Endpoint.EMBEDDINGS: lambda answer: isinstance(answer.get("data"), list),
}


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def read_whole(body: bytes, endpoint: Endpoint, *, provider: str, secret: str) -> Summary:
    """What a 200 with a JSON body says; raises `BadAnswer` where it is no answer."""
    if len(body) > MAX_CONTAINERS and count_containers(body) > MAX_CONTAINERS:
        error = BadAnswer(f"{provider} sent more than {MAX_CONTAINERS} objects and lists")
        raise error.costing(Costs.ALL)
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAnswer(f"{provider} answered 200 with a body that is not JSON") from None
    if not isinstance(answer, dict):
        raise BadAnswer(f"{provider} answered 200 with a body that is not an object")
    if answer.get("error"):
        raise failure_inside(body, provider=provider, secret=secret)
    usable = _USABLE.get(endpoint)
    if usable and not usable(answer):
        raise BadAnswer(f"{provider} answered 200 without an answer in it")
    return Summary(
        usage=usage_of(answer),
        finish_reason=finish_reason_of(_first_choice(answer)),
        upstream_id=request_id_of(answer, secret),
        begun=True,
        ended=True,
        audio_s=_seconds(answer.get("duration")) if endpoint is Endpoint.AUDIO else None,
    )


def words_of(body: bytes) -> int:
    """Bytes of all text that a whole answer says, its tool calls included."""
    answer = orjson.loads(body)
    choices = answer.get("choices") or ()
    said = [choice.get("message") for choice in choices if isinstance(choice, dict)]
    return text_bytes([*said, answer.get("output")])


def text_bytes(value: object) -> int:
    """Bytes of all text in a part of an answer; names, roles and types count for nothing."""
    said, left = 0, [value]
    while left:  # no recursion: how deep it goes is the provider's choice
        item = left.pop()
        if isinstance(item, str):
            said += len(item.encode("utf-8", "replace"))
        elif isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            left += [each for key, each in item.items() if key not in _NO_WORDS]
    return said


def finish_reason_of(choice: Mapping[str, Any]) -> str | None:
    """Why a choice ended, in the words of the field; None while it has not ("" to some)."""
    reason = choice.get("finish_reason")
    if not isinstance(reason, str) or not reason:
        return None
    return reason if reason in _REASONS else "other"


def request_id_of(message: Mapping[str, Any], secret: str) -> str | None:
    """Groq's id of the request, out of a chunk or a whole answer."""
    x_groq = message.get("x_groq")
    found = x_groq.get("id") if isinstance(x_groq, dict) else None
    if not isinstance(found, str) or not _ID.fullmatch(found) or (secret and secret in found):
        return None
    return found


def _seconds(stated: object) -> float | None:
    """A length of time that is a number, or the text of one."""
    if isinstance(stated, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", stated):
        stated = float(stated)
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return None
    return float(stated) if 0 <= stated < 1e9 else None


def _first_choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}
