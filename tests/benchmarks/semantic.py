"""How right a near answer is: `python -m tests.benchmarks.semantic [--pairs FOLDER] [--errors]`.

Decides every pair as the proxy does, without one: rules on eligibility, equal texts, equal keys,
guards, the static score as a floor, the verifier, the threshold of the profile. Prints precision
and recall with intervals beside the bars. What the shipped weights were trained on is marked, and
its cross-validated figures, which are the honest ones, stand below.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click import echo

from proxy.cache.binomial import interval
from proxy.cache.near.canonical import agree, canonical
from proxy.cache.near.combiner import Combiner, Combiners, shipped
from proxy.cache.near.eligible import near_bypass, question
from proxy.cache.near.features import features
from proxy.cache.near.guards import veto
from proxy.cache.near.reading import Reading, read
from proxy.embedding.builtin import Builtin
from proxy.embedding.minilm import Minilm
from proxy.embedding.protocol import EmbedderFailed, Vectors

PAIRS = Path("../shared/data/semantic_cache")
SETS = ("handmade", "template", "qqp", "request")
PROFILES = ("careful", "balanced")
FLOOR = 0.1  # of the static score: below it no verifier is asked
# Least precision and recall by build, set and profile. QQP's labels are wrong too often for more.
BARS = {
    ("verified", "handmade", "careful"): (0.96, 0.64),
    ("verified", "handmade", "balanced"): (0.95, 0.80),
    ("verified", "template", "careful"): (0.995, 0.65),
    ("verified", "template", "balanced"): (0.99, 0.80),
    ("verified", "qqp", "careful"): (0.80, 0.32),
    ("verified", "qqp", "balanced"): (0.76, 0.50),
    ("verified", "request", "careful"): (1.0, 0.60),
    ("verified", "request", "balanced"): (1.0, 0.75),
    ("core", "handmade", "careful"): (0.95, 0.48),
    ("core", "handmade", "balanced"): (0.94, 0.68),
    ("core", "template", "careful"): (0.98, 0.45),
    ("core", "template", "balanced"): (0.97, 0.65),
}
_NOT_KEYED = ("stream", "stream_options", "user", "metadata")

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """Two calls, and whether the answer to one may serve the other."""

    a: Body
    b: Body
    same: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it was a hit, and the tier or rule that said so."""

    hit: bool
    by: str


class Remembered:
    """The vectors of one embedder, each text once."""

    def __init__(self, vectors: Callable[[Sequence[str]], Vectors]) -> None:
        self._vectors = vectors
        self._known: dict[str, Vectors] = {}

    def cosine(self, a: str, b: str) -> float:
        for text in (a, b):
            if text not in self._known:
                self._known[text] = self._vectors([text])[0]
        return float(self._known[a] @ self._known[b])


class Pipeline:
    """All the steps, in their order. Without a verifier the static model decides alone."""

    def __init__(
        self, models: Combiners, static: Remembered, verifier: Remembered | None, shared: bool
    ) -> None:
        self._models = models
        self._static = static
        self._verifier = verifier
        self._shared = shared

    def decide(self, asked: Asked, profile: str) -> Decision:
        for body in (asked.a, asked.b):
            if bypass := near_bypass(body, shared=self._shared):
                return Decision(False, f"bypass {bypass}")
        if _partition(asked.a) != _partition(asked.b):
            return Decision(False, "partition")
        one, other = (read(question(body) or "") for body in (asked.a, asked.b))
        if one.folded == other.folded:
            return Decision(True, "equal")
        level = self._models.static.level(profile)
        if guard := veto(one, other, level):
            return Decision(False, f"guard {guard}")
        if canonical(one) == canonical(other) and agree(one, other):
            return Decision(True, "key")
        return self._scored(one, other, profile)

    def _scored(self, a: Reading, b: Reading, profile: str) -> Decision:
        cosine = self._static.cosine(a.text, b.text)
        row = features(a, b, cosine, None)
        static = self._models.static.probability(row)
        if self._verifier is None:
            return Decision(static >= self._models.static.threshold(profile), "score")
        if static < FLOOR:
            return Decision(False, "floor")
        row = features(a, b, cosine, self._verifier.cosine(a.text, b.text))
        verified = self._models.verified
        return Decision(verified.probability(row) >= verified.threshold(profile), "score")


def pairs_of(folder: Path, name: str, most: int) -> list[Asked]:
    """The first pairs of one set; none where there is no such file."""
    path = folder / f"{name}_pairs.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:most]]
    return [Asked(_body(row, "a"), _body(row, "b"), bool(row["same"]), row["kind"]) for row in rows]


