"""The command `keys`, on the store itself, whether or not the proxy runs; and the first key."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from proxy.access.keybook import KeyBook, KeyConflict, Made
from proxy.access.keys import VirtualKeys, ever_made
from proxy.access.virtual_key import VirtualKey, told_of
from proxy.config.errors import ConfigError, shown
from proxy.config.settings import Config
from proxy.core.call import JsonObject
from proxy.core.clock import SystemClock
from proxy.core.errors import InvalidRequest, ProxyError
from proxy.stores.open import open_stores
from proxy.stores.protocols import StoreFailed

FIRST_NAME: Final = "first"

_CLOCK: Final = SystemClock()
_WIDE = 200  # columns of a table that no terminal bounds
_IN_LIST = ("id", "name", "team", "state", "models", "budgets", "limits", "created", "expires")
# What a field of a wish is called on the command line.
_OPTIONS: Final[Mapping[str, str]] = {
    "name": "NAME",
    "team": "--team",
    "models": "--models",
    "endpoints": "--endpoints",
    "rag": "--rag",
    "budgets": "--budget",
    "limits": "--limit",
    "expires": "--expires",
    "overlap": "--overlap",
}

_T = TypeVar("_T")


def create(config: Config, wish: Mapping[str, object], *, form: str) -> int:
    """Make a key; the exit code. Its secret goes to stdout alone, all else to stderr."""

    def tell(made: Made) -> None:
        key = made.key
        _tell_secret(made, form, f"key {key.id} ({key.name}) is made; its secret is shown only now")

    return _carry_out(config, lambda book: book.create(wish), tell)


def rotate(config: Config, named: str, overlap: str, *, form: str) -> int:
    """Give a key a new secret; the exit code."""

    def tell(made: Made) -> None:
        key = made.key
        until = told_of(key, _CLOCK.wall())["former_secret_until"]
        ends = f"counts until {until}" if until else "counts no more"
        talk = f"key {key.id} ({key.name}) has a new secret, shown only now; the old one {ends}"
        _tell_secret(made, form, talk)

    return _carry_out(config, lambda book: book.rotate(named, overlap), tell)


def show_all(config: Config, *, form: str) -> int:
    """Print all keys; the exit code."""

    def tell(keys: Sequence[VirtualKey]) -> None:
        rows = [told_of(key, _CLOCK.wall()) for key in keys]
        if form == "json":
            _print_json(rows)
        elif not rows:
            click.echo("there are no keys; groq-proxy keys create NAME makes one", err=True)
        else:
            _print_table(_IN_LIST, [[_cell(row[name]) for name in _IN_LIST] for row in rows])

    return _carry_out(config, lambda book: book.all(), tell)


def show(config: Config, named: str, *, form: str) -> int:
    """Print one key; the exit code."""
    return _carry_out(config, lambda book: book.find(named), lambda key: _tell(key, form))


def disable(config: Config, named: str, *, form: str) -> int:
    """End a key; the exit code."""

    def tell(key: VirtualKey) -> None:
        click.echo(f"key {key.id} ({key.name}) counts no more", err=True)
        if form == "json":
            _tell(key, form)

    return _carry_out(config, lambda book: book.disable(named), tell)


async def secured(config: Config, *, make_first: bool) -> str:
    """Make sure, before it is served, that nobody's machine needs a key that does not exist.

    The secret of the first key, where there never was one and `make_first` asks for it, else "".
    Raises `ConfigError` where other machines could call and there is no key, and `StoreFailed`.
    """
    in_reach = not config.listen.loopback
    if config.auth == "none" or config.keys or not (in_reach or config.auth == "keys"):
        return ""
    async with open_stores(config.state_dir, config.redis_url, _CLOCK) as stores:
        if await ever_made(stores.records):
            return ""
        if make_first:
            book = KeyBook(stores.records, _CLOCK, lambda: config)
            try:
                return (await book.create({"name": FIRST_NAME})).secret
            except KeyConflict:  # another one that starts now was quicker, and shows it
                return ""
    if config.auth == "keys":  # written by somebody who will make some
        return ""
    raise ConfigError(
        None,
        "listen",
        "must be loopback; without keys, anything beyond needs `auth: none`"
        " (groq-proxy keys create NAME makes a key)",
    )


async def needs_key(config: Config) -> bool:
    """Whether calls will need a key; raises `StoreFailed`."""
    async with open_stores(config.state_dir, config.redis_url, _CLOCK) as stores:
        keys = VirtualKeys(stores.records, _CLOCK)
        keys.configure(config)
        await keys.refresh()
        return keys.closed


def _carry_out(
    config: Config, ask: Callable[[KeyBook], Awaitable[_T]], tell: Callable[[_T], None]
) -> int:
    """Ask the book of keys and tell what it answered, or in one line why it did not."""

    async def asked() -> _T:
        async with open_stores(config.state_dir, config.redis_url, _CLOCK) as stores:
            return await ask(KeyBook(stores.records, _CLOCK, lambda: config))

    try:
        answer = asyncio.run(asked())
    except InvalidRequest as error:
        click.echo(f"groq-proxy: {shown(_for_command_line(error))}", err=True)
        return 2
    except (ProxyError, StoreFailed) as error:
        click.echo(f"groq-proxy: {shown(str(error))}", err=True)
        return 1
    tell(answer)
    return 0


def _for_command_line(error: InvalidRequest) -> str:
    """The message with `--budget` in the place of `budgets[0]`."""
    param = error.param or ""
    option = _OPTIONS.get(param.partition("[")[0])
    return option + error.message.removeprefix(param) if option else error.message


def _tell_secret(made: Made, form: str, talk: str) -> None:
    click.echo(talk, err=True)
    if form == "json":
        _print_json({**told_of(made.key, _CLOCK.wall()), "secret": made.secret})
    else:
        click.echo(made.secret)


def _tell(key: VirtualKey, form: str) -> None:
    row = told_of(key, _CLOCK.wall())
    if form == "json":
        _print_json(row)
    else:
        _print_table((), [[name.replace("_", " "), _cell(value)] for name, value in row.items()])


def _print_json(told: JsonObject | list[JsonObject]) -> None:
    click.echo(json.dumps(told, indent=2))


def _print_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=bool(names))
    for name in names:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
