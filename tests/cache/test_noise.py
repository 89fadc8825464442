"""Audits ask twice before they call an answer wrong: the provider may contradict itself."""

from dataclasses import replace

from proxy.cache.audits import Audits, Result
from proxy.cache.bins import CANONICAL, FLOOR
from proxy.cache.evidence import Evidence
from proxy.cache.hits import Hit
from proxy.cache.texts import Compared
from proxy.core.call import Call, JsonObject
from proxy.stores.protocols import Finding, Observation
from tests.cache.test_audits import ASKED, AUDITOR, Bench, call, hit, saying
from tests.fakes import FakeClock


class Literal:
    """Compares by what is said, letter by letter; what is `perhaps` is unsure."""

    async def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        a, b = (each["choices"][0]["message"]["content"] for each in (kept, fresh))
        if "perhaps" in a + b:
            return Compared(Finding.UNSURE, "")
        return Compared(Finding.RIGHT if a == b else Finding.WRONG, "")


class Twice(Bench):
    """Audits that may ask a second time, of a provider that says one after the other."""

    def __init__(self, *says: str, share: float = 1.0, baseline: float = 1e-9) -> None:
        super().__init__(share=share, baseline=baseline)
        self.audits = self.opened(Literal())
        self.says_next = list(says)
        self.answers = self._next

    async def _next(self, _: Call) -> JsonObject:
        return saying(self.says_next.pop(0))

    async def audit(self, asked: Hit) -> Observation:
        await self.evidence.refresh()
        assert self.audits.consider(call(), ASKED, asked)
        await self.audits.idle()
        [told] = [each for each in self.store.added if each.bin != FLOOR]
        return told


async def test_what_differs_twice_in_the_same_way_is_wrong() -> None:
    bench = Twice("fresh", "fresh")

    assert (await bench.audit(hit())).finding is Finding.WRONG
    assert bench.results == {Result.MISMATCH: 1}
    assert bench.taken_out == ["entry"]


async def test_where_the_provider_contradicts_itself_nothing_is_found_out() -> None:
    bench = Twice("4711", "815")

    assert (await bench.audit(hit())).finding is Finding.NOISE
    assert bench.results == {Result.NOISE: 1}
    assert not bench.taken_out
    assert bench.evidence.standing(0.96).served


async def test_an_answer_that_the_provider_gives_itself_the_second_time_is_right() -> None:
    bench = Twice("other", "kept")

    assert (await bench.audit(hit())).finding is Finding.RIGHT
    assert bench.results == {Result.MATCH: 1}
    assert not bench.taken_out


async def test_two_answers_that_are_merely_unlike_excuse_no_wrong_one() -> None:
    bench = Twice("fresh", "perhaps")

    assert (await bench.audit(hit())).finding is Finding.WRONG
    assert bench.taken_out == ["entry"]


async def test_what_nobody_could_judge_is_not_asked_again() -> None:
    bench = Twice("perhaps")

    assert (await bench.audit(hit())).finding is Finding.UNSURE
    assert len(bench.fetched) == 1
    assert bench.evidence.standing(0.96).served


async def test_what_matches_is_not_asked_again() -> None:
    bench = Twice("kept")

    assert (await bench.audit(hit())).finding is Finding.RIGHT
    assert len(bench.fetched) == 1


async def test_without_an_answer_to_the_second_question_the_first_one_counts() -> None:
    bench = Twice("fresh", "fresh")
    bench.counters.left = 1

    assert (await bench.audit(hit())).finding is Finding.WRONG


async def test_where_nothing_is_paid_for_audits_nothing_is_asked_again() -> None:
    bench = Twice(share=0.0)
    await bench.evidence.refresh()
    assert bench.audits.overheard(call(), ASKED, hit(), saying("fresh"))
    await bench.audits.idle()

    assert not bench.fetched
    assert bench.results == {Result.MISMATCH: 1}


async def test_the_floor_is_counted_by_chance_and_not_for_what_is_doubted() -> None:
    doubted, sampled = Twice("4711", "815"), Twice("kept", "else", baseline=1.0)
    for bench in (doubted, sampled):
        await bench.audit(hit())

    assert doubted.evidence.floor().audits == 0
    assert sampled.evidence.floor().point == 1.0


async def test_a_finding_says_whose_it_is_and_of_what() -> None:
    told = await Twice("kept").audit(replace(hit(), circle="key:ann", subject="?"))

    assert (told.circle, told.subject, told.bin) == ("key:ann", "?", "0.95")


async def test_hits_by_equal_keys_are_evidence_of_their_own() -> None:
    bench = Twice("kept")
    canonical = Evidence(bench.store, CANONICAL, FakeClock(), max_error=0.01, bins=(CANONICAL,))
    bench.audits = Audits(
        *(bench.evidence, Literal(), bench.quarantine, bench._fetch, bench.counters),
        auditor=AUDITOR,
        limits=bench.limits,
        clock=bench.clock,
        chance=bench.audits._chance,
        underway=bench.underway,
        canonical=canonical,
    )
    told = await bench.audit(replace(hit(score=1.0), tier="canonical"))

    assert told.bin == CANONICAL
    assert (canonical.audits, bench.evidence.audits) == (1, 0)
