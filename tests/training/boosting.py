"""Trees from rows of features, as the plain numbers that the product reads; a line to compare.

Needs lightgbm and scikit-learn, which the product does not.
"""

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

DEPTH = 4
_TREES = 300
Numbers = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Trees:
    """Trees in the form of the JSON file."""

    numbers: dict[str, Any]

    def odds(self, rows: Numbers) -> Numbers:
        """Log-odds of each row, computed as the product does."""
        total = np.full(len(rows), self.numbers["bias"])
        every = np.arange(len(rows))
        for feature, split, leaf in zip(
            *(np.array(self.numbers[key]) for key in ("feature", "split", "leaf")), strict=True
        ):
            node = np.zeros(len(rows), np.intp)
            for _ in range(DEPTH):
                node = 2 * node + 1 + (rows[every, feature[node]] > split[node])
            total += leaf[node - (2**DEPTH - 1)]
        return total


@dataclass(frozen=True, slots=True)
class Line:
    """A logistic regression: the baseline that trees have to beat."""

    weights: Numbers
    bias: float

    def odds(self, rows: Numbers) -> Numbers:
        """Log-odds of each row."""
        return np.asarray(rows @ self.weights + self.bias, np.float64)


def grow(rows: Numbers, same: Labels, weights: Numbers) -> Trees:
    """Boosted trees.

    Monotone constraints on cosines and unmatched words were tried: they cost 3 to 5 points of
    recall on sets that nothing was trained on.
    """
    given = {
        "objective": "binary", "learning_rate": 0.05, "max_depth": DEPTH, "num_leaves": 2**DEPTH,
        "min_sum_hessian_in_leaf": 3.0, "min_data_in_leaf": 20, "lambda_l2": 5.0,
        "feature_fraction": 0.6, "bagging_fraction": 0.7, "bagging_freq": 1, "seed": 1,
        "boost_from_average": False, "num_threads": 1, "deterministic": True, "verbosity": -1,
    }  # fmt: skip
    data = lightgbm.Dataset(rows, same.astype(float), weight=weights, params={"verbosity": -1})
    booster = lightgbm.train(given, data, num_boost_round=_TREES)
    found = [_full(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]]
    feature, split, leaf = zip(*found, strict=True)
    return Trees({"depth": DEPTH, "bias": 0.0, "feature": feature, "split": split, "leaf": leaf})


def draw(rows: Numbers, same: Labels, weights: Numbers) -> Line:
    """A logistic regression on scaled features."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-9
    model = LogisticRegression(C=0.3, max_iter=2000)
    model.fit((rows - middle) / spread, same, sample_weight=weights / weights.mean())
    factors = model.coef_[0] / spread
    return Line(factors, float(model.intercept_[0]) - float(factors @ middle))


def calibration(odds: Numbers, same: Labels, weights: Numbers) -> tuple[float, float]:
    """Slope and shift that turn log-odds into those of a probability (Platt's scaling)."""
    model = LogisticRegression(C=1e3)
    model.fit(odds.reshape(-1, 1), same, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _full(tree: dict[str, Any]) -> tuple[list[int], list[float], list[float]]:
    """A tree with all of its 2**DEPTH leaves: an early leaf is repeated below idle questions."""
    feature, split = [0] * (2**DEPTH - 1), [0.0] * (2**DEPTH - 1)
    leaf = [0.0] * 2**DEPTH

    def place(node: dict[str, Any], at: int, depth: int) -> None:
        if depth == DEPTH:
            leaf[at - (2**DEPTH - 1)] = round(node["leaf_value"], 5)
            return
        if "leaf_value" not in node:
            feature[at], split[at] = node["split_feature"], float(f"{node['threshold']:.5g}")
        for child, side in ((2 * at + 1, "left_child"), (2 * at + 2, "right_child")):
            place(node.get(side, node), child, depth + 1)

    place(tree, 0, 0)
    return feature, split, leaf
