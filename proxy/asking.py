"""The command `ask`: one question, or a conversation, with the running proxy."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import suppress

import click

from proxy.asker import Asker, NotAnswered, Source, one_line

_MOST_CHARACTERS = 100_000  # of a conversation, that are sent again with each question
_LAST_WORDS = {"exit", "quit"}

Messages = list[dict[str, str]]


def run(asker: Asker, question: str, *, stream: bool) -> int:
    """Ask one thing, print answer and sources; the exit code."""
    return 0 if _turn(asker, [{"role": "user", "content": question}], stream=stream) else 1


def converse(asker: Asker, *, stream: bool) -> int:
    """Take questions from the standard input, a line each, with what was said before; exit code."""
    person = sys.stdin.isatty() and sys.stdout.isatty()
    if person:
        _edit_lines()
        told = f"asking {asker.place.url}; /new begins anew, Ctrl-D ends"
        click.echo(told, err=True)
    messages: Messages = []
    good = True
    for line in _lines(person=person):
        if line == "/new":
            messages = []
            continue
        messages.append({"role": "user", "content": line})
        try:
            text = _turn(asker, _latest(messages), stream=stream)
        except KeyboardInterrupt:  # ends the answer, not the conversation
            if not person:
                raise
            click.echo("", err=True)
            text = None
        if text is None:
            messages.pop()
            good = False
        else:
            messages.append({"role": "assistant", "content": text})
            messages = _latest(messages)
    return 0 if good or person else 1


def _lines(*, person: bool) -> Iterator[str]:
    """Questions until the input ends, or says so."""
    while True:
        try:
            line = input("> " if person else "").strip()
        except (EOFError, UnicodeDecodeError):
            return
        except KeyboardInterrupt:
            click.echo("", err=True)
            return
        if line.lower() in _LAST_WORDS:
            return
        if line:
            yield line


def _latest(messages: Messages) -> Messages:
    """As much of a conversation's end as is sent, from a question on."""
    size, first = 0, len(messages) - 1
    for index in range(len(messages) - 1, -1, -1):
        size += len(messages[index]["content"])
        if size > _MOST_CHARACTERS:
            break
        if messages[index]["role"] == "user":
            first = index
    return messages[first:]


def _turn(asker: Asker, messages: Messages, *, stream: bool) -> str | None:
    """Ask, and print what comes; the text of the answer, None where there was none."""
    begun: list[str] = []

    def show(text: str) -> None:
        begun.append(text)
        click.echo(text, nl=False)

    try:
        answer = asyncio.run(asker.ask(messages, stream=stream, on_text=show))
    except NotAnswered as error:
        if begun:
            click.echo()
        click.echo(f"groq-proxy: {error}", err=True)
        return None
    if not answer.text.endswith("\n"):
        click.echo()
    if answer.sources:
        click.echo("\nSources:")
        for source in answer.sources:
            click.echo(_told(source))
    for note in answer.notes:
        click.echo(f"note: {note}", err=True)
    return answer.text


def _told(source: Source) -> str:
    """`  0.83  handbook: guide/cats.md, Cats > Food`."""
    score = "" if source.score is None else f"{source.score:.2f}  "
    title = f", {one_line(source.title)}" if source.title else ""
    return f"  {score}{source.collection}: {one_line(source.document)}{title}"


def _edit_lines() -> None:
    """Have `input` know the arrow keys, where this Python can."""
    with suppress(ImportError):
        import readline  # noqa: F401 - it takes over `input` by being imported
