"""Model lists in OpenAI's shape."""

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.core.call import JsonObject


def model_entry(id: str, listed: Mapping[str, Any], *, owner: str) -> JsonObject:
    """An entry of `GET /models`: the provider's fields, and the four that SDKs need."""
    created, owned_by = listed.get("created"), listed.get("owned_by")
    return {
        **listed,
        "id": id,
        "object": "model",
        "created": created if isinstance(created, int) else 0,
        "owned_by": owned_by if isinstance(owned_by, str) else owner,
    }


def model_list(entries: Iterable[JsonObject]) -> JsonObject:
    """The answer of `GET /models`."""
    return {"object": "list", "data": list(entries)}
