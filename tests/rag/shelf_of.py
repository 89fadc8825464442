"""A store of passages in memory, whose nearness is told beforehand or is that of shared words."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from proxy.rag.ranking import Scored
from proxy.stores.passages import Near, Passage, Shelf
from proxy.stores.protocols import StoreFailed


def passage(text: str, *, document: str = "guide.md", title: str = "") -> Passage:
    """A passage as the ingest would make it."""
    id = sha256("\n".join((document, title, text)).encode("utf-8", "replace")).hexdigest()
    return Passage(id, document, title, text)


def scored(text: str, score: float = 0.9, **named: str) -> Scored:
    """A passage that was found."""
    return Scored(passage(text, **named), score)


@dataclass
class MemoryPassages:
    """Keeps the protocol of `Passages`. `broken` is why it fails, `hangs` whether it answers."""

    version: str = "upstash words"  # its cosines are scores as they are
    broken: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    looks: int = 0
    kept: dict[str, dict[str, Passage]] = field(default_factory=dict)

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        self.asked.append((collection, question))
        self._check()
        found = [
            Near(each, _shared(question, f"{each.title} {each.text}"))
            for each in self.kept.get(collection, {}).values()
        ]
        return sorted(found, key=lambda near: near.cosine, reverse=True)[:k]

    async def write(self, collection: str, passages: Sequence[Passage]) -> None:
        self._check()
        self.kept.setdefault(collection, {}).update({each.id: each for each in passages})

    async def remove(self, collection: str, ids: Sequence[str]) -> int:
        shelf = self.kept.get(collection, {})
        return sum(shelf.pop(id, None) is not None for id in ids)

    async def ids(self, collection: str) -> Mapping[str, str]:
        return {id: each.document for id, each in self.kept.get(collection, {}).items()}

    async def drop(self, collection: str) -> int:
        return len(self.kept.pop(collection, {}))

    async def shelves(self) -> Sequence[Shelf]:
        self.looks += 1
        self._check()
        return [Shelf(name, len(kept), 0, self.version) for name, kept in self.kept.items()]

    def _check(self) -> None:
        if self.broken:
            raise StoreFailed(self.broken)


def _shared(question: str, text: str) -> float:
    wanted = set(re.findall(r"\w+", question.casefold()))
    held = set(re.findall(r"\w+", text.casefold()))
    return len(wanted & held) / max(1, len(wanted))
