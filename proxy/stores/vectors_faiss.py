"""Signs counted by faiss, where it is installed: several times as fast as by numpy.

Of faiss we use only what compares bits. Its indexes would have to follow what comes, dies and is
written anew; and which of equals they find is their own affair.
"""

import logging
from importlib import import_module
from typing import Final

import numpy as np

from proxy.stores.vectors_signs import NUMPY, Counting, Counts, Words

_AT_ONCE: Final = 2**19

_log = logging.getLogger(__name__)


def by_faiss() -> Counting | None:
    """None where it is not there, or does not count as we do. Slow at first: it is loaded."""
    try:
        faiss = import_module("faiss")
        hammings, pointer = faiss.hammings, faiss.swig_ptr
    except (ImportError, OSError, AttributeError) as error:
        _log.debug("vectors are compared without faiss: %s", error)
        return None

    def differing(signs: Words, others: Words, found: Counts) -> None:
        rows, counts = signs.T, np.empty(len(found), np.int32)  # rows without gaps
        ours, theirs = others.view(np.uint8), rows.view(np.uint8).reshape(-1)
        hammings(pointer(ours), pointer(theirs), 1, len(rows), len(ours), pointer(counts))
        found[:] = counts

    counting = Counting("faiss", "F", _AT_ONCE, differing)
    if not _counts_right(counting):
        _log.warning("vectors are compared without faiss: it counts otherwise than we do")
        return None
    return counting


def fastest() -> Counting:
    """The fastest way that there is here; see `by_faiss`."""
    return by_faiss() or NUMPY


def _counts_right(counting: Counting) -> bool:
    """Whether it counts as numpy does: what is called is no promise of faiss."""
    words = np.random.default_rng(1).integers(2**64, size=(5, 100), dtype=np.uint64)
    signs, others = np.asarray(words[:, 1:], order=counting.order), words[:, 0].copy()
    found, right = np.zeros((2, 99), np.uint16)
    counting.differing(signs, others, found)
    NUMPY.differing(signs, others, right)
    return bool((found == right).all())
