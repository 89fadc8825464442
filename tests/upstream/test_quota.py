import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from proxy.core.events import DomainClosed, Event
from proxy.core.quota import Need, Reading, Shortage, Source, Window
from proxy.simulator import headers, problems
from proxy.simulator.catalogue import SERVED, Metric
from proxy.simulator.catalogue import Plan as PaidPlan
from proxy.simulator.limits import Cost, Pool
from proxy.upstream.board import HostBoard, LocalBoard
from proxy.upstream.buckets import Taken
from proxy.upstream.plans import Plan
from proxy.upstream.quota import Domain, Quotas
from proxy.wire.quotas import readings, shortage
from tests.fakes import FakeClock
from tests.upstream.virtual import VirtualClock

MODEL = "openai/gpt-oss-20b"  # free: 30 rpm, 1,000 rpd, 8,000 tpm, 200,000 tpd
SMALL = Need(100, 50)


@dataclass
class Desk:
    """One domain on a clock that tests move."""

    clock: FakeClock = field(default_factory=FakeClock)
    events: list[Event] = field(default_factory=list)
    board: LocalBoard | None = None

    def __post_init__(self) -> None:
        self.quotas = Quotas(self.clock, self.board, self.events.append, lag_s=0.0)

    def domain(self, plan: Plan | None = "free") -> Domain:
        return self.quotas.domain("groq", "shared", MODEL, plan)


def took(domain: Domain, need: Need = SMALL) -> Taken:
    taken = domain.take(need)
    assert isinstance(taken, Taken)
    return taken


def used(domain: Domain, window: Window) -> float:
    return next(one.used for one in domain.view().windows if one.window is window)


def source(domain: Domain, window: Window) -> Source:
    return next(one.source for one in domain.view().windows if one.window is window)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_limits_that_nobody_told_hold_nobody_back(desk: Desk) -> None:
    domain = desk.domain(plan=None)

    for _ in range(1_000):
        took(domain, Need(10**9, 10**9))

    assert domain.view().windows == []


def test_the_limits_of_a_plan_are_known_from_the_start(desk: Desk) -> None:
    domain = desk.domain()
    assert source(domain, Window.RPM) is Source.PLAN

    for _ in range(30):
        took(domain)

    assert source(domain, Window.RPM) is Source.COUNTED
    assert domain.wait_s(SMALL) == pytest.approx(2.0, abs=1e-6)
    assert domain.take(SMALL) == domain.wait_s(SMALL)


def test_a_call_fits_exactly_after_the_wait_that_was_told(desk: Desk) -> None:
    domain = desk.domain()
    took(domain, Need(5_439, 5_439))

    wait_s = domain.take(Need(5_017, 5_017))
    assert wait_s == pytest.approx(18.42, abs=1e-6)
    assert isinstance(wait_s, float)
    desk.clock.advance(wait_s - 1e-5)
    assert isinstance(domain.take(Need(5_017, 5_017)), float)

    desk.clock.advance(1e-5)
    took(domain, Need(5_017, 5_017))


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 8_000)), max_size=40))
def test_waits_are_those_of_groq(calls: list[tuple[float, int]]) -> None:
    desk = Desk()
    domain = desk.domain()
    pool = Pool(SERVED[MODEL].limits(PaidPlan.FREE))

    for pause_s, tokens in calls:
        desk.clock.advance(pause_s)
        now, cost = desk.clock.now(), cost_of(tokens)
        waits = [pool.buckets[metric].wait_s(n, now) for metric, n in cost.items()]
        assert domain.wait_s(Need(tokens, 0)) == pytest.approx(max(waits), abs=1e-6)
        if isinstance(domain.take(Need(tokens, 0)), Taken):
            pool.take(cost, now)


def test_a_call_is_impossible_only_by_what_it_certainly_uses(desk: Desk) -> None:
    domain = desk.domain()

    assert domain.wait_s(Need(9_000, 8_001)) == math.inf
    assert domain.take(Need(9_000, 8_001)) == math.inf
    assert domain.wait_s(Need(9_000, 8_000)) == 0

    took(domain, Need(9_000, 100))
    assert used(domain, Window.TPM) == 8_000
    assert domain.wait_s(Need(9_000, 100)) == pytest.approx(60.0)


