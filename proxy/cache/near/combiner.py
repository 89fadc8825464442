"""From the features of two questions to the chance that one answer serves both.

Boosted trees vote by the sum of their log-odds; two numbers then stretch and shift the sum so that
it reads as a probability. All numbers come from `combiner.json`, which `python -m
tests.training.combiner` writes: one model that sees the static embedder only, and one that also
sees the verifier's cosine. They were trained on pairs that the guards let through, so ask the
guards first. The probability is that of the pairs in the training report, which are made to
mislead; on other traffic only audits can tell.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from proxy.cache.near.features import NAMES, STATIC_NAMES

SHIPPED = Path(__file__).parent / "combiner.json"
FORMAT = 1


class CombinerUnfit(Exception):
    """The weights do not fit this program: the message says what differs."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How bold to be: serve at `threshold` or above, with the guards of `level` (1 to 3)."""

    threshold: float
    level: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Offline evidence: pairs with a score from `score` on, up to that of the next bin.

    `right` could have shared an answer, `wrong` could not; the model that gave the score had seen
    neither them nor their like.
    """

    score: float
    right: int
    wrong: int


class Combiner:
    """One model; a vector of its features in, a probability out. Raises `CombinerUnfit`."""

    def __init__(self, model: Mapping[str, Any], names: Sequence[str]) -> None:
        """`model`: one of the models of the JSON file; `names`: the features it will be given."""
        self.names = tuple(names)
        if tuple(model["names"]) != self.names:
            raise CombinerUnfit(_difference(model["names"], self.names))
        trees = model["trees"]
        depth = int(trees["depth"])
        self._depth = range(depth)
        self._feature = np.array(trees["feature"], np.intp).ravel()
        self._split = np.array(trees["split"], np.float64).ravel()
        self._leaf = np.array(trees["leaf"], np.float64).ravel()
        # a tree is 2**depth - 1 questions, that of node n followed by node 2n+1 or 2n+2, and then
        # 2**depth leaves; here stands where each tree begins among all questions and all leaves
        tree = np.arange(len(trees["leaf"]), dtype=np.intp)
        self._first = tree * (2**depth - 1)
        self._first_leaf = tree * 2**depth - (2**depth - 1)
        self._bias = float(trees["bias"])
        self._slope, self._shift = (float(x) for x in model["calibration"])
        self.evidence = tuple(Bin(*row) for row in model["evidence"])
        self.crossed = model["crossed"]  # cross-validated counts, for the benchmark
        self._profiles = {name: Profile(**given) for name, given in model["profiles"].items()}

    def probability(self, features: Sequence[float]) -> float:
        """The chance, in [0, 1], that the answer is the same; about 50 us."""
        given = np.array(features, np.float64)
        odds = self._bias + self._voted(given)
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, self._slope * odds + self._shift))))

    def threshold(self, profile: str) -> float:
        """The probability from which `profile` serves; KeyError for an unknown one."""
        return self._profiles[profile].threshold

    def level(self, profile: str) -> int:
        """The guard level of `profile`; KeyError for an unknown one."""
        return self._profiles[profile].level

    def _voted(self, given: NDArray[np.float64]) -> float:
        at = self._first
        node = np.zeros(len(at), np.intp)
        for _ in self._depth:
            place = at + node
            more = given.take(self._feature.take(place)) > self._split.take(place)
            node = 2 * node + 1 + more
        return float(self._leaf.take(self._first_leaf + node).sum())


@dataclass(frozen=True, slots=True)
class Combiners:
    """The models of one file, and what they were made with (fingerprints by name)."""

    static: Combiner
    verified: Combiner
    made_with: Mapping[str, str]


def load(path: Path = SHIPPED) -> Combiners:
    """Both models of `path`; raises `CombinerUnfit` when they are not for this program."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CombinerUnfit(f"the weights {str(path)!r} cannot be read: {error}") from error
    if content.get("format") != FORMAT:
        raise CombinerUnfit(f"the weights {str(path)!r} have another format than {FORMAT}")
    models = content["models"]
    return Combiners(
        Combiner(models["static"], STATIC_NAMES),
        Combiner(models["verified"], NAMES),
        content["made_with"],
    )


@cache
def shipped() -> Combiners:
    """What comes with the program, read once."""
    return load()


@cache
def rules_fingerprint() -> str:
    """Differs wherever readings, guards or features may: SHA-256 over this package's own files."""
    whole = hashlib.sha256()
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in {".py", ".npz"} and path.name != Path(__file__).name:
            whole.update(path.name.encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


def _difference(theirs: Sequence[str], ours: Sequence[str]) -> str:
    lacking = [name for name in ours if name not in theirs]
    unknown = [name for name in theirs if name not in ours]
    what = "; ".join(
        f"{word} {', '.join(map(repr, names[:5]))}"
        for word, names in (("it lacks", lacking), ("it wants", unknown))
        if names
    )
    return (
        "the combiner was trained on other features than this program computes: "
        f"{what or 'their order differs'}; run python -m tests.training.combiner"
    )
