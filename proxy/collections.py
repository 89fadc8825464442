"""The command `rag`: on the stores of documents themselves, whether or not the proxy runs."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from proxy.config.names import LABEL
from proxy.config.settings import Config
from proxy.rag.documents import Found, find, printable
from proxy.rag.ingest import Ingested, Watch
from proxy.rag.ingest import ingest as bring_in
from proxy.rag.opening import open_stores
from proxy.rag.ranking import Scored
from proxy.rag.search import search
from proxy.stores.passages import Passages, Shelf
from proxy.stores.protocols import StoreFailed

Stores = Mapping[str, Passages]
Act = Callable[[Stores], Awaitable[int]]

_OFF: Final = "off"  # what a call says that wants none of them
_LINE_EVERY: Final = 2_000  # passages, where nobody sees a bar
_WIDE = 160  # columns of a table that no terminal bounds


def ingest(config: Config, paths: Sequence[str], collection: str, form: str) -> int:
    """Bring a collection up to date with files; the exit code: 1 if one had to be skipped."""
    _check(collection)
    kind = config.collection(collection).store

    async def act(stores: Stores) -> int:
        found = find(paths, Path.cwd())
        with _watching(found) as watch:
            for path, why in found.bad:
                watch.skipped(path, why)
            done = await bring_in(stores[kind], collection, found, watch)
        pending = 0
        with contextlib.suppress(StoreFailed):  # all is written: this is but a note about it
            shelf = await _shelf(stores[kind], collection)
            pending = shelf.pending if shelf else 0
        _tell(done, collection, kind, pending, found.others, form)
        return 1 if done.bad else 0

    return _run(config, act)


def query(config: Config, question: str, collection: str, form: str) -> int:
    """Print the passages that a call with that question would be given; the exit code."""
    _check(collection)
    settings = config.collection(collection)

    async def act(stores: Stores) -> int:
        store = stores[settings.store]
        shelf = await _shelf(store, collection)
        if shelf is None:
            return await _unknown(collection, stores)
        found = await search(store, collection, question, settings, shelf.version)
        if form == "json":
            told = [_passage_told(each) for each in found.passages]
            _print_json({"collection": collection, "passages": told})
        elif found.passages:
            click.echo("\n\n".join(map(_quoted, found.passages)))
        else:
            best = "" if found.top_score is None else f"; the best has {found.top_score:.2f}"
            score = f"a score of {settings.min_score:g} or more"
            click.echo(f"no passage of {collection!r} has {score}{best}", err=True)
        return 0

    return _run(config, act)


def show_all(config: Config, form: str) -> int:
    """Print all collections, of all stores; the exit code: 1 if one is out of reach."""

    async def act(stores: Stores) -> int:
        shelves: list[tuple[str, Shelf]] = []
        failed = False
        for kind, store in stores.items():
            try:
                shelves += [(kind, shelf) for shelf in await store.shelves()]
            except StoreFailed as error:
                click.echo(f"groq-proxy: the {kind} store: {error}", err=True)
                failed = True
        told = [
            {
                "collection": shelf.name,
                "store": kind,
                "passages": shelf.passages,
                "pending": shelf.pending,
            }
            for kind, shelf in sorted(shelves, key=lambda each: (each[1].name, each[0]))
        ]
        if form == "json":
            _print_json(told)
        elif told:
            _print_table(told)
        elif not failed:
            click.echo("there are no collections; groq-proxy rag ingest makes one", err=True)
        return 1 if failed else 0

    return _run(config, act)


def drop(config: Config, collection: str) -> int:
    """Forget a collection, wherever it is kept; the exit code."""
    _check(collection)

    async def act(stores: Stores) -> int:
        there = [store for store in stores.values() if await _shelf(store, collection)]
        if not there:
            return await _unknown(collection, stores)
        dropped = sum([await store.drop(collection) for store in there])
        click.echo(f"forgot {collection}: {_counted(dropped, 'passage')}")
        return 0

    return _run(config, act)


class _Bars:
    """Shows how far it is, on a terminal."""

    def __init__(self, progress: Progress, documents: int) -> None:
        self._progress = progress
        self._reading = progress.add_task("documents", total=documents)
        self._writing = progress.add_task("new passages", total=0)
        self._new = 0

    def read(self, document: str, passages: int, new: int) -> None:  # noqa: ARG002 - see `Watch`
        self._progress.advance(self._reading)
        self._new += new
        self._progress.update(self._writing, total=self._new)

    def skipped(self, path: str, why: str) -> None:
        self._progress.console.print(_skipped(path, why), markup=False, soft_wrap=True)
        self._progress.advance(self._reading)

    def wrote(self, passages: int) -> None:
        self._progress.advance(self._writing, passages)


class _Lines:
    """Tells how far it is, where there is no terminal: what changes, and that it goes on."""

    def __init__(self) -> None:
        self._written = 0

    def read(self, document: str, passages: int, new: int) -> None:
        if new:
            told = f"{document}: {_counted(passages, 'passage')}, {new:,} of them new"
            click.echo(told, err=True)

    def skipped(self, path: str, why: str) -> None:
        click.echo(_skipped(path, why), err=True)

    def wrote(self, passages: int) -> None:
        before, self._written = self._written, self._written + passages
        if before // _LINE_EVERY < self._written // _LINE_EVERY:
            click.echo(f"{self._written:,} passages are written", err=True)


@contextmanager
def _watching(found: Found) -> Iterator[Watch]:
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        yield _Bars(progress, len(found.sources) + len(found.bad))


def _skipped(path: str, why: str) -> str:
    return f"groq-proxy: {printable(path)}: {why}; skipped"


def _tell(done: Ingested, collection: str, kind: str, pending: int, others: int, form: str) -> None:
    if form == "json":
        skipped = [{"path": printable(path), "reason": why} for path, why in done.bad]
        counts = {
            "documents": done.documents,
            "passages": done.passages,
            "written": done.written,
            "removed": done.removed,
        }
        gone = {"gone": list(done.gone), "skipped": skipped}
        _print_json({"collection": collection, "store": kind, **counts, **gone})
        return
    if others:
        files = _counted(others, "file")
        click.echo(f"note: {files} in these folders of kinds that are not read", err=True)
    if pending:
        told = _counted(pending, "passage")
        click.echo(f"note: {told} will be found in a moment: {kind} is still indexing", err=True)
    for name in done.gone:
        click.echo(f"{name} is gone", err=True)
    read = f"{_counted(done.documents, 'document')}, {_counted(done.passages, 'passage')}"
    click.echo(f"{collection}: {read}: {done.written:,} written, {done.removed:,} removed")


def _passage_told(found: Scored) -> dict[str, object]:
    passage = found.passage
    about = {"document": passage.document, "title": passage.title, "text": passage.text}
    return {"score": round(found.score, 4), **about}


def _quoted(found: Scored) -> str:
    """A passage below a line that tells its score and where it is from."""
    passage = found.passage
    where = ": ".join(filter(None, (passage.document, passage.title)))
    return f"{found.score:.2f}  {where}\n{passage.text}"


def _check(collection: str) -> None:
    """Raise where that cannot be a collection's name."""
    if not LABEL.fullmatch(collection) or collection.lower() == _OFF:
        what = "up to 64 letters, digits, '_', '-' or '.', and not off"
        raise click.UsageError(f"a collection's name must be {what} (got {collection!r})")


async def _shelf(store: Passages, collection: str) -> Shelf | None:
    return next((each for each in await store.shelves() if each.name == collection), None)


async def _unknown(collection: str, stores: Stores) -> int:
    names = sorted({shelf.name for each in stores.values() for shelf in await each.shelves()})
    known = f"known are {', '.join(names)}" if names else "none is there yet"
    click.echo(f"groq-proxy: there is no collection {collection!r}; {known}", err=True)
    return 1


def _run(config: Config, act: Act) -> int:
    """Do `act` with the stores; its exit code, or 1 and the reason where they failed."""

    async def opened() -> int:
        async with open_stores(config) as stores:
            return await act(stores)

    try:
        return asyncio.run(opened())
    except StoreFailed as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 1


def _print_json(told: object) -> None:
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))


def _print_table(rows: Sequence[Mapping[str, object]]) -> None:
    table = Table(box=None, pad_edge=False)
    for name, value in rows[0].items():
        table.add_column(name, justify="right" if isinstance(value, int) else "left")
    for row in rows:
        cells = (f"{each:,}" if isinstance(each, int) else str(each) for each in row.values())
        table.add_row(*map(Text, cells))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
