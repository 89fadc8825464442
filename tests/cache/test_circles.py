"""What a circle may learn of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.bins import Rule, Why
from proxy.cache.circles import NOTHING, Circles, Count, Others, stand_for
from tests.cache.test_bins import TESTED

BINS = 3
QUESTIONS = [["a", "b", "c"]] * BINS

some = st.lists(
    st.builds(Count, right=st.integers(0, 600), bad=st.integers(0, 600)),
    min_size=BINS,
    max_size=BINS,
)
many = st.dictionaries(st.sampled_from("pqrstu"), some)


def seen(**counts: Count) -> Circles:
    return Circles({name: [count, NOTHING, NOTHING] for name, count in counts.items()}, QUESTIONS)


def test_without_others_there_is_nothing_to_learn() -> None:
    assert seen().others("p") == seen(p=Count(9, 9)).others("p") == Others()


def test_others_are_all_but_the_one_who_asks() -> None:
    circles = seen(p=Count(1, 2), q=Count(10, 20), r=Count(100, 0))

    assert circles.others("p").all[0] == Count(110, 20)
    assert circles.others("r").all[0] == Count(11, 22)
    assert circles.others("new").all[0] == Count(111, 22)
    assert circles.others("new").number == 3


def test_the_one_with_most_bad_ones_may_be_left_out() -> None:
    circles = seen(p=Count(1, 2), q=Count(10, 20), r=Count(100, 0))

    assert circles.others("new").spared[0] == Count(101, 2)
    assert circles.others("q").spared[0] == Count(100, 0)


def test_nobody_brings_more_than_enough() -> None:
    assert seen(p=Count(2700, 300)).others("new").all[0] == Count(270, 30)


@pytest.mark.parametrize(
    ("bad", "warning"), [([], 0), ([500, 500], 0), ([500, 3, 2], 6), ([9, 4, 3, 1], 10)]
)
def test_none_counts_for_more_bad_ones_than_the_third_most(bad: list[int], warning: int) -> None:
    circles = seen(**{str(n): Count(10, each) for n, each in enumerate(bad)}, clean=Count(90))

    told = circles.others("new").warning[0]
    assert told.bad == min(warning, 300) or told.bad == pytest.approx(warning)
    assert bool(told.right) is (warning > 0)


@pytest.mark.parametrize(("honest", "warned"), [(30, True), (60, False), (400, False)])
def test_three_that_mean_harm_stop_nobody_where_they_are_few(honest: int, warned: bool) -> None:
    evil = {f"evil {n}": Count(bad=300) for n in range(3)}
    circles = seen(**evil, **{str(n): Count(50) for n in range(honest)})

    assert (circles.others("new").warning[0].share > 0.01) is warned


@pytest.mark.parametrize("number", [20, 60, 400])
def test_many_warn_where_a_tenth_of_them_found_something(number: int) -> None:
    circles = {str(n): Count(right=20, bad=n % 10 == 0) for n in range(2 * number)}

    assert seen(**circles).others("new").warning[0].bad == number / 5


def test_those_who_did_not_look_at_a_bin_are_not_counted_among_those_who_may_warn() -> None:
    idle = {str(n): NOTHING for n in range(500)}

    assert seen(p=Count(50, 2), q=Count(50, 2), r=Count(50, 2), **idle).others("new").warning[
        0
    ] == Count(150, 6)


def test_a_wrong_one_stands_for_more_the_more_are_unsure_and_never_for_two() -> None:
    assert [stand_for(share) for share in (0.0, 0.1, 0.5, 0.9, 1.0)] == [1.0, 1.1, 1.5, 1.5, 1.5]


@given(right=st.integers(0, 10**4), bad=st.integers(0, 100), unsure=st.integers(0, 10**4))
def test_no_finding_more_turns_what_was_found_the_other_way(
    right: int, bad: int, unsure: int
) -> None:
    def share(count: Count) -> float:
        return count.weighed.share

    count = Count(right, bad, unsure)
    assert share(count + Count(bad=1)) >= share(count) - 1e-12
    assert share(count + Count(unsure=1)) >= share(count) - 1e-12
    assert share(count + Count(right=1)) <= share(count) + 1e-12
    assert count.share <= share(count)


def test_one_question_that_many_ask_is_no_warning() -> None:
    counts = {name: [Count(40, 3)] for name in "pqrs"}

    assert Circles(counts, [["a", "b"]]).others("p").warning == [NOTHING]
    assert Circles(counts, [["a", "b", "c"]]).others("p").warning[0].bad == 9


def test_three_wrong_ones_among_very_few_are_no_warning() -> None:
    circles = seen(p=Count(0, 1), q=Count(0, 1), r=Count(0, 1), clean=Count(96))

    assert circles.others("new").warning[0] == NOTHING
    assert seen(p=Count(1, 1), q=Count(0, 1), r=Count(0, 1), clean=Count(96)).others("new").warning[
        0
    ] == Count(97, 3)


def test_right_ones_among_many_that_nobody_could_judge_are_no_help() -> None:
    circles = seen(p=Count(50, 2, 60), q=Count(50, 0, 40))

    assert circles.others("new").all[0] == Count(50, 2, 100)


@given(circles=many, own=some, name=st.sampled_from("pqrstux"))
def test_what_a_circle_itself_has_seen_is_no_others(
    circles: dict[str, list[Count]], own: list[Count], name: str
) -> None:
    before = Circles({**circles, name: [NOTHING] * BINS}, QUESTIONS).others(name)
    after = Circles({**circles, name: own}, QUESTIONS).others(name)

    for mine, theirs in ((before.all, after.all), (before.spared, after.spared)):
        for a, b in zip(mine, theirs, strict=True):
            assert (a.right, a.bad) == pytest.approx((b.right, b.bad), abs=1e-6)


clean = st.lists(st.builds(Count, right=st.integers(0, 2000)), min_size=10, max_size=10)
whatever = st.lists(
    st.builds(Count, right=st.integers(0, 10**5), bad=st.integers(0, 10**5)),
    min_size=10,
    max_size=10,
)


@given(others=st.dictionaries(st.sampled_from("pqrst"), clean), evil=whatever, own=whatever)
def test_nobody_alone_stops_another_where_tests_are_trusted_or_own_evidence_is_enough(
    others: dict[str, list[Count]], evil: list[Count], own: list[Count]
) -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)
    doubted = [[str(n) for n in range(100)]] * 10
    known = Circles({**others, "evil": evil}, doubted)

    alone = rule.decide(own)
    beside = rule.decide(own, known.others("new"))
    assert all(b is Why.SERVED for a, b in zip(alone, beside, strict=True) if a is Why.SERVED)


@given(others=st.dictionaries(st.sampled_from("pqrst"), clean), evil=whatever, own=whatever)
def test_nobody_alone_makes_another_err(
    others: dict[str, list[Count]], evil: list[Count], own: list[Count]
) -> None:
    rule = Rule.of(0.01)
    known = Circles({**others, "evil": evil}, [[str(n) for n in range(100)]] * 10)

    alone, beside = rule.decide(own), rule.decide(own, known.others("new"))
    assert all(a is Why.ERRORS for a, b in zip(alone, beside, strict=True) if b is Why.ERRORS)
