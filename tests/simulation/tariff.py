"""What things cost in the simulation, reckoned without the product's own arithmetic.

All texts are ASCII and all prices whole nano-dollars a token, so that nothing is rounded but sound.
"""

from collections.abc import Mapping

from proxy.core.call import Call, Endpoint, Target, Upload, Usage
from proxy.core.errors import CutOff, TimedOut, Unreachable, UpstreamError
from tests.simulation.fates import Fate
from tests.simulation.watch import Request

# Nano-dollars for a token in and out.
TARIFF: Mapping[str, tuple[int, int]] = {
    "groq/openai/gpt-oss-20b": (100, 400),
    "groq/openai/gpt-oss-120b": (200, 800),
    "groq/llama-3.1-8b-instant": (50, 90),
    "groq/llama-3.3-70b-versatile": (600, 700),
    "gemini/gemini-3.5-flash-lite": (300, 2_500),
    "gemini/gemini-3.6-flash": (1_500, 7_500),
    "ollama/llama3.2": (0, 0),
}
SOUND_S = 30.0  # of every upload
SOUND = 333_334  # 40,000,000 nano-dollars an hour, rounded up
FRAME_TOKENS = 20
DEFAULT_CAP = 4_096  # of `budgets.default_max_output`
_FREE = "ollama"


def price_of(target: Target) -> tuple[int, int]:
    return TARIFF[str(target)]


def is_free(target: Target) -> bool:
    return target.provider == _FREE


def cap_of(call: Call) -> int | None:
    """The client's own cap on the output."""
    return call.body.get("max_completion_tokens") if isinstance(call.body, dict) else None


def _texts(call: Call) -> list[str]:
    body = call.body if isinstance(call.body, dict) else {}
    return [message["content"] for message in body.get("messages", ())]


def guess_of(call: Call) -> int:
    """Tokens of the prompt, about: four bytes each, and four for a message."""
    texts = _texts(call)
    return -(-sum(map(len, texts)) // 4) + 4 * len(texts) if texts else 0


def most_of(call: Call) -> int:
    """Tokens of the prompt at most: its bytes, 16 for a message and 64 for the whole."""
    texts = _texts(call)
    return sum(map(len, texts)) + 16 * len(texts) + 64


def promise_for(call: Call, target: Target) -> int | None:
    """What must be promised before `call` goes to `target`."""
    if call.endpoint is Endpoint.AUDIO:
        return SOUND
    price_in, price_out = price_of(target)
    output = 0 if call.endpoint is Endpoint.EMBEDDINGS else cap_of(call) or DEFAULT_CAP
    return most_of(call) * price_in + output * price_out


def stated(request: Request, fate: Fate) -> Usage | None:
    """What a complete answer says of its use."""
    call = request.case.call
    if isinstance(call.body, Upload) or call.endpoint is Endpoint.OTHER:
        return None
    cap = request.cap
    if call.endpoint is Endpoint.EMBEDDINGS:
        cap = 0
    tokens = fate.tokens if cap is None else min(fate.tokens, cap)
    prompt = -(-call.size // 4)
    match fate.states:
        case "nothing":
            return None
        case "zero":
            return Usage(0, 0)
        case "nonsense":
            return Usage(10**9, 10**9)
        case "cached":
            return Usage(prompt, tokens, cached=prompt // 2)
        case "greedy":  # the provider breaks the cap
            return Usage(prompt, tokens if cap is None else cap + cap // 2)
    return Usage(prompt, tokens)


def due(request: Request, *, promised: int | None) -> int | None:
    """What a request is to be charged; None where it costs nothing.

    `promised` is the amount of its hold, None where no hard budget covers it.
    """
    call, error = request.case.call, request.error
    if call.endpoint is Endpoint.OTHER or not request.sent:
        return None
    late = isinstance(error, TimedOut | CutOff | Unreachable)
    if not request.complete and isinstance(error, UpstreamError) and not late:
        return None
    if call.endpoint is Endpoint.AUDIO:
        return SOUND
    price_in, price_out = price_of(request.target)
    guess = guess_of(call) * price_in
    if request.complete:
        usage = request.usage
        if usage is None:
            return guess + request.received * price_out
        amount = usage.prompt * price_in + usage.completion * price_out
        if promised is None or usage.prompt <= 2 * most_of(call):
            return amount
        return max(guess + request.received * price_out, promised)
    if isinstance(error, TimedOut):
        return guess if promised is None else most_of(call) * price_in
    content = request.received if request.content else 0
    amount = guess + content * price_out
    return amount if promised is None else min(amount, promised)
