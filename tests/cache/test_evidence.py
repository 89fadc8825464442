"""What a house has seen of its own hits, and what follows."""

from collections.abc import Awaitable, Callable

import pytest

from proxy.cache.bins import CANONICAL, FLOOR, Offline, Why
from proxy.cache.evidence import Evidence, Standing, name_of
from proxy.stores.protocols import HALF_LIFE_S, Finding, Observation
from tests.cache.observing import ListedObservations
from tests.fakes import FakeClock

TESTED = [Offline(0.85, 60, 2), Offline(0.95, 470, 0)]
SCORE = 0.96


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> ListedObservations:
    return ListedObservations(clock)


async def proven(store: ListedObservations, clock: FakeClock, **more: float) -> Evidence:
    evidence = Evidence(store, "careful", clock, max_error=0.01, **more)
    await evidence.refresh()
    return evidence


async def trusted(store: ListedObservations, clock: FakeClock) -> Evidence:
    evidence = Evidence(store, "careful", clock, max_error=0.01, threshold=0.85, tested=TESTED)
    await evidence.refresh()
    return evidence


Trust = Callable[[ListedObservations, FakeClock], Awaitable[Evidence]]
STRICTER = (0.01, 0.009, 0.008, 0.006, 0.004, 0.001)


async def see(
    evidence: Evidence, right: int, wrong: int = 0, unsure: int = 0, *, of: str = "", bin: str = ""
) -> None:
    findings = [Finding.RIGHT] * right + [Finding.WRONG] * wrong + [Finding.UNSURE] * unsure
    for number, finding in enumerate(findings):
        await evidence.observe(Observation(f"{of}{bin}{number}", bin or "0.95", finding))


async def test_who_has_never_read_the_store_serves_nothing(
    store: ListedObservations, clock: FakeClock
) -> None:
    store.failing = True
    evidence = await trusted(store, clock)

    assert evidence.standing(SCORE).why is Why.UNKNOWN

    store.failing = False
    await evidence.refresh()

    assert evidence.standing(SCORE).served


async def test_a_proven_target_is_served_and_not_before(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 362)  # see `needed`

    assert evidence.standing(SCORE).why is Why.LEARNING

    await see(evidence, 1, of="last")

    assert evidence.standing(SCORE).served


