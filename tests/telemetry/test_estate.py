"""What a worker leaves, and what its successor makes of it."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.call import ANYONE, Call, Endpoint
from proxy.core.errors import InvalidRequest
from proxy.core.events import ConfigReloaded, LoopLagged
from proxy.core.journal import FlightRecord, Journal
from proxy.core.keepsakes import Drawer, Keepsakes, unpacked
from proxy.telemetry.decisions import Decisions, Wanted
from proxy.telemetry.estate import Estate, Inherited
from proxy.telemetry.live import STEP_S, Live
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.slots import merged
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock
from tests.telemetry.records import TARGET, tell_of_a_call, tell_of_a_refused_call

# Of a process itself, which is another one; and what nobody is asked to keep.
OWN = ("process_", "python_", "llmproxy_config_last", "llmproxy_in_flight", "llmproxy_workers")


@dataclass
class Life:
    """A worker's evidence, as far as it is handed over."""

    number: int = 0
    inherited: Inherited = field(default_factory=Inherited)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.metrics = Metrics(self.clock, lambda _: (), version="1", python="3")
        self.metrics.resume(self.inherited.counts.get("metrics", {}))
        self.metrics.work_among_others(self.number)
        self.live = Live(self.clock, self.metrics.labels.own)
        self.live.resume(self.inherited.counts.get("totals", {}), self.inherited.slots)
        self.decisions = Decisions()
        self.estate = Estate(
            self.metrics,
            self.live,
            self.decisions,
            show=lambda text: text.replace("secret", "..."),
            worker=3,
            life=self.number,
        )
        self.observers = (self.metrics, self.live, self.decisions, self.estate)

    def successor(self, keepsakes: Keepsakes) -> "Life":
        return Life(self.number + 1, Inherited.of(keepsakes.packets()), self.clock)

    def samples(self) -> dict[Any, float]:
        text = self.metrics.render("")[0].decode()
        return {
            (s.name, frozenset(s.labels.items())): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
            if not s.name.startswith(OWN)
        }

    def slots(self) -> Any:
        return merged([[orjson.loads(slot) for slot in self.live.since(0)]])


def test_a_successor_goes_on_from_where_the_one_before_was() -> None:
    keepsakes, first = Keepsakes(), Life()
    for _ in range(3):
        tell_of_a_call(*first.observers)
    tell_of_a_refused_call(*first.observers, error=InvalidRequest("no"))
    keepsakes.take(first.estate.news())

    second = first.successor(keepsakes)

    assert second.samples() == first.samples()
    assert second.live.totals == first.live.totals
    assert second.slots() == first.slots()


def test_over_several_lives_every_call_is_counted_once() -> None:
    keepsakes, life = Keepsakes(), Life()
    for calls in (1, 2, 0, 3):
        for _ in range(calls):
            tell_of_a_call(*life.observers)
        keepsakes.take(life.estate.news())
        keepsakes.take(life.estate.news())
        life = life.successor(keepsakes)

    counted = sum(
        value for (name, _), value in life.samples().items() if name == "llmproxy_requests_total"
    )
    [slot] = life.slots()  # though all lives had calls in it
    assert counted == life.live.totals["calls"] == slot["outcomes"]["ok"] == 6


def test_what_came_after_the_last_time_is_lost_everywhere_alike() -> None:
    keepsakes, first = Keepsakes(), Life()
    tell_of_a_call(*first.observers)
    keepsakes.take(first.estate.news())
    before = first.samples()
    tell_of_a_call(*first.observers)

    second = first.successor(keepsakes)

    assert second.samples() == before
    assert second.live.totals["calls"] == 1


def test_restarts_are_what_the_supervisor_says() -> None:
    keepsakes, first = Keepsakes(), Life()
    tell_of_a_call(*first.observers)
    keepsakes.take(first.estate.news())
    second = first.successor(keepsakes)
    keepsakes.take(second.estate.news() or first.estate.news())

    page = second.successor(keepsakes).metrics.render("")[0]

    assert b"llmproxy_workers_restarts_total 2.0" in page


