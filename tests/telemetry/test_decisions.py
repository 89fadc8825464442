import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.core.call import ANYONE, Call, Endpoint, Target
from proxy.core.errors import InvalidRequest, Refused, ServerFailed
from proxy.core.journal import (
    CacheRecord,
    CallRecord,
    Choice,
    Journal,
    NearRecord,
    Paid,
    Passed,
    RagRecord,
)
from proxy.core.money import Balance, Bill, Bucket, Budget, Standing
from proxy.telemetry.decisions import Decisions, Wanted
from proxy.telemetry.told import told
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock
from tests.telemetry.records import (
    TARGET,
    Try,
    tell_of_a_call,
    tell_of_a_journey,
    tell_of_a_refused_call,
)


def as_is(text: str) -> str:
    return text


def shown(decisions: Decisions, id: str) -> dict[str, Any]:
    call = decisions.find(id)
    assert call is not None
    return orjson.loads(orjson.dumps(told(call, as_is, 3)))  # type: ignore[no-any-return]


def closed(decisions: Decisions, change: Callable[[CallRecord], object], number: int = 1) -> str:
    """A call without a flight, changed before it is closed; its id."""
    exchange = ListExchange()
    exchange.id = f"prx_{number}"
    with Journal(FakeClock(), [decisions]).call(exchange, Endpoint.CHAT) as record:
        record.caller, record.target = ANYONE, TARGET
        change(record)
    return record.id


def test_a_call_is_found_by_its_id_and_no_other() -> None:
    decisions = Decisions()

    record = tell_of_a_call(decisions)

    assert shown(decisions, record.id)["id"] == record.id
    assert decisions.find("prx_none") is None


def test_a_record_tells_who_answered_and_how_long_all_took() -> None:
    decisions = Decisions()

    record = tell_of_a_call(decisions)

    call = shown(decisions, record.id)
    assert (call["worker"], call["tenant"], call["outcome"]) == (3, "anyone", "ok")
    assert call["model"]["served_by"] == str(TARGET)
    assert call["model"]["fallback_reason"] is None
    assert call["duration_ms"] == pytest.approx(record.duration_s * 1000)
    assert call["overhead_ms"] == pytest.approx(record.overhead_s * 1000)
    assert call["upstream_ms"] == pytest.approx(record.upstream_s * 1000)
    assert call["first_token_ms"] == pytest.approx(1000)
    assert call["tokens"] == {
        "prompt": 6,
        "prompt_cached": 4,
        "completion": 3,
        "reasoning": 2,
        "reported": True,
    }
    assert call["phases_ms"].keys() >= {"read", "dispatch", "relay"}
    [attempt] = call["attempts"]
    assert (attempt["start_ms"], attempt["headers_ms"], attempt["end_ms"]) == (0, 1000, 3000)
    waits = {each["name"]: (each["start_ms"], each["ms"]) for each in call["timeline"]}
    assert waits["wait for the provider"] == (0, 1000)
    assert waits["receive its answer"] == waits["pass the answer on"] == (1000, 2000)


def test_attempts_tell_why_they_failed_and_what_came_between() -> None:
    decisions, other = Decisions(), Target("gemini", "flash")

    record = tell_of_a_journey(
        decisions,
        tries=[
            Try(error=ServerFailed("it said: my secret prompt"), account="main"),
            Try(error=ServerFailed("again"), retry="http_5xx"),
            Try(target=other, key="g1", paced_s=0.5),
        ],
        passed=[Passed(Target("ollama", "llama"), "breaker_open")],
        pauses_s=[0.2],
        fallback_reason="server_error",
    )

    call = shown(decisions, record.id)
    assert [each["error"] for each in call["attempts"]] == ["http_5xx", "http_5xx", None]
    assert [each["retry"] for each in call["attempts"]] == [None, "http_5xx", None]
    assert call["attempts"][0]["organisation"] == "main"
    assert call["attempts"][2]["paced_ms"] == 500
    assert call["passed"] == [{"target": "ollama/llama", "reason": "breaker_open"}]
    assert call["model"]["served_by"] == "gemini/flash"
    assert call["model"]["fallback_reason"] == "server_error"
    assert "pause before a retry" in [each["name"] for each in call["timeline"]]
    assert "my secret prompt" not in str(call)


def test_the_cache_verdict_has_its_reason_score_and_audit_also_when_that_comes_later() -> None:
    decisions = Decisions()
    near = NearRecord(result="hit", tier="near", score=0.98765, cosine=0.9, audit="due")

    def change(record: CallRecord) -> None:
        record.cache = CacheRecord(word="semantic", near=near, entry="e1", age_s=4.0, saved=5000)

    id = closed(decisions, change)
    before = shown(decisions, id)["cache"]
    near.audit = "match"

    assert (before["verdict"], before["score"], before["audit"]) == ("semantic", 0.9877, "due")
    assert shown(decisions, id)["cache"]["audit"] == "match"
    assert shown(decisions, id)["cost_usd"] == 0
    assert shown(decisions, id)["saved_usd"] == 5e-6


def test_budgets_stand_before_and_after_with_the_prices_that_held() -> None:
    decisions = Decisions()
    bucket = Bucket("global", "day", 0, 86_400, 5 * 10**9)
    before = Standing(bucket, (Budget(5 * 10**9, "day"),), Balance(10**9), "global")

    def change(record: CallRecord) -> None:
        record.bill = Bill(
            before=[before], after=[before.at(Balance(2 * 10**9))], prices="2026-11-21"
        )

    call = shown(decisions, closed(decisions, change))

    assert call["prices"] == "2026-11-21"
    assert call["budgets"] == [
        {
            "budget": "global",
            "period": "day",
            "limit_usd": 5,
            "hard": True,
            "before_usd": 1,
            "after_usd": 2,
        }
    ]


