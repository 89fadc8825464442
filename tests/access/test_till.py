"""The till: what is asked of the ledger is on its way, whoever waits, and none of it is lost."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest

from proxy.access.till import GIVEN_BACK, Till, through
from proxy.core.errors import StoreUnavailable
from proxy.core.money import (
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Settled,
    Spender,
)
from proxy.stores.protocols import StoreFailed, check_amounts
from tests.access.ledger_fake import ScriptedLedger

BUCKET = Bucket("global", "total", 0, None, 1_000)
HOLD = Hold("c1.1", 100, (BUCKET,), Spender("k", "", "groq", "m"), "p1", 60.0)
CHARGE = Charge(Kind.SETTLE, 70, "usage")


@pytest.fixture
def ledger() -> ScriptedLedger:
    return ScriptedLedger()


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def till(ledger: ScriptedLedger, troubles: list[str]) -> Till:
    return Till(ledger, troubles.append)


async def test_a_grant_tells_how_the_buckets_stand(till: Till, ledger: ScriptedLedger) -> None:
    ledger.balance = Balance(10, 100)

    answer = await till.reserve(HOLD)

    assert isinstance(answer, Granted)
    assert till.balance(BUCKET.id) == Balance(10, 100)
    assert ledger.settled == []


@pytest.mark.parametrize("no", [Denied(BUCKET, Balance(950, 0)), Moved(5.0)])
async def test_a_no_is_handed_on_and_leaves_nothing_to_give_back(
    till: Till, ledger: ScriptedLedger, no: Denied | Moved
) -> None:
    ledger.answers.append(no)

    assert await till.reserve(HOLD) == no
    assert ledger.settled == []


async def test_where_the_store_fails_the_call_is_refused_and_the_hold_given_back(
    till: Till, ledger: ScriptedLedger, troubles: list[str]
) -> None:
    ledger.answers.append(StoreFailed("away"))

    with pytest.raises(StoreUnavailable) as refused:
        await till.reserve(HOLD)

    assert (refused.value.status, refused.value.code) == (503, "budget_store_unavailable")
    assert refused.value.headers["retry-after"] == "1"
    assert ledger.settled == [(HOLD, GIVEN_BACK)]
    assert troubles == ["reserve"]
    await till.drain()


async def test_what_was_never_asked_of_the_store_is_not_given_back(
    till: Till, ledger: ScriptedLedger, troubles: list[str]
) -> None:
    ledger.answers.append(StoreFailed("left alone for a moment", sent=False))

    with pytest.raises(StoreUnavailable):
        await till.reserve(HOLD)

    assert ledger.settled == []
    assert troubles == ["reserve"]


async def test_a_promise_that_is_no_amount_asks_nothing_of_the_store(
    troubles: list[str],
) -> None:
    ledger = Picky()
    till = Till(ledger, troubles.append)

    with pytest.raises(ValueError, match="no amount"):
        await till.reserve(replace(HOLD, amount=2**63))

    assert ledger.settled == []
    await till.drain()


async def test_who_stops_waiting_for_a_promise_gives_it_back(
    till: Till, ledger: ScriptedLedger
) -> None:
    ledger.gate = asyncio.Event()
    asking = asyncio.ensure_future(till.reserve(HOLD))
    await asyncio.sleep(0)

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert ledger.settled == [(HOLD, GIVEN_BACK)]
    ledger.gate.set()
    await till.drain()


async def test_a_cancel_that_comes_with_the_answer_gives_the_promise_back(
    till: Till, ledger: ScriptedLedger
) -> None:
    ledger.gate = asyncio.Event()
    asking = asyncio.ensure_future(till.reserve(HOLD))
    await asyncio.sleep(0)
    ledger.gate.set()
    await asyncio.sleep(0)  # the ledger's answer is there, and nobody has seen it

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert ledger.settled == [(HOLD, GIVEN_BACK)]
    await till.drain()


async def test_a_charge_is_under_way_before_anybody_waits(
    till: Till, ledger: ScriptedLedger
) -> None:
    till.close(HOLD, CHARGE)

    assert ledger.settled == [(HOLD, CHARGE)]
    await till.drain()


async def test_a_charge_outlives_who_waits_for_it(till: Till, ledger: ScriptedLedger) -> None:
    ledger.gate = asyncio.Event()
    closing = till.close(HOLD, CHARGE)
    waiting = asyncio.ensure_future(through(closing))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert not closing.cancelled()
    ledger.gate.set()
    await till.drain()
    assert closing.done()
    assert not closing.cancelled()


async def test_a_charge_that_fails_is_told_and_hurts_nobody(
    till: Till, ledger: ScriptedLedger, troubles: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    ledger.failing = True

    await through(till.close(HOLD, CHARGE))

    assert troubles == ["settle"]
    assert "c1.1" in caplog.text
    assert "70" in caplog.text


async def test_draining_waits_for_all_that_was_handed_in(
    till: Till, ledger: ScriptedLedger
) -> None:
    ledger.gate = asyncio.Event()
    closings = [till.close(HOLD, CHARGE) for _ in range(3)]
    draining = asyncio.ensure_future(till.drain())
    await asyncio.sleep(0)
    assert not draining.done()

    ledger.gate.set()
    await draining

    assert all(closing.done() for closing in closings)


async def test_what_no_budget_looks_at_is_entered_many_at_once(
    till: Till, ledger: ScriptedLedger
) -> None:
    for _ in range(3):
        till.note(HOLD, CHARGE)
    assert ledger.entered == []

    await till.drain()

    assert [len(each) for each in ledger.entered] == [3]
    assert ledger.settled == []


async def test_notes_do_not_pile_up(till: Till, ledger: ScriptedLedger) -> None:
    for _ in range(1_200):
        till.note(HOLD, CHARGE)
    await asyncio.sleep(0)

    assert sum(map(len, ledger.entered)) >= 1_000
    await till.drain()
    assert sum(map(len, ledger.entered)) == 1_200


async def test_notes_that_fail_are_told(
    till: Till, ledger: ScriptedLedger, troubles: list[str]
) -> None:
    ledger.failing = True
    till.note(HOLD, CHARGE)

    await till.drain()

    assert troubles == ["settle"]


class Picky(ScriptedLedger):
    """It checks amounts, as the real ones do; and there is a hold on which it breaks."""

    def reserve(self, hold: Hold) -> "asyncio.Future[Granted | Denied | Moved]":
        check_amounts(hold)
        return super().reserve(hold)

    def settle(self, hold: Hold, charge: Charge) -> "asyncio.Future[Settled]":
        check_amounts(hold, charge)
        if hold.id == "broken.1":
            return asyncio.ensure_future(self._break())
        return super().settle(hold, charge)

    async def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> None:
        for closing in closings:
            check_amounts(*closing)
            if closing[0].id == "broken.1":
                await self._break()
        await super().enter(closings)

    async def _break(self) -> Settled:
        raise OverflowError("Python int too large to convert to SQLite INTEGER")


@pytest.mark.parametrize(
    ("hold", "charge"),
    [(HOLD, replace(CHARGE, amount=2**63)), (replace(HOLD, id="broken.1"), CHARGE)],
    ids=["no amount", "a fault"],
)
async def test_one_note_that_cannot_be_entered_takes_no_other_with_it(
    troubles: list[str], caplog: pytest.LogCaptureFixture, hold: Hold, charge: Charge
) -> None:
    ledger = Picky()
    till = Till(ledger, troubles.append)
    good = [(replace(HOLD, id=f"c{n}.1"), CHARGE) for n in range(2, 20)]
    for each in (*good[:5], (hold, charge), *good[5:]):
        till.note(*each)

    await till.drain()

    assert ledger.settled == good
    assert troubles == ["settle"]
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"hold {hold.id} could not be charged {charge.amount} " in told.getMessage()


@pytest.mark.parametrize(
    ("hold", "charge"),
    [(HOLD, replace(CHARGE, amount=2**63)), (replace(HOLD, id="broken.1"), CHARGE)],
    ids=["no amount", "a fault"],
)
async def test_a_charge_that_cannot_be_entered_hurts_nobody(
    troubles: list[str], caplog: pytest.LogCaptureFixture, hold: Hold, charge: Charge
) -> None:
    till = Till(Picky(), troubles.append)

    await through(till.close(hold, charge))
    await till.drain()

    assert troubles == ["settle"]
    assert f"hold {hold.id} could not be charged {charge.amount} " in caplog.text


async def refused(till: Till, times: int) -> None:
    for _ in range(times):
        with pytest.raises(StoreUnavailable):
            await till.reserve(HOLD)


@pytest.mark.parametrize("sent", [True, False])
async def test_a_store_that_is_away_is_told_of_once_and_once_that_it_is_back(
    till: Till, ledger: ScriptedLedger, caplog: pytest.LogCaptureFixture, sent: bool
) -> None:
    caplog.set_level(logging.INFO, "proxy.access.till")
    ledger.answers.extend(StoreFailed("no answer", sent=sent) for _ in range(50))
    ledger.failing = True
    await refused(till, 50)
    await till.drain()
    ledger.failing = False
    for _ in range(5):
        await till.reserve(HOLD)

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            "the store of budgets is out of reach (no answer):"
            " calls under a hard budget are refused",
        ),
        ("INFO", "the store of budgets works again"),
    ]


async def test_a_store_that_comes_and_goes_is_told_of_once(
    till: Till, ledger: ScriptedLedger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "proxy.access.till")
    for _ in range(20):
        ledger.answers.append(StoreFailed("no answer", sent=False))
        await refused(till, 1)
        await till.reserve(HOLD)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_store_is_back_when_it_takes_a_charge(
    till: Till, ledger: ScriptedLedger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "proxy.access.till")
    ledger.answers.append(StoreFailed("no answer", sent=False))
    await refused(till, 1)

    await through(till.close(HOLD, CHARGE))

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_it_remembers_the_buckets_heard_of_last(till: Till) -> None:
    for number in range(20_001):
        till.heard([f"b{number}"], [Balance(1)])

    assert till.balance("b0") == Balance()
    assert till.balance("b1") == till.balance("b20000") == Balance(1)
