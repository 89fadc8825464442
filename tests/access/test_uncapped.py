"""Money for answers that are to be as long as their model makes them."""

from typing import Any

import pytest

from proxy.access.budget import Spending
from proxy.access.prices import Prices
from proxy.access.till import Till
from proxy.config.settings import BudgetSettings
from proxy.core.call import Call, Caller, Endpoint, Target
from proxy.core.journal import FlightRecord
from proxy.core.money import NANO, Budget
from tests.access.ledger_fake import ScriptedLedger

SMALL = Target("groq", "openai/gpt-oss-20b")
DEAR = Target("openai", "gpt-6-sol")
UNSAID = Target("openai", "gpt-4o")  # whose longest answer is not known
UNKNOWN = Target("groq", "nobody-knows-what-it-costs")
FREE = Target("ollama", "any")


def call(**fields: Any) -> Call:
    caller = Caller("proxy:audit", "audit", budgets=(Budget(NANO, "day"),))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return Call("c", caller, Endpoint.CHAT, "POST", "chat/completions", "", "m", body, stream=False)


def spending(ledger: ScriptedLedger) -> Spending:
    return Spending(BudgetSettings(), Prices({}), Till(ledger, lambda _: None))


async def promised(asked: Call, target: Target, *, capped: bool) -> tuple[int | None, int]:
    """The cap that is written, and what is promised."""
    ledger = ScriptedLedger()
    spent = spending(ledger)
    purse = spent.purse(asked, FlightRecord(asked, 0.0), target, capped=capped)
    async with purse.pay_for(target, 30.0) as payment:
        cap = payment.cap
    await spent.till.drain()
    return cap, ledger.reserved[0].amount


async def test_an_answer_may_be_as_long_as_its_model_makes_it_and_is_paid_for_as_such() -> None:
    capped = await promised(call(), SMALL, capped=True)
    whole = await promised(call(), SMALL, capped=False)

    assert capped[0] == 4096
    assert whole[0] is None
    assert whole[1] > 10 * capped[1]


@pytest.mark.parametrize("target", [DEAR, UNSAID])
async def test_one_that_may_take_too_much_is_capped_as_others_are(target: Target) -> None:
    assert await promised(call(), target, capped=False) == await promised(
        call(), target, capped=True
    )


@pytest.mark.parametrize("cap", [100, 5000])
async def test_the_caps_of_clients_hold(cap: int) -> None:
    asked = call(max_completion_tokens=cap)

    whole = await promised(asked, SMALL, capped=False)

    assert whole == await promised(asked, SMALL, capped=True)
    assert whole[0] is None  # it is the client's own


@pytest.mark.parametrize(
    ("target", "fields", "expected"),
    [
        (SMALL, {}, True),
        (DEAR, {}, True),
        (FREE, {}, True),
        (UNKNOWN, {}, False),
        (SMALL, {"service_tier": "unheard-of"}, False),
        (SMALL, {"max_tokens": -1}, False),
    ],
)
def test_what_cannot_be_bounded_is_known_before_it_is_asked(
    target: Target, fields: dict[str, Any], expected: bool
) -> None:
    assert spending(ScriptedLedger()).bounded(call(**fields), target) is expected
