"""The commands `usage` and `budget`: what was spent, how budgets stand, if the ledger is true."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import click
from rich.console import Console
from rich.table import Table

from proxy.access.budget import Spending
from proxy.access.keybook import KeyBook
from proxy.access.prices import Prices
from proxy.access.till import Till
from proxy.access.usage import By, Line, Reader, Usage, dollars, names_of, since_of, standing_told
from proxy.config.settings import Config
from proxy.core.call import Caller
from proxy.core.clock import SystemClock, iso
from proxy.core.errors import InvalidRequest, ProxyError
from proxy.core.money import Standing, usd_text
from proxy.stores.open import Stores, open_stores
from proxy.stores.protocols import StoreFailed

LEDGER_FILE = "ledger.sqlite3"


def run(config: Config, act: Callable[[Stores, Config], Awaitable[int]]) -> int:
    """Do `act` on the stores of `config`; its exit code, or 1 where they are out of reach."""

    async def opened() -> int:
        async with _stores(config) as (stores, there):
            return await act(stores, there)

    try:
        return asyncio.run(opened())
    except InvalidRequest as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 2
    except (StoreFailed, ProxyError) as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 1


@asynccontextmanager
async def _stores(config: Config) -> AsyncIterator[tuple[Stores, Config]]:
    there = config
    demo = config.state_dir / "demo"
    if config.redis is None and not (config.state_dir / LEDGER_FILE).exists():
        if (demo / LEDGER_FILE).exists():
            click.echo(f"only the demo has run here so far: this is its ledger ({demo})", err=True)
            there = config.model_copy(update={"state_dir": demo})
        else:
            raise StoreFailed(f"nothing was recorded in {config.state_dir} yet")
    async with open_stores(there.state_dir, there.redis_url, SystemClock()) as stores:
        yield stores, there


def usage(*, by: By, since: str, form: str) -> Callable[[Stores, Config], Awaitable[int]]:
    """Print what was used since then (`7d`, or a date) as table, json or csv."""

    async def act(stores: Stores, config: Config) -> int:
        zone = config.budgets.zone
        begin = since_of(since, SystemClock().wall(), zone)
        keys = await _keys(stores, config)
        table = await Reader(stores.books).usage(begin, by, zone, names=names_of(keys))
        match form:
            case "json":
                told = {"by": by, "since": iso(begin), **table.told()}
                click.echo(json.dumps(told, indent=2))
            case "csv":
                click.echo(_as_csv(table), nl=False)
            case _:
                _print_usage(table, by, begin)
        return 0

    return act


def _print_usage(usage: Usage, by: By, since: float) -> None:
    table = Table(title=f"Usage by {by} since {iso(since)}", title_justify="left")
    table.add_column(by, overflow="fold")
    for name in ("calls", "errors", "tokens in", "tokens out", "cost USD", "mean s", "p95 s"):
        table.add_column(name, justify="right")
    for line in (*usage.lines, usage.total):
        last = line is usage.total
        if last:
            table.add_section()
        table.add_row(*_cells(line), style="bold" if last else None)
    console = _console()
    console.print(table)
    total = usage.total
    console.print(
        f"Answers at list price {dollars(total.listed)} USD"
        f" = billed {dollars(total.billed)} + saved by fallback {dollars(total.saved)}"
        f" + saved by cache {dollars(total.kept.amount)} ({total.kept.calls:,} calls)."
        f" Cost {dollars(total.cost)}"
        f" = billed + wasted by retries and abandoned calls {dollars(total.wasted)}"
        f" - refunded {dollars(total.refunded)}.",
        soft_wrap=True,
    )


def _cells(line: Line) -> list[str]:
    return [
        line.name,
        f"{line.calls:,}",
        f"{line.errors:,}",
        f"{line.prompt:,}",
        f"{line.completion:,}",
        dollars(line.cost),
        _seconds(line.mean_s),
        _seconds(line.p95_s),
    ]


def _as_csv(usage: Usage) -> str:
    text = io.StringIO()
    lines = [line.told() for line in usage.lines]
    writer = csv.DictWriter(text, usage.total.told().keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def show_budgets(form: str) -> Callable[[Stores, Config], Awaitable[int]]:
    """Print how all budgets stand as table or json."""

    async def act(stores: Stores, config: Config) -> int:
        standings = await _standings(stores, config)
        if form == "json":
            told = [each for standing in standings for each in standing_told(standing)]
            click.echo(json.dumps({"budgets": told}, indent=2))
        elif standings:
            _console().print(_budget_table(standings))
        else:
            click.echo("no budgets are set: see `budgets` and `keys` in the configuration")
        return 0

    return act


async def _keys(stores: Stores, config: Config) -> Sequence[Caller]:
    """All keys there ever were, as callers."""
    keys = await KeyBook(stores.records, SystemClock(), lambda: config).all()
    return [key.caller() for key in keys]


async def _standings(stores: Stores, config: Config) -> Sequence[Standing]:
    callers = [caller for caller in await _keys(stores, config) if caller.budgets]
    till = Till(stores.ledger, lambda _: None)
    standings = Spending(config.budgets, Prices(config.prices), till).standings(callers)
    return await Reader(stores.books).standings(standings)


def _budget_table(standings: Sequence[Standing]) -> Table:
    table = Table(title="Budgets", title_justify="left")
    for name in ("budget", "written", "settled USD", "reserved USD", "left USD", "used", "resets"):
        table.add_column(name, justify="left" if name in {"budget", "written"} else "right")
    for each in standings:
        for budget in each.budgets:
            spent = each.balance.spent
            share = f"{100 * spent / budget.nano_usd:.0f} %" if budget.nano_usd else "-"
            table.add_row(
                each.owner,
                str(budget),
                dollars(each.balance.settled),
                dollars(each.balance.reserved),
                dollars(max(0, budget.nano_usd - spent)),
                share,
                iso(each.bucket.end) if each.bucket.end is not None else "never",
            )
    return table


def check_ledger() -> Callable[[Stores, Config], Awaitable[int]]:
    """Print what does not add up in the ledger; exit 1 where something does not."""

    async def act(stores: Stores, _: Config) -> int:
        faults = await stores.books.check()
        for fault in faults:
            click.echo(f"FAIL  {fault}")
        if not faults:
            click.echo("ok    the ledger adds up")
        return 1 if faults else 0

    return act


def refund(id: str, why: str) -> Callable[[Stores, Config], Awaitable[int]]:
    """Give back what a call (or one request of it) was charged."""

    async def act(stores: Stores, _: Config) -> int:
        refunds = await stores.ledger.refund(id, why)
        if not refunds:
            click.echo(
                f"groq-proxy: no call {id!r} was charged (or it is still going on)", err=True
            )
            return 1
        for each in refunds:
            told = (
                f"{usd_text(each.amount)} USD"
                if each.amount
                else "nothing (it was charged nothing, or got it back before)"
            )
            click.echo(f"refunded {told} of {each.hold_id}")
        return 0

    return act


def _console() -> Console:
    """Where tables go; a file or a pipe has no width of its own."""
    return Console(width=None if sys.stdout.isatty() else 160)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f}"
