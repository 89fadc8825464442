"""Budgets that change while calls are in flight: the next call goes by what is written now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import House
from tests.stories.books import at_rest, balanced
from tests.stories.money import (
    COST,
    OUTPUT,
    ask,
    balance,
    dollars,
    error_code,
    key,
    standing,
    streamed,
)
from tests.stories.raw import EVENTS, Line, RawProvider, raw, said
from tests.stories.running import configured, running
from tests.stories.test_budgets import PROMPT, answer


class Bank:
    """A house whose file can be written anew, and its provider, whose streams wait for `go`."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.go = asyncio.Event()
        self.house: House
        self.provider: RawProvider

    async def play(self, line: Line) -> None:
        if not line.body.get("stream"):
            await line.say(answer(PROMPT, OUTPUT))
            return
        await line.say(EVENTS, said("one"))
        await self.go.wait()
        await line.say(*streamed(PROMPT, OUTPUT)[1:])

    @asynccontextmanager
    async def open(self, **knobs: Any) -> AsyncIterator["Bank"]:
        async with raw(self.play) as self.provider:
            self.write(**knobs)
            async with running(self._config, reload=lambda: self._config) as self.house:
                yield self
                await at_rest(self.house)
                assert await self.house.app.state.stores.books.check() == []
            await balanced(self.house)

    def write(self, **knobs: Any) -> None:
        """Change the file."""
        self._config = configured(self._state, self.provider.url, **knobs)

    async def rewrite(self, **knobs: Any) -> None:
        """Change the file, and take it over."""
        self.write(**knobs)
        reloads = await self.house.metric("config_reloads_total", result="ok")
        self.house.app.reload()
        assert await self.house.metric("config_reloads_total", result="ok") == reloads + 1

    async def ends(self, times: int, name: str = "") -> list[str]:
        """How so many calls in a row end: "" for those that were served."""
        return [await error_code(await ask(self.house, name)) for _ in range(times)]


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return Bank(tmp_path)


def all_of(*budgets: str) -> dict[str, Any]:
    """The budgets of all calls."""
    return {"budgets": {"global": list(budgets)}}


async def test_a_limit_below_what_is_spent_refuses_the_next_call_and_a_higher_one_serves_it(
    bank: Bank,
) -> None:
    async with bank.open(**all_of(dollars(10 * COST, "total"))):
        assert await bank.ends(3) == [""] * 3

        await bank.rewrite(**all_of(dollars(COST, "total")))
        refused = await ask(bank.house)
        assert refused.status == 429
        assert await error_code(refused) == "budget_exceeded"
        assert refused.headers["x-should-retry"] == "false"
        assert await bank.house.metric("budget_remaining_usd", budget="global") == 0

        await bank.rewrite(**all_of(dollars(4 * COST, "total")))
        assert await bank.ends(2) == ["", "budget_exceeded"]
        assert (await balance(bank.house)).settled == 4 * COST
        assert len(bank.provider.lines) == 4


async def test_a_call_in_flight_ends_well_under_a_limit_that_was_lowered_beneath_it(
    bank: Bank,
) -> None:
    async with bank.open(**all_of(dollars(10 * COST, "total"))):
        stream = await ask(bank.house, stream=True)
        await stream.content.readuntil(b"one")

        await bank.rewrite(**all_of(dollars(1, "total")))
        while_in_flight = await bank.ends(1)
        bank.go.set()
        rest = await stream.text()
        await bank.house.calls_closed(2)

        assert while_in_flight == ["budget_exceeded"]
        assert rest.endswith("data: [DONE]\n\n")
        held = await balance(bank.house)
        assert (held.settled, held.reserved) == (COST, 0)
        assert await bank.ends(1) == ["budget_exceeded"]


async def test_a_limit_of_nothing_refuses_everything_that_costs(bank: Bank) -> None:
    async with bank.open():
        assert await bank.ends(1) == [""]

        await bank.rewrite(**all_of("0 USD/total"))

        assert await bank.ends(2) == ["budget_exceeded"] * 2
        assert len(bank.provider.lines) == 1


async def test_a_budget_that_is_added_while_it_runs_counts_from_then_on(bank: Bank) -> None:
    async with bank.open():
        stream = await ask(bank.house, stream=True)
        await stream.content.readuntil(b"one")
        assert await bank.ends(2) == ["", ""]

        await bank.rewrite(**all_of(dollars(2 * COST, "total")))
        assert await bank.ends(3) == ["", "", "budget_exceeded"]
        bank.go.set()
        assert (await stream.text()).endswith("data: [DONE]\n\n")
        await bank.house.calls_closed(6)

        # The stream began when nothing covered it, and is on nobody's account.
        assert (await balance(bank.house)).settled == 2 * COST


