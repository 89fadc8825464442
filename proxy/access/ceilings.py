"""What one request to a provider may use at most.

That is the text of its prompt and the capped output. Whatever a provider may bill beside these has
no bound, and is refused.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from proxy.core.call import Call, Endpoint, JsonObject
from proxy.core.errors import InvalidRequest, Unpriceable
from proxy.wire.caps import caps_of
from proxy.wire.prompt import text_of

MOST_CHOICES: Final = 128  # what OpenAI allows for `n`
LARGEST_CAP: Final = 10_000_000  # tokens: ten times what the longest models write


@dataclass(frozen=True, slots=True)
class Bound:
    """At most so much: tokens of the prompt and of all choices together, characters, seconds.

    `cap` is the output cap that must be written upstream for this to hold, for each choice; None
    where there is no output to be capped.
    """

    prompt: int
    completion: int
    choices: int
    cap: int | None
    chars: int = 0
    seconds: float = 0.0


def bound_of(
    call: Call,
    model: str = "",
    *,
    default_max_output: int,
    max_output: int | None,
    seconds: float | None = None,
) -> Bound:
    """What one attempt at `call` may use at most, at `model`, which writes `max_output` at most.

    `seconds` bounds the audio of an upload. Raises `InvalidRequest` for numbers that mean nothing,
    and `Unpriceable` where something may be billed that nobody can bound.
    """
    body = call.body
    if call.endpoint is Endpoint.MODELS:
        return Bound(prompt=0, completion=0, choices=0, cap=None)
    if call.endpoint is Endpoint.AUDIO and not isinstance(body, dict):
        if seconds is None or not isfinite(seconds):
            raise _unpriceable("nobody can say how long the audio is")
        return Bound(prompt=0, completion=0, choices=1, cap=None, seconds=seconds)
    if call.endpoint is Endpoint.OTHER or not isinstance(body, dict):
        raise _unpriceable("files and batches are billed later, and as much as they hold")
    if call.endpoint is Endpoint.AUDIO:
        return Bound(prompt=0, completion=0, choices=1, cap=None, chars=_chars(body))
    text = text_of(call, body, model)
    if text.obstacle:
        raise _unpriceable(text.obstacle, text.param)
    if call.endpoint is Endpoint.EMBEDDINGS:
        return Bound(prompt=text.tokens, completion=0, choices=1, cap=None)
    cap = _cap(body, call.endpoint, default_max_output)
    if max_output is not None:
        cap = min(cap, max_output)
    choices = _whole(body, "n", MOST_CHOICES) or 1
    return Bound(prompt=text.tokens, completion=choices * cap, choices=choices, cap=cap)


def _cap(body: JsonObject, endpoint: Endpoint, default: int) -> int:
    caps = [
        cap for name in caps_of(endpoint) if (cap := _whole(body, name, LARGEST_CAP)) is not None
    ]
    return min(caps, default=default)  # of two, nobody knows which the provider looks at


def _whole(body: JsonObject, name: str, most: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is int and 1 <= value <= most:  # and not a bool, which is an int, too
        return value
    raise InvalidRequest(f"{name!r} must be a whole number from 1 to {most}", param=name)


def _chars(body: JsonObject) -> int:
    text = body.get("input")
    if not isinstance(text, str):
        raise InvalidRequest("'input' must be text", param="input")
    return len(text)


def _unpriceable(why: str, param: str | None = None) -> Unpriceable:
    message = f"a hard budget covers this call, and nobody can say what it may cost at most: {why}"
    return Unpriceable(message, code="unpriceable_content", param=param)
