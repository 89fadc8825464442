"""What other models than asked save or cost, and what is wasted: told everywhere alike."""

from typing import Any

import pytest

from proxy.access.usage import Reader, Usage
from proxy.core.money import usd_text
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.money import (
    LARGE,
    LITE,
    SMALL,
    ask,
    balance,
    cost_at,
    dollars,
    eventually,
    in_dollars,
    streamed,
)
from tests.stories.raw import EVENTS, Line, Script, raw, whole
from tests.stories.test_budgets import PROMPT, QUESTION, answer

GEMINI = [{"name": "g", "value": "AIzaTest"}]
MODELS = {
    "down": {"targets": [f"groq/{LARGE}", f"groq/{SMALL}"]},
    "up": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"]},
    "away": {"targets": [f"groq/{LARGE}", f"gemini/{LITE}"]},
    "same": {"targets": [f"groq/{SMALL}", "groq/openai/gpt-oss-safeguard-20b"]},
    "unpriced": {"targets": ["groq/who/knows", f"groq/{SMALL}"]},
}
BROKEN = whole({"error": {"message": "oops"}}, "500 Oops")
TIMES = {"first_byte_s": 0.25, "idle_s": 0.25}  # the rest is long enough for another try


def failing(first: bytes | None) -> Script:
    """A provider whose first request ends so (None: never), and whose others go well."""

    async def script(line: Line) -> None:
        if line.number > 1:
            await line.say(*(streamed(100, 7) if line.body.get("stream") else [answer(100, 7)]))
        elif first is None:
            await line.until_left()
        else:
            await line.say(first)
            line.close()

    return script


def opened(opener: Opener, url: str, **knobs: Any) -> Any:
    """A house whose calls may go elsewhere; they all go to the provider at `url`."""
    groq = {"base_url": url, "keys": [{"name": "k", "value": "gsk_test"}], "timeouts": TIMES}
    gemini = {"base_url": url, "keys": GEMINI}
    return opener(
        **{"providers": {"groq": groq, "gemini": gemini}, "models": MODELS, "retries": 1, **knobs}
    )


async def used(house: House, calls: int = 1) -> Usage:
    """What the books tell when they have counted so many calls."""
    reader = Reader(house.app.state.stores.books)

    async def counted() -> bool:
        return (await reader.usage(0, "model", "UTC")).total.calls == calls

    await house.calls_closed(calls)
    await house.app.state.till.drain()
    await eventually(counted)
    return await reader.usage(0, "model", "UTC")


async def told(house: House) -> dict[str, int]:
    """What the metrics tell, in nano-dollars."""
    names = ("cost_usd", "wasted_usd", "fallback_saved_usd", "fallback_extra_usd")
    return {name: round(await house.metric(f"{name}_total") * 10**9) for name in names}


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize(
    ("model", "asked", "served"),
    [
        ("down", f"groq/{LARGE}", f"groq/{SMALL}"),
        ("up", f"groq/{SMALL}", f"groq/{LARGE}"),
        ("away", f"groq/{LARGE}", f"gemini/{LITE}"),
    ],
)
async def test_another_model_costs_its_own_price_and_saves_the_difference(
    opener: Opener, model: str, asked: str, served: str, hard: bool
) -> None:
    budgets = {"global": ["1 USD/total" if hard else "1 USD/total soft"]}
    async with (
        raw(failing(BROKEN)) as provider,
        opened(opener, provider.url, budgets=budgets) as house,
    ):
        response = await ask(house, model=model)

        cost, listed = cost_at(served, 100, 7), cost_at(asked, 100, 7)
        assert response.headers["x-proxy-served-by"] == served
        assert response.headers["x-proxy-cost-usd"] == usd_text(cost)
        total = (await used(house)).total
        assert (total.cost, total.listed, total.saved, total.wasted) == (
            *(cost, listed, listed - cost),
            0,
        )
        assert await told(house) == {
            "cost_usd": cost,
            "wasted_usd": 0,
            "fallback_saved_usd": max(0, listed - cost),
            "fallback_extra_usd": max(0, cost - listed),
        }
        assert (await balance(house)).settled == cost


async def test_a_model_at_the_same_price_saves_nothing(opener: Opener) -> None:
    async with raw(failing(BROKEN)) as provider, opened(opener, provider.url) as house:
        response = await ask(house, model="same")

        cost = cost_at(f"groq/{SMALL}", 100, 7)
        assert response.headers["x-proxy-attempts"] == "2"
        total = (await used(house)).total
        assert (total.cost, total.listed, total.saved, total.wasted) == (cost, cost, 0, 0)


