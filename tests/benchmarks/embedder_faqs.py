"""Questions of three FAQs, to be found among passages of manuals: what RAG asks of an embedder.

The FAQ pages of Python, Django and SQLite are kept away from training, and so is PostgreSQL's
manual. Their other pages were learned from.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import Vectors
from tests.training.embedder_manuals import manuals, sections

_PASSAGE_CHARACTERS = 700
_SHORTEST = 60
_TOP = 3
_OTHERS = 640  # passages of PostgreSQL's manual, and as many of the three others
_FAQS = (
    "python3.11-doc/usr/share/doc/python3.11/html/faq",
    "python-django-doc/usr/share/doc/python-django-doc/html/faq",
)
_SQLITE = "sqlite3-doc/usr/share/doc/sqlite3/faq.html"
_POSTGRESQL = "postgresql-doc-15/usr/share/doc/postgresql-doc-15/html"
_SQLITE_ITEM = re.compile(
    r"<p><b>\(\d+\) (?P<question>.+?)</b></p>\s*<blockquote>(?P<answer>.+?)</blockquote>", re.DOTALL
)
_WORD = re.compile(r"\w+")


def recall(embedder: Builtin, shelf: Path) -> tuple[float, float]:
    """Per cent of the questions whose passage is in the top 3: by vectors, and with BM25 added.

    `shelf` holds the unpacked packages. Both scores count in standard deviations over all
    passages of a question.
    """
    asked = list(_questions(shelf))
    passages = [passage for _, passage in asked] + _others(shelf)
    near = embedder.vectors([question for question, _ in asked]) @ embedder.vectors(passages).T
    words = _bm25([question for question, _ in asked], passages)
    return _found(near), _found(_standard(near) + _standard(words))


def _questions(shelf: Path) -> Iterator[tuple[str, str]]:
    seen = set()
    for folder in _FAQS:
        for page in sorted((shelf / folder).glob("*.html")):
            for section in sections(page):
                passage = section.passage(_PASSAGE_CHARACTERS)
                fresh = section.title not in seen and passage not in seen
                if section.title.endswith("?") and len(passage) >= _SHORTEST and fresh:
                    seen |= {section.title, passage}
                    yield section.title, passage
    for item in _SQLITE_ITEM.finditer((shelf / _SQLITE).read_text(encoding="utf-8")):
        question, answer = (
            " ".join(re.sub(r"<[^>]+>", " ", part).split()) for part in item.groups()
        )
        yield question, answer[:_PASSAGE_CHARACTERS]


def _others(shelf: Path) -> list[str]:
    dice = Random(7)
    postgres = [s for page in sorted((shelf / _POSTGRESQL).glob("*.html")) for s in sections(page)]
    folders = {folder.name: folder for folder in shelf.iterdir()}
    chosen = []
    for found in (postgres, list(manuals(folders))):
        passages = {section.passage(_PASSAGE_CHARACTERS) for section in found}
        long = sorted(passage for passage in passages if len(passage) >= 3 * _SHORTEST)
        chosen += dice.sample(long, _OTHERS)
    return chosen


def _found(scores: NDArray[np.float64] | Vectors) -> float:
    own = np.diagonal(scores)[:, None]
    return 100 * float(((scores > own).sum(1) < _TOP).mean())


def _standard(scores: NDArray[np.float64] | Vectors) -> NDArray[np.float64]:
    spread = scores.std(1, keepdims=True)
    made: NDArray[np.float64] = (scores - scores.mean(1, keepdims=True)) / np.where(
        spread, spread, 1
    )
    return made


def _bm25(questions: Sequence[str], passages: Sequence[str]) -> NDArray[np.float64]:
    """Robertson's BM25 with k1 = 1.2 and b = 0.75."""
    bags = [Counter(_WORD.findall(passage.lower())) for passage in passages]
    lengths = np.array([bag.total() for bag in bags])
    weight = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
    within = Counter(word for bag in bags for word in bag)
    scores = np.zeros((len(questions), len(passages)))
    for row, question in enumerate(questions):
        for word in set(_WORD.findall(question.lower())) & within.keys():
            rare = math.log(1 + (len(bags) - within[word] + 0.5) / (within[word] + 0.5))
            counts = np.array([bag[word] for bag in bags])
            scores[row] += rare * counts * 2.2 / (counts + weight)
    return scores
