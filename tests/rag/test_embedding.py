"""The embedder as stores want it, and what its cosines are worth."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import EmbedderFailed, Vectors
from proxy.rag.embedding import embeds, likely
from proxy.stores.protocols import StoreFailed
from tests.fakes import FakeClock

COSINES = st.floats(-1.0, 1.0)


class Slow:
    """An embedder that takes a second a text, by the clock."""

    name, dim, max_tokens, fingerprint = "slow", 2, 512, "f"

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Vectors:
        if "bad" in texts:
            raise EmbedderFailed("it does not answer")
        self.asked += texts
        self._clock.advance(len(texts))
        return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


@given(COSINES, COSINES)
def test_what_is_nearer_is_likelier(one: float, other: float) -> None:
    low, high = sorted((one, other))

    assert 0.0 <= likely(low) <= likely(high) <= 1.0


def test_the_usual_bar_stands_at_a_cosine_of_four_tenths() -> None:
    assert likely(0.39) < 0.6 < likely(0.41)


async def test_a_question_is_remembered_and_timed_and_passages_are_not() -> None:
    clock, heard = FakeClock(), list[float]()
    slow = Slow(clock)
    remembering = Remembering(slow)
    ready = embeds(lambda: remembering, clock, heard.append)()
    assert ready is not None

    for _ in range(2):
        await ready.embed(["one passage", "another"])
        await ready.embed(["a question"])

    assert slow.asked == ["one passage", "another", "a question", "one passage", "another"]
    assert heard == [1.0, 0.0]
    assert (ready.fingerprint, ready.dim) == ("f", 2)


async def test_what_cannot_be_embedded_is_a_failure_of_the_store() -> None:
    clock = FakeClock()
    failed_too = list[None]()
    ready = embeds(lambda: Slow(clock), clock, on_failed=lambda: failed_too.append(None))()
    assert ready is not None

    with pytest.raises(StoreFailed, match="does not answer") as failed:
        await ready.embed(["bad"])

    assert not failed.value.sent
    assert len(failed_too) == 1


def test_while_there_is_no_embedder_there_is_none_for_the_store() -> None:
    assert embeds(lambda: None, FakeClock())() is None
