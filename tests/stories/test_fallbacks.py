"""When one target cannot, the next one answers; the client sees who, why, and what was left out."""

from collections.abc import Iterator
from typing import Any

import pytest

from proxy.core.errors import Outcome
from tests.stories.conftest import TIMES
from tests.stories.houses import (
    ATTEMPTS,
    GEMINI,
    GROQ,
    OLLAMA,
    REASON,
    SERVED_BY,
    SHOULD_RETRY,
    OpenTrio,
    closed_port,
    on_chats,
    post,
)
from tests.stories.raw import EVENTS, Line, raw, said
from tests.stories.reading import content_of, error_of, events_of


@pytest.fixture
def nobody() -> Iterator[str]:
    with closed_port() as url:
        yield url


DOWN = on_chats({"status": 500})


@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_target_answers_while_it_can(trio: OpenTrio, stream: bool) -> None:
    async with trio() as house:
        answer = await house.chat("fast", stream=stream)
        await answer.read()

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GROQ
        assert answer.headers[ATTEMPTS] == "1"
        assert REASON not in answer.headers
        assert await house.asked() == [GROQ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 500}, "server_error"),
        ({"status": 503, "retry_after_s": 30}, "server_error"),
        ("reset", "server_error"),
        ("html", "server_error"),
        ("hang", "timeout"),
        ({"limit": "tpd", "retry_after_s": 578}, "rate_limited"),
        ("too_large", "rate_limited"),
        ({"status": 402}, "rate_limited"),
        ({"status": 400, "code": "blocked_api_access"}, "rate_limited"),
        ("redirect", "server_error"),
    ],
    ids=str,
)
async def test_the_second_target_answers_in_place_of_one_that_cannot(
    trio: OpenTrio, fault: Any, reason: str, stream: bool
) -> None:
    groq = {"timeouts": TIMES}
    async with trio(rules={"groq": on_chats(fault)}, providers={"groq": groq}) as house:
        answer = await house.chat("fast", stream=stream)
        if stream:
            assert content_of(await events_of(answer))

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GEMINI
        assert answer.headers[ATTEMPTS] == "2"
        assert answer.headers[REASON] == reason
        assert await house.asked() == [GROQ, GEMINI]


async def test_the_third_target_answers_when_two_cannot(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN, "gemini": on_chats({"status": 503})}) as house:
        answer = await house.chat("fast")

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == OLLAMA
        assert answer.headers[ATTEMPTS] == "3"
        assert answer.headers[REASON] == "server_error"
        assert await house.asked() == [GROQ, GEMINI, OLLAMA]


async def test_a_provider_that_is_not_there_costs_its_clients_nothing(
    trio: OpenTrio, nobody: str
) -> None:
    async with trio(providers={"groq": {"base_url": nobody}}) as house:
        answers = [await house.chat("fast") for _ in range(12)]

        assert {answer.status for answer in answers} == {200}
        assert {answer.headers[SERVED_BY] for answer in answers} == {GEMINI}
        assert [answer.headers[REASON] for answer in answers][-1] == "breaker_open"
        assert answers[-1].headers[ATTEMPTS] == "1"
        assert (await house.asked(12)).count(GROQ) == 5  # in a row, then it is left alone


async def test_when_nobody_can_the_last_failure_is_told(trio: OpenTrio) -> None:
    rules = {"groq": DOWN, "gemini": DOWN, "ollama": on_chats({"status": 503})}
    async with trio(rules=rules) as house:
        answer = await house.chat("fast")

        assert answer.status == 503
        assert "ollama" in (await error_of(answer))["message"]
        assert answer.headers[ATTEMPTS] == "3"
        assert answer.headers[SHOULD_RETRY] == "false"
        assert await house.asked() == [GROQ, GEMINI, OLLAMA]


async def test_of_quotas_the_one_that_is_over_first_is_told(trio: OpenTrio) -> None:
    rules = {
        "groq": on_chats({"limit": "rpm", "retry_after_s": 25}),
        "gemini": on_chats({"limit": "rpm", "retry_after_s": 50}),
    }
    models = {"fast": {"targets": [GROQ, GEMINI]}}
    async with trio(rules=rules, models=models) as house:
        answer = await house.chat("fast")

        assert answer.status == 429
        assert answer.headers["retry-after"] == "25"


async def test_what_the_call_is_to_blame_for_goes_nowhere_else(trio: OpenTrio) -> None:
    async with trio(rules={"groq": on_chats({"status": 422})}) as house:
        answer = await house.chat("fast")

        assert answer.status == 422
        assert await house.asked() == [GROQ]


@pytest.mark.parametrize("cut", [0, 1])
async def test_a_stream_moves_on_before_its_first_content(trio: OpenTrio, cut: int) -> None:
    async with trio(rules={"groq": on_chats({"cut_after_chunks": cut})}) as house:
        answer = await house.chat("fast", stream=True)
        events = await events_of(answer)

        assert answer.headers[SERVED_BY] == GEMINI
        assert events[-1] == "[DONE]"
        assert len({event["id"] for event in events[:-1]}) == 1