def test_headers_replace_our_count_but_for_calls_sent_since(desk: Desk) -> None:
    domain = desk.domain()
    first = took(domain, Need(1_000, 1_000))
    took(domain, Need(700, 700))

    domain.heard(first, [Reading(Window.TPM, 6_000, 100), Reading(Window.RPD, 500, 7)])

    assert used(domain, Window.TPM) == 800
    assert used(domain, Window.RPD) == 8
    assert source(domain, Window.TPM) is Source.HEADER
    assert used(domain, Window.RPM) == 2
    assert domain.wait_s(Need(5_300, 0)) == pytest.approx(1.0, abs=1e-6)


def test_headers_make_limits_known_that_were_not(desk: Desk) -> None:
    domain = desk.domain(plan=None)
    first, second = took(domain), took(domain)

    domain.heard(first, [Reading(Window.TPM, 8_000, 300)])

    assert used(domain, Window.TPM) == 400
    domain.settled(second, 10)
    assert used(domain, Window.TPM) == 310


def test_an_answer_that_was_overtaken_can_only_add(desk: Desk) -> None:
    domain = desk.domain()
    first, second = took(domain), took(domain)
    domain.heard(second, [Reading(Window.TPM, 8_000, 500)])

    domain.heard(first, [Reading(Window.TPM, 8_000, 100)])
    assert used(domain, Window.TPM) == 500

    domain.heard(first, [Reading(Window.TPM, 8_000, 900)])
    assert used(domain, Window.TPM) == 900


@pytest.mark.parametrize(
    ("told", "after"),
    [
        (1_000, 400),  # all that it may use is charged, and the rest credited back at its end
        (400, 400),  # the answer was ready when its head came
        (100, 400),  # only the prompt is charged so far
        (0, 400),
    ],
)
def test_what_a_call_used_counts_whenever_the_provider_charges_it(
    desk: Desk, told: int, after: int
) -> None:
    domain = desk.domain()
    taken = took(domain, Need(1_000, 100))

    domain.heard(taken, [Reading(Window.TPM, 8_000, told)])
    domain.settled(taken, 400)

    assert used(domain, Window.TPM) == after
    assert used(domain, Window.TPD) == 400


def test_a_later_answer_told_the_whole_so_that_nothing_is_given_back_twice(desk: Desk) -> None:
    domain = desk.domain()
    lost, later = took(domain, Need(1_000, 100)), took(domain)
    domain.heard(later, [Reading(Window.TPM, 8_000, 100)])

    domain.settled(lost, None)

    assert used(domain, Window.TPM) == 100
    assert used(domain, Window.TPD) == 100


def test_an_answer_on_its_way_does_not_hide_that_another_call_used_more(desk: Desk) -> None:
    domain = desk.domain()
    first, second = took(domain, Need(1_000, 100)), took(domain)
    domain.settled(first, 1_500)

    domain.heard(second, [Reading(Window.TPM, 8_000, 1_100)])

    assert used(domain, Window.TPM) == 1_600


def test_the_real_tokens_replace_the_expected(desk: Desk) -> None:
    domain = desk.domain()

    domain.settled(took(domain, Need(1_000, 100)), 250)
    domain.settled(took(domain, Need(1_000, 100)), 1_500)

    assert used(domain, Window.TPM) == 1_750
    assert used(domain, Window.TPD) == 1_750
    assert used(domain, Window.RPM) == 2


def test_what_was_not_charged_is_given_back_once(desk: Desk) -> None:
    domain = desk.domain()
    took(domain)
    taken = took(domain)

    domain.settled(taken, None)
    domain.settled(taken, None)
    domain.refused(taken, Shortage(wait_s=5))

    for window in (Window.RPM, Window.RPD):
        assert used(domain, window) == 1
    for window in (Window.TPM, Window.TPD):
        assert used(domain, window) == 100
    assert domain.wait_s(SMALL) == 0


