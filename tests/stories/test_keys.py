"""Which key and tier a call is sent with, and what becomes of keys that are not what was said."""

from typing import Any

import pytest

from proxy.core.events import AccountsChanged, KeyChecked, KeyState
from proxy.simulator.app import Simulator
from proxy.simulator.catalogue import Metric
from tests.stories.houses import (
    GEMINI,
    GROQ,
    LONG_S,
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
    use_up,
)
from tests.stories.reading import error_of, events_of

MODEL = "openai/gpt-oss-20b"


def exhaust(simulator: Simulator, org: str) -> None:
    """Use up the requests of a day of an organisation."""
    use_up(simulator, org, MODEL, Metric.RPD, wait_s=LONG_S)


TIERS = {"groq": {"service_tiers": ["flex", "on_demand"]}}


def _tiers(house: Trio) -> list[Any]:
    return [call.body.get("service_tier") for call in chats(house.simulator)]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_service_tier_leads_to_the_next_one(trio: OpenTrio, stream: bool) -> None:
    async with trio(rules={"groq": on_chats("capacity", nth=1)}, providers=TIERS) as house:
        answer = await ask(house, "Hi", stream=stream)
        if stream:
            await events_of(answer)

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GROQ
        assert _tiers(house) == ["flex", "on_demand"]


async def test_where_all_tiers_are_full_another_target_answers_or_it_stays_498(
    trio: OpenTrio,
) -> None:
    async with trio(rules={"groq": on_chats("capacity")}, providers=TIERS) as house:
        answer, alone = await ask(house, "Hi", "fast"), await ask(house, "Hi")

        assert (answer.status, answer.headers[SERVED_BY]) == (200, GEMINI)
        assert answer.headers[REASON] == "rate_limited"
        assert alone.status == 498
        assert _tiers(house) == ["flex", "on_demand"] * 2


async def test_a_tier_that_the_client_named_is_the_only_one_tried(trio: OpenTrio) -> None:
    async with trio(rules={"groq": on_chats("capacity")}, providers=TIERS) as house:
        answer = await ask(house, "Hi", service_tier="flex")

        assert answer.status == 498
        assert _tiers(house) == ["flex"]


async def test_a_tier_that_was_full_is_tried_first_again_by_the_next_call(trio: OpenTrio) -> None:
    async with trio(rules={"groq": on_chats("capacity", nth=1)}, providers=TIERS) as house:
        await ask(house, "Hi")
        await ask(house, "Hi")

        assert _tiers(house) == ["flex", "on_demand", "flex"]


def _labels(house: Trio, *keys: str) -> list[str]:
    return [house.app.state.accounts.of("groq", key) for key in keys]


async def test_keys_whose_refusals_name_different_organisations_are_split(
    trio: OpenTrio,
) -> None:
    keys = ("gsk_one_1", "gsk_two_1")
    soon = {"limit": "rpm", "retry_after_s": 0.1}
    rules = [rule for key in keys for rule in on_chats(soon, key=key, nth=1)]
    async with trio(rules={"groq": rules}, providers={"groq": keys_of(*keys)}) as house:
        told = _labels(house, *keys)
        first = [await ask(house, f"Question {n}") for n in range(12)]
        learned = _labels(house, *keys)
        exhaust(house.simulator, "one")
        second = [await ask(house, f"Question {n}") for n in range(12)]

        assert told[0] == told[1]
        assert learned[0] != learned[1]
        assert {answer.status for answer in [*first, *second]} == {200}
        assert [e.joined for e in house.seen.events if isinstance(e, AccountsChanged)] == [False]
        assert set(house.simulator.state()["organisations"]) == {"one", "two"}
        assert not any("org_" in line for line in house.log.lines())


async def test_keys_whose_refusals_name_the_same_organisation_are_joined(trio: OpenTrio) -> None:
    keys = [
        {"name": "a", "value": "gsk_acme_1", "org": "main"},
        {"name": "b", "value": "gsk_acme_2", "org": "second"},
    ]
    async with trio(providers={"groq": {"keys": keys}}) as house:
        exhaust(house.simulator, "acme")
        answers = [await ask(house, f"Question {n}") for n in range(10)]

        assert {answer.status for answer in answers} == {429}
        assert by_key(house.simulator) == {"gsk_acme_1": 1, "gsk_acme_2": 1}
        assert len(set(_labels(house, "a", "b"))) == 1
        assert [e.joined for e in house.seen.events if isinstance(e, AccountsChanged)] == [True]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_rejected_key_is_not_used_again_and_no_client_notices(
    trio: OpenTrio, status: int
) -> None:
    rules = {"groq": on_chats({"status": status}, key="gsk_main_1")}
    async with trio(rules=rules, providers={"groq": {"keys": TWO_ORGS}}) as house:
        answers = [await ask(house, f"Question {n}") for n in range(20)]

        assert {answer.status for answer in answers} == {200}
        assert by_key(house.simulator) == {"gsk_main_1": 1, "gsk_second_1": 20}
        told = [e for e in house.seen.events if isinstance(e, KeyChecked)]
        assert (told[-1].key, told[-1].state) == ("a", KeyState.DISABLED)


async def test_another_key_of_the_same_organisation_takes_the_place_of_a_rejected_one(
    trio: OpenTrio,
) -> None:
    rules = {"groq": on_chats({"status": 401}, key="gsk_main_1")}
    providers = {"groq": keys_of("gsk_main_1", "gsk_main_2")}
    async with trio(rules=rules, providers=providers) as house:
        answers = [await ask(house, f"Question {n}") for n in range(10)]

        assert {answer.status for answer in answers} == {200}
        assert by_key(house.simulator)["gsk_main_1"] <= 1


async def test_where_all_keys_are_rejected_the_next_target_answers_and_never_a_401(
    trio: OpenTrio,
) -> None:
    rules = {"groq": on_chats({"status": 401})}
    async with trio(rules=rules, providers={"groq": {"keys": TWO_ORGS}}) as house:
        alone, second, answer = (
            await ask(house, "Hi"),
            await ask(house, "Hi"),
            await ask(house, "Hi", "fast"),
        )

        for refusal in (alone, second):
            assert refusal.status == 502
            assert (await error_of(refusal))["code"] == "upstream_auth"
            assert refusal.headers[SHOULD_RETRY] == "false"
        assert (answer.status, answer.headers[SERVED_BY]) == (200, GEMINI)
        assert set(by_key(house.simulator).values()) == {3}  # once for each call, no more


async def test_a_key_that_gemini_calls_invalid_is_not_used_again(trio: OpenTrio) -> None:
    keys = [{"name": "bad", "value": "AIzaInvalid1"}, {"name": "good", "value": "AIzaGood"}]
    async with trio(providers={"gemini": {"keys": keys}}) as house:
        answers = [await ask(house, f"Question {n}", GEMINI) for n in range(10)]

        assert {answer.status for answer in answers} == {200}
        assert by_key(house.gemini)["AIzaInvalid1"] <= 1
