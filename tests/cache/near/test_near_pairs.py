"""Near questions that are others are never served, and most of those that are the same are."""

import pytest

from proxy.cache.near.canonical import canonical
from proxy.cache.near.combiner import shipped
from proxy.cache.near.judge import Judge, Neighbour, read, same
from proxy.embedding.builtin import Builtin
from tests.cache.near.near_pairs import ALIKE, OTHERS, rows

_MOST_LOST = 0.15  # of the pairs in other clothes


@pytest.fixture(scope="module")
def judges() -> list[Judge]:
    return [Judge(shipped(), profile, verified=False) for profile in ("careful", "balanced")]


@pytest.fixture(scope="module")
def builtin() -> Builtin:
    return Builtin()


async def served(judge: Judge, builtin: Builtin, kept: str, asked: str) -> bool:
    """Whether the answer to `kept` would be served to `asked`."""
    ours, theirs = read(asked), read(kept)
    if canonical(ours) == canonical(theirs) and await same(ours, theirs):
        return True
    one, other = builtin.vectors([asked, kept])
    opinion = await judge.weigh(ours, [Neighbour("kept", kept, float(one @ other))], None)
    return bool(opinion.entry) and opinion.score >= judge.threshold


@pytest.mark.parametrize(("a", "b", "why"), rows(OTHERS))
async def test_another_question_is_not_served(
    judges: list[Judge], builtin: Builtin, a: str, b: str, why: str
) -> None:
    for judge in judges:
        assert not await served(judge, builtin, a, b), why
        assert not await served(judge, builtin, b, a), why


async def test_most_questions_in_other_clothes_are_served(
    judges: list[Judge], builtin: Builtin
) -> None:
    pairs = rows(ALIKE)

    lost = [(a, b) for a, b in pairs if not await served(judges[-1], builtin, a, b)]

    assert len(lost) <= _MOST_LOST * len(pairs), lost