def test_what_drained_meanwhile_is_not_taken_from_others(desk: Desk) -> None:
    domain = desk.domain()
    early = took(domain, Need(1_000, 100))
    desk.clock.advance(10)
    took(domain, Need(1_000, 100))

    domain.settled(early, None)

    assert used(domain, Window.TPM) == pytest.approx(1_000)


def test_a_refusal_tells_its_bucket_and_closes_the_domain(desk: Desk) -> None:
    domain = desk.domain()
    taken = took(domain, Need(5_017, 10))

    domain.refused(taken, Shortage(Window.TPM, 8_000, 5_439, 5_017, 18.42))

    assert used(domain, Window.TPM) == 5_439
    assert source(domain, Window.TPM) is Source.BODY
    assert used(domain, Window.RPM) == 0
    assert domain.wait_s(SMALL) == pytest.approx(18.42)
    closed = DomainClosed("groq", "shared", MODEL, Window.TPM, domain.wait_s(SMALL))
    assert desk.events == [closed]
    desk.clock.advance(18.43)
    assert domain.wait_s(Need(5_017, 10)) == 0


def test_a_later_refusal_may_extend_the_rest_but_never_shorten_it(desk: Desk) -> None:
    domain = desk.domain()
    calls = [took(domain) for _ in range(3)]

    for taken, wait_s, closed_s in zip(calls, (10, 3, 20), (10, 10, 20), strict=True):
        domain.refused(taken, Shortage(wait_s=wait_s))
        assert domain.wait_s(SMALL) == pytest.approx(closed_s)

    assert len(desk.events) == 1


def test_refusals_without_a_wait_double_it_up_to_a_minute(desk: Desk) -> None:
    domain = desk.domain(plan=None)
    waits = []
    for _ in range(8):
        domain.refused(took(domain), Shortage())
        waits.append(domain.wait_s(SMALL))
        desk.clock.advance(waits[-1])

    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    domain.settled(took(domain), 10)
    domain.refused(took(domain), Shortage())
    assert domain.wait_s(SMALL) == pytest.approx(1)


def test_refusals_of_calls_that_were_on_their_way_together_are_one(desk: Desk) -> None:
    domain = desk.domain(plan=None)
    calls = [took(domain) for _ in range(10)]
    desk.clock.advance(0.1)

    for taken in calls:
        domain.refused(taken, Shortage())

    assert domain.wait_s(SMALL) == pytest.approx(1)


def test_a_call_that_never_fits_tells_only_the_limit(desk: Desk) -> None:
    domain = desk.domain(plan=None)

    domain.refused(took(domain), Shortage(Window.TPM, 6_000, requested=32_979, never=True))

    assert used(domain, Window.TPM) == 0
    assert domain.wait_s(SMALL) == 0
    assert domain.wait_s(Need(7_000, 7_000)) == math.inf
    assert desk.events == []


def test_a_used_up_day_ends_at_midnight_in_california(desk: Desk) -> None:
    domain = desk.domain(plan=None)

    domain.refused(took(domain), Shortage(Window.RPD, 20, wait_s=30, until_day_end=True))

    then = desk.clock.wall() + domain.wait_s(SMALL)
    moment = datetime.fromtimestamp(round(then), ZoneInfo("America/Los_Angeles"))
    assert (moment.hour, moment.minute, moment.second) == (0, 0, 0)
    assert 0 < domain.wait_s(SMALL) <= 86_400
    assert domain.view().windows == []  # a fixed day does not refill


@pytest.mark.parametrize(
    "odd", [Shortage(Window.TPM, 0, 0, 5), Shortage(Window.OTHER, 5, 5, 5), Shortage(used=3)]
)
def test_figures_that_make_no_bucket_only_close(desk: Desk, odd: Shortage) -> None:
    domain = desk.domain(plan=None)

    domain.refused(took(domain), odd)

    assert domain.view().windows == []
    assert domain.wait_s(SMALL) == pytest.approx(1)


def test_an_absurd_wait_is_bounded(desk: Desk) -> None:
    domain = desk.domain()

    domain.refused(took(domain), Shortage(wait_s=1e300))

    assert domain.wait_s(SMALL) <= 2 * 86_400


