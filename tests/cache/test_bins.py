"""Which bins of scores are served to a circle, by what was counted in each."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.bins import CANONICAL, EDGES, NAMES, Offline, Rule, Why, bin_of
from proxy.cache.circles import NO_OTHERS, NOTHING, Circles, Count, Others
from proxy.cache.near.combiner import shipped

TESTED = [Offline(0.85, 120, 1), Offline(0.95, 400, 0)]

TARGETS = st.floats(0.0, 1.0)

counted = st.lists(
    st.builds(Count, right=st.integers(0, 3000), bad=st.integers(0, 30)),
    min_size=len(EDGES),
    max_size=len(EDGES),
)
half_judged = st.lists(
    st.builds(
        *(Count, st.integers(0, 3000), st.integers(0, 30)),
        st.sampled_from([0, 15, 100, 4000]),
    ),
    min_size=len(EDGES),
    max_size=len(EDGES),
)


def counts(told: Mapping[str, Count]) -> list[Count]:
    return [told.get(name, NOTHING) for name in NAMES]


def decided(rule: Rule, told: Mapping[str, Count], others: Others = NO_OTHERS) -> dict[str, Why]:
    own = counts(told)[: len(rule.credits)]
    return dict(zip(NAMES, rule.decide(own, others), strict=False))


def others(*seen: Mapping[str, Count], questions: int = 10) -> Others:
    """What one who has seen nothing knows of those who have."""
    circles = {str(n): counts(each) for n, each in enumerate(seen)}
    doubted = [[str(n) for n in range(questions)] for _ in NAMES]
    return Circles(circles, doubted).others("new")


@pytest.mark.parametrize(
    ("score", "bin"),
    [(-1.0, "0.00"), (0.0, "0.00"), (0.85, "0.85"), (0.949, "0.90"), (1.0, "0.99")],
)
def test_a_score_falls_into_the_bin_that_begins_below_it(score: float, bin: str) -> None:
    assert NAMES[bin_of(score)] == bin


def test_without_evidence_nothing_is_served() -> None:
    assert set(Rule.of(0.01).decide([NOTHING] * len(EDGES))) == {Why.LEARNING}


def test_with_tests_that_are_trusted_all_from_the_threshold_on_is_served_at_once() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)

    assert [why for why in decided(rule, {}).values() if why is Why.SERVED] == [Why.SERVED] * 5
    assert decided(rule, {})["0.80"] is Why.LEARNING


def test_tests_that_went_badly_are_no_reason_to_serve() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=[Offline(0.85, 500, 200)])

    assert decided(rule, {})["0.85"] is Why.LEARNING


@pytest.mark.parametrize("target", [0.005, 0.001, 1e-9])
def test_a_target_that_so_few_tests_cannot_show_has_to_be_proved(target: float) -> None:
    rule = Rule.of(target, threshold=0.85, tested=TESTED)

    assert set(decided(rule, {}).values()) == {Why.LEARNING}


@given(
    tested=st.lists(
        st.builds(Offline, st.sampled_from(EDGES), st.integers(0, 5000), st.integers(0, 500)),
        max_size=20,
    ),
    target=TARGETS,
)
def test_what_is_trusted_at_first_is_never_more_than_was_tested(
    tested: list[Offline], target: float
) -> None:
    given = sum(Rule.of(target, tested=tested).credits, NOTHING)

    assert given.all <= sum(each.right + each.wrong for each in tested)
    assert given.right <= sum(each.right for each in tested)


@pytest.mark.parametrize("model", ["static", "verified"])
@pytest.mark.parametrize("profile", ["careful", "balanced"])
def test_what_we_ship_is_served_on_the_first_day_at_one_percent_and_not_at_a_tenth(
    model: str, profile: str
) -> None:
    combiner = getattr(shipped(), model)
    tested = [Offline(bin.score, bin.right, bin.wrong) for bin in combiner.evidence]
    threshold = combiner.threshold(profile)

    def first_day(target: float) -> set[Why]:
        rule = Rule.of(target, threshold=threshold, tested=tested)
        return set(rule.decide([NOTHING] * len(EDGES))[rule.lowest :])

    assert first_day(0.01) == {Why.SERVED}
    assert first_day(0.001) == {Why.LEARNING}


def test_a_wrong_hit_is_weighed_against_what_was_tested_and_seen() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)

    assert decided(rule, {"0.95": Count(50, 1)})["0.95"] is Why.LEARNING
    assert decided(rule, {"0.95": Count(300, 1)})["0.95"] is Why.SERVED
    assert decided(rule, {"0.95": Count(100, 3)})["0.95"] is Why.ERRORS


def test_a_good_stretch_takes_its_rare_top_with_it() -> None:
    told = decided(Rule.of(0.01), {"0.95": Count(right=400), "0.99": Count(right=3)})

    assert [told[name] for name in ("0.95", "0.98", "0.99")] == [Why.SERVED] * 3


def test_a_bin_is_not_served_on_the_word_of_those_above_it() -> None:
    told = decided(Rule.of(0.01), {"0.99": Count(right=5000)})

    assert told["0.99"] is Why.SERVED
    assert told["0.98"] is told["0.95"] is Why.LEARNING


def test_with_some_of_its_own_a_bin_is_served_with_those_above_it() -> None:
    above = Count(right=5000)

    assert decided(Rule.of(0.01), {"0.98": Count(60), "0.99": above})["0.98"] is Why.LEARNING
    assert decided(Rule.of(0.01), {"0.98": Count(75), "0.99": above})["0.98"] is Why.SERVED


def test_a_bad_bin_does_not_hide_behind_good_ones() -> None:
    told = decided(
        Rule.of(0.01), {"0.90": Count(right=97, bad=3), "0.95": Count(right=5000, bad=1)}
    )

    assert told["0.90"] is Why.ERRORS
    assert told["0.95"] is Why.SERVED


def test_a_bad_bin_stops_those_below_it_and_none_above_it() -> None:
    good = Count(right=4000)
    told = decided(Rule.of(0.01), {"0.90": good, "0.95": Count(100, 10), "0.99": good})

    assert told["0.95"] is told["0.90"] is told["0.50"] is Why.ERRORS
    assert told["0.99"] is Why.SERVED


def test_one_bad_question_alone_is_no_error_of_a_bin() -> None:
    rule = Rule.unless(0.01)

    assert rule.decide([Count(bad=1)]) == [Why.SERVED]
    assert rule.decide([Count(bad=2)]) == [Why.ERRORS]
    assert rule.decide([Count(right=300, bad=2)]) == [Why.SERVED]


def test_below_the_threshold_nothing_is_served_however_good_it_is() -> None:
    told = decided(Rule.of(0.01, threshold=0.85), {"0.70": Count(right=5000)})

    assert told["0.80"] is not Why.SERVED


def test_what_others_have_proven_is_served_to_who_is_new() -> None:
    good = {"0.95": Count(right=300)}

    assert decided(Rule.of(0.01), {}, others(good))["0.95"] is Why.LEARNING
    assert decided(Rule.of(0.01), {}, others(good, good, good))["0.95"] is Why.SERVED


def test_of_one_who_saw_very_much_no_more_counts_for_others_than_of_one_who_saw_enough() -> None:
    much = {"0.95": Count(right=10**6)}

    assert decided(Rule.of(0.01), {}, others(much))["0.95"] is Why.LEARNING


def test_one_who_found_much_bad_takes_nothing_from_the_others() -> None:
    good, bad = {"0.95": Count(right=400)}, {"0.95": Count(bad=1000)}

    trusted = Rule.of(0.01, threshold=0.85, tested=TESTED)
    assert decided(trusted, {}, others(bad))["0.95"] is Why.SERVED
    proven = Rule.of(0.01)
    assert decided(proven, good, others(bad))["0.95"] is Why.SERVED
    assert decided(proven, {}, others(good, good, good, bad))["0.95"] is Why.SERVED


@pytest.mark.parametrize(
    ("who", "questions", "why"),
    [(2, 9, Why.SERVED), (3, 2, Why.SERVED), (3, 3, Why.ERRORS), (8, 9, Why.ERRORS)],
)
def test_three_others_warn_together_of_three_questions(who: int, questions: int, why: Why) -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)
    bad = [{"0.95": Count(right=60, bad=3)}] * who

    assert decided(rule, {}, others(*bad, questions=questions))["0.95"] is why


def test_of_less_than_a_hundred_hits_of_others_nobody_is_warned() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)
    few = [{"0.95": Count(right=20, bad=1)}] * 3

    assert decided(rule, {}, others(*few))["0.95"] is Why.SERVED


def test_who_has_proven_a_bin_itself_is_not_warned_off() -> None:
    bad = others(*[{"0.95": Count(right=60, bad=3)}] * 3)

    for rule in (Rule.of(0.01, threshold=0.85, tested=TESTED), Rule.of(0.01)):
        assert decided(rule, {"0.95": Count(right=400)}, bad)["0.95"] is Why.SERVED
        assert decided(rule, {"0.95": Count(right=200)}, bad)["0.95"] is Why.ERRORS


def test_where_most_could_not_be_judged_the_rest_proves_nothing() -> None:
    own = {"0.95": Count(right=400, unsure=401)}

    assert decided(Rule.of(0.01), own)["0.95"] is Why.LEARNING
    assert decided(Rule.of(0.01), {"0.95": Count(400, unsure=399)})["0.95"] is Why.SERVED
    assert decided(Rule.of(0.01), {"0.95": Count(0, unsure=19)})["0.95"] is Why.LEARNING


def test_what_lies_below_proves_nothing_for_what_could_not_be_judged() -> None:
    told = decided(Rule.of(0.01), {"0.95": Count(400), "0.99": Count(9, unsure=11)})

    assert told["0.95"] is told["0.98"] is Why.SERVED
    assert told["0.99"] is Why.LEARNING


def test_where_most_could_not_be_judged_others_prove_nothing_either() -> None:
    good = others(*[{"0.95": Count(right=300)}] * 3)
    blind = others(*[{"0.95": Count(right=300, unsure=301)}] * 3)

    assert decided(Rule.of(0.01), {}, good)["0.95"] is Why.SERVED
    assert decided(Rule.of(0.01), {"0.95": Count(unsure=20)}, good)["0.95"] is Why.LEARNING
    assert decided(Rule.of(0.01), {}, blind)["0.95"] is Why.LEARNING


def test_what_is_trusted_goes_on_by_tests_alone_where_most_could_not_be_judged() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)

    assert decided(rule, {"0.95": Count(unsure=1000)})["0.95"] is Why.SERVED
    assert decided(rule, {"0.95": Count(300, 1.5, 100)})["0.95"] is Why.SERVED
    assert decided(rule, {"0.95": Count(300, 1.5, 1000)})["0.95"] is Why.LEARNING
    assert decided(rule, {"0.95": Count(0, 3.0, 1000)})["0.95"] is Why.ERRORS


@given(told=half_judged, index=st.integers(0, len(EDGES) - 1), trusted=st.booleans())
def test_an_unsure_one_more_never_makes_any_bin_served(
    told: list[Count], index: int, trusted: bool
) -> None:
    rule = Rule.of(0.01, tested=TESTED if trusted else ())
    vaguer = [count + Count(unsure=30.0 * (at == index)) for at, count in enumerate(told)]

    pairs = zip(rule.decide(vaguer), rule.decide(told), strict=True)
    assert all(before is Why.SERVED for after, before in pairs if after is Why.SERVED)


def test_a_wrong_one_here_and_there_among_very_many_is_no_warning() -> None:
    rule = Rule.of(0.01, threshold=0.85, tested=TESTED)
    fair = [{"0.95": Count(right=500, bad=1)}] * 6

    assert decided(rule, {}, others(*fair))["0.95"] is Why.SERVED


@given(told=counted)
def test_a_stricter_target_never_serves_more(told: list[Count]) -> None:
    strict, lenient = Rule.of(0.002), Rule.of(0.02)

    pairs = zip(strict.decide(told), lenient.decide(told), strict=True)
    assert all(wide is Why.SERVED for narrow, wide in pairs if narrow is Why.SERVED)


@given(told=counted, index=st.integers(0, len(EDGES) - 1))
def test_a_wrong_one_more_never_makes_any_bin_served(told: list[Count], index: int) -> None:
    rule = Rule.of(0.01, tested=TESTED)
    worse = [count + Count(bad=float(at == index)) for at, count in enumerate(told)]

    pairs = zip(rule.decide(worse), rule.decide(told), strict=True)
    assert all(before is Why.SERVED for after, before in pairs if after is Why.SERVED)


@given(told=counted, index=st.integers(0, len(EDGES) - 1))
def test_a_right_one_more_never_stops_any_bin(told: list[Count], index: int) -> None:
    rule = Rule.of(0.01, tested=TESTED)
    better = [count + Count(right=float(at == index)) for at, count in enumerate(told)]

    pairs = zip(rule.decide(told), rule.decide(better), strict=True)
    assert all(after is Why.SERVED for before, after in pairs if before is Why.SERVED)


@given(told=counted, target=TARGETS)
def test_a_less_sure_bin_is_never_served_where_a_surer_one_is_not(
    told: list[Count], target: float
) -> None:
    rule = Rule.of(target, tested=TESTED)
    served = [why is Why.SERVED for why in rule.decide(told)]

    assert served == sorted(served)


@given(told=half_judged, target=TARGETS, trusted=st.booleans())
def test_the_bound_that_is_told_is_the_one_that_decides(
    told: list[Count], target: float, trusted: bool
) -> None:
    rule = Rule.of(target, tested=TESTED if trusted else ())

    for why, bound in zip(rule.decide(told), rule.bounds(told), strict=True):
        if why is not Why.ERRORS and abs(bound - target) > 1e-9:
            assert (why is Why.SERVED) is (bound < target)


@given(told=counted, target=TARGETS)
def test_without_tests_the_bound_is_never_lower(told: list[Count], target: float) -> None:
    rule = Rule.of(target, tested=[Offline(0.85, 120, 0), Offline(0.95, 400, 0)])

    pairs = zip(rule.bounds(told), rule.bounds(told, credited=False), strict=True)
    assert all(credited <= own + 1e-9 for credited, own in pairs)


@given(told=counted)
def test_a_target_of_all_errors_serves_everything(told: list[Count]) -> None:
    assert set(Rule.of(1.0, tested=TESTED).decide(told)) == {Why.SERVED}


@given(told=counted)
def test_a_target_of_no_errors_serves_nothing(told: list[Count]) -> None:
    assert Why.SERVED not in Rule.of(0.0, tested=TESTED).decide(told)


def test_equal_keys_have_a_bin_that_no_score_falls_into() -> None:
    assert CANONICAL not in NAMES
