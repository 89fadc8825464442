"""What the signals of a service mean to it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def heeding(stop: Callable[[], object], reload: Callable[[], object]) -> Iterator[None]:
    """SIGTERM and SIGINT `stop`, each time they come; SIGHUP reloads. Later all are ignored."""
    loop = asyncio.get_running_loop()
    meanings = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, meaning in meanings.items():
        loop.add_signal_handler(number, meaning)
    try:
        yield
    finally:
        for number in meanings:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # what is left to do takes no time