def test_a_reload_may_bring_another_plan(desk: Desk) -> None:
    took(desk.domain())

    domain = desk.quotas.domain("groq", "shared", MODEL, "developer")

    limits = {one.window: one.limit for one in domain.view().windows}
    assert (limits[Window.RPM], limits[Window.TPM]) == (1_000, 250_000)
    assert used(domain, Window.RPM) == 1


def test_rows_that_make_no_sense_are_lost_alone() -> None:
    domain = Desk(board=LocalBoard()).domain()
    took(domain)
    assert domain._board is not None
    with domain._board.edit(domain._name) as ledger:
        ledger.update(rpm=[1.0], tpd=[-5.0, 1, 1, 1, 1, 1], calls=[1.0], closed=[1e300, 0, 0])
        ledger["tpm"][2:4] = [1e300, 99]

    assert used(domain, Window.RPM) == 0
    assert used(domain, Window.TPM) == 100
    assert domain.wait_s(SMALL) <= 2 * 86_400


def test_the_snapshot_shows_every_window(desk: Desk) -> None:
    domain = desk.domain()
    took(domain, Need(800, 0))

    (shown,) = desk.quotas.snapshot()

    assert (shown.provider, shown.account, shown.model) == ("groq", "shared", MODEL)
    assert (shown.closed_for_s, shown.waiting) == (0, 0)
    tpm = next(one for one in shown.windows if one.window is Window.TPM)
    assert (tpm.limit, tpm.used, tpm.remaining) == (8_000, 800, 7_200)
    assert tpm.full_at == pytest.approx(desk.clock.wall() + 6.0)


def cost_of(tokens: int) -> Cost:
    return {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: tokens, Metric.TPD: tokens}


@dataclass(eq=False)
class Sent:
    """A call on its way: what Groq charged, and the headers of that moment (None: it got lost)."""

    taken: Taken
    tokens: int
    told: dict[str, str] | None