async def test_what_nobody_could_judge_counts_neither_way_and_is_told_apart(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await see(evidence, 50)
    [before] = [each for each in evidence.seen() if each.bin == "0.95"]
    await see(evidence, 0, unsure=25, of="unsure")

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert evidence.standing(SCORE).served
    assert (seen.wrong, seen.unsure, seen.point, seen.audits) == (0, 25, 0, 75)
    assert seen.unsure_share == pytest.approx(1 / 3)
    assert (seen.upper, seen.upper_own) == (before.upper, before.upper_own)


async def test_where_most_cannot_be_judged_nothing_is_proven_and_tests_alone_count(
    store: ListedObservations, clock: FakeClock
) -> None:
    believing, doubting = await trusted(store, clock), await proven(store, clock)
    await see(believing, 400, unsure=500)
    await doubting.refresh()

    assert believing.standing(SCORE).served
    assert doubting.standing(SCORE).why is Why.LEARNING
    [seen] = [each for each in believing.seen() if each.bin == "0.95"]
    assert seen.unsure_share > 0.5
    assert seen.upper_own == 1.0


@pytest.mark.parametrize(("unsure", "stands_for"), [(0, 1.0), (25, 1.2), (100, 1.5), (400, 1.5)])
async def test_a_wrong_one_stands_for_those_among_the_unsure_ones_and_else_for_itself(
    store: ListedObservations, clock: FakeClock, unsure: int, stands_for: float
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 93, wrong=7, unsure=unsure)

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert seen.wrong == 7
    assert seen.point == pytest.approx(7 * stands_for / (93 + 7 * stands_for))


async def test_a_caller_may_want_less_errors_but_not_more(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 400)

    assert evidence.standing(SCORE, max_error=0.005).why is Why.LEARNING
    assert evidence.standing(SCORE, max_error=0.5).served
    assert (await trusted(ListedObservations(clock), clock)).standing(0.5, 1.0).why is Why.LEARNING


async def test_workers_learn_from_each_other(store: ListedObservations, clock: FakeClock) -> None:
    one, other = await trusted(store, clock), await trusted(store, clock)
    await see(one, 20, wrong=3)

    assert other.standing(SCORE).served
    await other.refresh()
    assert not other.standing(SCORE).served


async def test_evidence_survives_a_restart(store: ListedObservations, clock: FakeClock) -> None:
    await see(await proven(store, clock), 400)

    assert (await proven(store, clock)).standing(SCORE).served


async def test_another_embedder_starts_anew(store: ListedObservations, clock: FakeClock) -> None:
    await see(await proven(store, clock), 400)
    other = Evidence(store, name_of("careful", "another embedder"), clock, max_error=0.01)
    await other.refresh()

    assert other.standing(SCORE).why is Why.LEARNING


async def test_while_the_store_is_away_bad_findings_count_and_good_ones_wait(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 362)
    store.failing = True
    await see(evidence, 1, of="good")

    assert evidence.standing(SCORE).why is Why.LEARNING

    store.failing = False
    await evidence.refresh()
    assert evidence.standing(SCORE).served

    store.failing = True
    await see(evidence, 0, wrong=2, of="bad")
    await evidence.refresh()
    assert not evidence.standing(SCORE).served


async def test_of_what_waits_for_the_store_the_bad_is_kept_longest(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    store.failing = True
    await see(evidence, 0, wrong=3, of="bad")
    await see(evidence, 1200, of="good")
    store.failing = False
    await evidence.refresh()

    findings = [each.finding for each in store.added]
    assert findings.count(Finding.WRONG) == 3
    assert len(findings) == 1000


async def test_old_evidence_fades_and_has_to_be_renewed(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 600)
    clock.advance(HALF_LIFE_S)
    await evidence.refresh()

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert evidence.standing(SCORE).why is Why.LEARNING
    assert seen.right == pytest.approx(300)
    assert seen.audits == 600


async def test_errors_of_old_fade_too_and_trust_returns(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await see(evidence, 20, wrong=4)
    assert not evidence.standing(SCORE).served

    clock.advance(6 * HALF_LIFE_S)
    await evidence.refresh()

    assert evidence.standing(SCORE).served


async def test_the_first_fifty_hits_are_all_audited(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 30, bin=FLOOR)
    await see(evidence, 49)
    assert evidence.probability(0.05) == 1.0

    await see(evidence, 1, of="last")
    assert evidence.probability(0.05) == 0.05


async def test_the_floor_is_told_apart_and_decides_nothing(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 400)
    await see(evidence, 21, wrong=5, unsure=9, bin=FLOOR)

    floor = evidence.floor()
    bad = 5 * (1 + 9 / 35)
    assert floor.point == pytest.approx(bad / (21 + bad))
    assert floor.upper > 0.23
    assert evidence.standing(SCORE).served


async def test_the_bound_that_is_told_is_the_one_that_decides(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)

    for _ in range(8):
        await see(evidence, 60, of=str(evidence.audits))
        [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
        assert (seen.upper <= 0.01) is evidence.standing(SCORE).served


async def test_a_rare_top_bin_has_the_bound_of_the_stretch_that_it_is_served_with(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await proven(store, clock)
    await see(evidence, 400)

    below, top = [each for each in evidence.seen() if each.bin in ("0.95", "0.99")]
    assert top.upper == below.upper <= 0.01
    assert evidence.standing(1.0).served


async def asked(evidence: Evidence, circle: str, right: int, wrong: int = 0) -> None:
    """As if a circle had asked so many questions, with these answers."""
    findings = [Finding.RIGHT] * right + [Finding.WRONG] * wrong
    for n, finding in enumerate(findings):
        id = f"{circle} {evidence.audits} {n}"
        await evidence.observe(Observation(id, "0.95", finding, circle=circle, subject=id))


async def complained(evidence: Evidence, circle: str, caller: str, *entries: str) -> None:
    for entry in entries:
        subject = f"{entry}?"
        await evidence.complain("0.95", circle, subject, caller=caller, entry=entry, weight=1.0)


async def test_what_one_circle_finds_wrong_stops_itself_alone(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 0, wrong=40)

    assert evidence.standing(SCORE, circle="key:ann").why is Why.ERRORS
    assert evidence.standing(SCORE, circle="key:bob").served
    assert evidence.standing(SCORE, circle="key:cat").served


async def test_what_three_circles_find_wrong_stops_all(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    for circle in ("key:ann", "key:bob", "key:cat"):
        await asked(evidence, circle, 40, wrong=3)

    assert evidence.standing(SCORE, circle="key:dan").why is Why.ERRORS
    assert evidence.standing(0.9999, circle="key:dan").served


async def test_a_question_that_is_asked_again_and_again_counts_once(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    for n in range(50):
        told = Observation(str(n), "0.95", Finding.WRONG, circle="key:ann", subject="?")
        await evidence.observe(told)

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert (seen.wrong, seen.audits) == (1, 50)
    assert evidence.standing(SCORE, circle="key:ann").why is not Why.ERRORS


async def test_what_the_provider_contradicts_itself_in_is_told_apart_and_decides_nothing(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    for n in range(50):
        await evidence.observe(Observation(str(n), "0.95", Finding.NOISE, subject=str(n)))

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert (seen.noise, seen.wrong, seen.point) == (50, 0, 0)
    assert evidence.standing(SCORE).served


async def test_complaints_of_one_caller_weigh_no_more_than_one_audit_and_stop_nobody(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "everyone", 300)
    await complained(evidence, "everyone", "ann", *map(str, range(40)))

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert (seen.complaints, seen.wrong) == (40, 0)
    assert evidence.standing(SCORE, circle="everyone").served


async def test_complaints_of_several_callers_stop_their_circle_and_no_other(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "team:search", 50)
    for caller in ("ann", "bob", "cat"):
        await complained(evidence, "team:search", caller, "1", "2")

    assert evidence.standing(SCORE, circle="team:search").why is Why.ERRORS
    assert evidence.standing(SCORE, circle="team:else").served


@pytest.mark.parametrize("trust", [trusted, proven])
async def test_complaints_of_any_number_of_circles_change_nothing_for_others(
    store: ListedObservations, clock: FakeClock, trust: Trust
) -> None:
    evidence, circles = await trust(store, clock), ("key:ann", "key:bob", "team:search", "key:dan")
    for circle in circles:
        await asked(evidence, circle, 200)
    strict = [evidence.standing(SCORE, limit, "key:new") for limit in STRICTER]
    own = evidence.standing(SCORE, circle="key:dan")
    for circle in circles[:3]:
        for caller in (f"{circle} {n}" for n in range(10)):
            await complained(evidence, circle, caller, *map(str, range(30)))

    assert evidence.standing(SCORE, circle="key:ann").why is Why.ERRORS
    assert [evidence.standing(SCORE, limit, "key:new") for limit in STRICTER] == strict
    assert evidence.standing(SCORE, circle="key:dan") == own
    assert own.served
    assert (strict[0].served, strict[-1].served) == (True, False)


async def test_complaints_of_a_caller_that_shares_with_nobody_count_by_question(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 50)
    for n in range(60):
        entry = str(n % 40)
        await evidence.complain(
            *("0.95", "key:ann", f"{entry}?"), caller="ann", entry=entry, weight=0.05, alone=True
        )

    assert sum(each.complaints for each in evidence.seen()) == 40
    assert evidence.standing(SCORE, circle="key:ann").why is Why.ERRORS
    assert evidence.standing(SCORE, circle="key:bob").served


async def test_complaints_of_one_question_weigh_no_more_than_one_audit(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 300)
    for n in range(40):
        await evidence.complain(
            *("0.95", "key:ann", "?"), caller="ann", entry=str(n), weight=1.0, alone=True
        )

    assert evidence.standing(SCORE, circle="key:ann").served


async def test_a_complaint_weighs_what_an_audit_would_have_found(
    store: ListedObservations, clock: FakeClock
) -> None:
    """A thousand hits, of which every twentieth is audited, and one complaint: 0.1 % are wrong."""
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 50)
    weight = evidence.probability(0.05, "key:ann")
    await evidence.complain("0.95", "key:ann", "?", caller="ann", entry="e", weight=weight)

    assert weight == 0.05
    assert evidence.standing(SCORE, circle="key:ann").served


async def test_the_same_complaint_counts_once_a_day(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await complained(evidence, "key:ann", "ann", "e", "e")
    clock.advance(86_400)
    await complained(evidence, "key:ann", "ann", "e")

    assert sum(each.complaints for each in evidence.seen()) == 2


async def test_complaints_count_while_the_store_is_away(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    store.failing = True
    await complained(evidence, "team:x", "ann", "1", "2", "3")
    assert evidence.standing(SCORE, circle="team:x").why is not Why.ERRORS
    await complained(evidence, "team:x", "bob", "1", "2", "3")
    assert evidence.standing(SCORE, circle="team:x").why is Why.ERRORS

    store.failing = False
    await evidence.refresh()
    assert evidence.standing(SCORE, circle="team:x").why is Why.ERRORS


async def test_each_circle_has_its_first_fifty_hits_audited(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 50)

    assert evidence.probability(0.05, "key:ann") == 0.05
    assert evidence.probability(0.05, "key:bob") == 1.0
    assert evidence.probability(0.0, "key:bob") == 0.0


async def test_the_bound_without_tests_is_told_beside_the_other(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    [fresh] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert fresh.upper < 0.01
    assert fresh.upper_own == 1.0

    await asked(evidence, "key:ann", 400)
    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert seen.upper < seen.upper_own < 0.01


async def test_who_looks_is_told_how_many_circles_are_served(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 0, wrong=40)
    for circle in ("key:bob", "key:cat", "key:dan"):
        await asked(evidence, circle, 10)

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert (seen.why, seen.served) == (Why.SERVED, 0.75)


async def test_circles_that_only_asked_count_among_those_that_are_served(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = await trusted(store, clock)
    await asked(evidence, "key:ann", 0, wrong=40)
    for circle in ("key:ann", "key:bob", "key:cat", "key:dan"):
        evidence.standing(SCORE, circle=circle)

    [seen] = [each for each in evidence.seen() if each.bin == "0.95"]
    assert (seen.why, seen.served) == (Why.SERVED, 0.75)


async def test_with_a_target_of_no_errors_nothing_is_ever_enough(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = Evidence(store, "x", clock, max_error=0.0, tested=TESTED)
    await evidence.refresh()
    await asked(evidence, "", 500)

    assert evidence.needed() is None
    assert evidence.standing(SCORE).why is Why.LEARNING
    assert all(each.upper > 0 for each in evidence.seen())


async def test_equal_keys_wait_for_no_evidence_and_heed_it(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = Evidence(store, "canonical", clock, max_error=0.01, bins=(CANONICAL,))
    await evidence.refresh()
    assert evidence.standing(1.0).served

    for n in range(3):
        await evidence.observe(Observation(str(n), CANONICAL, Finding.WRONG, circle="key:ann"))

    assert evidence.standing(1.0, circle="key:ann") == Standing(CANONICAL, Why.ERRORS)
    assert evidence.standing(1.0, circle="key:bob").served


async def test_who_puts_up_with_fewer_errors_than_the_house_has_them_proven_for_equal_keys_too(
    store: ListedObservations, clock: FakeClock
) -> None:
    evidence = Evidence(store, "canonical", clock, max_error=0.01, bins=(CANONICAL,))
    await evidence.refresh()

    assert evidence.standing(1.0, max_error=0.02).served
    assert evidence.standing(1.0, max_error=0.005).why is Why.LEARNING
    await see(evidence, 730, bin=CANONICAL)
    assert evidence.standing(1.0, max_error=0.005).served
    assert evidence.standing(1.0, max_error=1e-6).why is Why.LEARNING
