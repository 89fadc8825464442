"""serve | check | config | simulate.

Heavy parts are imported by the commands that need them: `--help` must be quick.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from proxy import __version__

_CONFIG = click.option(
    "--config",
    "file",
    metavar="FILE",
    help="Configuration file (default: PROXY_CONFIG, else ./groq-proxy.yaml if it exists).",
)
_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print it.",
)


@contextmanager
def _discreet() -> Iterator[None]:
    """Hide secrets in what click says of a usage: it quotes what was typed."""
    try:
        yield
    except click.UsageError as error:
        from proxy.config.errors import shown

        told = error.format_message()
        if shown(told) == told:
            raise
        raise click.UsageError(shown(told), error.ctx) from None


class _Group(click.Group):
    """Turns what a user can cause into one line and the exit code of the contract."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _discreet():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        from proxy.config.errors import ConfigError

        try:
            with _discreet():
                return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"groq-proxy: {error}", err=True)
            ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="groq-proxy")
def main() -> None:
    """An observability-focused, OpenAI-compatible gateway for Groq."""


@main.command()
@_CONFIG
@click.option("--listen", metavar="HOST:PORT", help="Address to serve at.")
@click.option("--workers", type=int, metavar="N", help="Processes that serve.")
@click.option("--demo", is_flag=True, help="Ask the built-in Groq simulator, never Groq.")
def serve(file: str | None, listen: str | None, workers: int | None, demo: bool) -> None:
    """Run the proxy.

    Example: groq-proxy serve --listen 127.0.0.1:8080
    """
    from proxy.serve import run

    sys.exit(run(file, listen=listen, workers=workers, demo=demo))


@main.command()
@_CONFIG
@click.option("--alerts", is_flag=True, help="Also send a test message to every webhook.")
def check(file: str | None, alerts: bool) -> None:
    """Check the configuration and every provider key: one line each, exit 0 or 1.

    Example: groq-proxy check --alerts
    """
    from proxy.checks import check_all
    from proxy.config.load import find_file, load_offline, provider_key_at_hand, read_environment

    env = read_environment(Path.cwd(), os.environ)
    path = find_file(file, env, Path.cwd())
    config, asks = load_offline(path, env), provider_key_at_hand(env, path)
    sys.exit(0 if check_all(config, path, alerts=alerts, asks=asks) else 1)


@main.command()
@_CONFIG
@click.option("--show", "in_force", is_flag=True, help="The configuration in force instead.")
def config(file: str | None, in_force: bool) -> None:
    """Print the default configuration file, with a comment on every knob.

    Example: groq-proxy config > groq-proxy.yaml
    """
    from proxy.config.load import find_file, load_offline, read_environment
    from proxy.config.template import show, template

    if not in_force:
        click.echo(template(), nl=False)
        return
    env = read_environment(Path.cwd(), os.environ)
    click.echo(show(load_offline(find_file(file, env, Path.cwd()), env)), nl=False)


@main.command()
@click.argument("question", required=False)
@_CONFIG
@click.option("--rag", "collection", metavar="COLLECTION", help="Answer from these documents.")
@click.option("--model", metavar="M", help="Another model than the proxy's default.")
@click.option("--no-stream", "whole", is_flag=True, help="Print the answer when it is complete.")
def ask(
    question: str | None,
    file: str | None,
    collection: str | None,
    model: str | None,
    *,
    whole: bool,
) -> None:
    """Ask the running proxy. - reads the question from the standard input; none begins a talk.

    PROXY_URL names a proxy elsewhere, PROXY_KEY is the virtual key where it needs one.

    Example: groq-proxy ask "What is our refund policy?" --rag handbook
    """
    from proxy.asker import Asker, place_of
    from proxy.asking import converse, run

    config, env = _offline(file, of_state=False), _environment()
    asker = Asker(place_of(config, env), collection=collection or "", model=model or "")
    if question is None:
        sys.exit(converse(asker, stream=not whole))
    if question == "-":
        question = sys.stdin.buffer.read().decode(errors="replace")
    if not question.strip():
        raise click.UsageError("the question is empty")
    sys.exit(run(asker, question, stream=not whole))


@main.command()
@_CONFIG
def mcp(file: str | None) -> None:
    """Serve assistants by MCP on stdin and stdout: ask, search_documents, collections.

    PROXY_URL names a proxy elsewhere, PROXY_KEY is the virtual key where it needs one.

    Example: groq-proxy mcp --config groq-proxy.yaml
    """
    try:
        from proxy.mcp_server import run
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        click.echo("groq-proxy: mcp needs an extra: pip install 'groq-proxy[mcp]'", err=True)
        sys.exit(1)

    sys.exit(run(_offline(file, of_state=False), _environment()))


@main.group()
def keys() -> None:
    """Make, show and end virtual keys, whether or not the proxy runs.

    Example: groq-proxy keys create app --budget "5 USD/day"
    """


