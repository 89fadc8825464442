"""How right near answers are through the running proxy: `python -m tests.benchmarks.semantic_live`.

The real program, in front of a provider whose every answer is another one. First each pair has a
namespace of its own: one question is asked and kept, then the other. Then all first questions are
kept in one namespace, among questions that belong to no pair, and all second ones are asked there.
What came from the cache is counted by whether it was the right answer, beside the bars, and beside
what the same rules decide without a proxy (`tests.benchmarks.semantic`).
"""

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from aiohttp import web
from click import echo

from proxy.cache.binomial import interval
from proxy.cache.near.combiner import shipped
from proxy.cache.near.eligible import question
from proxy.embedding.builtin import Builtin
from proxy.embedding.minilm import Minilm
from proxy.embedding.protocol import EmbedderFailed
from tests.benchmarks.seats import ROOM, Seat, seated
from tests.benchmarks.semantic import (
    BARS,
    PAIRS,
    PROFILES,
    SETS,
    Asked,
    Body,
    Pipeline,
    Remembered,
    pairs_of,
)

MODEL = "openai/gpt-oss-20b"
AT_ONCE = 16  # calls
READY_S, SETTLED_S = 60.0, 60.0
UNREADY = ("=embedder", "=index", "=store")
CACHED = {"cache-control": "only-if-cached"}
MOST_AGAIN = 5  # times that is asked for what was not kept; some of it never is
IDLE = 0.1  # of a core: it has nothing more to keep
MOST_FALSE = {("handmade", "careful"): 2, ("handmade", "balanced"): 4,
              ("template", "careful"): 2, ("template", "balanced"): 5,
              ("request", "careful"): 0, ("request", "balanced"): 0}  # fmt: skip
MOST_DROP = 0.02  # of precision, in the crowd
EMBEDDERS = {"core": "builtin", "verified": "semantic"}


@dataclass(frozen=True, slots=True)
class Got:
    """What came back: from where, and which of the provider's answers it was."""

    word: str  # with `why`
    answer: str

    @property
    def hit(self) -> bool:
        """Whether the cache answered."""
        return self.word.split(";")[0] in ("exact", "semantic")


