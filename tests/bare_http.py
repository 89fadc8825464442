"""HTTP without a client: a bare connection, and an answer as it came over the wire."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What stands under `error`, which is all there may be."""
        told: dict[str, Any] = orjson.loads(self.body)
        assert told.keys() == {"error"}
        error: dict[str, Any] = told["error"]
        return error


def read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """The status and the headers, whose names are in lower case, of an answer's head."""
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = (line.split(": ", 1) for line in lines)
    assert status.startswith("HTTP/"), status
    return int(status.split(" ")[1]), {name.lower(): value for name, value in headers}


async def connected(host: str, port: int, *, window: int | None = None) -> socket.socket:
    """A connection; `window` is how many bytes its socket takes before it is read."""
    sock = socket.socket()
    if window is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock
