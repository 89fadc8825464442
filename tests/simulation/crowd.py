"""The clients: what they ask, when they come, and which of them leave."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from random import Random

from proxy.core.call import Audio, Call, Caller, Endpoint, JsonObject, Upload
from tests.simulation.scenarios import TEAMS, Scene
from tests.simulation.tariff import SOUND_S

_NAMES = {
    "smart": 50,
    "local": 12,
    "openai/gpt-oss-120b": 18,
    "gemini/gemini-3.6-flash": 8,
    "llama-3.1-8b-instant": 6,
    "llama-3.3-70b-versatile": 6,
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One client's call; `leaves_at` is when it loses patience, in the same seconds as `at`."""

    at: float
    call: Call
    leaves_at: float | None


def visits(scene: Scene, chance: Random) -> Iterator[Visit]:
    """All calls of a run."""
    callers = [caller(scene, name) for name in TEAMS]
    moments = [chance.uniform(0, scene.over_s) for _ in range(scene.bursts)]
    for number in range(scene.calls):
        at = chance.uniform(0, scene.over_s)
        if moments and chance.random() < 0.8:
            at = chance.choice(moments) + chance.uniform(0, 0.5)
        leaves = chance.random() < scene.leaving
        stays_s = chance.choice((0.0, 0.05, 0.3, 2.0, 10.0)) * chance.uniform(0.5, 1.5)
        yield Visit(at, _call(number, scene, callers, chance), at + stays_s if leaves else None)


def caller(scene: Scene, name: str) -> Caller:
    """Who calls with that key of ours."""
    return Caller(name, name, TEAMS[name], budgets=scene.budgets_of(f"key:{name}"))


def _call(number: int, scene: Scene, callers: list[Caller], chance: Random) -> Call:
    model = scene.only or chance.choices(tuple(_NAMES), tuple(_NAMES.values()))[0]
    endpoint, size = Endpoint.CHAT, 0
    body: JsonObject | Upload | None = None
    match chance.random():
        case x if x < 0.04:
            endpoint, model = Endpoint.OTHER, ""
        case x if x < 0.08:
            endpoint, model = Endpoint.AUDIO, "whisper-large-v3-turbo"
            body = Upload("multipart/form-data", None, nothing())
        case x if x < 0.12:
            endpoint = Endpoint.EMBEDDINGS
    if body is None and endpoint is not Endpoint.OTHER:
        size = chance.randint(200, 3_000)
        cap = chance.choice((50, 200, 600))
        if chance.random() < scene.large:
            cap = chance.choice((2_500, 4_000, 9_000))
        text = f"conversation {chance.randrange(20)}"
        body = asking(model, text, size, None if chance_of(scene.uncapped, chance) else cap)
    return Call(
        id=f"call-{number}",
        caller=chance.choice(callers),
        endpoint=endpoint,
        method="POST",
        path="chat/completions",
        query="",
        model=model,
        body=body,
        stream=endpoint is Endpoint.CHAT and chance.random() < 0.6,
        size=size,
        timeout_s=chance.uniform(0.8, 30.0) if chance.random() < 0.4 else None,
        fallback=chance.random() >= scene.alone,
        repeats=chance.choice((0, 0, 0, 0, 0, 0, 1, 2)),
        audio=Audio(model, SOUND_S, SOUND_S) if endpoint is Endpoint.AUDIO else None,
    )


def asking(model: str, text: str, size: int, cap: int | None) -> JsonObject:
    """A body of about `size` bytes, whose conversation begins with `text`."""
    texts = (text, "x" * max(0, size - len(text)))
    messages = [{"role": "user", "content": each} for each in texts]
    body: JsonObject = {"model": model, "messages": messages}
    return body if cap is None else {**body, "max_completion_tokens": cap}


def chance_of(share: float, chance: Random) -> bool:
    """Whether it comes about; no dice are thrown for what never does."""
    return bool(share) and chance.random() < share


async def nothing() -> AsyncIterator[bytes]:
    """An upload, of which only its length counts here."""
    return
    yield b""
