"""Alerts about budgets: each once, whoever sees it, in words that people understand."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.access.alerts import Alerts, open_alerts
from proxy.access.forecast import Pace
from proxy.access.outbox import Outbox
from proxy.access.told import level_of
from proxy.access.webhooks import Message, Poster, Reply, Webhook
from proxy.config.settings import AlertSettings
from proxy.core.clock import SystemClock
from proxy.core.events import AlertDelivered, AlertKind, AlertRaised
from proxy.core.money import NANO, Balance, Bucket, Budget, Standing, Window
from proxy.stores.protocols import Records
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.records import SqliteRecords
from tests.access.records import MemoryRecords
from tests.fakes import FakeClock
from tests.stories.receiver import receiving

DAY = 1_800_000_000 // 86_400 * 86_400  # 2027-01-15, a Friday
DAY_S = 86_400


def standing(
    spent: float,
    *budgets: Budget,
    scope: str = "team:search",
    window: Window = "day",
    start: int = DAY,
    length_s: int = DAY_S,
    reserved: float = 0,
) -> Standing:
    """So many dollars of the budgets (5 USD/day where none is named) are spent."""
    written = budgets or (Budget(5 * NANO, window),)
    limit = min((each.nano_usd for each in written if each.hard), default=None)
    end = None if window == "total" else start + length_s
    balance = Balance(round(spent * NANO), round(reserved * NANO))
    bucket = Bucket(scope, window, 0 if end is None else start, end, limit)
    return Standing(bucket, written, balance, scope.replace(":", " "))


def soft(usd: float) -> Budget:
    return Budget(round(usd * NANO), "day", hard=False)


def hard(usd: float) -> Budget:
    return Budget(round(usd * NANO), "day")


def told_by(**knobs: Any) -> AlertSettings:
    hooks = [{"url": SecretStr("http://127.0.0.1:9/x"), "format": "slack"}]
    return AlertSettings.model_validate({"forecast": False, "webhooks": hooks, **knobs})


@dataclass
class Town:
    """Workers over one store, and what the one webhook was told."""

    settings: AlertSettings = field(default_factory=told_by)
    zone: str = "UTC"
    memory: MemoryRecords = field(default_factory=MemoryRecords)
    store: Records | None = None  # another than the memory
    clock: FakeClock = field(default_factory=lambda: FakeClock(wall=DAY + 3600.0))
    heard: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    raised: list[AlertRaised] = field(default_factory=list)
    outboxes: list[Outbox] = field(default_factory=list)

    async def post(self, webhook: Webhook, message: Message, *, id: str, at: float) -> Reply:
        self.heard.append(message.text)
        self.messages.append(message)
        return Reply(True, "status 200")

    def worker(self) -> Alerts:
        outbox = Outbox(
            self.store or self.memory,
            self.post,
            wall=self.clock.wall,
            chance=Random(1),
            tell=lambda event: None,
        )
        self.outboxes.append(outbox)
        return Alerts(
            self.store or self.memory,
            self.settings,
            outbox,
            zone=self.zone,
            wall=self.clock.wall,
            tell=self.raised.append,
        )

    async def beat(self, *workers: Alerts) -> None:
        await asyncio.gather(*(worker.beat() for worker in workers))
        await self.settle()

    async def tick(self, standings: Sequence[Standing], *workers: Alerts) -> None:
        await asyncio.gather(*(worker.tick(standings) for worker in workers))
        await self.settle()

    async def settle(self) -> None:
        for outbox in self.outboxes:
            await outbox.idle()

    @property
    def thresholds(self) -> list[float | None]:
        return [
            message.alert.threshold
            for message in self.messages
            if message.alert and message.alert.kind is AlertKind.THRESHOLD
        ]

    @property
    def kinds(self) -> list[str]:
        return [str(event.kind) for event in self.raised]


async def test_each_threshold_is_told_once_as_it_is_passed() -> None:
    town = Town()
    worker = town.worker()

    for cents in range(0, 600, 10):
        worker.notice([standing(cents / 100)])
        await town.beat(worker)

    assert town.thresholds == [0.5, 0.8, 1.0]
    assert town.heard == [
        "team search: 50 % of the day's budget is spent, 2.5 of 5 USD;"
        " it is whole again on 2027-01-16 at 00:00 (UTC)",
        "team search: 80 % of the day's budget is spent, 4 of 5 USD;"
        " it is whole again on 2027-01-16 at 00:00 (UTC)",
        "team search: the day's budget is used up, 5 of 5 USD;"
        " calls are refused until 2027-01-16 at 00:00 (UTC)",
    ]


async def test_two_workers_and_a_restart_tell_a_slack_receiver_each_alert_exactly_once() -> None:
    async with receiving() as receiver, Poster() as poster:
        town = Town(told_by(webhooks=[{"url": SecretStr(receiver.url), "format": "slack"}]))
        town.post = poster.post  # type: ignore[method-assign]
        crew = [town.worker(), town.worker()]
        for cents in range(200, 520, 20):
            for each in crew:
                each.notice([standing(cents / 100)])
            await town.beat(*crew)
            if cents == 400:
                crew[0] = town.worker()
            town.clock.advance(10)
            await town.tick([standing(cents / 100)], *crew)

    assert [text[:17] for text in receiver.texts] == [
        "team search: 50 %",
        "team search: 80 %",
        "team search: the ",
    ]
    assert len({got.delivery for got in receiver.got}) == 3
    assert town.kinds == ["threshold"] * 3


async def test_the_same_holds_on_one_file_shared_by_two_processes(tmp_path: Path) -> None:
    town = Town()
    path = tmp_path / "ledger.sqlite3"
    async with Database(path, town.clock) as one, Database(path, town.clock) as two:
        crew = []
        for records in (SqliteRecords(one), SqliteRecords(two)):
            town.store = records
            crew.append(town.worker())
        for cents in range(200, 520, 60):
            for each in crew:
                each.notice([standing(cents / 100)])
            await town.beat(*crew)
        town.clock.set_wall(DAY + DAY_S + 1.0)
        await town.tick([], *crew)
    async with Database(path, town.clock) as three:
        town.store = SqliteRecords(three)
        await town.tick([standing(5.0), standing(0, start=DAY + DAY_S)], town.worker())

    assert town.thresholds == [0.5, 0.8, 1.0]
    assert town.kinds == ["threshold", "threshold", "threshold", "resolved"]
    assert len(town.heard) == 4


async def test_of_several_thresholds_passed_at_once_only_the_highest_is_told() -> None:
    town = Town()
    worker = town.worker()

    worker.notice([standing(4.5)])
    await town.beat(worker)
    await town.tick([standing(4.6)], worker)

    assert town.thresholds == [0.8]


async def test_promised_money_is_not_spent_money() -> None:
    town = Town()
    worker = town.worker()

    await town.tick([standing(2.4, reserved=2.6)], worker)

    assert town.heard == []


async def test_each_budget_of_a_window_has_its_own_alerts() -> None:
    town = Town()
    worker = town.worker()

    for cents in range(0, 500, 25):
        await town.tick([standing(cents / 100, hard(5), soft(2))], worker)

    told = [(m.alert.hard, m.alert.threshold) for m in town.messages if m.alert]
    assert told == [(False, 0.5), (False, 0.8), (False, 1.0), (True, 0.5), (True, 0.8)]
    assert "the day's soft budget is used up, 2 of 2 USD; calls go on" in town.heard[2]


async def test_refusals_end_a_budget_of_which_little_is_left() -> None:
    town = Town()
    worker = town.worker()

    worker.refused(standing(4.97))
    worker.refused(standing(4.97))
    await town.beat(worker)
    await town.tick([standing(4.98)], worker)

    assert town.thresholds == [1.0]
    assert "is used up, 4.97 of 5 USD; calls are refused until" in town.heard[0]


async def test_a_refusal_of_one_huge_call_ends_no_budget() -> None:
    town = Town()
    worker = town.worker()

    worker.refused(standing(3.0))
    await town.beat(worker)

    assert town.thresholds == [0.5]


async def test_a_budget_of_nothing_raises_nothing() -> None:
    town = Town()
    worker = town.worker()

    worker.refused(standing(0, hard(0)))
    await town.tick([standing(0, hard(0))], worker)

    assert town.heard == []


async def test_a_lowered_budget_tells_only_the_thresholds_that_it_newly_passes() -> None:
    town = Town()
    worker = town.worker()
    await town.tick([standing(5.2, hard(10))], worker)

    await town.tick([standing(5.2, hard(9))], worker)  # 58 %: told already
    await town.tick([standing(5.2, hard(6))], worker)  # 87 %

    assert town.thresholds == [0.5, 0.8]


async def test_a_raised_budget_is_resolved_and_then_told_anew() -> None:
    town = Town()
    worker = town.worker()
    await town.tick([standing(4.5, hard(5))], worker)
    town.clock.advance(60)

    await town.tick([standing(4.5, hard(10))], worker)
    await town.tick([standing(5.0, hard(10))], worker)

    assert town.kinds == ["threshold", "resolved", "threshold"]
    assert town.heard[1] == "team search: back at 45 % of the day's budget, 4.5 of 10 USD"
    assert town.thresholds == [0.8, 0.5]


async def test_a_refund_below_all_that_was_told_is_told_once_by_all_workers() -> None:
    town = Town()
    crew = [town.worker() for _ in range(3)]
    await town.tick([standing(4.5)], *crew)
    town.clock.advance(60)

    await town.tick([standing(3.0)], *crew)  # below 80 %, but not below 50 %
    await town.tick([standing(2.0)], *crew)
    await town.tick([standing(4.5)], *crew)

    assert town.kinds == ["threshold", "resolved"]


async def test_a_balance_from_before_the_alert_is_no_refund() -> None:
    town = Town()
    swift, slow = town.worker(), town.worker()
    swift.notice([standing(4.5)])
    await town.beat(swift)

    await town.tick([standing(1.0)], slow)

    assert town.kinds == ["threshold"]


async def test_a_new_window_resolves_what_was_told_of_the_last_one_once() -> None:
    town = Town()
    crew = [town.worker() for _ in range(3)]
    await town.tick([standing(4.5)], *crew)
    quiet = standing(1.0, scope="team:quiet")
    await town.tick([quiet], *crew)
    town.clock.set_wall(DAY + DAY_S + 3.0)

    await town.tick([standing(0, start=DAY + DAY_S)], *crew, town.worker())
    await town.tick([standing(2.5, start=DAY + DAY_S)], *crew)

    assert town.kinds == ["threshold", "resolved", "threshold"]
    assert town.heard[1] == "team search: a new day has begun, the day's budget is whole again"


async def test_a_clock_set_back_into_a_told_window_tells_nothing_twice() -> None:
    town = Town()
    worker = town.worker()
    await town.tick([standing(4.5)], worker)
    town.clock.set_wall(DAY + DAY_S + 3.0)
    await town.tick([standing(2.5, start=DAY + DAY_S)], worker)

    town.clock.set_wall(DAY + DAY_S - 60.0)
    await town.tick([standing(4.5)], worker)

    assert town.kinds.count("threshold") == 2


async def test_a_total_budget_is_told_and_never_whole_again() -> None:
    town = Town(told_by(forecast=True))
    worker = town.worker()

    await town.tick([standing(5.0, window="total")], worker)

    assert town.heard == [
        "team search: the total budget is used up, 5 of 5 USD; calls are refused until it is raised"
    ]


async def test_all_calls_are_called_so() -> None:
    town = Town()
    worker = town.worker()

    await town.tick([standing(2.5, scope="global")], worker)

    assert town.heard[0].startswith("all calls: 50 % of the day's budget")


async def test_a_forecast_tells_the_hour_in_the_zone_of_the_budgets_once_a_window() -> None:
    start = DAY - 3600  # midnight in Berlin
    town = Town(told_by(forecast=True), zone="Europe/Berlin")
    crew = [town.worker(), town.worker()]

    for minute in range(0, 7 * 60, 5):
        town.clock.set_wall(start + minute * 60)
        spent = 5.0 * minute / (14 * 60 + 10)
        await town.tick([standing(spent, start=start)], *crew)

    forecasts = [text for text in town.heard if "at this rate" in text]
    assert len(forecasts) == 1
    assert forecasts[0].startswith(
        "team search: at this rate the day's budget ends at 14:10 (Europe/Berlin); "
    )
    assert town.kinds == ["forecast"]


async def test_a_forecast_of_a_month_names_the_day() -> None:
    town = Town(told_by(forecast=True))
    worker = town.worker()
    town.clock.set_wall(DAY + 10 * DAY_S)

    await town.tick(
        [standing(2.0, Budget(5 * NANO, "month"), window="month", length_s=31 * DAY_S)], worker
    )

    assert "the month's budget ends on 2027-02-09 at 00:00 (UTC); 2 of 5 USD" in town.heard[0]


async def test_no_forecast_follows_a_budget_that_is_used_up() -> None:
    town = Town(told_by(forecast=True))
    worker = town.worker()
    town.clock.set_wall(DAY + 7200.0)

    worker.refused(standing(4.97))
    await town.tick([standing(4.97)], worker)

    assert town.kinds == ["threshold"]


def paced(*seen: tuple[float, float]) -> float | None:
    """When 5 dollars are gone, in hours of the day, after (hours, dollars) were seen."""
    bucket = standing(0).bucket
    pace = Pace(bucket)
    for hours, usd in seen:
        pace.saw(DAY + hours * 3600, round(usd * NANO))
    hours, usd = seen[-1]
    end = pace.ends_at(DAY + hours * 3600, round(usd * NANO), 5 * NANO)
    return None if end is None else (end - DAY) / 3600


def every(hours: float, *, until: float, usd_an_hour: float) -> list[tuple[float, float]]:
    return [(n * hours, n * hours * usd_an_hour) for n in range(round(until / hours) + 1)]


def test_a_steady_pace_is_extended_to_the_end_of_the_money() -> None:
    assert paced(*every(0.1, until=6, usd_an_hour=0.5)) == pytest.approx(10.0)
    assert paced(*every(0.1, until=6, usd_an_hour=0.2)) is None  # lasts for 25 hours


def test_a_burst_that_is_over_raises_no_forecast() -> None:
    assert paced((1.0, 2.0), (1.5, 2.0), (2.0, 2.0), (4.0, 2.0), (4.5, 2.0)) is None


def test_a_burst_that_goes_on_is_not_hidden_by_quiet_hours() -> None:
    quiet = [(hours / 10, 0.0) for hours in range(180)]

    assert paced(*quiet, (18.0, 0.0), (18.5, 0.5), (19.0, 1.0), (20.0, 2.0)) is not None


def test_too_little_time_or_money_foretells_nothing() -> None:
    assert paced((1.0, 4.0)) is None  # of 24 hours
    assert paced((3.0, 0.49)) is None
    assert paced((3.0, 5.0)) is None  # it is gone


def test_a_worker_that_has_just_begun_goes_by_all_that_was_spent() -> None:
    assert paced((10.0, 4.0)) == pytest.approx(12.5)


async def test_what_a_dying_worker_had_raised_is_delivered_by_another_one() -> None:
    town = Town()
    dying, heir = town.worker(), town.worker()
    town.memory.fails_after = 1  # the claim, and nothing after it
    dying.notice([standing(4.5)])
    await town.beat(dying)
    town.memory.fails_after, town.memory.away = None, False
    town.clock.advance(20)

    await town.tick([standing(4.5)], heir)
    await town.tick([standing(4.5)], heir)

    assert town.thresholds == [0.8]
    assert town.kinds == ["threshold"]


async def test_an_alert_waits_for_a_store_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    town = Town()
    worker = town.worker()
    town.memory.away = True
    worker.notice([standing(4.5)])
    await town.beat(worker)
    await town.tick([standing(4.5)], worker)
    assert "budget alerts wait for the store" in caplog.text

    town.memory.away = False
    await town.beat(worker)

    assert town.thresholds == [0.8]


async def test_without_webhooks_an_alert_is_still_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    town = Town(told_by(webhooks=[]))
    worker = town.worker()

    await town.tick([standing(4.5)], worker)

    assert town.raised == [
        AlertRaised("team:search", "team search", "day", AlertKind.THRESHOLD, 0.8)
    ]
    assert "budget alert: team search: 80 % of the day's budget is spent" in caplog.text
    assert town.heard == []


async def test_a_reload_changes_who_is_told_and_when() -> None:
    town = Town()
    worker = town.worker()
    await town.tick([standing(2.5)], worker)

    worker.configure(told_by(thresholds=[0.6, 0.5]), "UTC")
    await town.tick([standing(3.0)], worker)

    assert town.thresholds == [0.5, 0.6]


async def test_records_of_windows_long_over_are_forgotten() -> None:
    town = Town()
    await town.tick([standing(4.5)], town.worker())
    town.clock.advance(2 * DAY_S)
    await town.tick([], town.worker())

    town.clock.advance(40 * DAY_S)
    await town.tick([], town.worker())

    assert {kept.value for kept in town.memory.kept.values()} == {None}
    assert town.kinds == ["threshold", "resolved"]


async def test_a_damaged_record_loses_no_alert_and_doubles_none() -> None:
    town = Town()
    window = standing(4.5).bucket.id
    for value in (b"", b"[]", b'{"marks": [{}]}', b"null"):
        await town.memory.put("alert", window, value)
        await town.tick([standing(4.5)], town.worker())
    await town.memory.put("alert", window, b"{")

    await town.tick([standing(5.0)], town.worker())

    assert town.thresholds == [0.8, 1.0]


async def test_open_alerts_tells_within_seconds_and_ends_what_it_began() -> None:
    async with receiving() as receiver:
        told: list[AlertRaised | AlertDelivered] = []
        async with open_alerts(
            MemoryRecords(),
            told_by(webhooks=[{"url": SecretStr(receiver.url)}]),
            zone="UTC",
            clock=SystemClock(),
            wall=lambda: DAY + 3600.0,
            chance=Random(1),
            tell=told.append,
        ) as alerts:
            alerts.notice([standing(4.5)])

    assert [got.told["event"] for got in receiver.got] == ["threshold"]
    assert [type(event) for event in told] == [AlertRaised, AlertDelivered]


SHARES = st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.55, 0.8, 0.95, 1.0, 1.2]), max_size=5)


@given(
    shares=SHARES,
    charges=st.lists(
        st.tuples(
            st.integers(0, 3),  # the worker that makes it
            st.integers(0, 2 * NANO),
            st.sampled_from(["notice", "notice", "beat", "tick", "restart", "away", "back"]),
        ),
        max_size=30,
    ),
    seed=st.integers(0, 1000),
)
def test_no_interleaving_tells_a_threshold_twice_or_forgets_the_highest(
    shares: list[float], charges: list[tuple[int, int, str]], seed: int
) -> None:
    town = Town(told_by(thresholds=shares))
    town.memory.chance = Random(seed)
    budgets = (hard(5), soft(3))

    settled = asyncio.run(_lived(town, charges, budgets))

    told = [(m.alert.hard, m.alert.threshold) for m in town.messages if m.alert]
    crossed = {
        each.hard: [share for share in shares if settled >= level_of(each.nano_usd, share)]
        for each in budgets
    }
    assert len(told) == len(set(told))
    assert len(town.raised) <= len(told)  # fewer where the store took a claim, but said it failed
    assert all(threshold in crossed[hardness] for hardness, threshold in told)
    for hardness, passed in crossed.items():
        assert not passed or (hardness, max(passed)) in told


async def _lived(
    town: Town, charges: Sequence[tuple[int, int, str]], budgets: tuple[Budget, ...]
) -> int:
    """Live through `charges`, with as much as possible at the same time; what was spent at last."""
    settled, crew = 0, [town.worker() for _ in range(4)]
    running: list[asyncio.Task[None]] = []

    def begin(work: Coroutine[Any, Any, None]) -> None:
        running.append(asyncio.create_task(work))

    for number, amount, what in charges:
        worker = crew[number]
        settled += amount
        now = replace(standing(0, *budgets), balance=Balance(settled))
        match what:
            case "notice":
                worker.notice([now])
            case "beat":
                worker.notice([now])
                begin(worker.beat())
            case "tick":
                begin(worker.tick([now]))
            case "restart":
                crew[number] = town.worker()
            case "away" | "back":
                town.memory.away = what == "away"
        for _ in range(number):
            await asyncio.sleep(0)
    await asyncio.gather(*running)
    await town.settle()
    town.memory.away = False
    now = replace(standing(0, *budgets), balance=Balance(settled))
    for _ in range(4):  # whatever was left behind is taken up
        town.clock.advance(20)
        await town.tick([now], *crew)
    return settled


async def test_secrets_stand_in_no_alert(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hooks = [{"url": SecretStr("http://127.0.0.1:1/hunter2"), "secret": SecretStr("hunter2")}]
    town = Town(told_by(webhooks=hooks))
    worker = town.worker()

    await town.tick([standing(4.5)], worker)

    assert town.heard
    assert "hunter2" not in f"{caplog.text} {town.memory.kept} {town.raised} {town.messages}"