class AloneAtGroq(RuleBasedStateMachine):
    """Nobody else uses the organisation: Groq never has a reason to refuse what we let through."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.domain = Quotas(self.clock, LocalBoard(), lambda _: None, lag_s=0.0).domain(
            "groq", "shared", MODEL, "free"
        )
        self.pool = Pool(SERVED[MODEL].limits(PaidPlan.FREE))

    @rule(
        target=calls,
        tokens=st.sampled_from([1, 300, 2_000, 5_000, 8_000]),
        patient=st.booleans(),
        lost=st.booleans(),
    )
    def send(self, tokens: int, patient: bool, lost: bool) -> Sent | None:
        need = Need(tokens, 1)
        if patient:
            self.clock.advance(min(self.domain.wait_s(need), 100.0))
        taken = self.domain.take(need)
        if not isinstance(taken, Taken):
            return None
        if lost:
            return Sent(taken, tokens, None)
        assert self.pool.take(cost_of(tokens), self.clock.now()) is None
        return Sent(taken, tokens, self.headers())

    def headers(self) -> dict[str, str]:
        return headers.rate_limits(self.pool, self.clock.now())

    @rule(call=calls, fresh=st.booleans())
    def hear(self, call: Sent | None, fresh: bool) -> None:
        if call is not None and call.told is not None:
            self.domain.heard(call.taken, readings(self.headers() if fresh else call.told))

    @rule(call=consumes(calls), share=st.floats(0, 1.2))
    def end(self, call: Sent | None, share: float) -> None:
        if call is not None and call.told is not None:
            tokens = int(call.tokens * share)
            self.pool.settle(cost_of(call.tokens), cost_of(tokens), self.clock.now())
            self.domain.settled(call.taken, tokens)

    @rule(call=consumes(calls))
    def fail(self, call: Sent | None) -> None:
        if call is not None:
            if call.told is not None:
                self.pool.settle(cost_of(call.tokens), {}, self.clock.now())
            self.domain.settled(call.taken, None)

    @rule(seconds=st.floats(0, 90))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


TestAloneAtGroq = AloneAtGroq.TestCase


@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 0.25)), min_size=30, max_size=90),
    st.integers(1, 400),
)
def test_calls_that_are_slow_on_their_way_at_times_exceed_nothing(
    calls: list[tuple[float, float]], tokens: int
) -> None:
    clock = FakeClock()
    domain = Quotas(clock, LocalBoard(), lambda _: None, lag_s=0.25).domain(
        "groq", "shared", MODEL, "free"
    )
    arrivals = []
    for pause_s, way_s in calls:
        clock.advance(pause_s if pause_s < 1.5 else 0.0)
        clock.advance(domain.wait_s(Need(tokens, 1)))
        took(domain, Need(tokens, 1))
        arrivals.append(clock.now() + way_s)

    pool = Pool(SERVED[MODEL].limits(PaidPlan.FREE))
    assert all(pool.take(cost_of(tokens), at) is None for at in sorted(arrivals))


def test_texts_of_groq_are_believed_to_the_letter(desk: Desk) -> None:
    domain, pool = desk.domain(), Pool(SERVED[MODEL].limits(PaidPlan.FREE))
    now = desk.clock.now()
    pool.take(cost_of(7_990), now)  # of somebody else
    taken = took(domain, Need(500, 1))
    refusal = pool.take(cost_of(500), now)
    assert refusal is not None
    problem = problems.quota(refusal, model=MODEL, org_id="org_x1", tier="on_demand")

    domain.refused(taken, shortage(problem.status, str(problem), problem.error))

    wait_s = domain.wait_s(Need(500, 1))
    assert wait_s == pytest.approx(3.675, abs=0.001)
    desk.clock.advance(wait_s)
    took(domain, Need(500, 1))
    assert pool.take(cost_of(500), desk.clock.now()) is None


@pytest.fixture
async def queue() -> AsyncIterator["Queue"]:
    queue = Queue()
    yield queue
    await queue.quotas.close()


class Queue:
    """Callers before one domain of 30 requests a minute, in virtual time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.quotas = Quotas(self.clock, LocalBoard(), lambda _: None, lag_s=0.0)
        self.domain = self.quotas.domain("groq", "shared", MODEL, "free")
        self.served: list[str] = []
        self.takes: list[Taken] = []

    def come(
        self, name: str, *, need: Need = SMALL, longest_s: float = 60.0, deadline_s: float = 999.0
    ) -> asyncio.Task[Taken | float]:
        """`name` is the caller and a number: `a1`."""
        return asyncio.ensure_future(self._wait(name, need, longest_s, deadline_s))

    async def _wait(
        self, name: str, need: Need, longest_s: float, deadline_s: float
    ) -> Taken | float:
        deadline = self.clock.now() + deadline_s
        got = await self.quotas.turn(name[0], self.domain, need, deadline, longest_s)
        if isinstance(got, Taken):
            self.served.append(name)
            self.takes.append(got)
        return got

    def fill(self, tokens: int = 10) -> list[Taken]:
        return [took(self.domain, Need(tokens, 1)) for _ in range(30)]


async def test_who_fits_does_not_wait(queue: Queue) -> None:
    calls = [queue.come(f"a{n}") for n in range(30)]
    await queue.clock.run()

    assert all(call.done() for call in calls)
    assert queue.clock.sleeps == 0


async def test_turns_come_when_there_is_room(queue: Queue) -> None:
    queue.fill()
    calls = [queue.come(f"a{n}") for n in range(5)]

    for n in range(5):
        assert queue.served == [f"a{k}" for k in range(n)]
        await queue.clock.run(2.0 + 1e-6)

    assert all(isinstance(call.result(), Taken) for call in calls)


async def test_callers_take_turns_and_each_keeps_its_order(queue: Queue) -> None:
    queue.fill()
    calls = [queue.come(name) for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1")]

    await queue.clock.run(20.0)

    assert queue.served == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    assert all(call.done() for call in calls)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=25), st.lists(st.integers(0, 24)))
