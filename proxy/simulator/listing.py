"""GET /models and /models/{id}."""

from typing import Any

from proxy.simulator.catalogue import SERVED, Model
from proxy.simulator.problems import forbidden, model_not_found
from proxy.simulator.reply import Arrival, Reply, whole


class ModelDesk:
    """Tells which models are served; magic names stay unlisted, lest one be chosen by chance."""

    def reply(self, arrival: Arrival) -> Reply:
        """Answer a request for the list, or for one model."""
        if not arrival.item:
            return whole(
                200, {"object": "list", "data": [_shown(model) for model in SERVED.values()]}
            )
        if arrival.item not in SERVED:
            raise model_not_found(arrival.item)
        if arrival.method == "DELETE":
            raise forbidden()
        return whole(200, _shown(SERVED[arrival.item]))


def _shown(model: Model) -> dict[str, Any]:
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
