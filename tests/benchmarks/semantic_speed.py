"""How long a look-up by meaning takes: `python -m tests.benchmarks.semantic_speed`.

Inside the process, with many questions kept in one space on disk: new questions, which are misses
(those that have no neighbour to be weighed are shown apart), and other wordings of kept ones,
decided with and without the verifier. Each call is told apart into its steps. `held` is how long
the event loop's own thread computed at a time meanwhile; `of this machine` is what a turn took in
between that always computes the same, without the loop, so whatever it takes beyond its least is
no doing of ours. `crowd` is how long many look-ups at once took beside other work.
"""

import argparse
import asyncio
import base64
import os
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import orjson
from click import echo

from proxy.cache.audits import Audits
from proxy.cache.bins import Why
from proxy.cache.filing import Filing
from proxy.cache.kept import About, Kept
from proxy.cache.near.combiner import Combiners, shipped
from proxy.cache.near.eligible import question
from proxy.cache.near.judge import Judge
from proxy.cache.near.judge import read as remembered
from proxy.cache.near.models import _warmed
from proxy.cache.near.questions import BUDGET_S
from proxy.cache.near.tools import Tools
from proxy.cache.near.turns import Busy
from proxy.cache.quarantine import Quarantine
from proxy.cache.semantic import READ_S, Asked, Semantic, _space
from proxy.core.call import Target
from proxy.core.clock import SystemClock
from proxy.core.journal import NearRecord
from proxy.embedding.builtin import Builtin
from proxy.embedding.memory import Remembering
from proxy.embedding.minilm import Minilm
from proxy.embedding.protocol import Embedder
from proxy.stores.disk import DiskValues
from proxy.stores.protocols import StoreFailed, Vectors
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import DiskTruth
from proxy.stores.vectors_faiss import fastest
from proxy.stores.vectors_signs import NUMPY
from proxy.worker import spare_collector
from tests.benchmarks.semantic import PAIRS, pairs_of
from tests.benchmarks.vectors import times, verdict, watch

ENTRIES, QUERIES = 100_000, 500
BAR_MISS_MS, BAR_HIT_MS, BAR_VERIFIED_MS, BAR_HELD_MS = 5.0, 5.0, 12.0, 5.0
BAR_ALONE_MS = 1.5  # of a miss without a neighbour to be weighed
BARE_S, BARE_TURNS = 0.0015, 20  # what a turn takes that computes the same, and how many of them
CROWD, OTHER_WORK_S = 64, 0.002  # look-ups at once, and what else is done in a turn of the loop
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "Yes. " * 80}}]}
ASIDE = ("in Peru", "with a friend", "on a boat", "for a school play", "at night",
         "without a car", "for beginners", "in the army", "during a storm",
         "on an island", "at a wedding")  # fmt: skip
FOR_EVER_S = 1e6
TRIES = 20  # to put a vector

T = TypeVar("T")


