"""How many files the process may have open, and what that means for connections."""

import contextlib
import resource

_SPARE = 48  # for logs, stores, libraries
_MANY = 100_000


def raise_limit() -> None:
    """Ask for as many open files as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems promise more than they give.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections(in_flight: int) -> int:
    """Client connections that leave each call in flight a connection to its provider."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MANY
    usable = max(soft - _SPARE, 2)
    return min(_MANY, usable - min(in_flight, usable // 2))
