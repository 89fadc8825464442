"""Which models Gemini serves, with the efforts that each accepts.

Efforts: Google's page on thinking, as of 2026-09-13. The numbers of limits are told only in AI
Studio; but for the 20 requests a day of the free Flash models, which users report, they are
guesses of a likely size.
"""

from typing import Any

from proxy.simulator.catalogue import Catalogue, Kind, Limits, Model, limits

_WINDOW, _LONGEST = 1_048_576, 65_536
_FREE_FLASH = limits(rpm=10, tpm=250_000, rpd=20)
_FREE_LITE = limits(rpm=15, tpm=250_000, rpd=500)
_PAID = limits(rpm=1_000, tpm=1_000_000, rpd=10_000)
_LEVELS = ("low", "medium", "high")
_ALL_LEVELS = ("minimal", *_LEVELS)
_BUDGETS = ("none", *_ALL_LEVELS)


def _model(
    id: str, efforts: tuple[str, ...], default: str, free: Limits, tokens_per_s: float
) -> Model:
    return Model(
        id, Kind.CHAT, "google", 0, _WINDOW, _LONGEST, free, _PAID, tokens_per_s, efforts,
        vision=True, default_effort=default,
    )  # fmt: skip


_CHATS = (
    _model("gemini-3.8-flash", _LEVELS, "medium", _FREE_FLASH, 250.0),
    _model("gemini-3.7-flash", _LEVELS, "medium", _FREE_FLASH, 250.0),
    _model("gemini-3.6-flash", _ALL_LEVELS, "medium", _FREE_FLASH, 250.0),
    _model("gemini-3.5-flash", _ALL_LEVELS, "medium", _FREE_FLASH, 250.0),
    _model("gemini-3.5-flash-lite", _ALL_LEVELS, "minimal", _FREE_LITE, 400.0),
    _model("gemini-3.1-flash-lite", _ALL_LEVELS, "minimal", _FREE_LITE, 400.0),
    # Its thoughts are off unless asked for.
    _model("gemini-2.5-flash-lite", _BUDGETS, "none", _FREE_LITE, 400.0),
)
_EMBEDDER = Model(
    "gemini-embedding-001", Kind.EMBEDDING, "google", 0, 2_048, 1,
    limits(rpm=100, tpm=30_000, rpd=1_000), _PAID,
)  # fmt: skip

_LISTED = {model.id: model for model in (*_CHATS, _EMBEDDER)}
GEMINI = Catalogue(
    listed=_LISTED,
    stand_ins={Kind.CHAT: _LISTED["gemini-3.5-flash-lite"], Kind.EMBEDDING: _EMBEDDER},
    prefix="models/",
)


def shown(model: Model) -> dict[str, Any]:
    """Give a model as the list has it: with a prefix, and without `created`."""
    return {
        "id": f"models/{model.id}",
        "object": "model",
        "owned_by": model.owned_by,
        "display_name": model.id.replace("-", " ").title().replace("Flash Lite", "Flash-Lite"),
    }


def signs(model: Model) -> bool:
    """Tell whether calls of functions are signed, and must come back so: since Gemini 3."""
    return model.id.startswith("gemini-3")