class Steps:
    """Seconds spent in each step, call by call."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = defaultdict(list)
        self.cpu_s: list[float] = []  # of the whole process, in each call
        self._now: dict[str, float] = defaultdict(float)

    def timed(self, step: str, work: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        """`work`, whose time counts for `step`."""

        async def run(*args: Any, **named: Any) -> T:
            began = time.perf_counter()
            try:
                return await work(*args, **named)
            finally:
                self._now[step] += time.perf_counter() - began

        return run

    def add(self, step: str, seconds: float) -> None:
        """Some more."""
        self._now[step] += seconds

    def begin(self) -> None:
        """All that was before does not count."""
        self.calls.clear()
        self.cpu_s.clear()
        self._now.clear()

    def end(self, cpu_s: float) -> None:
        """A call is over, which took so much of the processor."""
        self.cpu_s.append(cpu_s)
        for step, seconds in self._now.items():
            self.calls[step].append(seconds)
        self._now.clear()


def timed_embedder(embedder: Embedder, steps: Steps, name: str) -> Embedder:
    """The same, timed."""
    told = {each: getattr(embedder, each) for each in ("name", "dim", "max_tokens", "fingerprint")}
    return cast("Embedder", SimpleNamespace(embed=steps.timed(name, embedder.embed), **told))


def tools_of(models: Combiners, words: Embedder, verifier: Embedder | None, steps: Steps) -> Tools:
    """Tools that serve whatever is above the threshold."""
    judge = Judge(models, "balanced", verified=verifier is not None)
    judge.sift = steps.timed("judge by words", judge.sift)  # type: ignore[method-assign]
    judge.choose = steps.timed("choose", judge.choose)  # type: ignore[method-assign]
    always = SimpleNamespace(standing=lambda *_: SimpleNamespace(why=Why.SERVED))
    audits = cast("Audits", SimpleNamespace(evidence=always))
    builtin = timed_embedder(words, steps, "embed")
    model = None if verifier is None else timed_embedder(verifier, steps, "verifier (to choose)")
    return Tools(builtin, builtin, model, judge, audits, "mark")


class Bench:
    """A semantic tier whose steps are timed."""

    def __init__(self, values: DiskValues, vectors: Vectors, tools: Tools, steps: Steps) -> None:
        clock = SystemClock()
        get, nearest = steps.timed("values", values.get), steps.timed("nearest", vectors.nearest)
        self.tools = tools
        self._steps = steps
        self.tier = Semantic(
            cast("Any", SimpleNamespace(get=get, put=values.put)),
            cast("Any", SimpleNamespace(nearest=nearest, put=vectors.put)),
            lambda: tools,
            Quarantine(_nothing),
            Filing(),
            clock,
        )

    async def ask(self, text: str) -> tuple[NearRecord, float]:
        """What was found, and the seconds of all of it."""
        began, cpu = time.perf_counter(), time.process_time()
        record = NearRecord()
        with suppress(Busy):
            asked = await asked_for(self.tier, text)
            self._steps.add("read", time.perf_counter() - began)
            await self.tier.find(asked, record)
        took = time.perf_counter() - began
        self._steps.end(time.process_time() - cpu)
        return record, took


async def _nothing(_: Sequence[str]) -> None:
    """Take nothing out."""


async def asked_for(tier: Semantic, text: str) -> Asked:
    """A question alone; raises `Busy`."""
    body = {"messages": [{"role": "user", "content": text}]}
    asked = await tier.asked(body, "partition", "scope", FOR_EVER_S, None)
    assert asked is not None
    return asked


def crowds(folder: Path, count: int, new: int, chance: Random) -> tuple[list[str], list[str]]:
    """Questions to keep, and `new` ones of no kin; where there are too few, something is added."""
    pairs = pairs_of(folder, "qqp", 10**6)
    fresh = [question(pair.a) or "" for pair in pairs if not pair.same]
    chance.shuffle(fresh)
    fresh = fresh[:new]
    apart = set(fresh)
    known = [question(body) or "" for pair in pairs for body in (pair.a, pair.b)]
    plain = [text for text in dict.fromkeys(known) if text not in apart and len(text) < 400]
    if not plain:
        raise SystemExit(f"no questions in {folder}: name their folder with --pairs")
    texts = list(plain)
    for aside in ASIDE:
        texts += [f"{text.rstrip('?. ')} {aside}?" for text in plain]
    return list(dict.fromkeys(texts))[:count], fresh


async def fill(
    texts: Sequence[str], seeds: Sequence[str], values: DiskValues, vectors: Vectors,
    tools: Tools, verifier: Minilm | None,
) -> None:  # fmt: skip
    """Keep all questions, and answers for the seeds, as the proxy would."""
    space, chance = _space("partition", tools), np.random.default_rng(1)
    for first in range(0, len(texts), 500):
        some = texts[first : first + 500]
        rows = await tools.retriever.embed(some)
        noise = chance.standard_normal((len(some), 384)).astype(np.float16)
        payloads = [payload_of(text, row) for text, row in zip(some, noise, strict=True)]
        await asyncio.gather(
            *(
                stubborn(partial(vectors.put, space, text, row, payload, FOR_EVER_S))
                for text, row, payload in zip(some, rows, payloads, strict=True)
            )
        )
    for seed in seeds:
        [row] = await tools.retriever.embed([seed])
        vector = np.zeros(384) if verifier is None else verifier.vectors([seed])[0]
        await vectors.put(space, seed, row, payload_of(seed, vector.astype(np.float16)), FOR_EVER_S)
        target = Target("groq", "m")
        about = About("scope", "partition", seed, target, None, "stop", (), 1.0)
        kept = Kept(about, orjson.dumps(ANSWER))
        await values.put(seed, kept.written(), FOR_EVER_S)


async def stubborn(put: Callable[[], Awaitable[None]]) -> None:
    """Put it, on a disk that is busy with all the others."""
    for _ in range(TRIES):
        with suppress(StoreFailed):
            return await put()
        await asyncio.sleep(1.0)
    raise SystemExit("the disk is too slow to fill the store")


def payload_of(text: str, verified: Any) -> bytes:
    """As the tier writes it."""
    return orjson.dumps({"text": text, "verified": base64.b64encode(verified.tobytes()).decode()})


async def told(title: str, bench: Bench, texts: Sequence[str], bar: float, steps: Steps) -> None:
    """Print the times of these, and of their steps."""
    steps.begin()
    waits, alone, hits = [], [], 0
    for text in texts:
        found, took = await bench.ask(text)
        hits += found.result == "hit"
        waits.append(took)
        if found.result == "miss" and found.cosine is None:
            alone.append(took)
    median = 1000 * sorted(waits)[len(waits) // 2]
    echo(f"{title:<26}{times(waits)}  {verdict(median <= bar)} (bar: {bar:g} ms)"
         f"  {hits} of {len(texts)} hits")  # fmt: skip
    echo(f"    {'processor, all threads':<22}{times(steps.cpu_s)}")
    if alone:
        median = 1000 * sorted(alone)[len(alone) // 2]
        echo(f"    {'with nothing near':<22}{times(alone)}  {verdict(median <= BAR_ALONE_MS)}"
             f" (bar: {BAR_ALONE_MS:g} ms)  in {len(alone)} calls")  # fmt: skip
    for step, seconds in steps.calls.items():
        echo(f"    {step:<22}{times(seconds)}  in {len(seconds)} calls")


async def holds(bench: Bench, texts: Sequence[str], *, apart: bool) -> None:
    """Print how long the loop was held, at twenty calls at a time.

    They come in one turn of the loop; or, `apart`, each in its own.
    """
    held: list[float] = []
    bare: list[float] = []
    rounds = rounds_in(BARE_S)
    remembered.forget()

    async def ask(text: str, turns: int) -> None:
        for _ in range(turns if apart else 0):
            await asyncio.sleep(0)
        await bench.ask(text)

    watching = asyncio.create_task(watch(held))
    for first in range(0, len(texts), 20):
        some = texts[first : first + 20]
        await asyncio.gather(*(ask(text, turns) for turns, text in enumerate(some)))
        bare += [computed(rounds) for _ in range(BARE_TURNS)]
        await asyncio.sleep(0)
        held.pop()  # of the bare ones
    watching.cancel()
    title = "loop held" if apart else "loop held, 20 at once"
    worst = at_p999(held)
    echo(f"{title:<26}{times(held)}  {verdict(worst <= BAR_HELD_MS)} ({worst:.2f} at p99.9)")
    echo(f"    {'of this machine':<22}{times(bare)}  ({at_p999(bare):.2f} at p99.9)")


def at_p999(held: Sequence[float]) -> float:
    """Milliseconds that all but the slowest in a thousand took."""
    return 1000 * sorted(held)[int(0.999 * (len(held) - 1))]


def computed(rounds: int) -> float:
    """Seconds that this thread computes for that many rounds, of which each does the same."""
    began = time.thread_time()
    for n in range(rounds):
        str(n).encode()
    return time.thread_time() - began


def rounds_in(seconds: float) -> int:
    """How many rounds take that long here."""
    return int(1000 * seconds / min(computed(1000) for _ in range(50)))


async def crowd(bench: Bench, texts: Sequence[str]) -> None:
    """Print how long look-ups took that came all at once, beside other work."""
    waits, whys = [], list[str]()

    async def one(text: str) -> None:
        began, why = time.perf_counter(), "busy"
        with suppress(Busy):
            _, why = await bench.tier.find(await asked_for(bench.tier, text), NearRecord())
        waits.append(time.perf_counter() - began)
        whys.append(why)

    async def others() -> None:
        while True:
            until = time.perf_counter() + OTHER_WORK_S
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    for first in range(0, len(texts), CROWD):
        other = asyncio.create_task(others())
        await asyncio.gather(*(one(text) for text in texts[first : first + CROWD]))
        other.cancel()
    p95 = sorted(waits)[int(0.95 * (len(waits) - 1))]
    echo(f"{f'crowd of {CROWD}':<26}{times(waits)}  {verdict(p95 <= READ_S + BUDGET_S)}"
         f" ({1000 * p95:.1f} ms at p95)  {whys.count('busy')} of {len(whys)} busy")  # fmt: skip


async def run(given: argparse.Namespace) -> None:
    """Print everything."""
    chance, clock, steps, models = Random(1), SystemClock(), Steps(), shipped()
    texts, new = crowds(given.pairs, given.entries, given.queries, chance)
    same = [
        (question(pair.a) or "", question(pair.b) or "")
        for name in ("handmade", "template")
        for pair in pairs_of(given.pairs, name, 10**6)
        if pair.same
    ]
    chance.shuffle(same)
    same = same[: given.queries]
    builtin, counting = Builtin(), NUMPY if given.numpy else fastest()
    with TemporaryDirectory(prefix="groq-proxy-bench-") as room:
        async with (
            DiskValues(Path(room), clock, chance, max_bytes=10**9) as values,
            DiskTruth(Path(room), clock) as truth,
            FollowingVectors(truth, clock, counting=counting) as vectors,
        ):
            await vectors.catch_up()
            verifier = None if given.core else Minilm()
            words = Remembering(builtin)
            core = Bench(values, vectors, tools_of(models, words, None, steps), steps)
            await fill(texts, [a for a, _ in same], values, vectors, core.tools, verifier)
            echo(
                f"{(await vectors.stats()).entries} entries, by {counting.name},"
                f" load {os.getloadavg()[0]:.1f}"
            )
            others = [b for _, b in same]
            _warmed()
            spare_collector()
            for n in range(given.rounds):
                remembered.forget()
                part = new[n :: given.rounds]
                await told("miss", core, part, BAR_MISS_MS, steps)
                await told("hit by words", core, others, BAR_HIT_MS, steps)
                if verifier is not None:
                    model = Remembering(verifier)
                    tools = tools_of(models, Remembering(builtin), model, steps)
                    full = Bench(values, vectors, tools, steps)
                    remembered.forget()
                    await told("miss, verified", full, part, BAR_MISS_MS, steps)
                    await told("hit, verified", full, others, BAR_VERIFIED_MS, steps)
            await holds(core, new, apart=True)
            await holds(core, new, apart=False)
            await crowd(core, new)
            if verifier is not None:
                verifier.close()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--core", action="store_true", help="without the verifier")
    parser.add_argument("--numpy", action="store_true", help="without faiss")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