class Provider:
    """Answers each call with another number, as JSON, for questions that want that."""

    def __init__(self) -> None:
        self._numbers = count(1)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """A chat completion, whole or as a stream."""
        body = await request.json()
        content = json.dumps({"answer": next(self._numbers)})
        told = {"id": "c", "created": 1, "model": body["model"]}
        usage = {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25}
        if not body.get("stream"):
            message = {"role": "assistant", "content": content}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = {**told, "object": "chat.completion", "choices": [choice], "usage": usage}
            return web.json_response(whole)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        chunk = {**told, "object": "chat.completion.chunk"}
        first = {"index": 0, "delta": {"role": "assistant", "content": content}}
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        for each in (
            {**chunk, "choices": [{**first, "finish_reason": None}]},
            {**chunk, "choices": [last], "x_groq": {"id": "r", "usage": usage}},
        ):
            await response.write(f"data: {json.dumps(each)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


@asynccontextmanager
async def provider() -> AsyncIterator[int]:
    """Its port."""
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/openai/v1/chat/completions", Provider().answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()


class Live:
    """A running proxy, as a client sees it."""

    def __init__(self, seat: Seat, session: aiohttp.ClientSession) -> None:
        self._seat = seat
        self._session = session
        self._url = f"http://127.0.0.1:{seat.port}/v1/chat/completions"
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def ask(self, body: Body, namespace: str, **headers: str) -> Got:
        """One call; of a stream, all of it."""
        told = {"model": MODEL, **body, "cache": {"namespace": namespace}}
        async with (
            self._turns,
            self._session.post(self._url, json=told, headers=headers) as response,
        ):
            text = await response.text()
            if response.status == 504:  # nothing kept
                return Got("miss;why=only-if-cached", "")
            assert response.status == 200, f"{response.status}: {text[:300]}"
            return Got(response.headers.get("x-proxy-cache", ""), _answer_of(text))

    async def ask_all(self, asked: Sequence[tuple[Body, str]], **headers: str) -> list[Got]:
        """All of these, some at a time; what they left is kept then."""
        got = await asyncio.gather(*(self.ask(*each, **headers) for each in asked))
        await self.settle()
        return got

    async def keep_all(self, asked: Sequence[tuple[Body, str]]) -> list[Got]:
        """All answers, kept; what the proxy was too busy to keep is asked for again."""
        got = await self.ask_all(asked)
        for _ in range(MOST_AGAIN):
            seen = await self.ask_all(asked, **CACHED)
            lost = [n for n, each in enumerate(seen) if not each.answer]
            if not lost:
                return got
            echo(f"    {len(lost)} of {len(asked)} were not kept at first")
            for n, again in zip(lost, await self.ask_all([asked[n] for n in lost]), strict=True):
                got[n] = again
        return got

    async def ready(self) -> None:
        """Wait until nothing is loaded any more."""
        async with asyncio.timeout(READY_S):
            for number in count():
                body = _body(f"How tall is the tower with the number {number}?")
                if not (await self.ask(body, "ready")).word.endswith(UNREADY):
                    return
                await asyncio.sleep(0.2)

    async def settle(self) -> None:
        """Wait until it computes no more."""
        async with asyncio.timeout(SETTLED_S):
            pause_s, used = 0.4, 1.0
            while used > IDLE:
                before = self._seat.cpu_s()
                await asyncio.sleep(pause_s)
                used = (self._seat.cpu_s() - before) / pause_s


@asynccontextmanager
async def running(embedder: str, profile: str) -> AsyncIterator[Live]:
    """The program with an empty cache."""
    async with AsyncExitStack() as stack:
        room = Path(stack.enter_context(TemporaryDirectory(prefix=ROOM)))
        port = await stack.enter_async_context(provider())
        near = {"mode": "serve", "profile": profile, "max_error": 1, "audit": 0}
        told = {
            "state_dir": str(room / "state"),
            "providers": {
                "groq": {
                    "base_url": f"http://127.0.0.1:{port}/openai/v1",
                    "keys": [{"name": "a", "value": "bench"}],
                }
            },
            "cache": {"semantic": {**near, "embedder": embedder}},
            "telemetry": {"log": "json"},
        }
        config = room / "groq-proxy.yaml"
        config.write_text(json.dumps(told))  # JSON is YAML
        command = f"-m proxy serve --config {config} --listen 127.0.0.1:{{port}}"
        manager = seated(command, port, f"{embedder} {profile}")
        seat = await asyncio.to_thread(manager.__enter__)  # it asks our provider
        stack.push_async_callback(asyncio.to_thread, manager.__exit__, None, None, None)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        live = Live(seat, session)
        await live.ready()
        yield live


class Meanings:
    """Which texts ask the same, by all pairs that say so."""

    def __init__(self, pairs: Sequence[Asked]) -> None:
        self._above: dict[str, str] = {}
        for pair in pairs:
            if pair.same:
                self._above[self.of(_text(pair.a))] = self.of(_text(pair.b))

    def of(self, text: str) -> str:
        """One of the texts that ask the same as this."""
        while (above := self._above.get(text, text)) != text:
            text = above
        return text


async def apart(live: Live, pairs: Sequence[Asked], name: str) -> list[Got]:
    """The second questions' answers, each pair alone; a hit is one on its first question."""
    firsts = await live.keep_all([(pair.a, f"{name} {n}") for n, pair in enumerate(pairs)])
    seconds = await live.ask_all([(pair.b, f"{name} {n}") for n, pair in enumerate(pairs)])
    for first, second in zip(firsts, seconds, strict=True):
        assert not second.hit or first.answer == second.answer, "an answer from another tenant"
    return seconds


async def together(
    live: Live, pairs: Sequence[Asked], filler: Sequence[str]
) -> tuple[list[Got], list[str]]:
    """The second questions' answers in one crowd, and the questions that these were kept for."""
    firsts = await live.keep_all([(pair.a, "crowd") for pair in pairs])
    others = await live.keep_all([(_body(text), "crowd") for text in filler])
    texts = [*(_text(pair.a) for pair in pairs), *filler]
    # The first one who got an answer is whom the provider gave it to.
    of: dict[str, str] = {}
    for got, text in zip([*firsts, *others], texts, strict=True):
        if not got.hit:
            of[got.answer] = text
    seconds = await live.ask_all([(pair.b, "crowd") for pair in pairs], **CACHED)
    return seconds, [of.get(got.answer, "") for got in seconds]


def line(title: str, right: int, wrong: int, pairs: Sequence[Asked], key: tuple[str, ...]) -> None:
    """Print precision and recall beside the bar."""
    same = sum(pair.same for pair in pairs)
    precision = right / (right + wrong) if right + wrong else 1.0
    recall = right / same if same else 0.0
    low, high = interval(right, right + wrong)
    told = f"P {precision:.3f} [{low:.3f}-{high:.3f}]  R {recall:.3f}  wrong {wrong}"
    if bar := BARS.get(key):  # type: ignore[call-overload]
        most = MOST_FALSE.get(key[1:]) if key[0] == "verified" else None  # type: ignore[call-overload]
        held = precision >= bar[0] and recall >= bar[1] and (most is None or wrong <= most)
        told += f"  bar {bar[0]}/{bar[1]}/{most} {'PASS' if held else 'MISS'}"
    echo(f"{title:38} {told}")


def compared(pairs: Sequence[Asked], got: Sequence[Got], pipeline: Pipeline, profile: str) -> None:
    """Print where the running proxy decided otherwise than its rules do alone."""
    offline = [pipeline.decide(pair, profile) for pair in pairs]
    other = [
        (pair, one, two)
        for pair, one, two in zip(pairs, got, offline, strict=True)
        if one.hit != two.hit
    ]
    echo(f"    as offline: {len(pairs) - len(other)} of {len(pairs)}")
    kinds = Counter((one.word, two.by, pair.same) for pair, one, two in other)
    for (word, by, same), number in kinds.most_common(8):
        echo(f"        {number} x  live {word}, offline {by}, {'same' if same else 'different'}")
    for pair, one, two in other[:6]:
        echo(f"        live {one.word}, offline {two.by}: {_text(pair.a)} | {_text(pair.b)}")


async def measure(
    build: str, profile: str, sets: Mapping[str, Sequence[Asked]], filler: Sequence[str],
    pipeline: Pipeline, *, errors: bool,
) -> None:  # fmt: skip
    """All lines of one build and profile."""
    async with running(EMBEDDERS[build], profile) as live:
        alone = [0, 0]
        for name, pairs in sets.items():
            got = await apart(live, pairs, name)
            hits = [pair.same for pair, each in zip(pairs, got, strict=True) if each.hit]
            right, wrong = sum(hits), len(hits) - sum(hits)
            line(f"{build} {profile:8} {name}", right, wrong, pairs, (build, name, profile))
            if name in ("handmade", "template"):
                alone = [alone[0] + right, alone[1] + wrong]
            compared(pairs, got, pipeline, profile)
        crowd = [*sets.get("handmade", ()), *sets.get("template", ())]
        if not crowd:
            return
        got, kept_for = await together(live, crowd, filler)
        crowded(build, profile, crowd, got, kept_for, alone, errors=errors)


def crowded(
    build: str, profile: str, pairs: Sequence[Asked], got: Sequence[Got], kept_for: Sequence[str],
    alone: Sequence[int], *, errors: bool,
) -> None:  # fmt: skip
    """Print how right the hits in the crowd were; where no pair tells, they count as wrong."""
    meanings = Meanings(pairs)
    different = {
        frozenset((meanings.of(_text(pair.a)), meanings.of(_text(pair.b))))
        for pair in pairs
        if not pair.same
    }
    counts = Counter[str]()
    for pair, each, text in zip(pairs, got, kept_for, strict=True):
        if not each.hit:
            continue
        here, there = meanings.of(_text(pair.b)), meanings.of(text)
        told = "wrong" if frozenset((here, there)) in different else "not told"
        counts["right" if here == there else told] += 1
        if errors and here != there:
            echo(f"        {told}: {_text(pair.b)} | {text}")
    before, hits = alone[0] / max(1, sum(alone)), max(1, counts.total())
    drops = [before - (hits - counts["wrong"] - more) / hits for more in (0, counts["not told"])]
    verdict = "PASS" if drops[1] <= MOST_DROP else "MISS"
    echo(
        f"{build} {profile:8} {'in one crowd':20} {dict(counts)}: precision {before:.3f} alone,"
        f" drops by {drops[0]:.3f} to {drops[1]:.3f}  {verdict} (bar: {MOST_DROP})"
    )


def _answer_of(text: str) -> str:
    """The provider's number, of a whole answer or a stream."""
    if text.startswith("data:"):
        rows = [row[6:] for row in text.split("\n\n") if row.startswith("data: {")]
        parts = [json.loads(row)["choices"] for row in rows]
        return "".join(part[0]["delta"].get("content") or "" for part in parts if part)
    content: str = json.loads(text)["choices"][0]["message"]["content"]
    return content


def _text(body: Body) -> str:
    return question(body) or ""


def _body(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def run(given: argparse.Namespace) -> None:
    """Print everything."""
    most = {"qqp": given.qqp, "template": given.template}
    sets = {name: pairs_of(given.pairs, name, most.get(name, 10**6)) for name in given.sets}
    rest = pairs_of(given.pairs, "qqp", 10**6)[given.qqp :]
    filler = list(dict.fromkeys(_text(pair.a) for pair in rest))[: given.filler]
    models, static = shipped(), Remembered(Builtin().vectors)
    for build in given.builds:
        verifier = Remembered(Minilm().vectors) if build == "verified" else None
        pipeline = Pipeline(models, static, verifier, True)
        for profile in given.profiles:
            await measure(build, profile, sets, filler, pipeline, errors=given.errors)
            sys.stdout.flush()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--sets", nargs="*", default=SETS)
    parser.add_argument("--builds", nargs="*", default=list(EMBEDDERS))
    parser.add_argument("--profiles", nargs="*", default=PROFILES)
    parser.add_argument("--template", type=int, default=10**6, help="template pairs to read")
    parser.add_argument("--qqp", type=int, default=2_000, help="pairs of QQP to read")
    parser.add_argument("--filler", type=int, default=5_000, help="questions of no pair")
    parser.add_argument("--errors", action="store_true", help="list wrong hits in the crowd")
    given = parser.parse_args()
    if not any((given.pairs / f"{name}_pairs.jsonl").exists() for name in SETS):
        raise SystemExit(f"no pairs in {given.pairs}: name their folder with --pairs")
    try:
        asyncio.run(run(given))
    except EmbedderFailed as error:
        raise SystemExit(f"without the verifier: {error}") from error


if __name__ == "__main__":
    main()
