"""The ways to count signs that differ, for tests that are to hold for each."""

import os
from typing import Final

import pytest

from proxy.stores.vectors_faiss import by_faiss
from proxy.stores.vectors_signs import NUMPY, Counting

WAYS: Final = ("numpy", "faiss")


def counting_by(way: str) -> Counting:
    """That one; skips the test where it is not installed."""
    if way == "numpy":
        return NUMPY
    counting = by_faiss()
    if counting is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("faiss-cpu is not installed, and REQUIRE_SERVICES is 1")
        pytest.skip("faiss-cpu is not installed")
    return counting
