"""Features are a row of numbers that depends on the two questions and on nothing else."""

from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.cache.near.features import NAMES, STATIC_NAMES, features
from proxy.cache.near.guards import veto
from proxy.cache.near.reading import read
from tests.cache.near.test_guards import TEXTS


def row(a: str, b: str) -> dict[str, float]:
    return dict(zip(NAMES, features(read(a), read(b), 0.5, 0.9), strict=True))


def test_the_verifier_adds_one_column_at_the_end() -> None:
    a, b = read("How do I bake bread?"), read("How is bread baked?")

    static, whole = features(a, b, 0.5, None), features(a, b, 0.5, 0.9)

    assert len(static) == len(STATIC_NAMES)
    assert whole == [*static, 0.9]
    assert len(set(NAMES)) == len(NAMES)


def test_what_a_model_looks_for_is_there() -> None:
    found = row("How do I repair a red bicycle?", "How can I fix a bike in winter?")

    assert found["synonyms"] >= 1
    assert found["unmatched_more"] >= 1
    assert found["conditions_more"] > 0
    assert found["asks_same"] == 1


def test_a_slip_of_the_finger_is_seen() -> None:
    found = row("What is photosynthesis?", "What is photosyntesis?")

    assert found["typos"] == 1
    assert found["unmatched_more"] == 0


@given(TEXTS, TEXTS, st.floats(-1, 1))
def test_features_do_not_mind_which_question_came_first(
    one: str, other: str, cosine: float
) -> None:
    a, b = read(one), read(other)

    assert features(a, b, cosine, None) == features(b, a, cosine, None)


@given(TEXTS, TEXTS)
def test_the_same_questions_give_the_same_features(one: str, other: str) -> None:
    first = features(read(one), read(other), 0.1, 0.2)

    assert features(read(one), read(other), 0.1, 0.2) == first
    assert all(-1 <= value <= 50 for value in first)


NEAR = st.tuples(TEXTS, st.sampled_from(["", "Please: ", "So, "])).map(
    lambda x: (x[0], x[1] + x[0])
)


@given(NEAR | st.tuples(TEXTS, TEXTS), st.integers(0, 3))
def test_guards_that_were_asked_before_need_not_be_asked_again(
    texts: tuple[str, str], level: int
) -> None:
    a, b = map(read, texts)
    assume(veto(a, b, level) is None)

    assert features(a, b, 0.5, None, cleared=level) == features(a, b, 0.5, None)
