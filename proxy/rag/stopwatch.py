"""How much of a search was spent on embedding, though the store does that by itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Spent:
    """Seconds, as they add up."""

    seconds: float = 0.0


_spent: ContextVar[Spent | None] = ContextVar("spent", default=None)


@contextmanager
def stopwatch() -> Iterator[Spent]:
    """Add up what is `noted` within the block, also by tasks that begin in it."""
    spent = Spent()
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


def noted(seconds: float) -> None:
    """Take these to whoever runs a stopwatch."""
    if (spent := _spent.get()) is not None:
        spent.seconds += seconds
