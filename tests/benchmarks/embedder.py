"""The command: `python -m tests.benchmarks.embedder`. Is the built-in embedder good and quick?

Prints each target beside what was measured. Quality is measured on the pairs in `--data` (made
for judging a semantic cache), and on the FAQs of three manuals where `--manuals` names the folder
that `python -m tests.training.embedder` keeps its packages in. What is absent is "not measured".
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.builtin import Builtin
from proxy.embedding.minilm import Minilm
from proxy.embedding.protocol import EmbedderFailed, Vectors
from proxy.embedding.weights import SHIPPED
from tests.benchmarks.embedder_faqs import recall

DATA = Path("../shared/data/semantic_cache")
_QUERIES = 3000
_TOP = 8
_SEED = 7
_WORDS = [
    *("how", "can", "i", "find", "out", "which", "of", "the", "old", "files", "in", "my", "home"),
    *("folder", "have", "not", "been", "opened", "since", "summer"),
]
_ACCENTED = [*_WORDS[:-1], "été"]


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table: what must be reached, and what was."""

    what: str
    must: float
    measured: float | None
    unit: str = "%"
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it was reached; `None` when nobody measured."""
        if self.measured is None:
            return None
        return self.measured <= self.must if self.at_most else self.measured >= self.must


def main() -> int:
    """Measure and print; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--manuals", type=Path, default=None)
    parser.add_argument("--weights", type=Path, default=SHIPPED)
    parser.add_argument("--no-teacher", action="store_true", help="spares some minutes")
    args = parser.parse_args()
    return report(args.weights, args.data, args.manuals, teacher=not args.no_teacher)


def report(weights: Path, data: Path, manuals: Path | None, *, teacher: bool) -> int:
    """Print the table of `weights`; 1 when a target was missed."""
    targets = costs(weights)
    embedder = Builtin(weights)
    if data.is_dir():
        targets += quality(embedder, data, teacher=teacher)
    else:
        sys.stdout.write(f"no pairs in {data}: quality is not measured (see --data)\n")
    alone, joined = recall(embedder, manuals) if manuals else (None, None)
    targets.append(Target("questions find their passage, top 3", 68, alone))
    targets.append(Target("the same with BM25", 73, joined))
    for target in targets:
        measured = "-" if target.measured is None else f"{target.measured:.3f}".rstrip("0")
        verdict = {None: "not measured", True: "ok", False: "MISSED"}[target.met]
        sign = "<=" if target.at_most else ">="
        sys.stdout.write(
            f"{target.what:44} {sign} {target.must:6g} {target.unit:2}"
            f" {measured.rstrip('.'):>9}  {verdict}\n"
        )
    sys.stdout.write(f"fingerprint {embedder.fingerprint}\n")
    return int(any(target.met is False for target in targets))


def costs(weights: Path) -> list[Target]:
    """What the embedder takes: bytes, and time of one core."""
    load_s = min(_timed(lambda: Builtin(weights)) for _ in range(5))
    embedder = Builtin(weights)
    long, accented = " ".join(_WORDS * 15), " ".join(_ACCENTED * 15)
    return [
        Target("file", 4.5, weights.stat().st_size / 1e6, "MB", at_most=True),
        Target("load", 50, load_s * 1e3, "ms", at_most=True),
        Target("20 words", 60, _median_us(embedder, " ".join(_WORDS)), "us", at_most=True),
        Target("300 words", 1000, _median_us(embedder, long), "us", at_most=True),
        Target("300 words with accents", 1000, _median_us(embedder, accented), "us", at_most=True),
    ]


def quality(embedder: Builtin, data: Path, *, teacher: bool) -> list[Target]:
    """How well it finds the other wording, and how closely it follows its teacher."""
    pairs = {name: _pairs(data / f"{name}_pairs.jsonl") for name in ("handmade", "template", "qqp")}
    texts = list(dict.fromkeys(t for some in pairs.values() for a, b, _ in some for t in (a, b)))
    place = {text: row for row, text in enumerate(texts)}
    vectors = embedder.vectors(texts)

    def found(name: str) -> float:
        alike = [(place[a], place[b]) for a, b, same in pairs[name] if same]
        if len(alike) > _QUERIES:
            chosen = np.random.default_rng(_SEED).choice(len(alike), _QUERIES, replace=False)
            alike = [alike[i] for i in chosen]
        return 100 * sum(_rank(vectors, b, a) < _TOP for a, b in alike) / len(alike)

    judged = [(place[a], place[b]) for a, b, _ in pairs["qqp"]]
    return [
        Target("right seed in the top 8, Quora", 84, found("qqp")),
        Target("right seed in the top 8, hand-made", 98, found("handmade")),
        Target("right seed in the top 8, templates", 60, found("template")),
        Target(
            "rank correlation with the teacher, Quora",
            0.87,
            _agreement(texts, vectors, judged) if teacher else None,
            "",
        ),
        Target(
            "texts cut otherwise than by `tokenizers`",
            0,
            _cut_otherwise(embedder, texts),
            "",
            at_most=True,
        ),
    ]


def _agreement(
    texts: Sequence[str], vectors: Vectors, pairs: Sequence[tuple[int, int]]
) -> float | None:
    try:
        minilm = Minilm()
    except EmbedderFailed as error:
        sys.stdout.write(f"no teacher to compare with: {error}\n")
        return None
    needed = sorted({row for pair in pairs for row in pair})
    taught = np.zeros((len(texts), minilm.dim), np.float32)
    taught[needed] = minilm.vectors([texts[row] for row in needed])
    minilm.close()
    left, right = (np.array(rows) for rows in zip(*pairs, strict=True))
    ours, theirs = ((each[left] * each[right]).sum(1) for each in (vectors, taught))
    return float(np.corrcoef(_ranks(ours), _ranks(theirs))[0, 1])


def _cut_otherwise(embedder: Builtin, texts: Sequence[str]) -> float | None:
    try:
        tokenizers = import_module("tokenizers")
    except ImportError:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as vocabulary:
        vocabulary.write("\n".join(embedder.words.pieces) + "\n")
        vocabulary.flush()
        reference = tokenizers.BertWordPieceTokenizer(vocabulary.name, lowercase=True)
    encoded = reference.encode_batch(list(texts), add_special_tokens=False)
    cut = zip(texts, encoded, strict=True)
    return float(sum(embedder.words.numbers(text) != theirs.ids for text, theirs in cut))


def _pairs(path: Path) -> list[tuple[str, str, bool]]:
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [(line["a"], line["b"], line["same"]) for line in lines]


def _rank(vectors: Vectors, query: int, wanted: int) -> int:
    near = vectors @ vectors[query]
    near[query] = -2.0
    return int((near > near[wanted]).sum())


def _ranks(values: NDArray[np.float32]) -> NDArray[np.int64]:
    return np.argsort(np.argsort(values))


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _median_us(embedder: Builtin, text: str) -> float:
    texts = [text]
    return statistics.median(_timed(lambda: embedder.vectors(texts)) for _ in range(2000)) * 1e6


if __name__ == "__main__":
    raise SystemExit(main())