@keys.command("create")
@click.argument("name")
@_CONFIG
@click.option("--team", metavar="T", help="Whose budgets and limits it shares.")
@click.option("--budget", "budgets", multiple=True, metavar="TEXT", help='Like "5 USD/day".')
@click.option("--limit", "limits", multiple=True, metavar="TEXT", help='Like "8 concurrent".')
@click.option("--models", metavar="A,B", help="All that it may ask for.")
@click.option("--endpoints", metavar="A,B", help="What else it may use: files, batches.")
@click.option("--rag", metavar="A,B", help="All collections that it may use; the first, always.")
@click.option("--expires", metavar="DATE", help="Last day, or a duration: 2027-12-31, 30d.")
@_FORMAT
def create_key(
    name: str,
    file: str | None,
    models: str | None,
    endpoints: str | None,
    rag: str | None,
    form: str,
    **terms: Any,
) -> None:
    """Make a key. Its secret is printed once, alone on stdout, and kept nowhere.

    Example: groq-proxy keys create app --budget "5 USD/day" --limit "60 requests/minute"
    """
    from proxy.keyring import create

    words = {"models": _words(models), "endpoints": _words(endpoints), "rag": _words(rag)}
    wish = {"name": name, **words, **terms}
    sys.exit(create(_offline(file), wish, form=form))


@keys.command("list")
@_CONFIG
@_FORMAT
def list_keys(file: str | None, form: str) -> None:
    """List all keys, also those that have ended.

    Example: groq-proxy keys list --format json
    """
    from proxy.keyring import show_all

    sys.exit(show_all(_offline(file), form=form))


@keys.command("show")
@click.argument("id")
@_CONFIG
@_FORMAT
def show_key(id: str, file: str | None, form: str) -> None:
    """Show one key, by its id or name.

    Example: groq-proxy keys show app
    """
    from proxy.keyring import show

    sys.exit(show(_offline(file), id, form=form))


@keys.command("disable")
@click.argument("id")
@_CONFIG
@_FORMAT
def disable_key(id: str, file: str | None, form: str) -> None:
    """End a key for good. A running proxy knows it within a second.

    Example: groq-proxy keys disable app
    """
    from proxy.keyring import disable

    sys.exit(disable(_offline(file), id, form=form))


@keys.command("rotate")
@click.argument("id")
@_CONFIG
@click.option(
    "--overlap",
    metavar="TIME",
    default="1h",
    show_default=True,
    help="For how long the old secret counts on; 0s ends it at once.",
)
@_FORMAT
def rotate_key(id: str, file: str | None, overlap: str, form: str) -> None:
    """Give a key a new secret; its budgets, limits and books stay.

    Example: groq-proxy keys rotate app --overlap 1d
    """
    from proxy.keyring import rotate

    sys.exit(rotate(_offline(file), id, overlap, form=form))


def _words(written: str | None) -> list[str]:
    return [word.strip() for word in (written or "").split(",") if word.strip()]


@main.command()
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8089", show_default=True, help="Address."
)
@click.option("--scenario", metavar="FILE", help="Faults to play (YAML).")
@click.option("--speed", type=float, default=1.0, show_default=True, help="Faster than real.")
def simulate(listen: str, scenario: str | None, speed: float) -> None:
    """Run the Groq simulator alone: a provider for tests of your own.

    Example: groq-proxy simulate --speed 10
    """
    from proxy.serve import run_simulator

    sys.exit(run_simulator(listen, scenario=scenario, speed=speed))