async def test_what_has_no_price_cannot_be_saved(opener: Opener) -> None:
    async with raw(failing(BROKEN)) as provider, opened(opener, provider.url) as house:
        await ask(house, model="unpriced")

        cost = cost_at(f"groq/{SMALL}", 100, 7)
        total = (await used(house)).total
        assert (total.cost, total.listed, total.saved, total.wasted) == (cost, cost, 0, 0)


async def test_a_timeout_before_another_answered_is_wasted_and_told_in_the_cost_of_the_call(
    opener: Opener,
) -> None:
    async with (
        raw(failing(None)) as provider,
        opened(opener, provider.url, budgets={"global": ["1 USD/total"]}) as house,
    ):
        response = await ask(house, model="down", stream=True)
        text = await response.text()

        wasted = cost_at(f"groq/{LARGE}", PROMPT, 0)
        cost, listed = cost_at(f"groq/{SMALL}", 100, 7), cost_at(f"groq/{LARGE}", 100, 7)
        assert text.endswith("data: [DONE]\n\n")
        assert response.headers["x-proxy-served-by"] == f"groq/{SMALL}"
        total = (await used(house)).total
        assert (total.cost, total.wasted, total.listed) == (wasted + cost, wasted, listed)
        assert total.saved == listed - cost  # what was wasted is no part of it
        metric = await house.metric("wasted_usd_total", reason="timeout", model=LARGE)
        assert metric == pytest.approx(in_dollars(wasted))
        assert (await balance(house)).settled == wasted + cost


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_that_bought_nothing_is_wasted(opener: Opener, stream: bool) -> None:
    cut = EVENTS if stream else answer(100, 7)[:-20]
    async with (
        raw(failing(cut)) as provider,
        opened(opener, provider.url, budgets={"global": ["1 USD/total"]}) as house,
    ):
        response = await ask(house, stream=stream)
        await response.read()

        wasted = cost_at(f"groq/{SMALL}", -(-len(QUESTION) // 4) + 4, 0)  # by our own count
        cost = cost_at(f"groq/{SMALL}", 100, 7)
        assert len(provider.lines) == 2
        assert response.status == 200
        if not stream:
            assert response.headers["x-proxy-cost-usd"] == usd_text(wasted + cost)
        total = (await used(house)).total
        assert (total.cost, total.wasted, total.listed, total.saved) == (
            *(wasted + cost, wasted),
            *(cost, 0),
        )
        assert total.requests == 2
        assert await house.metric("wasted_usd_total") == pytest.approx(in_dollars(wasted))


async def test_a_stream_tells_in_its_trailer_what_all_its_requests_cost(opener: Opener) -> None:
    async with raw(failing(EVENTS)) as provider, opened(opener, provider.url) as house:
        body = {
            "model": SMALL,
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": True,
        }
        async with house.session.post(
            f"{house.url}/v1/chat/completions", json=body, headers={"x-proxy-trailer": "on"}
        ) as response:
            text = await response.text()

        total = (await used(house)).total
        assert total.wasted > 0
        assert f'"cost_usd": {usd_text(total.cost)},' in text


async def test_where_no_money_is_left_for_a_dearer_model_the_failure_is_told(
    opener: Opener,
) -> None:
    at_most = cost_at(f"groq/{SMALL}", PROMPT, 50)
    async with (
        raw(failing(BROKEN)) as provider,
        opened(opener, provider.url, budgets={"global": [dollars(at_most, "total")]}) as house,
    ):
        response = await ask(house, model="up")

        assert response.status == 502
        assert len(provider.lines) == 1  # the dearer one was never asked
        await house.app.state.till.drain()
        held = await balance(house)
        assert (held.settled, held.reserved) == (0, 0)


async def test_a_call_that_nobody_answered_saved_nothing(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7)[:-20])
        line.close()

    async with (
        raw(script) as provider,
        opened(opener, provider.url, budgets={"global": ["1 USD/total"]}) as house,
    ):
        response = await ask(house, model="down")

        assert response.status == 502
        total = (await used(house)).total
        assert response.headers["x-proxy-cost-usd"] == usd_text(total.cost)
        assert total.cost == total.wasted > 0
        assert (total.listed, total.saved, total.errors) == (0, 0, 1)
