"""Money through the whole house: promised before a request goes out, charged when it is over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import orjson
import pytest

from proxy.core.money import NANO, usd_text
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    Line,
    RawProvider,
    chunk,
    event,
    raw,
    said,
    stopped,
    whole,
)
from tests.stories.visitors import visitor

MODEL = "openai/gpt-oss-20b"
INPUT, OUTPUT = 75, 300  # nano-dollars a token of that model
QUESTION = "x" * 20
PROMPT = len(QUESTION) + 16 + 64  # the bound of its tokens


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def answer(prompt: int, completion: int, **more: Any) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "hi"},
        "finish_reason": "stop",
    }
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": MODEL,
        "choices": [choice],
        "usage": usage(prompt, completion),
        **more,
    }
    return whole(orjson.dumps(body))


@asynccontextmanager
async def bank(
    opener: Opener, script: Any, **knobs: Any
) -> AsyncIterator[tuple[House, RawProvider]]:
    async with raw(script) as provider, opener(groq={"base_url": provider.url}, **knobs) as house:
        yield house, provider


async def ask(house: House, **fields: Any) -> Any:
    return await house.chat(MODEL, messages=[{"role": "user", "content": QUESTION}], **fields)


def price(prompt: int, completion: int) -> int:
    return prompt * INPUT + completion * OUTPUT


async def settled(house: House) -> int:
    """What the global budget says of this month, in nano-dollars."""
    return (await _standing(house)).settled


async def _standing(house: House) -> Any:
    standing = house.app.house.spending.standings()[0]
    [balance] = await house.app.state.stores.books.balances([standing.bucket.id])
    return balance


async def test_of_400_calls_at_once_exactly_37_are_served_where_the_budget_is_for_37(
    opener: Opener,
) -> None:
    output = 50
    cost = price(PROMPT, output)

    async def script(line: Line) -> None:
        await line.say(answer(PROMPT, output))

    limits = {"in_flight": 512, "in_flight_per_target": 512}
    budgets = {"global": [f"{usd_text(37 * cost)} USD/month"]}
    async with bank(opener, script, budgets=budgets, limits=limits) as (house, provider):
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="unused", max_retries=0)

        async def call() -> str:
            try:
                await client.chat.completions.create(
                    model=MODEL,
                    messages=[{"role": "user", "content": QUESTION}],
                    max_completion_tokens=output,
                )
            except openai.RateLimitError as error:
                return f"{error.type} {error.code} {'settled' in error.message}"
            return "served"

        async with client:
            ends = await asyncio.gather(*(call() for _ in range(400)))

        assert ends.count("served") == 37
        clear = {f"insufficient_quota budget_{why} True" for why in ("exceeded", "reserved")}
        assert set(ends) <= {"served", *clear}
        assert len(provider.lines) == 37
        balance = await _standing(house)
        assert (balance.settled, balance.reserved) == (37 * cost, 0)
        assert await house.app.state.stores.books.check() == []


async def test_an_answer_tells_what_it_cost_and_what_is_left(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script, budgets={"global": ["1 USD/day"]}) as (house, _):
        response = await ask(house)

        assert response.headers["x-proxy-cost-usd"] == usd_text(price(100, 7))
        assert response.headers["x-proxy-budget-remaining-usd"] == usd_text(NANO - price(100, 7))
        assert "x-proxy-budget-warning" not in response.headers
        assert await settled(house) == price(100, 7)
        assert await house.metric("cost_usd_total", source="reported") == pytest.approx(
            price(100, 7) / NANO
        )


async def test_cost_is_told_without_any_budget_too(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script) as (house, provider):
        response = await ask(house)

    assert response.headers["x-proxy-cost-usd"] == usd_text(price(100, 7))
    assert "x-proxy-budget-remaining-usd" not in response.headers
    assert "x-proxy-max-tokens" not in response.headers
    assert "max_completion_tokens" not in provider.lines[0].body


async def test_under_a_hard_budget_the_cap_that_is_reserved_is_written_upstream(
    opener: Opener,
) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    budgets = {"global": ["1 USD/day"], "default_max_output": 500}
    async with bank(opener, script, budgets=budgets) as (house, provider):
        ours = await ask(house)
        theirs = await ask(house, max_tokens=40)

    assert ours.headers["x-proxy-max-tokens"] == "500"
    assert provider.lines[0].body["max_completion_tokens"] == 500
    assert "x-proxy-max-tokens" not in theirs.headers
    assert provider.lines[1].body["max_tokens"] == 40


async def test_a_soft_budget_warns_and_lets_pass(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    budgets = {"global": [f"{usd_text(price(100, 7))} USD/day soft"]}
    async with bank(opener, script, budgets=budgets) as (house, _):
        first = await ask(house)
        await house.app.state.till.drain()
        second = await ask(house)
        await house.app.state.till.drain()

        assert second.status == 200
        assert "x-proxy-max-tokens" not in first.headers
        assert second.headers["x-proxy-budget-warning"].startswith("global: ")
        assert await settled(house) == 2 * price(100, 7)


async def test_a_refusal_names_everything_and_is_not_to_be_tried_again(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script, budgets={"global": ["0.000001 USD/month"]}) as (
        house,
        provider,
    ):
        response = await ask(house)
        body = await response.json()

        assert response.status == 429
        assert response.headers["x-should-retry"] == "false"
        assert body["error"]["type"] == "insufficient_quota"
        assert body["error"]["code"] == "budget_exceeded"
        for part in ("global", "month", "0.000001 USD", "settled", "reserved", "needed", "up to"):
            assert part in body["error"]["message"]
        assert "more than all of it" in body["error"]["message"]
        assert response.headers["x-proxy-max-tokens"] == "4096"
        assert not provider.lines
        assert await house.metric("budget_rejections_total", budget="global", period="month") == 1


async def test_a_budget_that_is_gone_says_when_it_begins_anew(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(PROMPT, 50))

    budgets = {"global": [f"{usd_text(price(PROMPT, 50))} USD/month"]}
    async with bank(opener, script, budgets=budgets) as (house, _):
        first = await ask(house, max_tokens=50)
        second = await ask(house, max_tokens=1)

        assert first.status == 200
        assert second.status == 429
        error = (await second.json())["error"]
        assert error["code"] == "budget_exceeded"
        assert "it begins anew at 20" in error["message"]
        assert second.headers["x-proxy-budget-remaining-usd"] == "0"


async def test_the_cap_is_written_whatever_name_the_client_gave_another_one(
    opener: Opener,
) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script, budgets={"global": ["1 USD/day"]}) as (house, provider):
        answered = await ask(house, max_output_tokens=4096)

    assert answered.headers["x-proxy-max-tokens"] == "4096"
    assert provider.lines[0].body["max_completion_tokens"] == 4096


async def test_a_model_without_a_price_is_refused_under_a_hard_budget(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, provider):
        response = await house.chat("who/knows")

        assert response.status == 403
        assert (await response.json())["error"]["code"] == "model_not_priced"
        assert not provider.lines


async def test_without_a_hard_budget_an_unpriced_model_is_served_and_counted(
    opener: Opener,
) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(100, 7))

    async with bank(opener, script) as (house, _):
        response = await house.chat("who/knows")

        assert response.status == 200
        assert "x-proxy-cost-usd" not in response.headers
        assert await house.metric("unpriced_requests_total") == 1


async def test_a_stream_tells_its_cost_at_the_end_where_that_is_asked_for(opener: Opener) -> None:
    async def script(line: Line) -> None:
        done = event({"choices": [], "usage": usage(100, 7)})
        await line.say(EVENTS, said("one"), stopped(), done, DONE, LAST)

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, _):
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": True}
        url = f"{house.url}/v1/chat/completions"
        async with house.session.post(url, json=body, headers={"x-proxy-trailer": "on"}) as told:
            text = await told.text()
        async with house.session.post(url, json=body) as plain:
            quiet = await plain.text()

    cost, left = usd_text(price(100, 7)), usd_text(NANO - price(100, 7))
    comment = f': proxy {{"cost_usd": {cost}, "budget_remaining_usd": {left}}}\n\ndata: [DONE]\n\n'
    assert text.endswith(comment)
    assert ": proxy" not in quiet


WORDS = ("Never ", "gonna 愛 ", "ünd so")


async def test_who_leaves_a_stream_at_any_byte_pays_the_prompt_and_what_was_received(
    opener: Opener,
) -> None:
    payload = b"".join(said(word).partition(b"\r\n")[2].removesuffix(b"\r\n") for word in WORDS)
    sent = b""

    async def script(line: Line) -> None:
        await line.say(EVENTS)
        if sent:
            await line.say(chunk(sent))
        await line.until_left()

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, provider):
        spent, prompt = 0, -(-len(QUESTION) // 4) + 4  # by our own count
        for cut in range(len(payload)):
            sent = payload[:cut]
            complete = sent.count(b"\n\n")
            async with visitor(house) as guest:
                await guest.ask(stream=True, messages=[{"role": "user", "content": QUESTION}])
                if complete:
                    await guest.reader.readuntil(WORDS[complete - 1].encode())
                else:
                    await provider.asked(cut + 1)
            await house.calls_closed(cut + 1)
            await house.app.state.till.drain()

            received = sum(len(word.encode()) for word in WORDS[:complete])
            now = await settled(house)
            assert now - spent == price(prompt, -(-received // 4)), (cut, complete)
            spent = now
        assert len(provider.lines) == len(payload)
        assert await house.app.state.stores.books.check() == []


async def test_usage_that_cannot_be_is_charged_as_reserved(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(10**9, 10**9))

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, _):
        response = await ask(house, max_completion_tokens=50)

        reserved = price(PROMPT, 50)
        assert response.headers["x-proxy-cost-usd"] == usd_text(reserved)
        assert await settled(house) == reserved
        assert await house.metric("usage_invalid_total") == 1
        assert 0 < await house.metric("tokens_total", source="estimated") < 100
        assert await house.metric("tokens_total", source="reported") == 0
        assert house.app.state.live.totals["tokens"] < 100


async def test_a_stated_zero_is_never_replaced_by_an_estimate(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(answer(0, 0))

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, _):
        response = await ask(house)

        assert response.headers["x-proxy-cost-usd"] == "0"
        assert await settled(house) == 0


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many", "500 Oops", "401 No"])
async def test_what_a_provider_refuses_costs_nothing(opener: Opener, status: str) -> None:
    async def script(line: Line) -> None:
        await line.say(whole(b'{"error": {"message": "no"}}', status))

    async with bank(opener, script, budgets={"global": ["1 USD/month"]}) as (house, _):
        await ask(house)
        await house.app.state.till.drain()

        balance = await _standing(house)
        assert (balance.settled, balance.reserved) == (0, 0)


async def test_a_timeout_is_charged_the_prompt_at_its_most(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.until_left()

    times = {"connect_s": 1, "first_byte_s": 0.2, "idle_s": 0.2, "total_s": 0.2}
    async with raw(script) as provider:
        groq = {"base_url": provider.url, "timeouts": times}
        async with opener(groq=groq, budgets={"global": ["1 USD/month"]}) as house:
            response = await ask(house)
            await house.app.state.till.drain()

            assert response.status == 504
            assert response.headers["x-proxy-cost-usd"] == usd_text(PROMPT * INPUT)
            assert await settled(house) == PROMPT * INPUT
            assert await house.metric("wasted_usd_total", reason="timeout") == pytest.approx(
                PROMPT * INPUT / NANO
            )


async def test_nothing_is_charged_where_nobody_can_be_reached(opener: Opener) -> None:
    groq = {"base_url": "http://127.0.0.1:1/v1"}
    async with opener(groq=groq, budgets={"global": ["1 USD/month"]}) as house:
        response = await ask(house)
        await house.app.state.till.drain()

        assert response.status == 502
        balance = await _standing(house)
        assert (balance.settled, balance.reserved) == (0, 0)
