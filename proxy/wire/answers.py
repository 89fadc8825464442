"""A whole answer: is it usable, and what does it say of itself."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from proxy.core.call import Endpoint, Summary
from proxy.core.errors import BadAnswer
from proxy.wire.json import MAX_CONTAINERS, count_containers
from proxy.wire.refusals import failure_inside
from proxy.wire.usage import usage_of

_REASONS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})
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
    if count_containers(body) > MAX_CONTAINERS:
        raise BadAnswer(f"{provider} sent more than {MAX_CONTAINERS} objects and lists")
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
    )


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


def _first_choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}
