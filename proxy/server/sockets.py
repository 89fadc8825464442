"""Sockets that listen, of which several workers may take connections.

Each takes one at a time: that leaves some to the others, and lets a worker whose files run short
make room before it takes the next.
"""

import socket
from collections.abc import Sequence
from contextlib import ExitStack

AT_A_TIME = 1  # what asyncio calls the backlog is also how many it accepts in one go
_BACKLOG = 1024  # connections that wait to be taken


class Listening(socket.socket):
    """A socket that listens already."""

    def listen(self, backlog: int = 0, /) -> None:
        """Nothing: asyncio would make the queue as short as what it takes at a time."""


def bound(host: str, port: int) -> Sequence[socket.socket]:
    """Sockets that listen: one for each IP of `host`. `OSError` where that fails."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as stack:
        sockets = []
        for family, kind, protocol, _, at in dict.fromkeys(found):
            sock = stack.enter_context(Listening(family, kind, protocol))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(at)
            socket.socket.listen(sock, _BACKLOG)
            sockets.append(sock)
        stack.pop_all()
    return sockets
