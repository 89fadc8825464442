"""A provider that puts what is right in other words each time stops nothing; one that errs does."""

import re
from pathlib import Path
from random import Random

import pytest

from proxy.cache.bins import CANONICAL
from proxy.cache.texts import Compared
from proxy.core.call import JsonObject
from proxy.stores.protocols import Finding
from tests.conftest import House
from tests.stories.raw import Line, whole
from tests.stories.test_cache import completion
from tests.stories.test_semantic import CLOTHED, ROUTER, ask, word
from tests.stories.test_semantic_evidence import audited, found, judged, seen

THINGS = {
    "router": ("Hold the reset button for ten seconds.", "Press reset for ten seconds and wait."),
    "oven": ("Heat it to 200 degrees and wipe it.", "Bring it to 200 degrees, then wipe it."),
    "printer": ("Open the lid and pull the paper out.", "Lift the lid, and pull out the paper."),
    "kettle": ("Boil vinegar in it, then rinse it.", "Rinse it after boiling vinegar in it."),
    "phone": ("Hold both buttons for a moment.", "Press the two buttons for a short while."),
    "laptop": ("Open the settings and choose recovery.", "Choose recovery in the settings."),
    "camera": ("Take the battery out for a minute.", "Remove its battery for one minute."),
    "clock": ("Turn the small wheel at the back.", "At its back, turn the small wheel."),
}
WORDINGS = (
    "How do I reset my {} to factory settings?",
    "How can I reset my {} to factory settings?",
    "What is the way to reset my {} to factory settings?",
    "How do I restore my {} to factory settings?",
    "how do I reset my {} back to factory settings",
    "Please tell me how to reset my {} to factory settings.",
)
_THING = re.compile("|".join(THINGS))


class Fluent:
    """Says one of three right things about each, at random."""

    def __init__(self) -> None:
        self._chance = Random(5)

    async def __call__(self, line: Line) -> None:
        asked = _THING.search(line.body["messages"][-1]["content"])
        assert asked is not None
        one, other = THINGS[asked[0]]
        third = f"To reset a {asked[0]}: {one}"
        said = self._chance.choice([one, other, third])
        await line.say(whole(completion(content=said)))


class Severe:
    """Finds all answers wrong, unless they are the same."""

    async def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        is_same = kept["choices"] == fresh["choices"]
        return Compared(Finding.RIGHT if is_same else Finding.WRONG, "")


async def near_hits(house: House) -> list[bool]:
    """Ask everything in each wording; which of the rewordings were answered by meaning."""
    told = []
    for thing in THINGS:
        await ask(house, WORDINGS[0].format(thing))
        for wording in WORDINGS[1:]:
            told.append(await word(house, wording.format(thing)) == "semantic")
            await audited(house)
    return told


async def test_a_provider_that_words_it_otherwise_each_time_goes_on_being_cached(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, audit=1, max_error=0.01, profile="careful") as (house, provider, _):
        provider.script = Fluent()

        told = await near_hits(house)

        assert sum(told[len(told) // 2 :]) >= 0.6 * len(told) / 2
        assert await found(house, "unsure") > 0
        assert await found(house, "mismatch") <= 2  # "both buttons" are taken for no two


async def test_a_provider_that_says_other_things_stops_what_is_near(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1, max_error=0.01, profile="careful") as (house, provider, _):
        workshop = house.app.state.nearness.workshop
        tools = workshop.tools() if workshop else None
        assert tools is not None
        tools.audits._comparer = Severe()

        async def literal(line: Line) -> None:
            asked = line.body["messages"][-1]["content"]
            await line.say(whole(completion(content=f"You asked {asked!r}")))

        provider.script = literal

        told = await near_hits(house)

        assert any(told[:5])
        assert not any(told[len(told) // 2 :])
        assert await found(house, "mismatch") >= 2


@pytest.mark.parametrize("limit", [None, "0.000001"])
async def test_equal_keys_are_served_once_what_was_found_of_them_is_known(
    tmp_path: Path, limit: str | None
) -> None:
    headers = {"x-proxy-max-error": limit} if limit else {}
    async with judged(tmp_path, max_error=0.1) as (house, _, _):
        await ask(house, ROUTER)
        await seen(house, right=20, wrong=0 if limit else 20, bin=CANONICAL)
        nearness = house.app.state.nearness
        assert nearness.canonical is not None
        nearness.canonical._known = False  # as at a start

        expected = "miss;why=learning" if limit else "miss;why=errors"
        assert await word(house, CLOTHED, headers=headers) == expected
