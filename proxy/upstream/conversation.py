"""What the upstream side reads of a call: its length, its user, its beginning."""

from collections.abc import Iterator
from hashlib import blake2b

from proxy.core.call import ANYONE, Call, JsonObject
from proxy.core.quota import Need
from proxy.wire.estimates import MAY_HOLD_MEDIA, cap_of, prompt_tokens
from proxy.wire.json import dumps

_MOST_BYTES_A_TOKEN = 16  # of text that no tokenizer packs more densely
OUTPUT_TOKENS = 256  # where a request names no maximum


def text_chars(call: Call) -> int:
    """Characters of all texts in the messages."""
    return sum(map(len, _texts(call.body))) if isinstance(call.body, dict) else 0


def question_of(call: Call) -> str:
    """The text of the last message that a user wrote; "" where there is none."""
    body = call.body if isinstance(call.body, dict) else {}
    messages = body.get("messages")
    if not isinstance(messages, list):
        asked = body.get("input")
        return asked if isinstance(asked, str) else ""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return "\n".join(_texts({"messages": [message]}))
    return ""


def need_of(call: Call, *, output: int = OUTPUT_TOKENS) -> Need:
    """What the provider will count for `call`: about, and at least. `output`: where no cap is set.

    Providers add the output cap to the prompt before they begin.
    """
    body = call.body
    if not isinstance(body, dict):
        return Need(tokens=0, least_tokens=0)
    cap = cap_of(body)
    least = text_chars(call) // _MOST_BYTES_A_TOKEN if call.size > MAY_HOLD_MEDIA else 0
    answer = output if cap is None else cap
    return Need(tokens=prompt_tokens(call) + answer, least_tokens=least + (cap or 0))


def user_of(call: Call) -> str:
    """Who asks, for what must stay the same for one user: the request's own word, else the key."""
    body = call.body if isinstance(call.body, dict) else {}
    for name in ("user", "safety_identifier", "prompt_cache_key"):
        if isinstance(stated := body.get(name), str) and stated:
            return stated
    return call.caller.key_id if call.caller is not ANYONE else beginning_of(call).hex()


def beginning_of(call: Call) -> bytes:
    """A digest of how the conversation begins, the same for all its turns.

    By it, a prompt comes with the key under which the provider has cached it.
    """
    body = call.body if isinstance(call.body, dict) else {}
    messages = body.get("messages")
    first: object = body.get("input")
    if isinstance(messages, list):
        first = messages[: _first_user(messages) + 1]
    return blake2b(dumps([call.model, first]), digest_size=8).digest()


def _first_user(messages: list[object]) -> int:
    for index, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return index
    return 0


def _texts(body: JsonObject) -> Iterator[str]:
    for part in _parts(body):
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict) and isinstance(text := part.get("text"), str):
            yield text


def _parts(body: JsonObject) -> Iterator[object]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            yield from content
        else:
            yield content