def test_no_caller_is_served_twice_while_another_waits(
    callers: list[str], cancelled: Sequence[int]
) -> None:
    async def story() -> None:
        queue = Queue()
        queue.fill()
        names = [f"{caller}{n:02}" for n, caller in enumerate(callers)]
        calls = {name: queue.come(name) for name in names}
        await queue.clock.run()
        gone = {names[n] for n in cancelled if n < len(names)}
        for name in gone:
            calls[name].cancel()
        await queue.clock.run(60.0)

        assert sorted(queue.served) == sorted(set(names) - gone)
        assert used(queue.domain, Window.TPD) <= 300 + 100 * len(queue.served)
        for caller in "abc":
            own = [name for name in queue.served if name[0] == caller]
            assert own == sorted(own)
            for one, following in pairwise(own):
                between = queue.served[queue.served.index(one) + 1 : queue.served.index(following)]
                after = queue.served[queue.served.index(following) :]
                for other in {name[0] for name in after} - {caller}:
                    assert other in {name[0] for name in between}
        assert len(queue.domain.line) == 0
        await queue.quotas.close()

    asyncio.run(story())


async def test_who_is_cancelled_keeps_no_place(queue: Queue) -> None:
    queue.fill()
    first, second = queue.come("a1"), queue.come("b1")
    await queue.clock.run(1.0)

    first.cancel()
    await queue.clock.run()
    assert len(queue.domain.line) == 1
    await queue.clock.run(1.0 + 1e-6)

    assert first.cancelled()
    assert second.done()
    assert queue.served == ["b1"]
    assert len(queue.domain.line) == 0


async def test_the_place_of_one_in_the_middle_is_free_at_once_for_those_behind(
    queue: Queue,
) -> None:
    queue.fill()
    calls = [queue.come(f"a{n}") for n in range(4)]
    await queue.clock.run()

    calls[2].cancel()
    await queue.clock.run()
    last = queue.come("a4", longest_s=9.0)  # of four places, not five
    await queue.clock.run(9.0)

    assert isinstance(last.result(), Taken)


async def test_a_small_call_goes_at_once_when_the_large_one_before_it_leaves(queue: Queue) -> None:
    took(queue.domain, Need(4_000, 1))
    large, small = queue.come("a1", need=Need(8_000, 1)), queue.come("b1")
    await queue.clock.run(0.1)
    assert not small.done()

    large.cancel()
    await queue.clock.run()

    assert isinstance(small.result(), Taken)


async def test_a_turn_that_comes_too_late_for_its_owner_is_given_back(queue: Queue) -> None:
    queue.fill()
    first = queue.come("a1")
    await queue.clock.run(1.0)
    before = used(queue.domain, Window.TPD)
    queue.clock._now += 1.1
    queue.domain.line._serve()  # the turn is given, and its owner has not yet run
    first.cancel()
    await queue.clock.run()

    assert first.cancelled()
    assert used(queue.domain, Window.TPD) == pytest.approx(before, abs=10)
    assert used(queue.domain, Window.RPM) <= 29


async def test_who_will_not_fit_in_time_is_told_at_once(queue: Queue) -> None:
    queue.fill()

    impatient = queue.come("a1", longest_s=1.9)
    late = queue.come("b1", deadline_s=1.9)
    await queue.clock.run()

    assert impatient.result() == pytest.approx(2.0)
    assert late.result() == pytest.approx(2.0)


async def test_what_never_fits_is_told_at_once_also_behind_others(queue: Queue) -> None:
    huge = Need(9_000, 9_000)
    first = queue.come("a1", need=huge, longest_s=math.inf, deadline_s=math.inf)
    queue.fill()
    queue.come("b1")
    second = queue.come("c1", need=huge)
    await queue.clock.run()

    assert first.result() == math.inf
    assert second.result() == math.inf
    await queue.clock.run(3.0)


async def test_who_stands_behind_others_counts_them_too(queue: Queue) -> None:
    queue.fill()
    waiting = [queue.come(f"a{n}") for n in range(4)]
    await queue.clock.run()

    behind = queue.come("a9", longest_s=9.0)
    await queue.clock.run()
    beside = queue.come("b1", longest_s=9.0)  # after a0 only
    await queue.clock.run()

    assert behind.result() == pytest.approx(10.0)
    assert not beside.done()
    await queue.clock.run(20.0)
    assert queue.served == ["a0", "b1", "a1", "a2", "a3"]
    assert all(one.done() for one in waiting)


