"""What is known of models, and which of them Groq serves or no longer does.

Figures: Groq's models and rate-limit pages of 2026-10-01.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a model is for; it decides which endpoint serves it."""

    CHAT = "chat"
    GUARD = "guard"  # answers chats with the probability of a jailbreak
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    EMBEDDING = "embedding"


class Plan(StrEnum):
    """What the organisation pays for, hence which column of limits counts."""

    FREE = "free"
    DEVELOPER = "developer"


class Metric(StrEnum):
    """One kind of rate limit, named as Groq's messages name it."""

    RPM = "rpm"
    RPD = "rpd"
    TPM = "tpm"
    TPD = "tpd"
    ASH = "ash"  # seconds of audio an hour
    ASD = "asd"  # and a day

    @property
    def window_s(self) -> int:
        """Seconds in which an empty bucket of this kind fills up."""
        return {"m": 60, "h": 3_600, "d": 86_400}[self.value[-1]]

    @property
    def words(self) -> str:
        """The kind as error messages spell it out: `tokens per minute (TPM)`."""
        counted = {"r": "requests", "t": "tokens", "a": "seconds of audio"}[self.value[0]]
        window = {"m": "minute", "h": "hour", "d": "day"}[self.value[-1]]
        return f"{counted} per {window} ({self.value.upper()})"


Limits = dict[Metric, int]


@dataclass(frozen=True, slots=True)
class Model:
    """One served model."""

    id: str
    kind: Kind
    owned_by: str
    created: int
    context_window: int
    max_completion_tokens: int
    free: Limits
    developer: Limits
    tokens_per_s: float = 500.0
    efforts: tuple[str, ...] = ()  # accepted reasoning_effort values; empty: it does not reason
    vision: bool = False
    caches: bool = False  # repeated prompt prefixes are cheaper
    tools: bool = True  # whether it can be given functions to call
    default_effort: str = "medium"

    @property
    def harmony(self) -> bool:
        """Whether it speaks OpenAI's harmony format: reasoning always apart, never `<think>`."""
        return self.kind is Kind.CHAT and self.owned_by == "OpenAI"

    def limits(self, plan: Plan) -> Limits:
        """Give the limits of an organisation with this plan."""
        return self.free if plan is Plan.FREE else self.developer


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The models of one provider."""

    listed: Mapping[str, Model]
    stand_ins: Mapping[Kind, Model]  # which model a magic name (`sim/...`) is, by endpoint
    unlisted: Mapping[str, Model] = field(default_factory=dict)
    decommissioned: frozenset[str] = frozenset()
    prefix: str = ""  # may stand before an id
    tag: str = ""  # is meant by an id without one

    def find(self, name: str) -> Model | None:
        """Give the served model of this name."""
        id = name.removeprefix(self.prefix)
        if self.tag and ":" not in id:
            id = f"{id}:{self.tag}"
        return self.listed.get(id) or self.unlisted.get(id)


def limits(**figures: int) -> Limits:
    """Give limits by the names of their metrics."""
    return {Metric(name): figure for name, figure in figures.items()}


# The developer column publishes no daily requests, yet every answer names some: ours is a guess.
_DEVELOPER_RPD = 500_000
_FREE_CHAT = limits(rpm=30, rpd=1_000, tpm=8_000, tpd=200_000)
_PAID_CHAT = limits(rpm=1_000, rpd=_DEVELOPER_RPD, tpm=250_000)
_FREE_GUARD = limits(rpm=30, rpd=14_400, tpm=15_000, tpd=500_000)
_PAID_GUARD = limits(rpm=100, rpd=_DEVELOPER_RPD, tpm=30_000)
_FREE_AUDIO = limits(rpm=20, rpd=2_000, ash=7_200, asd=28_800)
_FREE_SPEECH = limits(rpm=10, rpd=100, tpm=1_200, tpd=3_600)
_PAID_SPEECH = limits(rpm=250, rpd=_DEVELOPER_RPD, tpm=50_000)
_GPT_OSS_EFFORTS = ("low", "medium", "high")
_QWEN_EFFORTS = ("none", "default", *_GPT_OSS_EFFORTS)

_CHAT = Kind.CHAT
SERVED: dict[str, Model] = {
    model.id: model
    for model in (
        Model(
            "openai/gpt-oss-120b", _CHAT, "OpenAI", 1754408224, 131_072, 65_536,
            _FREE_CHAT, _PAID_CHAT, 500.0, _GPT_OSS_EFFORTS, caches=True,
        ),
        Model(
            "openai/gpt-oss-20b", _CHAT, "OpenAI", 1754407957, 131_072, 65_536,
            _FREE_CHAT, _PAID_CHAT, 1_000.0, _GPT_OSS_EFFORTS, caches=True,
        ),
        Model(
            "openai/gpt-oss-safeguard-20b", _CHAT, "OpenAI", 1761708789, 131_072, 65_536,
            _FREE_CHAT, {**_PAID_CHAT, Metric.TPM: 150_000}, 1_000.0, _GPT_OSS_EFFORTS,
        ),
        Model(
            "qwen/qwen3.8-27b", _CHAT, "Alibaba Cloud", 1787900000, 131_072, 16_384,
            _FREE_CHAT, _PAID_CHAT, 450.0, _QWEN_EFFORTS, vision=True,
        ),
        Model(
            "meta-llama/llama-prompt-guard-2-22m", Kind.GUARD, "Meta", 1748632101, 512, 512,
            _FREE_GUARD, _PAID_GUARD,
        ),
        Model(
            "meta-llama/llama-prompt-guard-2-86m", Kind.GUARD, "Meta", 1748632165, 512, 512,
            _FREE_GUARD, _PAID_GUARD,
        ),
        Model(
            "whisper-large-v3", Kind.TRANSCRIPTION, "OpenAI", 1693721698, 448, 448,
            _FREE_AUDIO, limits(rpm=300, rpd=_DEVELOPER_RPD, ash=200_000),
        ),
        Model(
            "whisper-large-v3-turbo", Kind.TRANSCRIPTION, "OpenAI", 1728413088, 448, 448,
            _FREE_AUDIO, limits(rpm=400, rpd=_DEVELOPER_RPD, ash=400_000),
        ),
        Model(
            "canopylabs/orpheus-v1-english", Kind.SPEECH, "Canopy Labs", 1766186316, 4_000, 50_000,
            _FREE_SPEECH, _PAID_SPEECH,
        ),
        Model(
            "canopylabs/orpheus-arabic-saudi", Kind.SPEECH, "Canopy Labs", 1765926439, 4_000,
            50_000, _FREE_SPEECH, _PAID_SPEECH,
        ),
    )
}  # fmt: skip

# In Groq's SDK but on none of its pages: served here for those who try, and not listed.
EMBEDDER = Model(
    "nomic-embed-text-v1_5", Kind.EMBEDDING, "Nomic AI", 1707000000, 8_192, 1,
    _FREE_CHAT, _PAID_CHAT,
)  # fmt: skip

GROQ = Catalogue(
    listed=SERVED,
    stand_ins={
        Kind.CHAT: SERVED["openai/gpt-oss-20b"],
        Kind.TRANSCRIPTION: SERVED["whisper-large-v3-turbo"],
        Kind.SPEECH: SERVED["canopylabs/orpheus-v1-english"],
        Kind.EMBEDDING: EMBEDDER,
    },
    unlisted={EMBEDDER.id: EMBEDDER},
    # A retired model answers "not found", like one that never was; this one still names itself.
    decommissioned=frozenset({"mixtral-8x7b-32768"}),
)