def _body(row: Mapping[str, Any], side: str) -> Body:
    body: Body = row.get(f"req_{side}") or {"messages": [{"role": "user", "content": row[side]}]}
    return body


def _partition(body: Body) -> str:
    """All that must be equal: everything but the last turn, and what never matters."""
    keyed = {name: value for name, value in body.items() if name not in _NOT_KEYED}
    keyed["messages"] = body["messages"][:-1]
    return hashlib.sha256(json.dumps(keyed, sort_keys=True).encode()).hexdigest()


def report(
    pipeline: Pipeline, model: Combiner, build: str, name: str, pairs: Sequence[Asked], *,
    trained_on: bool, errors: bool,
) -> bool:  # fmt: skip
    """Print one set's lines; whether all bars hold (by the cross-validated figures, if any)."""
    fine = True
    for profile in PROFILES:
        decided = [pipeline.decide(asked, profile) for asked in pairs]
        counts = Counter((d.hit, asked.same) for d, asked in zip(decided, pairs, strict=True))
        same = counts[True, True] + counts[False, True]
        row = [counts[True, True], counts[True, False], same, len(pairs) - same]
        held = _line(f"{build} {profile:8} {name}", row, BARS.get((build, name, profile)))
        if trained_on:
            crossed = model.crossed[name][profile]
            held = _line(
                "    seen in training; cross-validated", crossed, BARS.get((build, name, profile))
            )
        fine = fine and held
        by = Counter(d.by for d, asked in zip(decided, pairs, strict=True) if asked.same)
        echo(f"    paraphrases by step: {', '.join(f'{k} {n}' for k, n in by.most_common(9))}")
        for decision, asked in zip(decided, pairs, strict=True):
            if errors and decision.hit and not asked.same:
                echo(f"    false hit by {decision.by} ({asked.kind}): {_said(asked)}")
            if errors and name in ("handmade", "request") and asked.same and not decision.hit:
                echo(f"    missed by {decision.by} ({asked.kind}): {_said(asked)}")
    return fine


def _said(asked: Asked) -> str:
    return f"{question(asked.a)} | {question(asked.b)}"


def _line(title: str, row: Sequence[int], bar: tuple[float, float] | None) -> bool:
    right, wrong, same, different = row
    precision = right / (right + wrong) if right + wrong else 1.0
    recall = right / same if same else 0.0
    low, high = interval(right, right + wrong)
    held = bar is None or (precision >= bar[0] and recall >= bar[1])
    against = f"  bar {bar[0]}/{bar[1]} {'holds' if held else 'MISSED'}" if bar else ""
    echo(
        f"{title:38} P {precision:.3f} [{low:.3f}-{high:.3f}]  R {recall:.3f}"
        f"  false hits {wrong} of {different}{against}"
    )
    return held


def _is_trained_on(folder: Path, models: Combiners) -> bool:
    whole = hashlib.sha256()
    for name in ("handmade", "template"):
        path = folder / f"{name}_pairs.jsonl"
        whole.update(path.read_bytes() if path.exists() else b"")
    return whole.hexdigest() == models.made_with["pairs"]


def main() -> None:
    """Print everything; exit 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--qqp", type=int, default=2_000, help="pairs of QQP to read")
    parser.add_argument("--errors", action="store_true", help="list false hits, and own misses")
    parser.add_argument("--shared", action="store_true", help="as where callers share answers")
    given = parser.parse_args()
    if not any((given.pairs / f"{name}_pairs.jsonl").exists() for name in SETS):
        raise SystemExit(f"no pairs in {given.pairs}: name their folder with --pairs")
    models, static = shipped(), Remembered(Builtin().vectors)
    builds: dict[str, Remembered | None] = {"core": None}
    try:
        builds["verified"] = Remembered(Minilm().vectors)
    except EmbedderFailed as error:
        echo(f"without the verifier: {error}")
    seen, fine = _is_trained_on(given.pairs, models), True
    for build, verifier in builds.items():
        pipeline = Pipeline(models, static, verifier, shared=given.shared)
        model = models.verified if verifier else models.static
        for name in SETS:
            if pairs := pairs_of(given.pairs, name, given.qqp if name == "qqp" else 10**6):
                fine &= report(
                    pipeline, model, build, name, pairs,
                    trained_on=seen and name in model.crossed, errors=given.errors,
                )  # fmt: skip
    raise SystemExit(0 if fine else 1)


if __name__ == "__main__":
    main()