async def test_what_is_given_back_wakes_the_line(queue: Queue) -> None:
    takes = queue.fill()
    call = queue.come("a1")
    await queue.clock.run(0.5)

    queue.domain.settled(takes[0], None)
    await queue.clock.run()

    assert call.done()


async def test_a_domain_that_closes_sends_away_who_cannot_wait_that_long(queue: Queue) -> None:
    takes = queue.fill()
    short, long = queue.come("a1", longest_s=10), queue.come("b1", longest_s=60)
    await queue.clock.run()

    queue.domain.refused(takes[0], Shortage(wait_s=30))
    await queue.clock.run()

    assert short.result() == pytest.approx(30.0)
    assert not long.done()
    await queue.clock.run(31.0)
    assert isinstance(long.result(), Taken)


async def test_waiting_is_not_busy(queue: Queue) -> None:
    queue.fill()
    calls = [queue.come(f"a{n}") for n in range(10)]

    await queue.clock.run(21.0)

    assert all(call.done() for call in calls)
    assert queue.clock.sleeps <= 40  # two for each turn, one a second, and one when somebody comes
    await queue.clock.run(100.0)
    assert queue.clock.sleeps <= 40


async def test_workers_of_a_host_share_the_room(tmp_path: Path) -> None:
    clock = VirtualClock()
    boards = [HostBoard(tmp_path, clock) for _ in range(2)]
    workers = [Quotas(clock, board, lambda _: None, lag_s=0.0) for board in boards]
    domains = [one.domain("groq", "shared", MODEL, "free") for one in workers]
    takes = [took(domains[n % 2]) for n in range(30)]
    waiting = asyncio.ensure_future(workers[0].turn("a", domains[0], SMALL, math.inf, 60))
    await clock.run(0.1)

    domains[1].settled(takes[1], None)
    await clock.run(1.0)

    assert isinstance(waiting.result(), Taken)
    for one in workers:
        await one.close()


@pytest.mark.parametrize("lag_s", [0.0, 0.25])
async def test_a_burst_of_forty_calls_all_get_their_turn_and_no_refusal(lag_s: float) -> None:
    clock = VirtualClock()
    quotas = Quotas(clock, LocalBoard(), lambda _: None, lag_s=lag_s)
    domain = quotas.domain("groq", "shared", MODEL, "free")
    pool = Pool(SERVED[MODEL].limits(PaidPlan.FREE))
    refused = []

    async def call(n: int) -> None:
        need = Need(150, 20)
        got = await quotas.turn(f"caller{n % 3}", domain, need, clock.now() + 120, 60.0)
        assert isinstance(got, Taken)
        await clock.sleep(lag_s * (n % 5) / 4)
        if (refusal := pool.take(cost_of(150), clock.now())) is not None:
            refused.append(refusal)
        domain.heard(got, readings(headers.rate_limits(pool, clock.now())))
        await clock.sleep(0.8)
        pool.settle(cost_of(150), cost_of(90), clock.now())
        domain.settled(got, 90)

    calls = [asyncio.ensure_future(call(n)) for n in range(40)]
    await clock.run(60.0)

    assert all(one.done() for one in calls)
    await asyncio.gather(*calls)
    assert refused == []
    await quotas.close()


def test_domains_not_used_for_longest_are_forgotten() -> None:
    quotas = Quotas(FakeClock(), LocalBoard(), lambda _: None, most=2)
    kept = quotas.domain("groq", "shared", "a", None)
    for model in ("b", "a", "c"):
        domain = quotas.domain("groq", "shared", model, None)
        domain.refused(took(domain), Shortage(wait_s=5))

    assert {domain.model for domain in quotas.snapshot()} == {"a", "c"}
    assert quotas.domain("groq", "shared", "a", None) is kept


def test_of_domains_without_a_limit_there_is_nothing_to_show() -> None:
    quotas = Quotas(FakeClock(), LocalBoard(), lambda _: None)
    took(quotas.domain("groq", "shared", "made-up", None))
    took(quotas.domain("groq", "shared", MODEL, "free"))

    assert [domain.model for domain in quotas.snapshot()] == [MODEL]