def test_what_is_counted_elsewhere_is_added_to_what_was_before() -> None:
    keepsakes, first = Keepsakes(), Life()
    first.metrics.watch_dropped("spans", lambda: 5)
    tell_of_a_call(*first.observers)
    keepsakes.take(first.estate.news())

    second = first.successor(keepsakes)
    second.metrics.watch_dropped("spans", lambda: 2)

    name = "llmproxy_telemetry_dropped_total", frozenset({("signal", "spans")})
    assert second.samples()[name] == 7


def test_slots_of_an_hour_ago_are_forgotten() -> None:
    keepsakes, first = Keepsakes(), Life()
    tell_of_a_call(*first.observers)
    keepsakes.take(first.estate.news())
    second = first.successor(keepsakes)
    assert second.slots()

    second.clock.advance(3600 + STEP_S)

    assert second.slots() == []
    assert second.live.totals["calls"] == 1


def test_records_are_found_again_without_secrets() -> None:
    keepsakes, first = Keepsakes(), Life()
    tell_of_a_call(*first.observers, model="secret")
    keepsakes.take(first.estate.news())
    inherited = first.successor(keepsakes).inherited

    [call] = inherited.calls.values()
    told = orjson.loads(call.json)
    assert (told["id"], told["worker"], told["model"]["requested"]) == ("prx_1", 3, "...")
    assert list(inherited.calls) == ["prx_1"]
    for wanted, found in (
        (Wanted(), 1),
        (Wanted(limit=0), 0),
        (Wanted(outcomes=["ok"]), 1),
        (Wanted(outcomes=["timeout"]), 0),
        (Wanted(models=[TARGET.model]), 1),
        (Wanted(models=[str(TARGET)]), 1),
        (Wanted(models=["another"]), 0),
        (Wanted(tenants=["anyone"]), 1),
        (Wanted(tenants=["nobody"]), 0),
        (Wanted(words=["off"]), 1),
        (Wanted(words=["exact"]), 0),
        (Wanted(min_ms=2999), 1),
        (Wanted(min_ms=3001), 0),
        (Wanted(since=told["ended"]), 1),
        (Wanted(since=told["ended"] + 1), 0),
    ):
        assert len(inherited.last(wanted)) == found, wanted


def test_a_call_whose_answer_went_on_is_told_again_when_that_ended() -> None:
    keepsakes, first = Keepsakes(), Life()
    journal = Journal(first.clock, first.observers)
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", "m", {}, stream=False)
    flight = FlightRecord(call=call, started=first.clock.now())
    with journal.call(ListExchange(), Endpoint.CHAT) as record:
        record.caller, record.call, record.flight = ANYONE, call, flight
    keepsakes.take(first.estate.news())
    [before] = Inherited.of(keepsakes.packets()).calls.values()

    flight.summary.finish_reason, flight.ended = "stop", first.clock.now() + 1
    for observer in first.observers:
        observer.flight_closed(flight)
    keepsakes.take(first.estate.news())

    [after] = Inherited.of(keepsakes.packets()).calls.values()
    assert orjson.loads(before.json)["finish_reason"] is None
    assert orjson.loads(after.json)["finish_reason"] == "stop"


def test_few_calls_are_written_at_a_time_and_kept_says_how_many_are() -> None:
    life, said = Life(), []
    for number in range(120):
        exchange = ListExchange()
        exchange.id = f"prx_{number}"
        with Journal(life.clock, life.observers).call(exchange, Endpoint.MODELS):
            pass
    assert life.estate.kept == 0

    for _ in range(4):
        notes = unpacked(life.estate.news())
        calls = sum(note.drawer is Drawer.GOOD for note in notes)
        said.append((calls, life.estate.kept))

    assert said == [(50, 50), (50, 100), (20, 120), (0, 120)]


@pytest.mark.parametrize(
    ("event", "news"), [(LoopLagged(0.1), False), (ConfigReloaded(ok=True), True)]
)
def test_without_news_nothing_is_said_for_a_while(event: Any, *, news: bool) -> None:
    life = Life()
    assert life.estate.news() == b""

    for observer in life.observers:
        observer.happened(event)

    assert bool(life.estate.news()) is news
    said = [bool(life.estate.news()) for _ in range(60)]
    assert sum(said) == 3