async def test_a_stream_stays_with_its_target_after_its_first_content(trio: OpenTrio) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("Hel"))
        await line.flushed()
        line.reset()

    async with (
        raw(script) as provider,
        trio(providers={"groq": {"base_url": provider.url}}) as house,
    ):
        answer = await house.chat("fast", stream=True)
        events = await events_of(answer)

        assert content_of(events) == "Hel"
        assert events[-1]["error"]["code"] == "stream_interrupted"
        assert answer.headers[SERVED_BY] == GROQ
        assert await house.asked() == [GROQ]


async def test_names_without_targets_of_their_own_have_the_global_ones(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN}, fallbacks=[GEMINI, OLLAMA]) as house:
        answer = await house.chat("openai/gpt-oss-120b")

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GEMINI
        assert await house.asked() == ["groq/openai/gpt-oss-120b", GEMINI]


async def test_an_alias_with_targets_of_its_own_does_not_use_the_global_ones(
    trio: OpenTrio,
) -> None:
    models = {"fast": {"targets": [GROQ, OLLAMA]}}
    async with trio(rules={"groq": DOWN}, fallbacks=[GEMINI], models=models) as house:
        assert (await house.chat("fast")).headers[SERVED_BY] == OLLAMA


async def test_without_fallbacks_a_model_is_only_asked_itself(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN}) as house:
        answer = await house.chat()

        assert answer.status == 502
        assert set(await house.asked()) == {GROQ}


@pytest.mark.parametrize("model", ["fast", "openai/gpt-oss-20b"])
async def test_a_client_can_refuse_other_models(trio: OpenTrio, model: str) -> None:
    async with trio(rules={"groq": DOWN}, fallbacks=[GEMINI]) as house:
        answer = await post(house, {"x-proxy-fallback": "off"}, model=model)

        assert answer.status == 502
        assert await house.asked() == [GROQ] * 3


async def test_only_chats_are_answered_by_other_models(trio: OpenTrio) -> None:
    rules = {"groq": [{"when": {"endpoint": "responses"}, "fault": {"status": 500}}]}
    async with trio(rules=rules, fallbacks=[GEMINI], retries=0) as house:
        body = {"model": "openai/gpt-oss-20b", "input": "Hi"}
        answer = await house.session.post(f"{house.url}/v1/responses", json=body)

        assert answer.status == 502
        assert await house.asked() == [GROQ]


async def test_a_model_that_stands_twice_is_asked_once(trio: OpenTrio) -> None:
    models = {"fast": {"targets": [GROQ, GROQ, GEMINI, GROQ]}}
    async with trio(rules={"groq": DOWN, "gemini": DOWN}, models=models, retries=5) as house:
        await house.chat("fast")

        order = await house.asked()
        turns = [each for i, each in enumerate(order) if i == 0 or order[i - 1] != each]
        assert turns == [GROQ, GEMINI]


async def test_no_call_makes_more_than_three_hops(trio: OpenTrio) -> None:
    names = [f"groq/sim/status-{status}" for status in (500, 501, 502, 503, 504, 505)]
    models = {"deep": {"targets": [*names, "groq/sim/echo"]}}
    async with trio(models=models, retries=6) as house:
        answer = await house.chat("deep")

        assert answer.status in {502, 503}
        assert list(dict.fromkeys(await house.asked())) == names[:4]


async def test_retries_are_counted_over_all_targets_together(trio: OpenTrio) -> None:
    models = {"two": {"targets": [GROQ, GEMINI]}}
    async with trio(rules={"groq": DOWN, "gemini": DOWN}, models=models) as house:
        answer = await house.chat("two")

        assert answer.headers[ATTEMPTS] == "3"
        assert sorted(await house.asked()) in ([GEMINI, GEMINI, GROQ], [GEMINI, GROQ, GROQ])


async def test_without_retries_no_other_target_is_asked(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN}, retries=0) as house:
        answer = await house.chat("fast")

        assert answer.status == 502
        assert await house.asked() == [GROQ]


async def test_a_provider_without_a_key_is_passed_over(trio: OpenTrio) -> None:
    providers = {"gemini": {"keys": []}}
    async with trio(rules={"groq": DOWN}, providers=providers) as house:
        answer = await house.chat("fast")

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == OLLAMA


async def test_a_call_ends_well_in_all_records_when_a_fallback_answered(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN}) as house:
        await house.chat("fast")
        await house.calls_closed()

        [call] = house.seen.calls
        assert (call.outcome, call.status) == (Outcome.OK, 200)
        assert call.flight is not None
        assert [each.result for each in call.flight.attempts] == ["http_5xx", "ok"]
