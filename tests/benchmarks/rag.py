"""How well and how fast passages are found: `python -m tests.benchmarks.rag`.

First the handbook, sixty passages and two questions about each, on both stores (Upstash's is the
stand-in of the tests, with vectors of ours); `told` cases and questions about nothing in it are
shown for comparison, without a bar. Then 100,000 passages, the handbook among them. Then a folder
of 2,000, ingested twice.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import psutil

from proxy.config.settings import RagSettings
from proxy.core.clock import SystemClock
from proxy.embedding.builtin import Builtin
from proxy.rag.documents import find
from proxy.rag.ingest import ingest
from proxy.rag.search import search
from proxy.stores.embeds import Rows, worded
from proxy.stores.passages import Passage, Passages
from proxy.stores.passages_open import open_passages
from proxy.stores.upstash import UpstashPassages
from tests.benchmarks.handbook import NOTHING_IN_IT, TOP, found, handbook, passage
from tests.benchmarks.vectors import say, times, verdict, verdict_of, watch
from tests.upstash.kinds import RAW
from tests.upstash.server import TOKEN, Upstash, serving

BAR_RECALL: Final = 0.9
BAR_P50_MS: Final = 15.0
BAR_EMBEDDED: Final = 0
CANDIDATES: Final = 12  # as many as a call looks for
COLLECTION: Final = "handbook"

_FILES, _SECTIONS = 200, 10
_TOPICS, _TOPIC_WORDS, _WORDS = 300, 80, 40


class Counted:
    """The builtin embedder, with the number of texts that it was given."""

    def __init__(self) -> None:
        self._inner = Builtin()
        self.fingerprint = self._inner.fingerprint
        self.dim = self._inner.dim
        self.vocabulary = [p for p in self._inner.words.pieces if p.isalpha() and len(p) > 3]
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> Rows:
        self.texts += len(texts)
        return await self._inner.embed(texts)


@asynccontextmanager
async def builtin_store(directory: Path, embedder: Counted) -> AsyncIterator[Passages]:
    """On disk."""
    async with open_passages(directory, None, SystemClock(), lambda: embedder) as passages:
        yield passages


@asynccontextmanager
async def upstash_store(embedder: Counted) -> AsyncIterator[Passages]:
    """The vendor's SDK before the stand-in."""
    clock = SystemClock()
    async with (
        serving(Upstash(RAW, clock.now)) as upstash,
        UpstashPassages(
            upstash.url, TOKEN, lambda: embedder, clock, Random(1), budget_s=5.0
        ) as passages,
    ):
        yield passages


async def recall(name: str, passages: Passages) -> None:
    """The handbook's questions, by nearness alone and as a call finds them by default."""
    asked = handbook()
    await passages.write(COLLECTION, [each.passage for each in asked])
    [shelf] = await passages.shelves()
    settings = RagSettings()

    async def near(question: str) -> Sequence[Passage]:
        return [each.passage for each in await passages.nearest(COLLECTION, question, TOP)]

    async def called(question: str) -> Sequence[Passage]:
        got = await search(passages, COLLECTION, question, settings, shelf.version)
        return [each.passage for each in got.passages]

    for how, look in (("nearest", near), (f"min_score {settings.min_score}", called)):
        hits: Mapping[str, list[bool]] = {"plain": [], "paraphrased": [], "told": []}
        first = 0
        for each in asked:
            for kind, of_kind in hits.items():
                got = await look(getattr(each, kind))
                of_kind.append(found(each.passage, got))
                first += kind != "told" and got[:1] == [each.passage]
        both = [*hits["plain"], *hits["paraphrased"]]
        rate = sum(both) / len(both)
        kinds = "  ".join(f"{kind} {np.mean(hits[kind]):.3f}" for kind in hits)
        say(f"{name}, {how}", f"recall@1 {first / len(both):.3f}  recall@3 {rate:.3f}  ({kinds})")
        say("", f"{verdict(rate >= BAR_RECALL)}  {len(both)} questions (bar: {BAR_RECALL:g})")
    silent = [not await called(question) for question in NOTHING_IN_IT]
    say(f"{name}, about nothing in it", f"{sum(silent)} of {len(silent)} find nothing")


