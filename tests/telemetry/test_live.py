import random
from itertools import accumulate
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import Endpoint, Source, Target
from proxy.core.errors import ClientGone, InvalidRequest, ServerFailed
from proxy.core.journal import CacheRecord, CallRecord, Journal, RagRecord
from proxy.telemetry.labels import MAX_NAMES
from proxy.telemetry.live import SLOTS, STEP_S, Live
from proxy.telemetry.meters import LAT
from proxy.telemetry.slots import merged, quantile, shown
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock
from tests.telemetry.records import (
    TARGET,
    tell_of_a_call,
    tell_of_a_refused_call,
)


def labelled(target: Target) -> str | None:
    return target.model if target == TARGET else None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def live(clock: FakeClock) -> Live:
    return Live(clock, labelled)


def slots(live: Live, since: float = 0.0) -> list[dict[str, Any]]:
    return [orjson.loads(each) for each in live.since(since)]


def told(live: Live) -> dict[str, Any]:
    [slot] = merged([slots(live)])
    return shown(slot)


def test_nothing_is_told_of_a_time_in_which_nothing_ended(live: Live, clock: FakeClock) -> None:
    clock.advance(600)

    assert slots(live) == []


def test_a_call_is_counted_with_its_times_and_tokens(live: Live) -> None:
    record = tell_of_a_call(live)

    slot = told(live)

    assert slot["calls"] == {"ok": 1}
    assert slot["seconds"]["all"] == pytest.approx(record.duration_s)
    assert slot["seconds"]["upstream"] == pytest.approx(record.upstream_s)
    assert sum(slot["latency_s"]["counts"]) == sum(slot["first_token_s"]["counts"]) == 1
    assert 1.6 < slot["latency_s"]["p50"] <= 3.2
    assert slot["tokens"] == {"prompt": 6, "prompt_cached": 4, "completion": 3, "reasoning": 2}
    assert slot["models"][TARGET.model]["calls"] == 1
    assert slot["tenants"]["anyone"]["tokens"] == 15
    assert live.in_flight == 0


@pytest.mark.parametrize(
    ("error", "bad"),
    [(ServerFailed("x"), 1), (InvalidRequest("x"), 0), (ClientGone("x"), 0)],
)
def test_only_what_is_our_or_a_providers_fault_is_bad(
    live: Live, error: Exception, bad: int
) -> None:
    tell_of_a_call(live, error=error)  # type: ignore[arg-type]

    assert told(live)["models"][TARGET.model]["bad"] == bad


def test_a_refusal_of_our_own_does_not_fake_a_fast_median(live: Live) -> None:
    tell_of_a_refused_call(live, error=InvalidRequest("no"))

    slot = told(live)

    assert slot["calls"] == {"client_error": 1}
    assert slot["latency_s"]["p50"] is None


def test_models_that_clients_make_up_share_one_name(live: Live) -> None:
    for number in range(50):
        tell_of_a_call(live, target=Target("groq", f"made-up-{number}"))

    assert set(told(live)["models"]) == {"other"}


def test_what_calls_did_without_is_remembered_with_its_time(live: Live, clock: FakeClock) -> None:
    with Journal(clock, [live]).call(ListExchange(), Endpoint.CHAT) as record:
        record.cache = CacheRecord(word="miss", lookup="error")
        record.rag = RagRecord("handbook", result="error")

    assert told(live)["degraded"] == {"cache": 1, "rag": 1}
    assert live.missed == {"cache": clock.wall(), "rag": clock.wall()}


def searched(live: Live, clock: FakeClock, name: str = "handbook", **more: Any) -> None:
    with Journal(clock, [live]).call(ListExchange(), Endpoint.CHAT) as record:
        record.rag = RagRecord(name, **more)


def test_what_documents_were_to_calls_is_told_by_collection(live: Live, clock: FakeClock) -> None:
    passage = Source("handbook", "depot.md", "Depot", 0.8)
    searched(live, clock, result="ok", sources=(passage,), top_score=0.8, search_s=0.5)
    searched(live, clock, result="empty", top_score=0.4, embed_s=0.25)
    searched(live, clock, result="error")
    searched(live, clock)

    assert told(live)["documents"] == {
        "handbook": {
            "calls": 3,
            "empty": 1,
            "failed": 1,
            "passages": 1,
            "seconds": 0.75,
            "scores": pytest.approx(1.2),
            "scored": 2,
        }
    }
    both = shown(merged([slots(live), slots(live)])[0])
    assert both["documents"]["handbook"]["calls"] == 6


