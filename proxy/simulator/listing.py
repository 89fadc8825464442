"""GET /models and /models/{id}."""

from collections.abc import Callable
from typing import Any

from proxy.simulator.catalogue import Catalogue, Model
from proxy.simulator.problems import forbidden, model_not_found
from proxy.simulator.reply import Arrival, Reply, whole


class ModelDesk:
    """Tells which models are served; magic names stay unlisted, lest one be chosen by chance."""

    def __init__(self, models: Catalogue, shown: Callable[[Model], dict[str, Any]]) -> None:
        self._models = models
        self._shown = shown

    def reply(self, arrival: Arrival) -> Reply:
        """Answer a request for the list, or for one model."""
        if not arrival.item:
            data = [self._shown(model) for model in self._models.listed.values()]
            return whole(200, {"object": "list", "data": data})
        model = self._models.find(arrival.item)
        if model is None or model.id not in self._models.listed:
            raise model_not_found(arrival.item)
        if arrival.method == "DELETE":
            raise forbidden()
        return whole(200, self._shown(model))


def shown(model: Model) -> dict[str, Any]:
    """Give a model as Groq lists it."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "active": True,
        "context_window": model.context_window,
        "public_apps": None,
        "max_completion_tokens": model.max_completion_tokens,
    }
