"""What the house wants of HTTP to providers: small, so that who does it can be replaced.

The client is the dearest part of a call. `http1.py` is the one in use: half the CPU of aiohttp's,
which also was seen to serve an answer that came unasked over an idle connection to the next caller,
and to wait for ever behind broken chunks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from proxy.core.call import Upload


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds; `first_byte_s` and `idle_s` are for streams."""

    connect_s: float
    total_s: float
    first_byte_s: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to a provider; `headers` is all that goes out besides framing."""

    provider: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Upload | None
    patience: Patience
    on_sent: Callable[[], None] | None = None  # told when it has begun to go out


class Incoming(Protocol):
    """A provider's answer from its headers on. Whoever got it closes it.

    `headers` gives names in lower case and finds them in any.
    """

    status: int
    headers: Mapping[str, str]
    held_s: float  # seconds until the headers came that an upload's client took

    async def read(self, limit: int) -> bytes:
        """The whole body; raises `BadAnswer` when it is broken or longer than `limit` bytes."""
        ...

    async def chunk(self) -> bytes:
        """What has come since the last call, b"" at the end; raises `CutOff` or `Stalled`."""
        ...

    def progressed(self) -> None:
        """The last chunk was progress: the idle limit counts anew."""
        ...

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Give the connection back, or close it if the answer's end is not there.

        With `grace_s` the end is waited for so long, by others than the caller.
        """
        ...


class Transport(Protocol):
    """Sends requests; raises `Unreachable`, `TimedOut` or `BadAnswer`."""

    async def request(self, outgoing: Outgoing) -> Incoming:
        """The answer, as soon as its headers are in."""
        ...
