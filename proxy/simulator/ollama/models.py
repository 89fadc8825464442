"""Which models have been pulled into this Ollama, and what each can do."""

from typing import Any

from proxy.simulator.catalogue import Catalogue, Kind, Limits, Model

_NONE: Limits = {}
_WINDOW = 4_096  # what a server gives each model unless told otherwise; longer prompts are cut
_LONGEST = 1_048_576  # no bound of its own
_EFFORTS = ("high", "medium", "low", "max", "none")


def _model(
    id: str,
    created: int,
    kind: Kind = Kind.CHAT,
    *,
    thinks: bool = False,
    vision: bool = False,
    tools: bool = True,
) -> Model:
    return Model(
        id, kind, "library", created, _WINDOW, _LONGEST, _NONE, _NONE, 120.0,
        _EFFORTS if thinks else (), vision=vision, tools=tools,
    )  # fmt: skip


_LISTED = {
    model.id: model
    for model in (
        _model("gpt-oss:20b", 1754500000, thinks=True),
        _model("qwen3:8b", 1746000000, thinks=True),
        _model("llama3.2:latest", 1727300000),
        _model("gemma3:4b", 1741800000, vision=True, tools=False),
        _model("nomic-embed-text:latest", 1708500000, Kind.EMBEDDING),
    )
}
OLLAMA = Catalogue(
    listed=_LISTED,
    stand_ins={
        Kind.CHAT: _LISTED["gpt-oss:20b"],
        Kind.EMBEDDING: _LISTED["nomic-embed-text:latest"],
    },
    tag="latest",
)


def shown(model: Model) -> dict[str, Any]:
    """Give a model as the list has it; `created` is when its file was last changed."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
