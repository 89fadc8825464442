"""Opens sockets, to the first of a host's addresses that answers ("Happy Eyeballs", RFC 8305).

asyncio can do that too, but there a socket is lost when its caller is cancelled in the moment in
which it connects (seen with Python 3.11).
"""

import asyncio
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

Info = tuple[int, int, int, str, Any]  # as `getaddrinfo` gives them


async def dial(host: str, port: int) -> socket.socket:
    """A socket connected to `host`; raises `OSError`."""
    return await first_of(in_turns(await _resolve(host, port)))


async def first_of(infos: Sequence[Info], *, head_start_s: float = 0.25) -> socket.socket:
    """A socket connected to one of `infos`, each of which gets a head start over the next."""
    waiting = list(infos)
    error: BaseException = OSError("the host has no address")
    attempts: set[asyncio.Task[socket.socket]] = set()
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.pop(0))))
            done, _ = await asyncio.wait(
                attempts,
                timeout=head_start_s if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                attempts.remove(attempt)
                failure = attempt.exception()
                if failure is None:
                    return attempt.result()
                error = failure
        raise error
    finally:
        for attempt in attempts:
            attempt.add_done_callback(_discard)
            attempt.cancel()


async def _resolve(host: str, port: int) -> Sequence[Info]:
    try:
        numeric = socket.AI_NUMERICHOST  # an address needs no thread
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=numeric)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def in_turns(infos: Sequence[Info]) -> list[Info]:
    """`infos` with their address families in turns: if one is broken, the next try is another."""
    families: dict[int, list[Info]] = {}
    for info in infos:
        families.setdefault(info[0], []).append(info)
    return [info for info in chain(*zip_longest(*families.values())) if info is not None]


async def _connect(info: Info) -> socket.socket:
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(attempt: "asyncio.Task[socket.socket]") -> None:
    """Close what came second."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
