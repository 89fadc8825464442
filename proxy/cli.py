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
def check(file: str | None) -> None:
    """Check the configuration and every provider key: one line each, exit 0 or 1.

    Example: groq-proxy check
    """
    from proxy.checks import check_all
    from proxy.config.load import find_file, load, read_environment

    env = read_environment(Path.cwd(), os.environ)
    path = find_file(file, env, Path.cwd())
    sys.exit(0 if check_all(load(path, env), path) else 1)


@main.command()
@_CONFIG
@click.option("--show", "in_force", is_flag=True, help="The configuration in force instead.")
def config(file: str | None, in_force: bool) -> None:
    """Print the default configuration file, with a comment on every knob.

    Example: groq-proxy config > groq-proxy.yaml
    """
    from proxy.config.load import find_file, load, read_environment
    from proxy.config.template import show, template

    if not in_force:
        click.echo(template(), nl=False)
        return
    env = read_environment(Path.cwd(), os.environ)
    click.echo(show(load(find_file(file, env, Path.cwd()), env)), nl=False)


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
