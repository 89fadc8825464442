"""How many tokens a call will use, before anybody knows."""

from proxy.core.call import Call, Endpoint, JsonObject
from proxy.wire.caps import ALL

# A usual answer has some hundred tokens, one that was reasoned about a thousand. Less would let a
# burst through that ends in debt; more would keep small limits from serving two calls at a time.
OUTPUT_TOKENS = 1_024
_ANSWERS_IN_TOKENS = frozenset({Endpoint.CHAT, Endpoint.RESPONSES})

_BYTES_A_TOKEN = 4
_MEDIA_TOKENS = 1_000  # an image or a sound, whatever its bytes
_MEDIA = frozenset(
    {"image_url", "input_audio", "file", "video_url", "input_image", "input_file", "image"}
)
MAY_HOLD_MEDIA = 16 << 10  # bytes; a shorter body costs too little to look inside


def tokens_of(call: Call) -> tuple[int, int]:
    """About how many tokens the prompt has, and the answer at most; an upload's are not known."""
    if call.endpoint not in _ANSWERS_IN_TOKENS or not isinstance(call.body, dict):
        return prompt_tokens(call), 0
    cap = cap_of(call.body)
    return prompt_tokens(call), OUTPUT_TOKENS if cap is None else cap


def prompt_tokens(call: Call) -> int:
    """About how many tokens the prompt has: a token for four bytes, some for an image."""
    if not isinstance(call.body, dict):
        return 0
    prompt = -(-call.size // _BYTES_A_TOKEN)
    return min(prompt, _tokens_within(call.body)) if call.size > MAY_HOLD_MEDIA else prompt


def cap_of(body: JsonObject) -> int | None:
    """The client's cap on the output, by any of its names; None where there is no sound one."""
    for name in ALL:
        if type(cap := body.get(name)) is int and cap >= 0:
            return cap
    return None


def _tokens_within(body: object) -> int:
    """About how many tokens the text in a body has, without what its images weigh."""
    size, media = 0, 0
    open_parts = [body]
    while open_parts:
        match open_parts.pop():
            case str(text):
                size += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            case {"type": str(kind)} if kind in _MEDIA:
                media += 1
            case dict(part):
                open_parts.extend(part.values())
            case list(parts):
                open_parts.extend(parts)
            case bool() | None:
                pass
            case _:
                size += _BYTES_A_TOKEN  # token ids may stand in place of text
    return -(-size // _BYTES_A_TOKEN) + media * _MEDIA_TOKENS
