"""What an index keeps, by namespaces; what was written is found a little later."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.upstash.embedding import HostedDense, HostedSparse

Dense = NDArray[np.float32]
Sparse = Mapping[int, float]


class Refused(Exception):
    """The index does not do this: a status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


@dataclass(frozen=True, slots=True)
class Entry:
    """One vector."""

    id: str
    dense: Dense | None = None
    sparse: Sparse | None = None
    metadata: dict[str, Any] | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """What was chosen when the index was made.

    `dimension` 0 means that it has no dense part. Without a model its users embed by themselves.
    """

    dimension: int = 256
    metric: str = "COSINE"
    dense_model: HostedDense | None = None
    sparse: bool = False
    sparse_model: HostedSparse | None = None


@dataclass(slots=True)
class Namespace:
    """`truth` is what was accepted, `found` what a query sees; `waiting` is to come, in order."""

    truth: dict[str, Entry] = field(default_factory=dict)
    found: dict[str, Entry] = field(default_factory=dict)
    waiting: deque[tuple[float, str, Entry | None]] = field(default_factory=deque)

    def ripen(self, now: float) -> None:
        """Let queries see what is old enough."""
        while self.waiting and self.waiting[0][0] <= now:
            _, id, entry = self.waiting.popleft()
            if entry is None:
                self.found.pop(id, None)
            else:
                self.found[id] = entry

    @property
    def pending(self) -> int:
        """Vectors that were accepted and are not found yet."""
        return sum(entry is not None for _, _, entry in self.waiting)


class Index:
    """Namespaces of vectors. `delay_s` passes before queries see a change."""

    def __init__(self, kind: Kind, now: Callable[[], float], delay_s: float = 0.0) -> None:
        self.kind = kind
        self.delay_s = delay_s
        self.now = now
        self._namespaces: dict[str, Namespace] = {"": Namespace()}

    def namespace(self, name: str) -> Namespace:
        """As it is now; one that is not there is empty, and stays away."""
        space = self._namespaces.get(name, Namespace())
        space.ripen(self.now())
        return space

    def names(self) -> list[str]:
        return list(self._namespaces)

    def put(self, name: str, entries: list[Entry]) -> None:
        """Keep all of these, or none; a namespace comes into being by that."""
        for entry in entries:
            self._fits(entry)
        space = self._namespaces.setdefault(name, Namespace())
        for entry in entries:
            space.truth[entry.id] = entry
            space.waiting.append((self.now() + self.delay_s, entry.id, entry))

    def delete(self, name: str, ids: list[str]) -> int:
        space = self.namespace(name)
        gone = [id for id in dict.fromkeys(ids) if space.truth.pop(id, None) is not None]
        space.waiting.extend((self.now() + self.delay_s, id, None) for id in gone)
        return len(gone)

    def reset(self, name: str) -> None:
        if name in self._namespaces:
            self._namespaces[name] = Namespace()

    def reset_all(self) -> None:
        self._namespaces = {"": Namespace()}

    def drop(self, name: str) -> None:
        if not name:
            raise Refused(400, "Default namespace cannot be deleted")  # our guess
        if self._namespaces.pop(name, None) is None:
            raise Refused(404, f"Namespace {name} for the index stand-in does not exist")

    def rename(self, old: str, new: str, *, delete_existing: bool) -> None:
        if not old or not new:
            raise Refused(400, "Default namespace cannot be renamed")  # our guess
        if old not in self._namespaces:
            raise Refused(404, f"Namespace {old} for the index stand-in does not exist")
        if new in self._namespaces and not delete_existing:
            raise Refused(409, f"Namespace {new} already exists")  # our guess
        self._namespaces[new] = self._namespaces.pop(old)

    def info(self) -> dict[str, Any]:
        kind = self.kind
        spaces = {name: self.namespace(name) for name in self._namespaces}
        counts = {
            name: {"vectorCount": len(space.found), "pendingVectorCount": space.pending}
            for name, space in spaces.items()
        }
        made: dict[str, Any] = {
            key: sum(each[key] for each in counts.values())
            for key in ("vectorCount", "pendingVectorCount")
        }
        vectors = sum(len(space.truth) for space in spaces.values())
        made |= {
            "indexSize": vectors * kind.dimension * 4,
            "dimension": kind.dimension,
            "similarityFunction": kind.metric if kind.dimension else "",
            "namespaces": counts,
        }
        if kind.dimension:
            made["denseIndex"] = {
                "dimension": kind.dimension,
                "similarityFunction": kind.metric,
                "embeddingModel": kind.dense_model.name if kind.dense_model else "",
            }
        if kind.sparse:
            model = kind.sparse_model
            made["sparseIndex"] = {"embeddingModel": model.name if model else ""}
        return made

    def embedded(self, text: str) -> tuple[Dense | None, Sparse | None]:
        """The parts of a text that this kind of index has; refused without hosted models."""
        kind = self.kind
        lacks_dense = kind.dimension and kind.dense_model is None
        if lacks_dense or (kind.sparse and kind.sparse_model is None):
            raise Refused(
                422,
                "Embedding data for this index is not allowed. The index must be created with an"
                " embedding model to use it.",
            )
        dense = kind.dense_model.embed(text) if kind.dense_model else None
        return dense, kind.sparse_model.embed(text) if kind.sparse_model else None

    def check(self, dense: Dense | None, sparse: Sparse | None) -> None:
        """Refuse a vector that does not fit the index."""
        if dense is not None:
            if not self.kind.dimension:
                raise Refused(422, "This index does not accept dense vectors")  # our guess
            if len(dense) != self.kind.dimension:
                told = f"Invalid vector dimension: {len(dense)}, expected: {self.kind.dimension}"
                raise Refused(422, told)
        if sparse is not None and not self.kind.sparse:
            raise Refused(422, "This index does not accept sparse vectors")  # our guess

    def _fits(self, entry: Entry) -> None:
        self.check(entry.dense, entry.sparse)
        if self.kind.dimension and entry.dense is None:
            raise Refused(422, "This index requires dense vectors")  # our guess
        if self.kind.sparse and entry.sparse is None:
            raise Refused(422, "This index requires sparse vectors")  # our guess
