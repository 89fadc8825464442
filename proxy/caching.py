"""The command `cache`, on the store itself, whether or not the proxy runs."""

import json
import sys
from collections.abc import Awaitable, Callable

import click
from rich.console import Console
from rich.table import Table

from proxy.cache.upkeep import Upkeep
from proxy.config.settings import Config
from proxy.core.clock import SystemClock, iso
from proxy.stores.open import Stores
from proxy.stores.protocols import ValueStats

Act = Callable[[Stores, Config], Awaitable[int]]


def stats(form: str) -> Act:
    """Print how much is kept as table or json."""

    async def act(stores: Stores, _: Config) -> int:
        found = await _upkeep(stores).stats()
        oldest = None if found.oldest is None else iso(found.oldest)
        if form == "json":
            told = {"entries": found.entries, "size_bytes": found.bytes, "oldest": oldest}
            click.echo(json.dumps({"exact": told}, indent=2))
        else:
            console = Console(width=None if sys.stdout.isatty() else 160)
            console.print(_table(found, oldest or "-"))
        return 0

    return act


def _table(found: ValueStats, oldest: str) -> Table:
    table = Table(title="Kept answers", title_justify="left")
    table.add_column("tier")
    for name in ("answers", "bytes", "oldest"):
        table.add_column(name, justify="right")
    table.add_row("exact", f"{found.entries:,}", f"{found.bytes:,}", oldest)
    return table


def purge(older_than: str | None, entry: str | None) -> Act:
    """Forget what was kept before, or one answer, or all; exit 1 where there is no such one."""

    async def act(stores: Stores, _: Config) -> int:
        purged = await _upkeep(stores).purge(older_than=older_than, entry=entry)
        if entry is not None and not purged:
            click.echo(f"groq-proxy: no answer {entry!r} is kept", err=True)
            return 1
        click.echo(f"forgot {purged:,} kept answer{'' if purged == 1 else 's'}")
        return 0

    return act


def _upkeep(stores: Stores) -> Upkeep:
    return Upkeep(stores.values, SystemClock())