async def test_without_its_budget_a_call_is_free_again_and_what_was_spent_is_remembered(
    bank: Bank,
) -> None:
    budgets = all_of(dollars(COST, "total"))
    async with bank.open(**budgets):
        assert await bank.ends(2) == ["", "budget_exceeded"]

        await bank.rewrite()
        assert await bank.ends(2) == ["", ""]

        await bank.rewrite(**budgets)
        assert await bank.ends(1) == ["budget_exceeded"]
        assert (await balance(bank.house)).settled == COST


async def test_a_bad_file_leaves_the_budgets_as_they_were(bank: Bank) -> None:
    async with bank.open(**all_of(dollars(COST, "total"))):
        bank.write(**all_of(dollars(100 * COST, "total")), listen="127.0.0.1:1")
        bank.house.app.reload()

        assert await bank.house.metric("config_reloads_total", result="error") == 1
        assert await bank.ends(2) == ["", "budget_exceeded"]


def team(budget: str, *, keys: tuple[str, ...] = ("a", "b")) -> dict[str, Any]:
    """Two keys of one team, and one of nobody."""
    return {
        "keys": [*(key(name, team="search") for name in keys), key("alone")],
        "budgets": {"teams": {"search": [budget]}},
    }


async def test_the_keys_of_a_team_share_its_budget_and_others_have_no_part_in_it(
    bank: Bank,
) -> None:
    async with bank.open(**team(dollars(3 * COST, "month"))):
        assert await bank.ends(2, "a") == ["", ""]
        assert await bank.ends(2, "b") == ["", "budget_exceeded"]
        assert await bank.ends(1, "a") == ["budget_exceeded"]
        assert await bank.ends(2, "alone") == ["", ""]

        await bank.rewrite(**team(dollars(4 * COST, "month")))
        assert await bank.ends(2, "b") == ["", "budget_exceeded"]

        await bank.rewrite(**team(dollars(4 * COST, "month"), keys=("a", "b", "c")))
        assert await bank.ends(1, "c") == ["budget_exceeded"]
        assert (await balance(bank.house, "team search", "month")).settled == 4 * COST
        assert await bank.house.metric(
            "budget_rejections_total", budget="team search", period="month"
        ) == pytest.approx(4)


async def test_of_several_limits_the_tightest_hard_one_refuses_and_soft_ones_warn(
    bank: Bank,
) -> None:
    hour = dollars(2 * COST, "hour", soft=True)
    budgets = [
        *(hour, dollars(9 * COST, "month"), dollars(3 * COST, "total")),
        dollars(7 * COST, "total"),
    ]
    async with bank.open(**all_of(*budgets)):
        first, second, third, fourth = [await ask(bank.house) for _ in range(4)]

        warnings = [each.headers.get("x-proxy-budget-warning") for each in (first, second, third)]
        assert warnings[0] is None
        assert warnings[2] == f"global: {hour}"
        assert [each.status for each in (first, second, third, fourth)] == [200, 200, 200, 429]
        message = (await fourth.json())["error"]["message"]
        assert f"{dollars(3 * COST, 'total').partition(' ')[0]} USD, total" in message
        assert "begins anew" not in message  # it never does
        for window in ("hour", "month", "total"):
            assert (await balance(bank.house, "global", window)).settled == 3 * COST

        await bank.rewrite(**all_of(hour, dollars(4 * COST, "month")))
        assert await bank.ends(2) == ["", "budget_exceeded"]
        assert standing(bank.house, "global", "month").left == 0


async def test_a_soft_limit_that_becomes_hard_refuses_with_all_that_was_spent_before(
    bank: Bank,
) -> None:
    async with bank.open(**all_of(dollars(2 * COST, "total", soft=True))):
        assert await bank.ends(3) == [""] * 3

        await bank.rewrite(**all_of(dollars(2 * COST, "total")))
        assert await bank.ends(1) == ["budget_exceeded"]

        await bank.rewrite(**all_of(dollars(2 * COST, "total", soft=True)))
        assert await bank.ends(1) == [""]
        await bank.house.app.state.till.drain()  # what nothing hard waits for is entered in batches
        assert (await balance(bank.house)).settled == 4 * COST


async def test_limits_that_change_all_the_time_under_load_never_let_too_much_through(
    bank: Bank,
) -> None:
    most = 20
    async with bank.open(**all_of(dollars(most * COST, "total"))):

        async def change() -> None:
            for limit in (5, 12, 3, most, 8, most):
                await bank.rewrite(**all_of(dollars(limit * COST, "total")))
                await asyncio.sleep(0)

        ends, _ = await asyncio.gather(asyncio.gather(*(bank.ends(4) for _ in range(15))), change())
        ends.append(await bank.ends(most))

        served = [end for each in ends for end in each].count("")
        assert served == most
        held = await balance(bank.house)
        assert (held.settled, held.reserved) == (most * COST, 0)
