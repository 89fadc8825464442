"""The decision about pairs, as `cache calibrate` makes it, is that of the proxy."""

from collections.abc import Mapping

import pytest

from proxy.cache.near.combiner import shipped
from proxy.cache.near.judge import Judge, Neighbour, read
from proxy.cache.near.offline import Decider, Undecided, open_deciders
from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import EmbedderFailed
from tests.embedding.fakes import Scripted

NONE, FULL = ({"careful": score, "balanced": score} for score in (0.0, 1.0))


@pytest.fixture(scope="module")
def builtin() -> Builtin:
    return Builtin()


@pytest.fixture(scope="module")
def decider(builtin: Builtin) -> Decider:
    return Decider("builtin", shipped(), builtin, None)


@pytest.mark.parametrize(
    ("kept", "asked", "scores"),
    [
        ("How do I cook rice?", "how do I cook rice", FULL),  # equal keys
        ("Wie koche ich Reis?", "Wie  koche ich Reis?", FULL),
        ("Wie koche ich Reis?", "Wie kocht man Reis?", NONE),  # near, but no English
        ("Convert 5 miles to km", "Convert 50 miles to km", NONE),  # a guard
        ("What is the latest iPhone?", "what is the latest iPhone", NONE),  # of today
        ("", "", NONE),
    ],
)
async def test_rules_come_before_any_score(
    decider: Decider, kept: str, asked: str, scores: Mapping[str, float]
) -> None:
    assert await decider.scores(kept, asked) == scores


async def test_what_no_rule_decides_has_the_score_of_the_judge(
    decider: Decider, builtin: Builtin
) -> None:
    kept, asked = "How do I reset my router?", "What's the way to reset a router?"
    one, other = builtin.vectors([asked, kept])
    judge = Judge(shipped(), "careful", verified=False)

    scores = await decider.scores(kept, asked)

    found = Neighbour("kept", kept, float(one @ other))
    assert scores["careful"] == (await judge.weigh(read(asked), [found], None)).score
    assert scores["careful"] >= decider.thresholds["careful"]


async def test_a_verifier_is_asked_only_where_words_give_a_chance(builtin: Builtin) -> None:
    verifier = Scripted(builtin.vectors, dim=256)
    decider = Decider("semantic", shipped(), builtin, verifier)

    await decider.scores("How do I cook rice?", "Who wrote the play Hamlet?")
    unasked = list(verifier.asked)
    await decider.scores("How do I reset my router?", "What's the way to reset a router?")

    assert not unasked
    assert verifier.asked


async def test_an_embedder_that_fails_is_told_as_such(builtin: Builtin) -> None:
    def fail(_: object) -> None:
        raise EmbedderFailed("out of order")

    decider = Decider("builtin", shipped(), Scripted(fail), None)  # type: ignore[arg-type]

    with pytest.raises(Undecided, match="out of order"):
        await decider.scores("How do I reset my router?", "What's the way to reset a router?")


async def test_the_smallest_build_is_always_there() -> None:
    async with open_deciders() as deciders:
        builds = [decider.build for decider in deciders.all]

    assert builds[0] == "builtin"
    assert {*builds, *deciders.lacking} == {"builtin", "semantic"}
