"""The commands of the REST interface, each a method: a namespace and a body in, a result out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final
from uuid import UUID

from tests.upstash.index import Index, Refused
from tests.upstash.requests import (
    Body,
    bodies_of,
    body_of,
    entry_of,
    filter_of,
    number_of,
    patched,
    search_of,
    shown,
    text_of,
    vectors_of,
)
from tests.upstash.searches import Scores, find

WRITES: Final = frozenset(
    ["upsert", "upsert-data", "delete", "update", "reset", "delete-namespace", "rename-namespace"]
)
_ALONE: Final = frozenset(
    ["info", "list-namespaces", "rename-namespace", "resumable-query-next", "resumable-query-end"]
)
_LONGEST_IDLE_S: Final = 3600


@dataclass(slots=True)
class Resumable:
    """A query that goes on: what is left, and when it was last asked for."""

    scores: Scores
    body: Body
    max_idle: float
    used: float


class Commands:
    """All that can be asked of one index."""

    def __init__(self, index: Index, budget: int) -> None:
        """`budget` is how many of the nearest a query holds against its filter."""
        self._index = index
        self._budget = budget
        self._chance = Random(0)
        self._resumable: dict[str, Resumable] = {}

    def run(self, command: str, namespace: str, body: Any) -> Any:
        """What the command gives; raises `Refused`."""
        act = _COMMANDS.get(command)
        if act is None or (namespace and command in _ALONE):
            raise Refused(404, "Not found")  # our guess
        return act(self, namespace, body)

    def reset_all(self) -> str:
        self._index.reset_all()
        return "Success"

    def upsert(self, namespace: str, body: Any) -> str:
        self._index.put(
            namespace, [entry_of(self._index, each, text=False) for each in bodies_of(body)]
        )
        return "Success"

    def upsert_data(self, namespace: str, body: Any) -> str:
        self._index.put(
            namespace, [entry_of(self._index, each, text=True) for each in bodies_of(body)]
        )
        return "Success"

    def query(self, namespace: str, body: Any) -> Any:
        return self._queries(namespace, body, text=False)

    def query_data(self, namespace: str, body: Any) -> Any:
        return self._queries(namespace, body, text=True)

    def _queries(self, namespace: str, body: Any, *, text: bool) -> Any:
        lists = [self._query(namespace, each, text=text) for each in bodies_of(body)]
        return lists[0] if len(lists) == 1 else lists  # flat for a batch of one, too

    def _query(self, namespace: str, body: Body, *, text: bool) -> list[Body]:
        scores, top_k = self._scores(namespace, body, text=text)
        return _told(scores[:top_k], body)

    def _scores(self, namespace: str, body: Body, *, text: bool) -> tuple[Scores, int]:
        search = search_of(self._index, body, text=text, budget=self._budget)
        found = self._index.namespace(namespace).found
        return find(found, search, self._index.kind.metric), search.top_k

    def resumable(self, namespace: str, body: Any) -> Body:
        return self._begin(namespace, body_of(body), text=False)

    def resumable_data(self, namespace: str, body: Any) -> Body:
        return self._begin(namespace, body_of(body), text=True)

    def _begin(self, namespace: str, body: Body, *, text: bool) -> Body:
        scores, top_k = self._scores(namespace, body, text=text)
        idle = number_of(body, "maxIdle", _LONGEST_IDLE_S, _LONGEST_IDLE_S)
        id = str(UUID(int=self._chance.getrandbits(128), version=4))
        self._resumable[id] = Resumable(scores[top_k:], body, idle, self._index.now())
        return {"uuid": id, "scores": _told(scores[:top_k], body)}

    def resume(self, namespace: str, body: Any) -> list[Body]:
        known = self._known(body)
        more = number_of(body, "additionalK", 10, 1000)
        taken, known.scores = known.scores[:more], known.scores[more:]
        known.used = self._index.now()
        return _told(taken, known.body)

    def end(self, namespace: str, body: Any) -> str:
        self._known(body)
        del self._resumable[body["uuid"]]
        return "Success"

    def _known(self, body: Any) -> Resumable:
        id = text_of(body_of(body), "uuid")
        known = self._resumable.get(id)
        if known is None or self._index.now() - known.used > known.max_idle:
            raise Refused(404, f"Resumable query {id} does not exist")  # our guess
        return known

    def fetch(self, namespace: str, body: Any) -> list[Body | None]:
        truth = self._index.namespace(namespace).truth
        body = {"ids": body} if isinstance(body, list) else body_of(body)
        if "prefix" in body:
            prefix = text_of(body, "prefix")
            found = [entry for id, entry in sorted(truth.items()) if id.startswith(prefix)]
            return [shown(entry, body) for entry in found[:1000]]
        wanted = (truth.get(id) for id in body.get("ids") or [])
        return [entry and shown(entry, body) for entry in wanted]

    def range(self, namespace: str, body: Any) -> Body:
        body = body_of(body)
        prefix, cursor = str(body.get("prefix") or ""), str(body.get("cursor") or "0")
        if not cursor.isdecimal():
            raise Refused(400, "Invalid request: cursor is invalid")
        truth = self._index.namespace(namespace).truth
        ids = sorted(id for id in truth if id.startswith(prefix))
        first = int(cursor)
        last = first + number_of(body, "limit", 100, 1000)
        return {
            "nextCursor": str(last) if last < len(ids) else "",
            "vectors": [shown(truth[id], body) for id in ids[first:last]],
        }

    def delete(self, namespace: str, body: Any) -> Body:
        if isinstance(body, str | list):
            body = {"ids": [body] if isinstance(body, str) else body}
        body = body_of(body)
        if len({"ids", "prefix", "filter"} & body.keys()) != 1:
            raise Refused(400, "Invalid request: one of ids, prefix and filter is required")
        truth = self._index.namespace(namespace).truth
        ids = list(body.get("ids") or [])
        if "prefix" in body:
            ids = [id for id in truth if id.startswith(text_of(body, "prefix"))]
        if "filter" in body:
            test = filter_of(text_of(body, "filter"))
            ids = [id for id, entry in truth.items() if test(entry.metadata)]
        return {"deleted": self._index.delete(namespace, ids)}

    def update(self, namespace: str, body: Any) -> Body:
        body = body_of(body)
        known = self._index.namespace(namespace).truth.get(text_of(body, "id"))
        mode = body.get("metadataUpdateMode", "OVERWRITE")
        if mode not in ("OVERWRITE", "PATCH"):
            raise Refused(400, "Invalid request: unknown metadataUpdateMode")
        if known is None:
            return {"updated": 0}
        made = known
        dense, sparse = vectors_of(body)
        if body.get("data") is not None:
            made = replace(made, data=text_of(body, "data"))
            if self._index.kind.dense_model or self._index.kind.sparse_model:
                dense, sparse = self._index.embedded(body["data"])
        if dense is not None or sparse is not None:
            made = replace(made, dense=dense, sparse=sparse)
        if body.get("metadata") is not None:
            old = made.metadata if mode == "PATCH" else {}
            made = replace(made, metadata=patched(old, body["metadata"]))
        self._index.put(namespace, [made])
        return {"updated": 1}

    def info(self, namespace: str, body: Any) -> Body:
        return self._index.info()

    def reset(self, namespace: str, body: Any) -> str:
        self._index.reset(namespace)
        return "Success"

    def list_namespaces(self, namespace: str, body: Any) -> list[str]:
        return self._index.names()

    def delete_namespace(self, namespace: str, body: Any) -> str:
        self._index.drop(namespace)
        return "Success"

    def rename_namespace(self, namespace: str, body: Any) -> Body:
        body = body_of(body)
        old, new = text_of(body, "namespace"), text_of(body, "newNamespace")
        self._index.rename(old, new, delete_existing=bool(body.get("deleteExisting")))
        return {"renamed": True}

    def random(self, namespace: str, body: Any) -> Body | None:
        entries = list(self._index.namespace(namespace).truth.values())
        everything = {"includeVectors": True}
        return shown(self._chance.choice(entries), everything) if entries else None


def _told(scores: Scores, body: Body) -> list[Body]:
    return [shown(entry, body) | {"score": score} for score, entry in scores]


_COMMANDS: Final[Mapping[str, Callable[[Commands, str, Any], Any]]] = {
    "upsert": Commands.upsert,
    "upsert-data": Commands.upsert_data,
    "query": Commands.query,
    "query-data": Commands.query_data,
    "resumable-query": Commands.resumable,
    "resumable-query-data": Commands.resumable_data,
    "resumable-query-next": Commands.resume,
    "resumable-query-end": Commands.end,
    "fetch": Commands.fetch,
    "range": Commands.range,
    "delete": Commands.delete,
    "update": Commands.update,
    "info": Commands.info,
    "reset": Commands.reset,
    "list-namespaces": Commands.list_namespaces,
    "delete-namespace": Commands.delete_namespace,
    "rename-namespace": Commands.rename_namespace,
    "random": Commands.random,
}