def test_collections_that_clients_make_up_share_one_name(live: Live, clock: FakeClock) -> None:
    for number in range(50):
        searched(live, clock, f"made-up-{number}", known=False, result="error")
    for number in range(300):
        searched(live, clock, f"c{number}", result="empty")

    assert len(told(live)["documents"]) == MAX_NAMES + 1
    assert told(live)["documents"]["other"]["calls"] == 150


def test_what_a_hit_saved_is_told(live: Live, clock: FakeClock) -> None:
    with Journal(clock, [live]).call(ListExchange(), Endpoint.CHAT) as record:
        record.cache = CacheRecord(word="exact", given=True, saved=2_000_000)

    assert told(live)["saved_usd"] == 0.002
    assert told(live)["cache"] == {"exact": 1}


def test_calls_lie_in_the_slot_in_which_they_ended(live: Live, clock: FakeClock) -> None:
    tell_of_a_call(live)
    clock.advance(STEP_S)
    tell_of_a_call(live)
    tell_of_a_call(live)

    first, second = slots(live)

    assert second["t"] - first["t"] == STEP_S
    assert (first["outcomes"], second["outcomes"]) == ({"ok": 1}, {"ok": 2})
    assert slots(live, second["t"]) == [second]


def test_an_hour_is_kept_and_no_more(live: Live, clock: FakeClock) -> None:
    for _ in range(SLOTS + 30):
        tell_of_a_call(live)
        clock.advance(STEP_S)

    kept = slots(live)

    assert len(kept) <= SLOTS
    assert clock.wall() - kept[0]["t"] <= (SLOTS + 1) * STEP_S
    assert live.totals["calls"] == SLOTS + 30


def test_a_whole_hour_of_many_models_takes_little_memory(live: Live, clock: FakeClock) -> None:
    for _ in range(SLOTS):
        tell_of_a_call(live)
        clock.advance(STEP_S)

    assert sum(map(len, live.since(0))) < 1_000_000


def test_the_wall_clock_may_be_set_back(live: Live, clock: FakeClock) -> None:
    tell_of_a_call(live)
    clock.set_wall(clock.wall() - 7200)
    clock.advance(2)
    tell_of_a_call(live)

    assert sum(each["outcomes"]["ok"] for each in slots(live)) == 2


def test_the_slots_of_workers_add_up(clock: FakeClock) -> None:
    one, other = Live(clock, labelled), Live(clock, labelled)
    tell_of_a_call(one)
    tell_of_a_call(other)
    tell_of_a_call(other, error=ServerFailed("x"))

    [slot] = merged([slots(one), slots(other)])

    assert slot["outcomes"] == {"ok": 2, "upstream_error": 1}
    assert slot["models"][TARGET.model]["calls"] == 3
    assert slot["times"][0] == 3
    assert slot["t"] == slots(one)[0]["t"]


counts = st.lists(st.integers(0, 50), min_size=len(LAT) + 1, max_size=len(LAT) + 1)


@given(counts, st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_of_its_rank(seen: list[int], share: float) -> None:
    value = quantile(share, LAT, seen)

    if not sum(seen):
        assert value is None
        return
    assert value is not None
    bounds, rank = [0.0, *LAT], share * sum(seen)
    below = accumulate(seen)
    place = next(
        i for i, (all, own) in enumerate(zip(below, seen, strict=True)) if own and all >= rank
    )
    assert (
        bounds[min(place, len(LAT) - 1)] - 1e-6 <= value <= bounds[min(place + 1, len(LAT))] + 1e-6
    )


@given(st.lists(counts, min_size=1, max_size=4))
def test_adding_up_is_the_same_in_any_order(rows: list[list[int]]) -> None:
    workers = [[{"t": 5, "duration": row, "words": {"miss": sum(row)}}] for row in rows]
    shuffled = random.Random(1).sample(workers, len(workers))

    assert merged(workers) == merged(shuffled)


def test_a_call_that_is_being_served_is_in_flight(live: Live, clock: FakeClock) -> None:
    with Journal(clock, [live]).call(ListExchange(), Endpoint.CHAT) as record:
        assert isinstance(record, CallRecord)
        assert live.in_flight == 1

    assert live.in_flight == 0
