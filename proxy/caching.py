"""The command `cache`: on the stores themselves, whether or not the proxy runs, and on pairs."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from proxy.cache.calibrate import (
    COLUMNS,
    BadPairs,
    NoPlot,
    Pair,
    Report,
    Setting,
    plot,
    read_pairs,
    report,
)
from proxy.cache.near.offline import PROFILES, Decider, Undecided, Verdict, open_deciders
from proxy.cache.upkeep import Upkeep
from proxy.config.settings import Config, EmbedderSettings
from proxy.core.clock import SystemClock, iso
from proxy.stores.open import Stores
from proxy.stores.protocols import Vectors
from proxy.stores.vectors_open import open_vectors

Act = Callable[[Stores, Config], Awaitable[int]]

_SHOWN = 5  # pairs that are served wrongly, or missed
_OF_ANOTHER = (
    "note: your own embedder only names neighbours; a pair is judged as with `builtin`,"
    " and whether the embedder is fit `groq-proxy check` tells"
)

_Verdicts = Mapping[tuple[str, str], Mapping[str, Verdict]]


def stats(form: str) -> Act:
    """Print how much is kept as table or json."""

    async def act(stores: Stores, config: Config) -> int:
        async with _vectors(config) as vectors:
            upkeep = Upkeep(stores.values, SystemClock(), vectors)
            found, near = await upkeep.stats(), await upkeep.vectors()
        assert near is not None
        oldest = None if found.oldest is None else iso(found.oldest)
        if form == "json":
            exact = {"entries": found.entries, "size_bytes": found.bytes, "oldest": oldest}
            semantic = {"entries": near.entries, "size_bytes": near.bytes}
            click.echo(json.dumps({"exact": exact, "semantic": semantic}, indent=2))
        else:
            exact_row = ("exact", f"{found.entries:,}", f"{found.bytes:,}", oldest or "-")
            semantic_row = ("semantic", f"{near.entries:,}", f"{near.bytes:,}", "-")
            columns = ("tier", "entries", "bytes", "oldest")
            _print("Kept answers", columns, [exact_row, semantic_row])
        return 0

    return act


def purge(older_than: str | None, entry: str | None) -> Act:
    """Forget what was kept before, or one answer, or all; exit 1 where there is no such one."""

    async def act(stores: Stores, config: Config) -> int:
        async with _vectors(config) as vectors:
            upkeep = Upkeep(stores.values, SystemClock(), vectors)
            purged = await upkeep.purge(older_than=older_than, entry=entry)
        if entry is not None and not purged.entries:
            click.echo(f"groq-proxy: no answer {entry!r} is kept", err=True)
            return 1
        entries = _counted(purged.entries, "entry", "entries")
        click.echo(f"forgot {entries} and {_counted(purged.vectors, 'vector', 'vectors')}")
        return 0

    return act


@dataclass(frozen=True, slots=True)
class _Decided:
    """What the setting in force makes of a pair."""

    pair: Pair
    score: float
    why: str
    served: bool

    def told(self) -> dict[str, object]:
        pair = self.pair
        about = {"a": pair.a, "b": pair.b, "same": pair.same, "kind": pair.kind or None}
        return {**about, "score": round(self.score, 4), "why": self.why, "served": self.served}


@dataclass(frozen=True, slots=True)
class _Calibration:
    """What each build and profile makes of the pairs, and the one `in_force` of each of them."""

    in_force: str
    reports: Mapping[str, Report]
    decided: Sequence[_Decided]


def calibrate(
    config: Config, file: Path, picture: Path | None, form: str, *, verbose: bool = False
) -> int:
    """Print how right the semantic cache is about the pairs in `file`; the exit code.

    With `verbose`, what became of each pair, too; JSON always says that.
    """
    try:
        pairs = list(read_pairs(file))
        if not pairs:
            raise BadPairs(f"{file} holds no pairs")
        if isinstance(config.cache.semantic.embedder, EmbedderSettings):
            click.echo(_OF_ANOTHER, err=True)
        made = asyncio.run(_calibrated(config, pairs))
    except BadPairs as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 2
    except Undecided as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 1
    _tell(made, form, verbose=verbose)
    return 0 if picture is None else _drawn(made, picture)


def _drawn(made: _Calibration, picture: Path) -> int:
    try:
        plot(_curve(made.reports, made.in_force), picture)
    except NoPlot as error:
        click.echo(f"groq-proxy: {error}", err=True)
        return 1
    except OSError as error:
        click.echo(f"groq-proxy: {picture}: {error.strerror}", err=True)
        return 1
    return 0


async def _calibrated(config: Config, pairs: Sequence[Pair]) -> _Calibration:
    settings = config.cache.semantic
    build = "semantic" if settings.embedder == "semantic" else "builtin"
    profile = settings.profile if settings.profile in PROFILES else PROFILES[0]
    reports: dict[str, Report] = {}
    decided: Sequence[_Decided] = ()
    async with open_deciders() as deciders:
        if build in deciders.lacking:
            raise Undecided(deciders.lacking[build])
        for decider in deciders.all:
            verdicts = await _verdicts(decider, pairs)
            reports |= _reports(decider, pairs, verdicts)
            if decider.build == build:
                least = decider.thresholds[profile]
                decided = [
                    _decided(each, verdicts[each.a, each.b][profile], least) for each in pairs
                ]
    return _Calibration(f"{build} {profile}", reports, decided)


async def _verdicts(decider: Decider, pairs: Sequence[Pair]) -> _Verdicts:
    return {
        (pair.a, pair.b): await decider.verdicts(pair.a, pair.b)
        for pair in _watched(pairs, decider.build)
    }


def _reports(decider: Decider, pairs: Sequence[Pair], verdicts: _Verdicts) -> Mapping[str, Report]:
    def made(profile: str) -> Report:
        setting = Setting(f"{decider.build} {profile}", decider.thresholds[profile])
        return report(pairs, lambda a, b: verdicts[a, b][profile].score, [setting])

    return {f"{decider.build} {profile}": made(profile) for profile in PROFILES}


def _decided(pair: Pair, verdict: Verdict, least: float) -> _Decided:
    return _Decided(pair, verdict.score, verdict.why, served=verdict.score >= least)


def _watched(pairs: Sequence[Pair], build: str) -> Iterable[Pair]:
    """The pairs, with a bar of progress for whoever watches."""
    console = Console(stderr=True)
    return track(pairs, build, console=console, transient=True, disable=not console.is_terminal)


def _curve(reports: Mapping[str, Report], wanted: str) -> Report:
    """The curve of what is wanted, with the points of all profiles of its build."""
    build = wanted.split()[0]
    points = [reports[f"{build} {profile}"].settings[0] for profile in PROFILES]
    return replace(reports[wanted], settings=tuple(points))


def _tell(made: _Calibration, form: str, *, verbose: bool) -> None:
    mine = made.reports[made.in_force]
    wrong = [each for each in made.decided if each.served and not each.pair.same]
    if form == "json":
        every: list[dict[str, Any]] = [each.told() for each in made.reports.values()]
        told = {
            "pairs": mine.pairs,
            "in_force": made.in_force,
            "settings": [setting for each in every for setting in each["settings"]],
            "errors": [each.told() for each in wrong],
            "decided": [each.told() for each in made.decided],
        }
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = [row for each in made.reports.values() for row in each.rows()]
    _print(f"{mine.pairs:,} pairs; in force here: {made.in_force}", COLUMNS, rows)
    if verbose:
        for each in made.decided:
            click.echo(_line(each))
        return
    missed = [each for each in made.decided if each.pair.same and not each.served]
    for some in (wrong, missed):
        for each in some[:_SHOWN]:
            click.echo(_line(each))
    if max(len(wrong), len(missed)) > _SHOWN:
        click.echo(f"{len(wrong):,} wrong, {len(missed):,} missed: --verbose shows all pairs")


def _line(decided: _Decided) -> str:
    """One line about a pair: what it is worth, its score, what was against it, both questions."""
    pair = decided.pair
    if decided.served:
        word = "served" if pair.same else "WRONG"
    else:
        word = "missed" if pair.same else "refused"
    return f"{word:8} {decided.score:.3f} {decided.why or '-':12} {pair.a} | {pair.b}"


def _print(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    first, *others = columns
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _vectors(config: Config) -> AbstractAsyncContextManager[Vectors]:
    return open_vectors(config.state_dir / "cache", config.redis_url, SystemClock())


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
