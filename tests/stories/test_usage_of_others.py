"""Providers other than Groq state usage only when asked; clients see what they asked for."""

import pytest

from tests.stories.conftest import Opener
from tests.stories.raw import DONE, EVENTS, LAST, USAGE, Line, event, raw, said, stopped
from tests.stories.reading import events_of


@pytest.mark.parametrize(
    ("options", "sent", "seen"),
    [
        ({}, {"include_usage": True}, False),
        ({"stream_options": None}, {"include_usage": True}, False),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}, False),
        ({"stream_options": {"more": 1}}, {"include_usage": True}, False),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}, True),
    ],
)
async def test_usage_is_asked_for_and_shown_only_to_who_wanted_it(
    opener: Opener, options: dict[str, object], sent: dict[str, object], seen: bool
) -> None:
    async def script(line: Line) -> None:
        usage = event({"choices": [], "usage": USAGE})
        await line.say(EVENTS, said("one"), stopped(), usage, DONE, LAST)

    async with raw(script) as provider:
        keys = [{"name": "g", "value": "AIza-test-key"}]
        providers = {"gemini": {"base_url": provider.url, "keys": keys}}
        knobs = {"default_provider": "gemini", "default_model": "gemini-3.5-flash-lite"}
        async with opener(providers=providers, **knobs) as house:
            events = await events_of(await house.chat("gemini-x", stream=True, **options))
            await house.calls_closed()

    assert provider.lines[0].body["stream_options"] == sent
    assert any(e != "[DONE]" and e["choices"] == [] for e in events) is seen
    flight = house.seen.flights[0]
    assert flight.summary.usage is not None
    assert flight.summary.usage.exact
    assert flight.summary.usage.prompt == USAGE["prompt_tokens"]


async def test_groq_is_never_asked_for_what_it_says_anyway(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), stopped(usage=USAGE), DONE, LAST)

    async with raw(script) as provider, opener(groq={"base_url": provider.url}) as house:
        await events_of(await house.chat(stream=True))

    assert "stream_options" not in provider.lines[0].body
