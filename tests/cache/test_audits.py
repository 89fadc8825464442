"""Audits: which hits are looked at, what is found, and what follows."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from proxy.access.budget import Spending
from proxy.access.prices import Prices
from proxy.access.till import Till
from proxy.cache.audits import Audits, Comparing, Result
from proxy.cache.bins import FLOOR, Offline
from proxy.cache.compare import Comparer
from proxy.cache.evidence import Evidence
from proxy.cache.fresh import SCOPE, Fresh, Limits, Skipped, auditor
from proxy.cache.hits import Hit
from proxy.cache.quarantine import Quarantine
from proxy.cache.texts import Compared
from proxy.cache.underway import Underway
from proxy.config.settings import BudgetSettings
from proxy.core.call import Call, Caller, Endpoint, JsonObject, Target
from proxy.core.errors import (
    BreakerOpen,
    BudgetExhausted,
    ProxyError,
    QuotaExhausted,
    Unpriceable,
    Unreachable,
)
from proxy.core.journal import FlightRecord
from proxy.core.money import Balance, Budget, Denied
from proxy.core.rates import Level, Short, Take
from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import EmbedderFailed
from proxy.stores.protocols import Finding, StoreFailed
from proxy.wire.json import dumps
from tests.access.ledger_fake import ScriptedLedger
from tests.cache.observing import ListedObservations
from tests.fakes import FakeClock

ASKED = Target("groq", "m")
AUDITOR = auditor(Budget(10**9, "day"))
TESTED = [Offline(0.85, 200, 5), Offline(0.95, 400, 2)]
KEPT: JsonObject = {"choices": [{"message": {"content": "kept"}, "finish_reason": "stop"}]}


def saying(text: str, finish_reason: str = "stop") -> JsonObject:
    return {"choices": [{"message": {"content": text}, "finish_reason": finish_reason}]}


def call(id: str = "prx_1") -> Call:
    body = {"model": "m", "stream": True, "stream_options": {}, "seed": 7, "messages": []}
    return Call(
        *(id, Caller("key-1", "search"), Endpoint.CHAT, "POST", "chat/completions", "", "m"),
        body=body,
        stream=True,
        timeout_s=0.5,
    )


def hit(entry: str = "entry", score: float = 0.96, neighbours: Sequence[str] = ()) -> Hit:
    return Hit(entry, score, "What?", dumps(KEPT), neighbours)


class Words:
    """Compares by the word that the fresh answer says; `kept` is right."""

    def __init__(self) -> None:
        self.failing = False

    async def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        if self.failing:
            raise EmbedderFailed("not now")
        said = fresh["choices"][0]["message"]["content"]
        finding = {"kept": Finding.RIGHT, "perhaps": Finding.UNSURE}.get(said, Finding.WRONG)
        return Compared(finding, said)


class OpenCounters:
    """Keeps `Counters`, as far as it is asked: `left` takes are allowed."""

    def __init__(self) -> None:
        self.left = 10**6
        self.failing = False
        self.takes: list[Take] = []

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        if self.failing:
            raise StoreFailed("the disk is full")
        self.takes += takes
        if self.left < 1:
            return Short(0, Level(0, 60), 2)
        self.left -= 1
        return [Level(self.left, 0)]

    async def correct(self, take: Take, used: int) -> None:
        raise NotImplementedError

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:
        raise NotImplementedError

    async def leave(self, name: str, place: str) -> None:
        raise NotImplementedError


class Bench:
    """Audits with all that they need, and what became of them."""

    def __init__(self, *, share: float = 1.0, baseline: float = 0.0, at_once: int = 16) -> None:
        self.clock = FakeClock()
        self.underway = Underway(at_once)
        self.answering: Target | None = ASKED
        self.asked: list[Target] = []
        self.store = ListedObservations(self.clock)
        self.evidence = Evidence(
            self.store, "careful", self.clock, max_error=0.01, threshold=0.85, tested=TESTED
        )
        self.words = Words()
        self.counters = OpenCounters()
        self.fetched: list[Call] = []
        self.answers: Callable[[Call], Awaitable[JsonObject]] = self._kept
        self.taken_out: list[str] = []
        self.quarantine = Quarantine(self._remove)
        self.results: Counter[Result] = Counter()
        self.skipped: Counter[Skipped] = Counter()
        self.limits = Limits(share, baseline)
        self.audits = self.opened(self.words)

    def opened(self, comparer: Comparing) -> Audits:
        """Audits that compare by `comparer`."""
        return Audits(
            self.evidence,
            comparer,
            self.quarantine,
            self._fetch,
            self.counters,
            auditor=AUDITOR,
            limits=self.limits,
            clock=self.clock,
            chance=Random(3),
            underway=self.underway,
            on_audit=lambda result: self.results.update([result]),
            on_skipped=lambda why: self.skipped.update([why]),
        )

    async def _fetch(self, call: Call, target: Target) -> Fresh:
        self.fetched.append(call)
        self.asked.append(target)
        return Fresh(await self.answers(call), self.answering)

    async def _kept(self, _: Call) -> JsonObject:
        return KEPT

    async def _remove(self, entries: Sequence[str]) -> None:
        self.taken_out += entries

    def says(self, text: str, finish_reason: str = "stop") -> None:
        async def answers(_: Call) -> JsonObject:
            return saying(text, finish_reason)

        self.answers = answers

    def fails(self, error: BaseException) -> None:
        async def answers(_: Call) -> JsonObject:
            raise error

        self.answers = answers

    async def over(self) -> None:
        await self.audits.idle()

    @property
    def found(self) -> list[tuple[str, Finding]]:
        return [(each.bin, each.finding) for each in self.store.added]


async def test_a_served_hit_is_asked_upstream_and_counted() -> None:
    bench = Bench()

    assert bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.MATCH: 1}
    assert bench.found == [("0.95", Finding.RIGHT)]


async def test_an_audit_asks_the_same_for_a_whole_answer_at_the_auditors_expense() -> None:
    bench = Bench()
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    [asked] = bench.fetched
    assert asked.id == "prx_1-audit"
    assert asked.caller is AUDITOR
    assert asked.body == {"model": "m", "seed": 7, "messages": []}
    assert not asked.stream
    assert not asked.fallback
    assert asked.timeout_s is None


async def test_a_wrong_answer_is_taken_out_with_its_neighbours() -> None:
    bench = Bench()
    bench.says("other")
    bench.audits.consider(call(), ASKED, hit("a", neighbours=["b", "c"]))
    await bench.over()

    assert bench.results == {Result.MISMATCH: 1}
    assert bench.found == [("0.95", Finding.WRONG)]
    assert bench.taken_out == ["a", "b", "c"]
    assert "b" in bench.quarantine


async def test_an_answer_that_nobody_can_judge_stays() -> None:
    bench = Bench()
    bench.says("perhaps")
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.UNSURE: 1}
    assert bench.found == [("0.95", Finding.UNSURE)]
    assert not bench.taken_out


async def test_the_share_of_hits_that_are_audited_is_the_one_asked_for() -> None:
    bench = Bench(share=0.2)
    for number in range(50):
        bench.audits.consider(call(f"first-{number}"), ASKED, hit())
        await bench.over()

    chosen = 0
    for number in range(2000):
        chosen += bench.audits.consider(call(str(number)), ASKED, hit())
        await bench.over()

    assert len(bench.store.added) == 50 + chosen
    assert 0.16 < chosen / 2000 < 0.24
    assert {each.probability for each in bench.store.added[:50]} == {1.0}
    assert {each.probability for each in bench.store.added[50:]} == {0.2}


async def test_the_score_has_no_say_in_which_hits_are_audited() -> None:
    chosen = []
    for score in (0.86, 0.999):
        bench = Bench(share=0.3)
        await bench.evidence.refresh()
        for number in range(50):
            bench.audits.consider(call(f"first-{number}"), ASKED, hit(score=0.9))
            await bench.over()
        chosen.append(
            [bench.audits.consider(call(str(n)), ASKED, hit(score=score)) for n in range(15)]
        )
        await bench.over()

    assert chosen[0] == chosen[1]


async def test_what_was_not_served_is_compared_for_nothing() -> None:
    bench = Bench()

    assert bench.audits.overheard(call(), ASKED, hit(), saying("other"))
    await bench.over()

    assert not bench.fetched
    assert not bench.counters.takes
    assert bench.found == [("0.95", Finding.WRONG)]
    assert bench.store.added[0].probability == 1.0


@pytest.mark.parametrize(
    ("kept", "fresh", "result"),
    [
        ("one two three four", "one two th", Result.MATCH),
        ("one two three four", "one six th", Result.MISMATCH),
        ("one two", "one two three fo", Result.CUT),
        ("one", "on", Result.CUT),
        ("one two three four", "", Result.CUT),
    ],
)
async def test_a_fresh_answer_that_was_cut_is_compared_as_far_as_it_goes(
    kept: str, fresh: str, result: Result
) -> None:
    bench = Bench()
    bench.audits = bench.opened(Comparer(Builtin(), lambda *_: ()))
    found = replace(hit(), answer=dumps(saying(kept)))
    bench.says(fresh, "length")

    bench.audits.overheard(call(), ASKED, found, saying(fresh, "length"))
    bench.audits.consider(call(), ASKED, found)
    await bench.over()

    assert bench.results == {result: 2}


@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]},
        {"content": None, "refusal": "I will not say that."},
        {"content": "I'm sorry, but I can't help with that."},
        {"content": None},
    ],
)
async def test_a_provider_that_does_something_else_today_finds_the_kept_text_wrong(
    message: JsonObject,
) -> None:
    bench = Bench()
    bench.audits = bench.opened(Comparer(Builtin(), lambda *_: ()))
    end = "content_filter" if message == {"content": None} else "stop"
    fresh: JsonObject = {"choices": [{"message": message, "finish_reason": end}]}

    async def answers(_: Call) -> JsonObject:
        return fresh

    bench.answers = answers
    bench.audits.consider(call("1"), ASKED, hit("a"))
    await bench.over()
    bench.audits.overheard(call("2"), ASKED, hit("b"), fresh)
    await bench.over()

    assert bench.results == {Result.MISMATCH: 2}
    assert set(bench.taken_out) == {"a", "b"}


async def test_an_audit_asks_the_target_whose_answer_was_kept() -> None:
    bench = Bench(baseline=1.0)
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.asked == [ASKED, ASKED]
    assert {asked.model for asked in bench.fetched} == {"m"}  # as the client wrote it


async def test_what_another_target_says_is_dropped() -> None:
    bench = Bench()
    bench.answering = Target("openai", "m")
    bench.says("other")
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.MOVED: 1}
    assert not bench.found
    assert not bench.taken_out


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Unpriceable("no price"), Skipped.UNPRICED),
        (QuotaExhausted("used up"), Skipped.QUOTA),
        (BreakerOpen("left alone"), Skipped.BREAKER),
        (BudgetExhausted("nothing is left"), Skipped.BUDGET),
    ],
)
async def test_an_audit_that_is_not_to_be_made_says_why(error: ProxyError, why: Skipped) -> None:
    bench = Bench()
    bench.fails(error)
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.skipped == {why: 1}
    assert not bench.results
    assert not bench.found


async def test_an_audit_takes_no_retries_from_clients() -> None:
    bench = Bench()
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.fetched[0].repeats > 100
    assert bench.fetched[0].caller.ours


async def test_money_that_comes_back_soon_is_no_reason_to_rest() -> None:
    bench = Bench()
    bench.fails(BudgetExhausted("calls in flight hold it", code="budget_reserved"))
    for number in range(2):
        bench.audits.consider(call(str(number)), ASKED, hit())
        await bench.over()

    assert len(bench.fetched) == 2


@pytest.mark.parametrize("error", [Unreachable("refused"), TimeoutError()])
async def test_a_provider_that_fails_tells_nothing(error: Exception) -> None:
    bench = Bench()
    bench.fails(error)
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.ERROR: 1}
    assert not bench.found


async def test_a_failing_embedder_tells_nothing() -> None:
    bench = Bench()
    bench.words.failing = True
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.ERROR: 1}
    assert not bench.found


async def test_a_bug_in_an_audit_is_told_and_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.fails(RuntimeError("a bug"))
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.results == {Result.ERROR: 1}
    assert "an audit failed by a bug" in caplog.text


async def test_some_audits_ask_twice_to_see_the_floor() -> None:
    bench = Bench(baseline=1.0)
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert [asked.id for asked in bench.fetched] == ["prx_1-audit", "prx_1-floor"]
    assert sorted(bench.found) == [("0.95", Finding.RIGHT), (FLOOR, Finding.RIGHT)]


async def test_a_model_that_disagrees_with_itself_is_seen_in_the_floor() -> None:
    bench = Bench(baseline=1.0)
    answers = iter(["kept", "other"])

    async def differ(_: Call) -> JsonObject:
        return saying(next(answers))

    bench.answers = differ
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert bench.evidence.floor().point == 1.0
    assert bench.results == {Result.MATCH: 1}


async def test_there_are_only_so_many_a_minute() -> None:
    bench = Bench()
    bench.counters.left = 2
    for number in range(5):
        bench.audits.consider(call(str(number)), ASKED, hit())
    await bench.over()

    assert len(bench.fetched) == 2
    assert bench.skipped == {Skipped.RATE: 3}
    assert {take.name for take in bench.counters.takes} == {SCOPE}
    assert {take.window_s for take in bench.counters.takes} == {60.0}


async def test_without_a_store_to_count_them_nothing_is_spent() -> None:
    bench = Bench()
    bench.counters.failing = True
    bench.audits.consider(call(), ASKED, hit())
    await bench.over()

    assert not bench.fetched
    assert bench.skipped == {Skipped.STORE: 1}


async def test_there_are_only_so_many_at_a_time() -> None:
    bench = Bench(at_once=2)
    started = [bench.audits.consider(call(str(n)), ASKED, hit()) for n in range(4)]
    await bench.over()

    assert started == [True, True, False, False]
    assert bench.skipped == {Skipped.BUSY: 2}


async def test_an_empty_budget_is_left_alone_for_a_while() -> None:
    bench = Bench()
    bench.fails(BudgetExhausted("nothing is left"))
    bench.audits.consider(call("1"), ASKED, hit())
    await bench.over()
    bench.audits.consider(call("2"), ASKED, hit())
    await bench.over()

    assert len(bench.fetched) == 1
    assert bench.skipped == {Skipped.BUDGET: 2}

    bench.clock.advance(61)
    bench.audits.consider(call("3"), ASKED, hit())
    await bench.over()
    assert len(bench.fetched) == 2
    assert not bench.results


async def test_money_is_promised_before_an_audit_goes_out() -> None:
    bench = Bench()
    ledger = ScriptedLedger()
    till = Till(ledger, lambda _: None)
    spending = Spending(BudgetSettings(), Prices({}), till)
    target = Target("groq", "openai/gpt-oss-20b")
    sent = []

    async def fetch(asked: Call) -> JsonObject:
        purse = spending.purse(asked, FlightRecord(asked, 0.0), target)
        async with purse.pay_for(target, 30.0):
            sent.append(asked.id)
            return KEPT

    bench.answers = fetch
    bench.audits.consider(call("1"), ASKED, hit())
    await bench.over()
    [hold] = ledger.reserved

    assert sent == ["1-audit"]
    assert hold.id == "1-audit.1"
    assert [bucket.scope for bucket in hold.buckets] == [SCOPE]
    assert hold.buckets[0].limit == 10**9
    assert hold.amount > 0

    ledger.answers.append(Denied(hold.buckets[0], Balance(10**9, 0)))
    bench.audits.consider(call("2"), ASKED, hit())
    await bench.over()

    assert sent == ["1-audit"]
    assert bench.skipped == {Skipped.BUDGET: 1}
    await till.drain()


async def test_draining_waits_for_audits_under_way() -> None:
    bench = Bench()
    bench.audits.consider(call(), ASKED, hit())

    await bench.underway.drain()

    assert bench.results == {Result.MATCH: 1}
    assert not bench.audits.consider(call(), ASKED, hit())
    assert not bench.audits.overheard(call(), ASKED, hit(), KEPT)
    assert bench.skipped == {Skipped.CLOSED: 2}


async def test_draining_cancels_what_takes_too_long() -> None:
    bench = Bench()
    cancelled = asyncio.Event()

    async def hang(_: Call) -> JsonObject:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return KEPT

    bench.answers = hang
    bench.audits.consider(call(), ASKED, hit())
    await asyncio.sleep(0)
    await bench.underway.drain(within_s=0)

    assert cancelled.is_set()
    assert len(bench.audits) == 0
    assert not bench.results


async def test_bad_hits_stop_their_bin() -> None:
    bench = Bench()
    await bench.evidence.refresh()
    assert bench.evidence.standing(0.96).served

    bench.says("other")
    for number in range(3):
        bench.audits.consider(call(str(number)), ASKED, hit(str(number)))
    await bench.over()

    assert not bench.evidence.standing(0.96).served
