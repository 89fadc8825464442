"""Quotas belong to organisations: what one refuses another gives, and nobody is asked in vain."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from proxy.core.errors import Result
from proxy.core.events import DomainClosed
from proxy.simulator.app import Simulator
from proxy.simulator.catalogue import Metric
from tests.stories.conftest import Opener
from tests.stories.houses import (
    ATTEMPTS,
    FAST,
    GEMINI,
    GROQ,
    LONG_S,
    OLLAMA,
    REASON,
    SERVED_BY,
    SHOULD_RETRY,
    TWO_ORGS,
    OpenTrio,
    Trio,
    ask,
    by_key,
    chats,
    keys_of,
    on_chats,
    refused,
    use_up,
)
from tests.stories.raw import USAGE, Line, raw, whole
from tests.stories.reading import content_of, error_of, events_of

MODEL = "openai/gpt-oss-20b"
ANSWER: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
}


async def _burst(house: Trio, count: int, model: str = MODEL) -> list[Any]:
    """So many small calls at once."""
    return await asyncio.gather(*[ask(house, f"Question {n}", model) for n in range(count)])


def exhaust(simulator: Simulator, org: str) -> None:
    """Use up the requests of a day of an organisation."""
    use_up(simulator, org, MODEL, Metric.RPD, wait_s=LONG_S)


async def test_an_organisation_that_is_used_up_is_asked_once_and_another_serves(
    trio: OpenTrio,
) -> None:
    async with trio(providers={"groq": {"keys": TWO_ORGS}}) as house:
        exhaust(house.simulator, "main")
        answers = [await ask(house, f"Question {n}") for n in range(30)]

        assert {answer.status for answer in answers} == {200}
        assert by_key(house.simulator)["gsk_main_1"] == 1
        assert len(refused(house.simulator)) == 1
        assert sum(int(answer.headers[ATTEMPTS]) for answer in answers) == 31
        assert len([e for e in house.seen.events if isinstance(e, DomainClosed)]) == 1


async def test_a_burst_at_an_organisation_that_is_used_up_is_served_by_another(
    trio: OpenTrio,
) -> None:
    async with trio(providers={"groq": {"keys": TWO_ORGS}}) as house:
        exhaust(house.simulator, "main")
        first = await _burst(house, 30)
        asked_before = by_key(house.simulator)["gsk_main_1"]
        second = await _burst(house, 30)

        assert {answer.status for answer in [*first, *second]} == {200}
        assert by_key(house.simulator)["gsk_main_1"] == asked_before


async def test_another_model_of_a_used_up_organisation_is_still_asked(trio: OpenTrio) -> None:
    async with trio() as house:
        exhaust(house.simulator, "demo")
        closed = await ask(house, "Hi")
        other = await ask(house, "Hi", "openai/gpt-oss-120b")

        assert (closed.status, other.status) == (429, 200)


async def test_no_other_key_of_a_used_up_organisation_is_asked(trio: OpenTrio) -> None:
    keys = keys_of("gsk_main_1", "gsk_main_2", "gsk_main_3")
    async with trio(providers={"groq": keys}) as house:
        exhaust(house.simulator, "main")
        answers = [await ask(house, f"Question {n}") for n in range(10)]

        assert {answer.status for answer in answers} == {429}
        assert {answer.headers[SHOULD_RETRY] for answer in answers} == {"false"}
        assert all(LONG_S - 60 < int(a.headers["retry-after"]) < LONG_S + 60 for a in answers)
        assert len(chats(house.simulator)) == 1


async def test_quotas_lead_from_groq_through_every_gemini_project_to_ollama(
    trio: OpenTrio,
) -> None:
    projects = [f"AIzaProject{n}" for n in range(11)]
    providers = {
        "groq": keys_of("gsk_main_1", "gsk_main_2", "gsk_main_3"),
        "gemini": {"keys": [{"name": f"g{n}", "value": each} for n, each in enumerate(projects)]},
    }
    a_day = {"*": {"rpd": 2, "rpm": None, "tpm": None}}
    async with trio(providers=providers, simulators={"gemini": {"limits": a_day}}) as house:
        exhaust(house.simulator, "main")
        answers = [await ask(house, f"Question {n}", "fast") for n in range(30)]

        served = [answer.headers[SERVED_BY] for answer in answers]
        assert {answer.status for answer in answers} == {200}
        assert served == [GEMINI] * 22 + [OLLAMA] * 8
        assert {answer.headers[REASON] for answer in answers} == {"rate_limited"}
        assert len(chats(house.simulator)) == 1
        # Each project gave its two answers and said once that it gives no more.
        assert by_key(house.gemini) == dict.fromkeys(projects, 3)
        assert len(refused(house.gemini)) == 11


@pytest.mark.parametrize("stream", [False, True])
async def test_one_call_may_be_refused_by_all_projects_and_is_answered(
    trio: OpenTrio, stream: bool
) -> None:
    projects = [f"AIzaProject{n}" for n in range(11)]
    models = {"fast": {"targets": [GEMINI, OLLAMA]}}
    async with trio(providers={"gemini": _keys_of_projects(projects)}, models=models) as house:
        for project in projects:
            org = house.gemini._meter.tongue.organisation(project, {})
            use_up(house.gemini, org, "gemini-3.5-flash-lite", Metric.RPD, wait_s=0.0)
        answer = await ask(house, "Hi", "fast", stream=stream)
        if stream:
            assert content_of(await events_of(answer))

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == OLLAMA
        assert answer.headers[ATTEMPTS] == "12"


def _keys_of_projects(projects: list[str]) -> dict[str, Any]:
    return {"keys": [{"name": each.lower(), "value": each} for each in projects]}


async def test_groq_is_asked_again_as_soon_as_its_limit_allows(trio: OpenTrio) -> None:
    a_day = {"*": {"rpd": 864_000}}  # ten come back each second
    simulators = {"groq": {"limits": a_day, "speed": 1.0}}
    async with trio(simulators=simulators, limits={"queue_wait_s": 0.01}) as house:
        use_up(house.simulator, "demo", MODEL, Metric.RPD, wait_s=1.0)
        before = await ask(house, "Hi", "fast")
        between = await ask(house, "Hi", "fast")
        await asyncio.sleep(1.3)  # the one thing tested: time that passes
        after = await ask(house, "Hi", "fast")

        assert [before.headers[SERVED_BY], between.headers[SERVED_BY]] == [GEMINI, GEMINI]
        assert after.headers[SERVED_BY] == GROQ
        assert len(refused(house.simulator)) == 1
        assert len(chats(house.simulator)) == 2


async def test_a_short_wait_is_waited_and_not_told(trio: OpenTrio) -> None:
    a_day = {"*": {"rpd": 864_000}}
    async with trio(simulators={"groq": {"limits": a_day, "speed": 1.0}}) as house:
        use_up(house.simulator, "demo", MODEL, Metric.RPD, wait_s=0.4)
        answer = await ask(house, "Hi")
        await house.calls_closed()

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GROQ
        assert len(refused(house.simulator)) == 1
        assert house.seen.flights[0].paced_s > 0.3


async def test_with_a_known_plan_a_burst_beyond_it_is_served_without_one_refusal(
    trio: OpenTrio,
) -> None:
    """100 calls a minute: the last of 103 has to wait for nearly two seconds, and does."""
    guard = "meta-llama/llama-prompt-guard-2-86m"
    keys = [{"name": "k1", "value": "gsk_test", "plan": "developer"}]
    async with trio(
        simulators={"groq": {"speed": 1.0}},
        providers={"groq": {"keys": keys}},
        limits={"queue_wait_s": 60},
    ) as house:
        answers = await _burst(house, 103, guard)

        assert {answer.status for answer in answers} == {200}
        assert len(chats(house.simulator)) == 103
        assert not refused(house.simulator)
        await house.calls_closed(103)
        assert max(flight.paced_s for flight in house.seen.flights) > 0.5


async def test_nobody_who_fits_in_time_is_sent_away_by_headers_that_know_of_all_calls(
    opener: Opener,
) -> None:
    """Of 8,000 tokens a minute 19 calls take 7,700, so that 11 more fit within 35 seconds."""
    all_here, enough = asyncio.Event(), asyncio.Event()
    limits = {"x_ratelimit_limit_tokens": "8000", "x_ratelimit_remaining_tokens": "300"}

    async def script(line: Line) -> None:
        if line.number == 19:
            all_here.set()
        await (all_here if line.number == 1 else enough).wait()
        await line.say(whole({**ANSWER, "usage": {**USAGE, "completion_tokens": 380}}, **limits))

    keys = [{"name": "k1", "value": "gsk_test", "plan": "free"}]
    async with (
        raw(script) as provider,
        opener(groq={"base_url": provider.url, "keys": keys}, limits={"queue_wait_s": 60}) as house,
    ):
        calls = [asyncio.ensure_future(house.chat(max_completion_tokens=380)) for _ in range(30)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(calls, timeout=0.2)
        enough.set()
        await asyncio.wait(calls, timeout=0.5)
        statuses = Counter(call.result().status for call in calls if call.done())
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

        assert statuses == {200: 19}


async def test_what_a_plan_does_not_allow_in_time_is_refused_here_at_once(trio: OpenTrio) -> None:
    keys = [{"name": "k1", "value": "gsk_test", "plan": "free"}]
    async with trio(
        providers={"groq": {"keys": keys}}, limits={"queue_wait_s": 1}, models=FAST
    ) as house:
        answers = await _burst(house, 40)
        refusals = [answer for answer in answers if answer.status == 429]
        moved = await ask(house, "Hi", "fast")

        assert {answer.status for answer in answers} == {200, 429}
        assert len(chats(house.simulator)) == 40 - len(refusals) == 30
        for answer in refusals:
            assert (await error_of(answer))["code"] == "rate_limit_exceeded"
            assert answer.headers[ATTEMPTS] == "0"
            assert 2 <= int(answer.headers["retry-after"]) <= 20
        assert moved.headers[SERVED_BY] == GEMINI
        assert moved.headers[ATTEMPTS] == "1"


async def test_with_unknown_limits_only_calls_on_their_way_can_be_refused(
    trio: OpenTrio,
) -> None:
    a_minute = {"*": {"rpm": 20, "rpd": None, "tpm": None, "tpd": None}}  # no header tells it
    async with trio(
        simulators={"groq": {"limits": a_minute, "speed": 1.0}}, limits={"queue_wait_s": 0.1}
    ) as house:
        answers = await _burst(house, 60, "fast")
        later = [await ask(house, f"Later {n}", "fast") for n in range(10)]

        assert {answer.status for answer in [*answers, *later]} == {200}
        assert Counter(a.headers[SERVED_BY] for a in answers) == {GROQ: 20, GEMINI: 40}
        assert {a.headers[SERVED_BY] for a in later} == {GEMINI}
        await house.calls_closed(70)
        no = [each for each in house.seen.attempts if each.result is Result.HTTP_429]
        assert 1 <= len(no) == len(refused(house.simulator)) <= 40
        # Whatever was refused had been sent before the first refusal was known.
        assert max(each.started for each in no) <= min(each.ended for each in no)


async def test_a_call_too_large_for_an_organisation_goes_elsewhere_at_once(
    trio: OpenTrio,
) -> None:
    a_minute = {"*": {"tpm": 8_000}}
    async with trio(simulators={"groq": {"limits": a_minute}}) as house:
        long = [{"role": "user", "content": "A word and another. " * 3_000}]
        answer = await house.chat("fast", messages=long)
        alone = await house.chat(MODEL, messages=long)

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GEMINI
        assert answer.headers[ATTEMPTS] == "2"
        assert answer.headers[REASON] == "rate_limited"
        assert alone.status == 413
        error = await error_of(alone)
        assert error["code"] == "rate_limit_exceeded"
        assert "Request too large" in error["message"]
        assert alone.headers[SHOULD_RETRY] == "false"
        assert alone.headers[ATTEMPTS] == "1"


async def test_a_call_that_surely_is_too_large_is_not_even_sent(trio: OpenTrio) -> None:
    a_minute = {"*": {"tpm": 8_000}}
    async with trio(simulators={"groq": {"limits": a_minute}}) as house:
        await ask(house, "Hi")  # its answer tells the limit
        answer = await house.chat(MODEL, max_completion_tokens=9_000)
        other = await house.chat("fast", max_completion_tokens=9_000)

        assert answer.status == 413
        assert answer.headers[ATTEMPTS] == "0"
        assert answer.headers[SHOULD_RETRY] == "false"
        assert (other.status, other.headers[SERVED_BY]) == (200, GEMINI)
        assert len(chats(house.simulator)) == 1


async def test_a_call_too_large_for_one_organisation_may_fit_another(trio: OpenTrio) -> None:
    rules = {"groq": on_chats("too_large", org="main")}
    async with trio(rules=rules, providers={"groq": {"keys": TWO_ORGS}}) as house:
        answers = [await ask(house, f"Question {n}") for n in range(10)]

        assert {answer.status for answer in answers} == {200}
        assert "gsk_main_1" in by_key(house.simulator)
