"""GET, POST and DELETE /files: where the input and output of batches lie."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from proxy.simulator import shape
from proxy.simulator.clock import Clock
from proxy.simulator.ids import Ids
from proxy.simulator.problems import bad, not_found
from proxy.simulator.reply import Arrival, Piece, Reply, whole

MOST_FILES = 200


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of one organisation."""

    id: str
    org: str
    name: str
    purpose: str
    created: int
    data: bytes

    def shown(self) -> dict[str, Any]:
        """Give the file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
        }


class FileStore:
    """The files of all organisations; the oldest go when there are too many."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        self._files: OrderedDict[str, StoredFile] = OrderedDict()

    def put(self, org: str, name: str, data: bytes, purpose: str) -> StoredFile:
        """Keep a file and give it its id."""
        now = int(self._clock.now())
        stored = StoredFile(self._ids.short("file_"), org, name, purpose, now, data)
        self._files[stored.id] = stored
        if len(self._files) > MOST_FILES:
            self._files.popitem(last=False)
        return stored

    def get(self, org: str, file_id: str) -> StoredFile | None:
        """Give a file of this organisation; those of others are not there."""
        stored = self._files.get(file_id)
        return stored if stored is not None and stored.org == org else None

    def delete(self, file_id: str) -> None:
        """Forget a file."""
        self._files.pop(file_id, None)

    def of(self, org: str) -> list[StoredFile]:
        """Give the files of an organisation, newest first."""
        return [stored for stored in reversed(self._files.values()) if stored.org == org]


class FileDesk:
    """The endpoint in front of the store."""

    def __init__(self, store: FileStore) -> None:
        self._store = store

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        if not arrival.item:
            if arrival.method == "POST":
                return whole(200, self._uploaded(arrival).shown())
            shown = [stored.shown() for stored in self._store.of(arrival.org)]
            return whole(200, {"object": "list", "data": shown})
        stored = self._store.get(arrival.org, arrival.item)
        if stored is None:
            raise not_found("File", arrival.item)
        if arrival.action:
            return Reply(200, (Piece(stored.data),), content_type="application/octet-stream")
        if arrival.method == "DELETE":
            self._store.delete(stored.id)
            return whole(200, {"id": stored.id, "object": "file", "deleted": True})
        return whole(200, stored.shown())

    def _uploaded(self, arrival: Arrival) -> StoredFile:
        upload = arrival.uploads.get("file")
        if upload is None:
            raise bad("`file` is required")
        if arrival.fields.get("purpose") != "batch":
            raise shape.wrong("purpose", "value must be one of `batch`")
        if not upload.name.lower().endswith(".jsonl"):
            raise bad("file must be a .jsonl file")
        return self._store.put(arrival.org, upload.name, upload.data, "batch")
