"""Brings a collection up to date with files: what is new is written, what is gone removed.

New passages are written before old ones go, so that whoever asks meanwhile finds one or the other;
and as ids tell contents, a run that was interrupted is just run again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from proxy.rag.chunks import passages
from proxy.rag.documents import BadDocument, Found, Source
from proxy.rag.readers import read
from proxy.stores.passages import Passage, Passages

_T = TypeVar("_T")
_AT_ONCE = 256  # passages that go to the store together


class Watch(Protocol):
    """Somebody who is told how far it is."""

    def read(self, document: str, passages: int, new: int) -> None:
        """A document was read: how many passages it has, and how many of them will be written."""
        ...

    def skipped(self, path: str, why: str) -> None:
        """A file could not be read."""
        ...

    def wrote(self, passages: int) -> None:
        """So many more are in the store."""
        ...


@dataclass(slots=True)
class Ingested:
    """What a run did. `gone` are documents whose files are gone, `bad` paths with the reason."""

    documents: int = 0
    passages: int = 0
    written: int = 0
    removed: int = 0
    gone: Sequence[str] = ()
    bad: list[tuple[str, str]] = field(default_factory=list)


async def ingest(store: Passages, collection: str, found: Found, watch: Watch) -> Ingested:
    """Write and remove what makes the collection agree with the files; raises `StoreFailed`.

    Documents that were not looked for stay as they are, and so do those of bad files.
    """
    kept = await store.ids(collection)
    done = Ingested(bad=list(found.bad))
    now: dict[str, set[str]] = {}  # the ids of each document that was read
    waiting: list[Passage] = []
    for source in found.sources:
        try:
            made = await asyncio.to_thread(_read, source)
        except BadDocument as error:
            done.bad.append((str(source.path), str(error)))
            watch.skipped(*done.bad[-1])
            continue
        new = [passage for passage in made if passage.id not in kept]
        watch.read(source.name, len(made), len(new))
        now[source.name] = {passage.id for passage in made}
        done.documents, done.passages = done.documents + 1, done.passages + len(made)
        waiting += new
        if len(waiting) >= _AT_ONCE:
            done.written += await _write(store, collection, waiting, watch)
            waiting.clear()
    done.written += await _write(store, collection, waiting, watch)
    done.gone = _gone(kept, found)
    done.removed = await _remove(store, collection, _stale(kept, now, done.gone))
    return done


def _read(source: Source) -> list[Passage]:
    return passages(source.name, read(source.path))


def _gone(kept: Mapping[str, str], found: Found) -> Sequence[str]:
    """The documents that were looked for and are not there any more."""
    there = {source.name for source in found.sources}
    return sorted(name for name in set(kept.values()) - there if found.lost(name))


def _stale(
    kept: Mapping[str, str], now: Mapping[str, set[str]], gone: Sequence[str]
) -> Sequence[str]:
    """The ids of what was kept and is in no document now."""
    looked = {*now, *gone}
    return [id for id, name in kept.items() if name in looked and id not in now.get(name, ())]


async def _write(store: Passages, collection: str, new: Sequence[Passage], watch: Watch) -> int:
    for some in _batches(new):
        await store.write(collection, some)
        watch.wrote(len(some))
    return len(new)


async def _remove(store: Passages, collection: str, ids: Sequence[str]) -> int:
    return sum([await store.remove(collection, some) for some in _batches(ids)])


def _batches(many: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for first in range(0, len(many), _AT_ONCE):
        yield many[first : first + _AT_ONCE]
