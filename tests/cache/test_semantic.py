"""The semantic tier alone: what it finds for whom, and that it never fails a call."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.filing import Filing
from proxy.cache.kept import About, Kept
from proxy.cache.quarantine import Quarantine
from proxy.cache.semantic import Asked, Semantic, asked_of
from proxy.core.call import Target
from proxy.core.journal import NearRecord
from proxy.stores.protocols import Eviction, StoreFailed, Value, ValueStats
from tests.fakes import FakeClock
from tests.stores.vectors_model import ModelVectors

ROUTER = "How do I reset my router to factory settings?"
CLOTHED = "how do i reset my router to factory settings"
HOUR_S = 3600.0


class ListedValues:
    """Keeps `Values` in memory; `failing` puts them out of reach."""

    def __init__(self, clock: FakeClock) -> None:
        self.failing = False
        self.evicted: Mapping[Eviction, int] = {}
        self._clock = clock
        self._kept: dict[str, Value] = {}

    async def get(self, key: str) -> Value | None:
        self._reach()
        value = self._kept.get(key)
        return value if value and value.expires_at > self._clock.wall() else None

    async def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self._reach()
        now = self._clock.wall()
        self._kept[key] = Value(value, now, now + ttl_s)

    async def delete(self, key: str) -> bool:
        self._reach()
        return self._kept.pop(key, None) is not None

    async def purge(self, *, stored_before: float | None = None) -> int:
        raise NotImplementedError

    async def stats(self) -> ValueStats:
        raise NotImplementedError

    async def tidy(self) -> None:
        """Nothing is ever overdue."""

    def resize(self, max_bytes: int) -> None:
        """There is room for all."""

    def _reach(self) -> None:
        if self.failing:
            raise StoreFailed("the disk is full")


class Tier:
    """A tier whose embedders never load, so that only equal keys are found."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.values = ListedValues(self.clock)
        self.troubles: list[str] = []
        self.quarantine = Quarantine(self._take_out, self.troubles.append)
        self.filing = Filing()
        self.semantic = Semantic(
            self.values,
            ModelVectors(self.clock),
            lambda: None,
            self.quarantine,
            self.filing,
            self.clock,
            on_trouble=self.troubles.append,
        )

    async def _take_out(self, entries: Sequence[str]) -> None:
        for entry in entries:
            await self.values.delete(entry)

    async def keep(self, asked: Asked, entry: str) -> None:
        """Keep an answer that says who was asked what."""
        answer = told(f"{asked.scope} {asked.partition} {asked.text}")
        about = About(
            *(asked.scope, asked.partition, asked.text),
            *(Target("groq", "m"), None, "stop", (), 1.0),
        )
        kept = Kept(about, orjson.dumps(answer))
        await self.values.put(entry, kept.written(), HOUR_S)
        await self.semantic.keep(asked, entry, answer, HOUR_S)

    async def found(self, asked: Asked) -> str:
        """The entry that answers, or why none does."""
        found, why = await self.semantic.find(asked, NearRecord())
        return found.entry if found else why


def told(content: str | None, finish_reason: str = "stop") -> dict[str, object]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}


def asking(
    text: str = ROUTER, scope: str = "ann", partition: str = "p", longest_s: float = HOUR_S
) -> Asked:
    body = {"messages": [{"role": "user", "content": text}]}
    asked = asked_of(body, partition, scope, longest_s, None)
    assert asked is not None
    return asked


async def test_the_same_words_in_other_clothes_are_found_before_anything_is_loaded() -> None:
    tier = Tier()
    await tier.keep(asking(), "e")

    assert await tier.found(asking(CLOTHED)) == "e"
    assert await tier.found(asking("How old is the universe?")) == "embedder"


async def test_what_is_too_old_for_the_caller_is_not_found() -> None:
    tier = Tier()
    await tier.keep(asking(), "e")
    tier.clock.advance(60)

    assert await tier.found(asking(CLOTHED, longest_s=61)) == "e"
    assert await tier.found(asking(CLOTHED, longest_s=59)) == "embedder"


async def test_what_was_taken_out_is_found_no_more_even_when_it_is_kept_again() -> None:
    tier = Tier()
    await tier.keep(asking(), "e")
    await tier.quarantine.take_out(["e"])
    await tier.keep(asking(), "e")

    assert await tier.found(asking(CLOTHED)) == "embedder"


async def test_without_its_store_nothing_is_found_and_nothing_fails() -> None:
    tier = Tier()
    tier.values.failing = True
    record = NearRecord()

    assert await tier.semantic.find(asking(), record) == (None, "store")
    await tier.semantic.keep(asking(), "e", told("Yes."), HOUR_S)

    assert record.result == "error"
    assert tier.troubles == ["near", "near_put"]


async def test_an_entry_without_its_question_is_no_answer() -> None:
    """It was kept again for a caller that wants nothing to be found by meaning."""
    tier = Tier()
    await tier.keep(asking(), "e")
    kept = Kept(About("ann", "p", "", Target("groq", "m"), None, "stop", (), 1.0), b"{}")
    await tier.values.put("e", kept.written(), HOUR_S)

    assert await tier.found(asking(CLOTHED)) == "embedder"


async def test_answers_that_do_something_or_say_nothing_are_not_kept_for_others() -> None:
    for answer in (told(None), told(""), told("Yes", "length")):
        tier = Tier()
        await tier.keep(asking(), "e")
        await tier.values.delete(asking().key)
        await tier.semantic.keep(asking(), "e", answer, HOUR_S)

        assert await tier.found(asking(CLOTHED)) == "embedder"


def test_what_is_no_text_of_fair_length_is_not_asked_by_meaning() -> None:
    for content in (None, "", " ", "x" * 4_001, [{"type": "image_url"}]):
        body = {"messages": [{"role": "user", "content": content}]}
        assert asked_of(body, "p", "ann", HOUR_S, None) is None
    assert asked_of({"messages": []}, "p", "ann", HOUR_S, None) is None


_WHO = st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from(["p", "q"]))
_WHAT = st.sampled_from(
    [ROUTER, CLOTHED, "What is 5!", "What is 5?", "Explain DNS", "What is DNS?", "😀", "👍", "?"]
)


@settings(max_examples=60)
@given(st.lists(st.tuples(_WHO, _WHAT), max_size=30))
def test_no_answer_is_of_another_circle_or_of_other_circumstances(
    calls: list[tuple[tuple[str, str], str]],
) -> None:
    async def play() -> None:
        tier = Tier()
        for (scope, partition), text in calls:
            asked = asking(text, scope, partition)
            found, _ = await tier.semantic.find(asked, NearRecord())
            if found is None:
                await tier.keep(asked, f"{scope} {partition} {text}")
                continue
            assert (found.kept.about.scope, found.kept.about.partition) == (scope, partition)
            assert {found.kept.about.text, text} not in ({"😀", "👍"}, {"What is 5!", "What is 5?"})

    asyncio.run(play())
