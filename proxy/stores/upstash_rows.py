"""What an Upstash index is, and a passage in its words and back."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from upstash_vector.types import FetchResult, InfoResult, QueryResult

from proxy.stores.embeds import worded
from proxy.stores.passages import Near, Passage
from proxy.stores.upstash_line import UpstashFailed

_LACKING: Final = 422  # the status of an index that does not do what is asked of it
_LEAST: Final = 1e-9
_MARKED: Final = re.compile(r"[0-9a-f]{8}-")

_COSINES: Final[Mapping[str, Callable[[float], float]]] = {
    "COSINE": lambda score: 2 * score - 1,
    "DOT_PRODUCT": lambda score: 2 * score - 1,
    "EUCLIDEAN": lambda score: 1 - (1 / max(score, _LEAST) - 1) / 2,  # of vectors of length 1
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the index is. `model` is the hosted one, "" where there is none."""

    model: str
    hybrid: bool
    dimension: int
    cosine: Callable[[float], float]


def kind_of(info: InfoResult) -> Kind:
    """What an index says that it is; raises `UpstashFailed` where it does not serve us."""
    dense, hybrid = info.dense_index, info.sparse_index is not None
    # Answers of older indexes have no `denseIndex`, and say the same outside.
    model = (dense.embedding_model or "") if dense else ""
    dimension = dense.dimension if dense else info.dimension
    metric = dense.similarity_function if dense else info.similarity_function
    if not dimension:
        raise UpstashFailed("has a sparse index: take a dense or a hybrid one", status=_LACKING)
    if hybrid and not model:
        raise UpstashFailed("has a hybrid index without a hosted model", status=_LACKING)
    if metric not in _COSINES:
        raise UpstashFailed(f"has an index of the metric {metric!r:.40}", status=_LACKING)
    return Kind(model, hybrid, dimension, _COSINES[metric])


def near_of(result: QueryResult, kind: Kind, mark: str) -> Near | None:
    """A passage as it was written, or None where it is of no use; raises `ValueError`."""
    id, score, metadata = result.id, result.score, _fields(result.metadata)
    if not isinstance(id, str) or not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError("this is no id, or no score")
    # Vectors of another embedder than ours are near to anything or nothing.
    if not isinstance(result.data, str) or not (kind.model or id.startswith(f"{mark}-")):
        return None
    title = _text(metadata.get("title"))
    head = Passage(id.removeprefix(f"{mark}-"), _text(metadata.get("document")), title, "")
    passage = replace(head, text=result.data.removeprefix(worded(head)))
    return Near(passage, max(-1.0, min(1.0, kind.cosine(score))))


def listed_of(vector: FetchResult) -> tuple[str, str] | None:
    """Id and document of a passage of ours; None for other vectors."""
    document = _fields(vector.metadata).get("document")
    if isinstance(document, str) and _MARKED.match(vector.id):
        return vector.id, document
    return None


def metadata_of(passage: Passage) -> dict[str, str]:
    """What is kept beside the text."""
    return {"document": clean(passage.document), "title": clean(passage.title)}


def namespace_of(collection: str) -> str:
    """A collection as a part of a path; the library takes names as they are."""
    quoted = quote(collection, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def clean(text: str) -> str:
    """Without halves of character pairs, which no request can carry."""
    return text.encode("utf-8", "replace").decode()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _fields(metadata: object) -> Mapping[str, object]:
    return metadata if isinstance(metadata, dict) else {}
