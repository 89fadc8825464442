"""Money promised before a request and charged after it: one call's purse over a scripted ledger."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from proxy.access.budget import Purse, RequestPayment, Spending
from proxy.access.prices import Prices
from proxy.access.till import GIVEN_BACK, Till
from proxy.config.settings import BudgetSettings, PriceSettings
from proxy.config.units import budget
from proxy.core.call import (
    ANYONE,
    Audio,
    Call,
    Caller,
    Endpoint,
    JsonObject,
    Summary,
    Target,
    Upload,
    Usage,
)
from proxy.core.errors import (
    BudgetExhausted,
    InvalidRequest,
    StoreUnavailable,
    TimedOut,
    Unpriceable,
)
from proxy.core.journal import AttemptRecord, FlightRecord
from proxy.core.money import NANO, Balance, Denied, Moved, Standing, usd_text
from proxy.stores.protocols import StoreFailed
from tests.access.ledger_fake import NOW, ScriptedLedger

CHEAP, DEAR = Target("groq", "cheap"), Target("groq", "dear")
FREE, UNKNOWN = Target("ollama", "llama"), Target("groq", "nobody-knows")
PRICES = Prices(
    {
        "groq/cheap": PriceSettings.model_validate({"input": 0.1, "output": 0.4}),
        "groq/dear": PriceSettings.model_validate({"input": 1, "output": 4}),
    }
)
INPUT, OUTPUT = 100, 400  # nano-dollars a token at the cheap one
TEXT = "x" * 40
MOST, GUESS = len(TEXT) + 16 + 64, len(TEXT) // 4 + 4

HOUR, DAY = 1_800_000_000, 1_799_971_200  # when those of NOW began


def caller(*budgets: str, team: str = "") -> Caller:
    return Caller("id-1", "bot", team, budgets=tuple(map(budget, budgets)))


def call(who: Caller = ANYONE, endpoint: Endpoint = Endpoint.CHAT, **fields: Any) -> Call:
    body: JsonObject = {"model": "m", "messages": [{"role": "user", "content": TEXT}], **fields}
    body = {name: value for name, value in body.items() if value is not None}
    return Call("c1", who, endpoint, "POST", "chat/completions", "", "m", body, stream=False)


class Seen:
    """A watcher that keeps what it is shown."""

    def __init__(self) -> None:
        self.noticed: list[Sequence[Standing]] = []
        self.refusals: list[Standing] = []

    def notice(self, standings: Sequence[Standing]) -> None:
        self.noticed.append(standings)

    def refused(self, standing: Standing) -> None:
        self.refusals.append(standing)


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
def seen() -> Seen:
    return Seen()


Opener = Callable[..., Purse]


@pytest.fixture
async def purse(ledger: ScriptedLedger, seen: Seen) -> AsyncIterator[Opener]:
    """The purse of a call under the budgets that are given."""
    till = Till(ledger, lambda _: None)

    def opened(asking: Call | None = None, asked: Target = CHEAP, **settings: Any) -> Purse:
        told = BudgetSettings.model_validate(settings)
        asking = asking or call()
        spending = Spending(told, PRICES, till, seen)
        return spending.purse(asking, FlightRecord(asking, 0.0), asked)

    yield opened
    if ledger.gate is not None:
        ledger.gate.set()
    await till.drain()


async def paid(purse: Purse, usage: Usage, target: Target = CHEAP) -> None:
    async with purse.pay_for(target, 30.0) as payment:
        payment.of(sent(target))
        await payment.complete(Summary(usage=usage, ended=True))


async def ended(
    payment: RequestPayment,
    record: AttemptRecord,
    error: BaseException,
    usage: Usage | None = None,
) -> None:
    """A request that ends by `error`; if it had a usage, after its answer was complete."""
    async with payment:
        payment.of(record)
        if usage is not None:
            await payment.complete(Summary(usage=usage, ended=True))
        raise error


def sent(target: Target = CHEAP) -> AttemptRecord:
    return AttemptRecord(target, started=1.0, sent_at=1.1)


async def test_a_hold_is_promised_on_key_team_and_all_in_this_order(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    who = caller("1 USD/day", "0.5 USD/hour", "0.1 USD/day", team="search")
    budgets = {"global": ["9 USD/total", "3 USD/day soft"], "teams": {"search": ["2 USD/day"]}}

    await paid(purse(call(who), **budgets), Usage(1, 1))

    [hold] = ledger.reserved
    assert [(each.scope, each.window, each.start, each.limit) for each in hold.buckets] == [
        ("key:id-1", "day", DAY, NANO // 10),  # the least of that window
        ("key:id-1", "hour", HOUR, NANO // 2),
        ("team:search", "day", DAY, 2 * NANO),
        ("global", "total", 0, 9 * NANO),
        ("global", "day", DAY, None),  # only counts
    ]
    assert (hold.spender.key, hold.spender.team) == ("id-1", "search")
    assert (hold.spender.provider, hold.spender.model) == ("groq", "cheap")
    assert hold.ttl_s == 90.0
    assert hold.price_version == PRICES.version


@pytest.mark.parametrize(
    ("own", "team", "everyone", "hard"),
    [
        ("1 USD/day", "1 USD/day soft", "1 USD/day soft", True),
        ("1 USD/day soft", "1 USD/day", "1 USD/day soft", True),
        ("1 USD/day soft", "1 USD/day soft", "1 USD/day", True),
        ("1 USD/day soft", "1 USD/day soft", "1 USD/day soft", False),
    ],
)
async def test_one_hard_budget_of_any_scope_is_enough_for_a_promise(
    purse: Opener, ledger: ScriptedLedger, own: str, team: str, everyone: str, hard: bool
) -> None:
    who = caller(own, team="search")
    budgets = {"global": [everyone], "teams": {"search": [team]}}
    opened = purse(call(who), **budgets)

    await paid(opened, Usage(3, 2))

    assert opened.chain.hard is hard
    assert len(ledger.reserved) == hard
    [(hold, charge)] = ledger.settled
    assert len(hold.buckets) == 3
    assert charge.amount == 3 * INPUT + 2 * OUTPUT


async def test_the_promise_is_the_most_that_the_request_may_cost(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    await paid(purse(call(max_tokens=50, n=3), **{"global": ["1 USD/day"]}), Usage(1, 1))

    assert ledger.reserved[0].amount == MOST * INPUT + 3 * 50 * OUTPUT


@pytest.mark.parametrize(
    ("fields", "cap", "promised"),
    [
        ({}, 700, 700),
        ({"max_tokens": 50}, None, 50),
        ({"max_completion_tokens": 50}, None, 50),
        ({"max_completion_tokens": 50, "max_tokens": 50}, None, 50),
        ({"max_completion_tokens": 50, "max_tokens": 90}, 50, 50),
        ({"max_tokens": 90_000}, None, 90_000),
    ],
)
async def test_the_cap_that_is_promised_is_the_one_to_be_written(
    purse: Opener,
    ledger: ScriptedLedger,
    fields: dict[str, int],
    cap: int | None,
    promised: int,
) -> None:
    opened = purse(call(**fields), **{"global": ["1 USD/day"], "default_max_output": 700})

    async with opened.pay_for(CHEAP, 30.0) as payment:
        assert payment.cap == opened.bill.cap == cap

    assert ledger.reserved[0].amount == MOST * INPUT + promised * OUTPUT


async def test_a_model_that_writes_less_has_its_own_cap(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    target = Target("groq", "openai/gpt-oss-20b")
    opened = purse(call(max_tokens=100_000), **{"global": ["1 USD/day"]})

    async with opened.pay_for(target, 30.0) as payment:
        assert payment.cap == 65_536


@pytest.mark.parametrize("bad", [0, -1, 2.5, "9", True, 10**9])
async def test_numbers_that_mean_nothing_are_refused_before_anything_is_promised(
    purse: Opener, ledger: ScriptedLedger, bad: object
) -> None:
    with pytest.raises(InvalidRequest):
        await paid(purse(call(max_tokens=bad), **{"global": ["1 USD/day"]}), Usage(1, 1))

    assert ledger.reserved == ledger.settled == []


async def test_a_free_target_is_promised_nothing_and_not_capped(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(call(), FREE, **{"global": ["0 USD/day"]})

    async with opened.pay_for(FREE, 30.0) as payment:
        assert payment.cap is None
        payment.of(sent(FREE))
        await payment.complete(Summary(usage=Usage(10**6, 10**6), ended=True))

    assert ledger.reserved[0].amount == 0
    assert ledger.charges == [("c1.1", "S", 0, "usage")]
    assert opened.bill.cost == 0


async def test_without_a_price_a_hard_budget_refuses(purse: Opener, ledger: ScriptedLedger) -> None:
    with pytest.raises(Unpriceable) as refused:
        await paid(purse(**{"global": ["1 USD/day"]}), Usage(1, 1), UNKNOWN)

    assert (refused.value.status, refused.value.code) == (403, "model_not_priced")
    assert refused.value.param == "model"
    assert ledger.reserved == ledger.settled == []


async def test_without_a_price_it_is_counted_where_that_is_wanted(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(**{"global": ["1 USD/day"], "unpriced": "count"})

    await paid(opened, Usage(1, 1), UNKNOWN)

    assert ledger.reserved[0].amount == 0
    assert ledger.charges == [("c1.1", "S", 0, "unpriced")]
    assert opened.bill.cost is None


@pytest.mark.parametrize("tier", ["gold", "Priority"])
async def test_a_tier_of_unknown_price_is_refused(
    purse: Opener, ledger: ScriptedLedger, tier: str
) -> None:
    with pytest.raises(Unpriceable, match=tier) as refused:
        await paid(purse(call(service_tier=tier), **{"global": ["1 USD/day"]}), Usage(1, 1))

    assert refused.value.code == "unpriceable_content"
    assert ledger.reserved == []


async def test_a_dearer_tier_is_promised_and_charged_at_its_price(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    target = Target("gemini", "gemini-3.5-flash-lite")  # 300 and 2500 nano-dollars a token
    opened = purse(
        call(service_tier="priority", max_tokens=10), target, **{"global": ["1 USD/day"]}
    )

    await paid(opened, Usage(10, 10), target)

    assert ledger.reserved[0].amount == 18 * (MOST * 300 + 10 * 2_500) // 10
    assert ledger.settled[0][1].amount == 18 * 10 * (300 + 2_500) // 10


async def test_embeddings_have_no_output_to_be_capped(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    asking = call(endpoint=Endpoint.EMBEDDINGS, messages=None, input=[TEXT, TEXT])
    opened = purse(asking, **{"global": ["1 USD/day"]})

    async with opened.pay_for(CHEAP, 30.0) as payment:
        assert payment.cap is None

    assert ledger.reserved[0].amount == (2 * (len(TEXT) + 16) + 64) * INPUT


async def test_responses_are_capped_under_their_own_name(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    asking = call(
        endpoint=Endpoint.RESPONSES, messages=None, input=TEXT, max_output_tokens=30, max_tokens=9
    )
    opened = purse(asking, **{"global": ["1 USD/day"]})

    await paid(opened, Usage(1, 1))

    assert ledger.reserved[0].amount == MOST * INPUT + 30 * OUTPUT


async def test_speech_is_promised_and_charged_by_its_characters(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    target = Target("groq", "canopylabs/orpheus-v1-english")
    asking = call(endpoint=Endpoint.AUDIO, messages=None, input="Hello there")
    opened = purse(asking, target, **{"global": ["1 USD/day"]})

    async with opened.pay_for(target, 30.0) as payment:
        payment.of(sent(target))
        await payment.complete(Summary(ended=True))

    assert ledger.reserved[0].amount > 0
    assert ledger.charges == [("c1.1", "S", ledger.reserved[0].amount, "usage")]


async def _pieces() -> AsyncIterator[bytes]:
    return
    yield b""


def upload(longest_s: float) -> Call:
    body = Upload("multipart/form-data", 1_000, _pieces())
    audio = Audio("whisper-large-v3-turbo", longest_s, 15.0)
    return Call(
        *("c1", ANYONE, Endpoint.AUDIO, "POST", "audio/transcriptions", "", audio.model, body),
        stream=False,
        audio=audio,
    )


async def test_sound_is_promised_at_its_longest_and_charged_as_told(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    target = Target("groq", "whisper-large-v3-turbo")  # 0.04 USD an hour
    opened = purse(upload(90.0), target, **{"global": ["1 USD/day"]})

    async with opened.pay_for(target, 30.0) as payment:
        payment.of(sent(target))
        await payment.complete(Summary(audio_s=36.0, ended=True))

    assert ledger.reserved[0].amount == 1_000_000
    assert ledger.charges == [("c1.1", "S", 400_000, "usage")]


async def test_sound_without_an_end_is_refused(purse: Opener, ledger: ScriptedLedger) -> None:
    target = Target("groq", "whisper-large-v3-turbo")
    opened = purse(upload(float("inf")), target, **{"global": ["1 USD/day"]})

    with pytest.raises(Unpriceable) as refused:
        await paid(opened, Usage(1, 1), target)

    assert refused.value.code == "unpriceable_content"
    assert ledger.reserved == []


def other(path: str, who: Caller = ANYONE) -> Call:
    return Call("c1", who, Endpoint.OTHER, "POST", path, "", "", None, stream=False)


@pytest.mark.parametrize("path", ["files", "files/f1/content", "batches"])
async def test_files_and_batches_are_not_served_under_a_hard_budget(
    purse: Opener, ledger: ScriptedLedger, path: str
) -> None:
    opened = purse(other(path), **{"global": ["1 USD/day"]})

    with pytest.raises(Unpriceable) as refused:
        await paid(opened, Usage(1, 1), Target("groq", ""))

    assert refused.value.code == "unpriceable_content"
    assert ledger.reserved == []


@pytest.mark.parametrize(("path", "charges"), [("files", 0), ("batches/b1", 0), ("batches", 1)])
async def test_elsewhere_only_a_new_batch_is_noted_as_unpriced(
    purse: Opener, ledger: ScriptedLedger, path: str, charges: int
) -> None:
    opened = purse(other(path))

    await paid(opened, Usage(0, 0), Target("groq", ""))
    await opened.spending.till.drain()

    assert ledger.charges == [("c1.1", "S", 0, "unpriced")] * charges
    assert len(opened._flight.paid) == charges


async def test_a_hold_moves_with_the_stores_clock(purse: Opener, ledger: ScriptedLedger) -> None:
    ledger.answers.append(Moved(NOW + 3_600))

    await paid(purse(**{"global": ["1 USD/hour"]}), Usage(1, 1))

    assert [hold.buckets[0].start for hold in ledger.reserved] == [HOUR, HOUR + 3_600]
    [(hold, charge)] = ledger.settled
    assert (hold, charge.amount) == (ledger.reserved[1], INPUT + OUTPUT)


async def test_clocks_that_are_too_far_apart_are_told_of(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    ledger.answers += [Moved(NOW + 3_600), Moved(NOW + 7_200)]

    with pytest.raises(StoreUnavailable, match="clock"):
        await paid(purse(**{"global": ["1 USD/hour"]}), Usage(1, 1))

    assert len(ledger.reserved) == 2
    assert ledger.settled == []


async def test_a_new_window_is_a_new_bucket(purse: Opener, ledger: ScriptedLedger) -> None:
    opened = purse(**{"global": ["1 USD/hour", "1 USD/day"]})

    await paid(opened, Usage(1, 1))
    ledger.now += 3_600
    await paid(opened, Usage(1, 1))

    starts = [[bucket.start for bucket in hold.buckets] for hold in ledger.reserved]
    assert starts == [[HOUR, DAY], [HOUR + 3_600, DAY]]


async def entering(payment: RequestPayment) -> None:
    async with payment:
        raise AssertionError("nobody may get here")


async def test_who_leaves_before_the_promise_is_there_gives_it_back(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    ledger.gate = asyncio.Event()
    task = asyncio.ensure_future(entering(purse(**{"global": ["1 USD/day"]}).pay_for(CHEAP, 9.0)))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ledger.settled == [(ledger.reserved[0], GIVEN_BACK)]


async def test_a_store_that_is_away_lets_nothing_out(purse: Opener, ledger: ScriptedLedger) -> None:
    ledger.answers.append(StoreFailed("no such file"))

    with pytest.raises(StoreUnavailable) as refused:
        await entering(purse(**{"global": ["1 USD/day"]}).pay_for(CHEAP, 9.0))

    assert "no such file" not in refused.value.message
    assert ledger.settled == [(ledger.reserved[0], GIVEN_BACK)]


async def test_a_charge_that_fails_does_not_hurt_the_answer(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(**{"global": ["1 USD/day"]})
    ledger.failing = True

    await paid(opened, Usage(3, 2))

    assert opened.bill.cost == 3 * INPUT + 2 * OUTPUT
    assert len(ledger.settled) == 1


async def test_a_refusal_tells_whose_budget_it_is_and_how_it_stands(
    purse: Opener, ledger: ScriptedLedger, seen: Seen
) -> None:
    opened = purse(
        call(caller(team="search"), max_tokens=10),
        teams={"search": ["2 USD/month", "0.001 USD/day", "0.0005 USD/day soft"]},
    )
    _, day = opened.chain.buckets(NOW)
    ledger.answers.append(Denied(day, Balance(settled=999_000, reserved=500)))

    with pytest.raises(BudgetExhausted) as refused:
        await entering(opened.pay_for(CHEAP, 9.0))

    error, needed = refused.value, usd_text(MOST * INPUT + 10 * OUTPUT)
    for part in (
        *("team search", "0.001 USD", "day", "0.000999 USD settled", "0.0000005 USD reserved"),
        *(f"{needed} USD needed", "2027-01-16T00:00:00Z"),
    ):
        assert part in error.message
    assert (error.status, error.type, error.code) == (429, "insufficient_quota", "budget_exceeded")
    assert error.retryable is False
    assert "retry-after" not in error.headers
    assert (error.budget, error.period) == ("team search", "day")
    assert ledger.settled == []
    assert [each.bucket for each in seen.refusals] == [day]
    assert len(seen.refusals[0].budgets) == 2


async def test_what_calls_in_flight_will_give_back_may_be_waited_for(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(call(max_tokens=10), **{"global": ["1 USD/total"]})
    [bucket] = opened.chain.buckets(NOW)
    ledger.answers.append(Denied(bucket, Balance(settled=0, reserved=NANO)))

    with pytest.raises(BudgetExhausted) as refused:
        await entering(opened.pay_for(CHEAP, 9.0))

    error = refused.value
    assert (error.code, error.retryable) == ("budget_reserved", None)
    assert error.headers["retry-after"] == "1"
    assert "anew" not in error.message  # such a window has no end


async def test_an_answer_is_charged_once(purse: Opener, ledger: ScriptedLedger) -> None:
    opened = purse(**{"global": ["1 USD/day"]})

    async with opened.pay_for(CHEAP, 30.0) as payment:
        payment.of(sent())
        await payment.complete(Summary(usage=Usage(3, 2), ended=True))
        await payment.complete(Summary(usage=Usage(30, 20), ended=True))

    assert ledger.charges == [("c1.1", "S", 3 * INPUT + 2 * OUTPUT, "usage")]
    assert len(opened._flight.paid) == 1


async def test_a_client_that_leaves_after_its_answer_changes_nothing(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    payment = purse(**{"global": ["1 USD/day"]}).pay_for(CHEAP, 30.0)

    with pytest.raises(asyncio.CancelledError):
        await ended(payment, sent(), asyncio.CancelledError(), Usage(3, 2))

    assert ledger.charges == [("c1.1", "S", 3 * INPUT + 2 * OUTPUT, "usage")]


@pytest.mark.parametrize("leaving", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt])
async def test_whoever_leaves_before_pays_the_prompt(
    purse: Opener, ledger: ScriptedLedger, leaving: type[BaseException]
) -> None:
    payment = purse(**{"global": ["1 USD/day"]}).pay_for(CHEAP, 30.0)

    with pytest.raises(leaving):
        await ended(payment, sent(), leaving())

    assert ledger.charges == [("c1.1", "S", GUESS * INPUT, "abandoned")]


async def test_what_never_went_out_is_given_back(purse: Opener, ledger: ScriptedLedger) -> None:
    async with purse(**{"global": ["1 USD/day"]}).pay_for(CHEAP, 30.0):
        pass

    assert ledger.charges == [("c1.1", "X", 0, "unbilled")]


async def test_each_request_has_a_hold_of_its_own_at_its_own_price(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(call(max_tokens=10), DEAR, **{"global": ["1 USD/day"]})
    record = sent(DEAR)
    record.error = TimedOut("late")

    with pytest.raises(TimedOut):
        await ended(opened.pay_for(DEAR, 30.0), record, record.error)
    await paid(opened, Usage(3, 2))

    assert [(hold.id, hold.amount, hold.spender.model) for hold in ledger.reserved] == [
        ("c1.1", 10 * (MOST * INPUT + 10 * OUTPUT), "dear"),
        ("c1.2", MOST * INPUT + 10 * OUTPUT, "cheap"),
    ]
    late, answer = (charge for _, charge in ledger.settled)
    assert (late.amount, late.wasted, late.listed) == (10 * MOST * INPUT,) * 2 + (0,)
    assert answer.amount == 3 * INPUT + 2 * OUTPUT
    assert (answer.wasted, answer.listed) == (0, 10 * answer.amount)  # what the dear one takes
    assert opened.bill.cost == late.amount + answer.amount


async def test_a_failed_request_is_through_before_the_next_one_asks_for_money(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    opened = purse(**{"global": ["1 USD/day"]})

    async def fail() -> None:
        async with opened.pay_for(CHEAP, 30.0):
            ledger.gate = asyncio.Event()  # charges do not get through yet
            raise TimedOut("no time is left")

    task = asyncio.ensure_future(fail())
    for _ in range(9):
        await asyncio.sleep(0)
    assert len(ledger.settled) == 1
    assert not task.done()

    assert ledger.gate is not None
    ledger.gate.set()
    with pytest.raises(TimedOut):
        await task


async def test_soft_budgets_that_are_used_up_are_warned_of_as_they_were_written(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    ledger.balance = Balance(settled=1_000_000, reserved=100_000)
    budgets = ["0.001 USD/day soft", "0.002 USD/day soft", "0.0005 USD/hour soft", "5 USD/day"]
    opened = purse(**{"global": budgets})

    await paid(opened, Usage(1, 1))

    assert opened.bill.warning == "global: 0.001 USD/day soft, global: 0.0005 USD/hour soft"
    assert opened.bill.left == 5 * NANO - 1_100_000


async def test_what_is_left_is_that_of_the_tightest_hard_budget(
    purse: Opener, ledger: ScriptedLedger
) -> None:
    ledger.balance = Balance(settled=NANO)
    who = caller("3 USD/day", "1.5 USD/week", team="search")

    opened = purse(call(who), **{"global": ["9 USD/total"], "teams": {"search": ["2 USD/day"]}})
    await paid(opened, Usage(1, 1))

    assert opened.bill.left == NANO // 2


async def test_without_budgets_charges_are_noted_and_nobody_waits(
    purse: Opener, ledger: ScriptedLedger, seen: Seen
) -> None:
    ledger.gate = asyncio.Event()
    opened = purse()

    await paid(opened, Usage(3, 2))

    assert ledger.reserved == ledger.settled == []
    assert (opened.bill.cost, opened.bill.left, opened.bill.cap) == (700 + 400, None, None)
    assert seen.noticed == []
    await opened.spending.till.drain()
    assert ledger.charges == [("c1.1", "S", 3 * INPUT + 2 * OUTPUT, "usage")]


async def test_all_budgets_stand_in_the_overview(purse: Opener, ledger: ScriptedLedger) -> None:
    budgets = {"global": ["9 USD/total"], "teams": {"search": ["2 USD/day"], "ads": ["1 USD/hour"]}}
    opened = purse(**budgets)

    standings = opened.spending.standings([caller("1 USD/week", team="search")])

    owners = [(each.owner, each.bucket.scope, each.bucket.window) for each in standings]
    assert owners == [
        ("global", "global", "total"),
        ("team search", "team:search", "day"),
        ("team ads", "team:ads", "hour"),
        ("key bot", "key:id-1", "week"),
    ]


async def test_a_key_that_was_changed_has_its_new_budgets(purse: Opener) -> None:
    opened = purse()
    before, after = caller("1 USD/day"), caller("2 USD/day")

    limits = [
        opened.spending.chain(who).buckets(NOW)[0].limit for who in (before, after, before, before)
    ]

    assert limits == [NANO, 2 * NANO, NANO, NANO]