def test_documents_and_the_route_by_example_are_told() -> None:
    decisions = Decisions()

    def change(record: CallRecord) -> None:
        record.choice = Choice("auto", "groq/big", 0.81234)
        record.rag = RagRecord("handbook", result="ok", top_score=0.7, search_s=0.01)

    call = shown(decisions, closed(decisions, change))

    assert call["model"]["route"] == {"name": "auto", "to": "groq/big", "score": 0.8123}
    assert (call["rag"]["collection"], call["rag"]["top_score"]) == ("handbook", 0.7)


def test_our_own_words_about_an_error_are_kept_and_a_providers_are_not() -> None:
    decisions = Decisions()

    ours = tell_of_a_refused_call(decisions, error=InvalidRequest("messages is missing"))
    own = shown(decisions, ours.id)["error"]
    theirs = tell_of_a_call(decisions, error=Refused("bad word in: my secret prompt"))

    assert own["message"] == "messages is missing"
    assert shown(decisions, theirs.id)["error"]["message"] is None


def test_what_a_client_wrote_goes_through_what_hides_secrets() -> None:
    decisions = Decisions()
    record = tell_of_a_call(decisions, model="gsk_pasted_into_the_model")
    call = decisions.find(record.id)
    assert call is not None

    hidden = told(call, lambda text: text.replace("gsk_pasted", "***"), 0)

    assert "gsk_pasted" not in str(hidden)


class Body(dict[str, Any]):
    """A body that can be watched."""


def test_no_body_outlives_its_call() -> None:
    decisions, clock, body = Decisions(), FakeClock(), Body(messages=["a secret"])
    watched = weakref.ref(body)
    journal = Journal(clock, [decisions])
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", "m", body, stream=False)
    try:
        with journal.call(ListExchange(), Endpoint.CHAT) as record:
            record.call = call
            with journal.flight(call) as flight:
                record.flight = flight
                with journal.attempt(flight, TARGET):
                    raise ServerFailed("no")
    except ServerFailed:
        pass

    del body, call, record, flight, journal
    gc.collect()

    assert watched() is None
    assert len(decisions) == 1


def test_a_flight_that_goes_on_without_its_caller_is_told_when_it_has_ended() -> None:
    decisions, clock = Decisions(), FakeClock()
    journal = Journal(clock, [decisions])
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", "m", {}, stream=False)
    with journal.flight(call) as flight:
        with journal.call(ListExchange(), Endpoint.CHAT) as record:
            record.call, record.flight = call, flight
        before = shown(decisions, record.id)
        flight.paid.append(Paid(TARGET, 7000, 0, "usage", exact=True, listed=7000, wasted=0))

    after = shown(decisions, record.id)

    assert (before["cost_usd"], after["cost_usd"]) == (None, 7e-6)


def test_only_the_last_are_kept_and_good_ones_do_not_wash_bad_ones_away() -> None:
    decisions = Decisions(most_good=3, most_others=2)

    def fail(record: CallRecord) -> None:
        raise InvalidRequest("no")

    for number in range(4):
        with pytest.raises(InvalidRequest):
            closed(decisions, fail, 100 + number)
    for number in range(20):
        closed(decisions, lambda _: None, number)

    kept = [call.id for call in decisions.last(Wanted())]
    assert sorted(kept) == ["prx_102", "prx_103", "prx_17", "prx_18", "prx_19"]


@pytest.fixture
def three() -> Decisions:
    """Three calls, a second apart: a good one, a slow hit of a tenant, a failure of a model."""
    decisions, clock = Decisions(), FakeClock(wall=1000.0)
    journal = Journal(clock, [decisions])
    for number in range(3):
        exchange = ListExchange()
        exchange.id = f"prx_{number}"
        try:
            with journal.call(exchange, Endpoint.CHAT) as record:
                record.caller, record.target = ANYONE, TARGET
                clock.advance(1)
                if number == 1:
                    record.caller = replace(ANYONE, name="search")
                    record.cache = CacheRecord(word="exact")
                    clock.advance(1)
                if number == 2:
                    record.target = Target("gemini", "flash")
                    raise ServerFailed("no")
        except ServerFailed:
            pass
    return decisions


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Wanted(), ["prx_2", "prx_1", "prx_0"]),
        (Wanted(limit=1), ["prx_2"]),
        (Wanted(outcomes=["upstream_error", "timeout"]), ["prx_2"]),
        (Wanted(outcomes=["ok"]), ["prx_1", "prx_0"]),
        (Wanted(tenants=["search"]), ["prx_1"]),
        (Wanted(words=["exact"]), ["prx_1"]),
        (Wanted(words=["off"]), ["prx_2", "prx_0"]),
        (Wanted(models=["flash"]), ["prx_2"]),
        (Wanted(models=["gemini/flash"]), ["prx_2"]),
        (Wanted(models=[TARGET.model]), ["prx_1", "prx_0"]),
        (Wanted(min_ms=1500), ["prx_1"]),
        (Wanted(since=1003), ["prx_2", "prx_1"]),
        (Wanted(since=1004), ["prx_2"]),
    ],
)
def test_calls_are_found_by_what_is_wanted_of_them(
    three: Decisions, wanted: Wanted, ids: list[str]
) -> None:
    assert [call.id for call in three.last(wanted)] == ids
