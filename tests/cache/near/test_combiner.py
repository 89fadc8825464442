import json
import math
from pathlib import Path
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.combiner import Combiner, CombinerUnfit, load, shipped
from proxy.cache.near.features import NAMES, STATIC_NAMES, features
from proxy.cache.near.reading import read
from proxy.embedding.builtin import Builtin

# Two trees of depth 2 over two features; a question is true where the feature is above the split.
SMALL = {
    "names": ["left", "right"],
    "trees": {
        "depth": 2,
        "feature": [[0, 1, 1], [1, 0, 0]],
        "split": [[0.5, 0.2, 0.8], [0.5, 0.0, 0.0]],
        "leaf": [[-2.0, -1.0, 1.0, 2.0], [0.0, 0.25, 0.5, 0.75]],
        "bias": 0.1,
    },
    "calibration": [2.0, -0.3],
    "profiles": {
        "careful": {"threshold": 0.9, "level": 2},
        "balanced": {"threshold": 0.6, "level": 1},
    },
    "evidence": [[0.0, 3, 40], [0.9, 50, 1]],
    "crossed": {},
}


def small() -> Combiner:
    return Combiner(SMALL, ("left", "right"))


def sigmoid(odds: float) -> float:
    return 1 / (1 + math.exp(-odds))


@pytest.mark.parametrize(
    ("row", "votes"),
    [
        ((0.0, 0.0), -2.0 + 0.0),
        ((0.0, 0.3), -1.0 + 0.0),
        ((0.4, 0.6), -1.0 + 0.75),
        ((0.9, 0.6), 1.0 + 0.75),
        ((0.9, 0.9), 2.0 + 0.75),
    ],
)
def test_trees_vote_and_the_calibration_stretches(row: tuple[float, float], votes: float) -> None:
    assert small().probability(row) == pytest.approx(sigmoid(2.0 * (votes + 0.1) - 0.3))


def test_a_feature_just_at_the_split_is_not_above_it() -> None:
    at, above = small().probability((0.5, 0.0)), small().probability((0.5 + 1e-9, 0.0))

    assert above > at


def test_profiles_have_a_threshold_and_a_level() -> None:
    assert small().threshold("careful") == 0.9
    assert small().level("careful") == 2
    assert small().threshold("balanced") == 0.6


def test_an_unknown_profile_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        small().threshold("reckless")


def test_evidence_tells_right_from_wrong() -> None:
    top = small().evidence[-1]

    assert (top.score, top.right, top.wrong) == (0.9, 50, 1)


def test_weights_for_other_features_are_refused_by_name() -> None:
    with pytest.raises(CombinerUnfit, match="it lacks 'middle'; it wants 'right'"):
        Combiner(SMALL, ("left", "middle"))


def test_weights_in_another_order_are_refused() -> None:
    with pytest.raises(CombinerUnfit, match="order differs"):
        Combiner(SMALL, ("right", "left"))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "combiner.json"
    broken.write_text("{", encoding="utf-8")

    with pytest.raises(CombinerUnfit, match="cannot be read"):
        load(broken)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "combiner.json"
    other.write_text(json.dumps({"format": 0}), encoding="utf-8")

    with pytest.raises(CombinerUnfit, match="another format"):
        load(other)


def test_the_shipped_weights_fit_the_features_and_the_embedder() -> None:
    models = shipped()

    assert models.static.names == STATIC_NAMES
    assert models.verified.names == NAMES
    assert models.made_with["embedder"] == Builtin().fingerprint


def test_the_careful_profile_is_not_bolder_than_the_balanced_one() -> None:
    for model in (shipped().static, shipped().verified):
        assert model.threshold("careful") >= model.threshold("balanced")
        assert model.level("careful") >= model.level("balanced")


def test_offline_evidence_errs_less_often_the_higher_the_score() -> None:
    for model in (shipped().static, shipped().verified):
        low = [each for each in model.evidence if each.score < 0.5]
        high = [each for each in model.evidence if each.score >= 0.9]

        assert sum(b.wrong for b in high) < 0.05 * sum(b.right for b in high)
        assert sum(b.wrong for b in low) > sum(b.right for b in low)


@given(st.lists(st.floats(-2, 10), min_size=len(NAMES), max_size=len(NAMES)))
def test_a_probability_is_one_whatever_the_features(row: list[float]) -> None:
    assert 0.0 <= shipped().verified.probability(row) <= 1.0


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("How do I boil an egg?", "What's the best way to boil an egg?"),
        ("What is the tallest tree in Brazil?", "Which tree is the tallest in Brazil?"),
    ],
)
def test_a_rewording_scores_higher_than_another_question(a: str, b: str) -> None:
    other = "What is the tallest tree in a pot?"

    assert score(a, b) > score(a, other)


def score(a: str, b: str) -> float:
    one, two = Builtin().vectors([a, b])
    return shipped().static.probability(features(read(a), read(b), float(one @ two), None))


def test_a_probability_takes_far_less_than_a_millisecond() -> None:
    model, row = shipped().static, [0.5] * len(STATIC_NAMES)
    spent = []

    for _ in range(300):
        start = perf_counter()
        model.probability(row)
        spent.append(perf_counter() - start)

    assert sorted(spent)[30] < 0.0005
