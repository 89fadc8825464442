"""Bodies of requests, read strictly, and what is answered of a vector."""

import math
from typing import Any, Final

import numpy as np

from tests.upstash.filters import BadFilter, Test, read
from tests.upstash.index import Dense, Entry, Index, Refused, Sparse
from tests.upstash.searches import Search

_MOST_METADATA: Final = 48 * 1024
_MOST_DATA: Final = 2**20
_MOST_FOUND: Final = 1000

Body = dict[str, Any]


def body_of(value: Any) -> Body:
    if not isinstance(value, dict):
        raise Refused(400, "Invalid request: an object was expected")
    return value


def bodies_of(value: Any) -> list[Body]:
    """One, or a list of them."""
    return [body_of(each) for each in value] if isinstance(value, list) else [body_of(value)]


def text_of(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(422 if name == "id" else 400, f"Invalid request: {name} is required")
    return value


def number_of(body: Body, name: str, usual: int, most: int) -> int:
    value = body.get(name, usual)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise Refused(400, f"Invalid request: {name} must be between 1 and {most}")
    return value


def entry_of(index: Index, body: Body, *, text: bool) -> Entry:
    """What `/upsert` is given, or, with `text`, `/upsert-data`."""
    # Numbers are no ids on the wire, though the SDK lets them pass.
    id, metadata, data = text_of(body, "id"), body.get("metadata"), body.get("data")
    if metadata is not None and not isinstance(metadata, dict):
        raise Refused(400, "Invalid request: metadata must be an object")
    if data is not None and not isinstance(data, str):
        raise Refused(400, "Invalid request: data must be a string")
    if len(repr(metadata).encode()) > _MOST_METADATA or len((data or "").encode()) > _MOST_DATA:
        raise Refused(422, "Metadata or data is too large")  # our guess
    if text:
        return Entry(id, *index.embedded(text_of(body, "data")), metadata, data)
    return Entry(id, *vectors_of(body), metadata, data)


def vectors_of(body: Body) -> tuple[Dense | None, Sparse | None]:
    vector, sparse = body.get("vector"), body.get("sparseVector")
    dense = None if vector is None else np.array(_numbers(vector), np.float32)
    if sparse is None:
        return dense, None
    sparse = body_of(sparse)
    indices, values = _numbers(sparse.get("indices")), _numbers(sparse.get("values"))
    if len(indices) != len(values):
        raise Refused(422, "Sparse vector must have as many indices as values")  # our guess
    return dense, dict(zip(map(int, indices), values, strict=True))


def _numbers(value: Any) -> list[float]:
    numbers = value if isinstance(value, list) else [None]
    for each in numbers:
        if not isinstance(each, int | float) or isinstance(each, bool) or not math.isfinite(each):
            raise Refused(400, "Invalid request: a vector must be a list of numbers")
    return numbers


def search_of(index: Index, body: Body, *, text: bool, budget: int) -> Search:
    """What `/query` is given, or, with `text`, `/query-data`."""
    if text:
        dense, sparse = index.embedded(text_of(body, "data"))
        mode = _choice(body, "queryMode", ("HYBRID", "DENSE", "SPARSE"))
        if dense is not None and sparse is not None:
            dense, sparse = None if mode == "SPARSE" else dense, None if mode == "DENSE" else sparse
    else:
        dense, sparse = vectors_of(body)
        index.check(dense, sparse)
        if dense is None and sparse is None:
            raise Refused(422, "This query requires a vector")  # our guess
    return Search(
        dense,
        sparse,
        filter_of(str(body.get("filter") or "")),
        top_k=number_of(body, "topK", 10, _MOST_FOUND),
        idf=_choice(body, "weightingStrategy", ("", "IDF")) == "IDF",
        fusion=_choice(body, "fusionAlgorithm", ("RRF", "DBSF")),
        budget=budget,
    )


def filter_of(filter: str) -> Test:
    """The filter as a function of metadata."""
    try:
        return read(filter)
    except BadFilter as error:
        raise Refused(400, str(error)) from error


def _choice(body: Body, name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name, choices[0])
    if value not in choices:
        raise Refused(400, f"Invalid request: unknown {name}")
    return str(value)


def shown(entry: Entry, body: Body) -> Body:
    """A vector with what was asked to be included; what it has not is not named."""
    made: Body = {"id": entry.id}
    if body.get("includeVectors"):
        if entry.dense is not None:
            made["vector"] = entry.dense.tolist()
        if entry.sparse is not None:
            made["sparseVector"] = {
                "indices": list(entry.sparse),
                "values": list(entry.sparse.values()),
            }
    if body.get("includeMetadata") and entry.metadata is not None:
        made["metadata"] = entry.metadata
    if body.get("includeData") and entry.data is not None:
        made["data"] = entry.data
    return made


def patched(metadata: Any, patch: Any) -> Any:
    """A JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    made = dict(metadata) if isinstance(metadata, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = patched(made.get(name), value)
    return made