@main.command()
@_CONFIG
@click.option(
    "--by",
    type=click.Choice(["key", "team", "model", "provider", "day"]),
    default="key",
    show_default=True,
    help="One line for each of these.",
)
@click.option(
    "--since", default="7d", show_default=True, help="How far back: 7d, 12h, or a date: 2026-11-01."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
def usage(file: str | None, by: Any, since: str, form: str) -> None:
    """Tell what was used: calls, tokens, cost, mean and p95 latency, errors.

    Example: groq-proxy usage --by model --since 30d
    """
    from proxy.accounting import run, usage

    sys.exit(run(_offline(file), usage(by=by, since=since, form=form)))


@main.group()
def budget() -> None:
    """Budgets and the ledger behind them."""


@budget.command("show")
@_CONFIG
@_FORMAT
def show_budgets(file: str | None, form: str) -> None:
    """Tell how all budgets stand: settled, reserved by calls in flight, left, and the next reset.

    Example: groq-proxy budget show
    """
    from proxy.accounting import run, show_budgets

    sys.exit(run(_offline(file), show_budgets(form)))


@budget.command("check-ledger")
@_CONFIG
def check_ledger(file: str | None) -> None:
    """Check that the ledger adds up; exit 1 and say where it does not.

    Example: groq-proxy budget check-ledger
    """
    from proxy.accounting import check_ledger, run

    sys.exit(run(_offline(file), check_ledger()))


@budget.command()
@_CONFIG
@click.argument("id")
@click.option("--why", required=True, metavar="TEXT", help="The reason, kept in the ledger.")
def refund(file: str | None, id: str, why: str) -> None:
    """Give back what a call was charged. ID is its x-proxy-request-id.

    Example: groq-proxy budget refund prx_0f3a… --why "the provider did not bill it"
    """
    from proxy.accounting import refund, run

    sys.exit(run(_offline(file), refund(id, why)))


@main.group()
def cache() -> None:
    """Kept answers: how many there are, how to forget them, how right near ones are.

    Example: groq-proxy cache stats
    """


@cache.command("stats")
@_CONFIG
@_FORMAT
def cache_stats(file: str | None, form: str) -> None:
    """Tell how much is kept, whether or not the proxy runs.

    Example: groq-proxy cache stats --format json
    """
    from proxy.accounting import run
    from proxy.caching import stats

    sys.exit(run(_offline(file), stats(form)))


@cache.command()
@_CONFIG
@click.option("--older-than", metavar="TIME", help="Only answers kept for longer: 1d, 12h.")
@click.option("--entry", metavar="ID", help="Only this one; ID is its x-proxy-cache-entry.")
def purge(file: str | None, older_than: str | None, entry: str | None) -> None:
    """Forget kept answers, all of them if nothing else is said. A running proxy heeds it at once.

    Example: groq-proxy cache purge --older-than 1d
    """
    from proxy.accounting import run
    from proxy.caching import purge

    sys.exit(run(_offline(file), purge(older_than, entry)))


@cache.command()
@_CONFIG
@click.argument("pairs", metavar="PAIRS.jsonl", type=click.Path(path_type=Path))
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw the curve (PNG)."
)
@click.option("--verbose", is_flag=True, help="Also score, guard and verdict of each pair.")
@_FORMAT
def calibrate(
    file: str | None, pairs: Path, plot: Path | None, form: str, *, verbose: bool
) -> None:
    """Tell how right the semantic cache would be about questions of your own.

    Each line of the file (- is the standard input) is a pair: {"a": "…", "b": "…", "same": true},
    where `same` says whether one answer fits both. A "kind" may stand beside it; JSON tells it
    again, null where there is none.

    Example: groq-proxy cache calibrate pairs.jsonl --plot curve.png
    """
    from proxy.caching import calibrate

    config = _offline(file, of_state=False)
    sys.exit(calibrate(config, pairs, plot, form, verbose=verbose))


@main.group()
def rag() -> None:
    """Collections of your own documents, for answers from them.

    Example: groq-proxy rag ingest docs --collection handbook
    """


_COLLECTION = click.option(
    "--collection", metavar="NAME", required=True, help="Which one; ingest makes it if need be."
)


@rag.command("ingest")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@_CONFIG
@_COLLECTION
@_FORMAT
def ingest_documents(paths: tuple[str, ...], file: str | None, collection: str, form: str) -> None:
    """Bring a collection up to date with files, folders and globs ("docs/**/*.md").

    Text, Markdown, HTML, PDF, JSON and JSON lines are read. What has changed is written, and what
    is gone from these places is removed. A bad file is named and skipped; the exit code is 1 then.
    A running proxy finds what is new at once.

    Example: groq-proxy rag ingest docs --collection handbook
    """
    from proxy.collections import ingest

    sys.exit(ingest(_offline(file), paths, collection, form))


@rag.command("query")
@click.argument("question", metavar="TEXT")
@_CONFIG
@_COLLECTION
@_FORMAT
def query_documents(question: str, file: str | None, collection: str, form: str) -> None:
    """Show the passages that a call with that question would be given.

    Example: groq-proxy rag query "How long is the warranty?" --collection handbook
    """
    from proxy.collections import query

    sys.exit(query(_offline(file), question, collection, form))


@rag.command("list")
@_CONFIG
@_FORMAT
def list_collections(file: str | None, form: str) -> None:
    """List all collections, and how many passages each has.

    Example: groq-proxy rag list --format json
    """
    from proxy.collections import show_all

    sys.exit(show_all(_offline(file), form))


@rag.command("drop")
@click.argument("name")
@_CONFIG
def drop_collection(name: str, file: str | None) -> None:
    """Forget a collection. The documents themselves stay where they are.

    Example: groq-proxy rag drop handbook
    """
    from proxy.collections import drop

    sys.exit(drop(_offline(file), name))


def _environment() -> dict[str, str]:
    from proxy.config.load import read_environment

    return read_environment(Path.cwd(), os.environ)


def _offline(file: str | None, *, of_state: bool = True) -> Any:
    """The configuration for what asks no provider; `of_state` where its state is looked at."""
    from proxy.config.load import (
        find_file,
        load_offline,
        provider_key_at_hand,
        read_environment,
    )

    env = read_environment(Path.cwd(), os.environ)
    path = find_file(file, env, Path.cwd())
    config = load_offline(path, env)
    if of_state and not provider_key_at_hand(env, path):
        note = f"note: no provider key is set: this is the state of the demo ({config.state_dir})"
        click.echo(note, err=True)
    return config