def many(count: int, vocabulary: Sequence[str]) -> Iterator[Passage]:
    """Passages of words that keep to some topic, each with words that all topics share."""
    dice = Random(5)
    shared = [word for each in handbook() for word in each.passage.text.split()]
    topics = [dice.sample(vocabulary, _TOPIC_WORDS) for _ in range(_TOPICS)]
    for number in range(count):
        topic = dice.choice(topics)
        words = dice.choices(topic, k=_WORDS // 2) + dice.choices(shared, k=_WORDS // 2)
        dice.shuffle(words)
        yield passage(" ".join(words), f"{number // 20}.md", " ".join(topic[:2]))


async def large(directory: Path, embedder: Counted, count: int) -> None:
    """Retrieval among very many, embedding included."""
    asked = handbook()
    crowd = [*many(count - len(asked), embedder.vocabulary), *(each.passage for each in asked)]
    memory, size = psutil.Process().memory_info, f"{len(crowd):,} passages"
    before = memory().rss
    async with builtin_store(directory, embedder) as passages:
        began = time.perf_counter()
        await passages.write(COLLECTION, crowd)
        took_s = time.perf_counter() - began
        say(f"{size}, written", f"{took_s:.1f} s, {len(crowd) / took_s:,.0f} a second")
        began = time.perf_counter()
        ids = await passages.ids(COLLECTION)
        say(f"{size}, listed", f"{time.perf_counter() - began:.2f} s for {len(ids):,} ids")
    async with builtin_store(directory, embedder) as passages:
        began = time.perf_counter()
        await passages.nearest(COLLECTION, "warm", 1)
        say(f"{size}, first answer after a start", f"{time.perf_counter() - began:.2f} s")
        await timed(size, passages, embedder, crowd)
        say(f"{size}, memory", f"{(memory().rss - before) / 2**20:.0f} MB, the texts here included")


async def timed(size: str, passages: Passages, embedder: Counted, crowd: Sequence[Passage]) -> None:
    """Each question alone, as a gateway at ease asks; then against what is truly nearest."""
    asked = handbook()
    questions = [q for each in asked for q in (each.plain, each.paraphrased, each.told)]
    waits, got, held = [], [], list[float]()
    for question in questions:
        began = time.perf_counter()
        got.append(await passages.nearest(COLLECTION, question, CANDIDATES))
        waits.append(time.perf_counter() - began)
    watching = asyncio.create_task(watch(held))
    for question in questions[:60]:
        await passages.nearest(COLLECTION, question, CANDIDATES)
    watching.cancel()
    median = 1000 * sorted(waits)[len(waits) // 2]
    say(f"{size}, nearest {CANDIDATES}", times(waits))
    say("", f"{verdict(median <= BAR_P50_MS)}  p50 (bar: {BAR_P50_MS:g} ms, embedding included)")
    say(f"{size}, event loop held", verdict_of(held))
    rows = np.concatenate(
        [
            await embedder.embed([worded(each) for each in crowd[first : first + 1000]])
            for first in range(0, len(crowd), 1000)
        ]
    )
    shares = []
    for question, nears in zip(questions, got, strict=True):
        [row] = await embedder.embed([question])
        truly = {crowd[at].id for at in np.argpartition(-(rows @ row), TOP)[:TOP]}
        shares.append(len(truly & {near.passage.id for near in nears[:TOP]}) / TOP)
    say(f"{size}, of the truly nearest 3", f"{np.mean(shares):.3f} are found")
    of_each = zip([each for each in asked for _ in range(3)], got, strict=True)
    hits = [found(each.passage, [n.passage for n in nears]) for each, nears in of_each]
    both = [hit for at, hit in enumerate(hits) if at % 3 < 2]
    say(f"{size}, of the handbook's", f"recall@3 {np.mean(both):.3f} of {len(both)}")


class _Nobody:
    """Watches no ingest."""

    def read(self, document: str, passages: int, new: int) -> None:
        """See `Watch`."""

    def skipped(self, path: str, why: str) -> None:
        """See `Watch`."""

    def wrote(self, passages: int) -> None:
        """See `Watch`."""


async def twice(directory: Path, embedder: Counted) -> None:
    """A folder is ingested, and again as it is."""
    folder = directory / "docs"
    folder.mkdir()
    texts = many(_FILES * _SECTIONS, embedder.vocabulary)
    for number in range(_FILES):
        sections = [f"# Part {n}\n\n{next(texts).text}\n" for n in range(_SECTIONS)]
        (folder / f"{number}.md").write_text("\n".join(sections))
    async with builtin_store(directory / "collections", embedder) as passages:
        for run in ("first", "second"):
            began, texts_before = time.perf_counter(), embedder.texts
            done = await ingest(passages, "docs", find([str(folder)], directory), _Nobody())
            took_s, embedded = time.perf_counter() - began, embedder.texts - texts_before
            text = f"{embedded:,} of {done.passages:,} passages embedded, {took_s:.2f} s"
            say(f"ingest, the {run} time", text)
        say("", f"{verdict(embedded <= BAR_EMBEDDED)}  of the second (bar: {BAR_EMBEDDED})")


async def all_of_it(count: int) -> None:
    """Every line."""
    embedder = Counted()
    with TemporaryDirectory(prefix="groq-proxy-bench-") as room:
        async with builtin_store(Path(room, "small"), embedder) as passages:
            await recall("builtin", passages)
        async with upstash_store(embedder) as passages:
            await recall("upstash", passages)
        await large(Path(room, "large"), embedder, count)
        await twice(Path(room), embedder)


def main() -> None:
    """Print all lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    asyncio.run(all_of_it(parser.parse_args().passages))


if __name__ == "__main__":
    main()
