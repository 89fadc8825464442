"""What a supervisor and its worker say to each other, over a pair of sockets.

The supervisor alone reads files and the environment; a worker is given checked configurations, so
that all serve by the same one, also a worker that starts while the file is bad. The worker says
where it serves, once, and from then on what is to be kept for its successor, which hears it before
it begins. If one of them dies, the other one sees the end of the line.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, assert_never

import orjson
from pydantic import BaseModel, SecretStr

from proxy.config.settings import Config
from proxy.core.parcels import parcel, read_parcel
from proxy.server.siblings import Place

_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """Serve: the first that a worker hears."""

    config: Config
    place: Place
    simulated: bool


@dataclass(frozen=True, slots=True)
class Reload:
    """Serve by `config` from now on."""

    config: Config


@dataclass(frozen=True, slots=True)
class Refused:
    """A reload was asked for, but the new configuration is bad; the supervisor has said why."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Let the calls in flight end, then end; `at_once` does not wait for them.

    Not a signal, as systemd sends one to every process of a service: nobody may be heard twice.
    """

    at_once: bool = False


Order = Start | Reload | Refused | Stop


class Tether:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Self:
        """The end that `sock` is, which now belongs to it."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    def order(self, order: Order) -> None:
        """Tell the worker."""
        self._writer.write(parcel(encoded(order)))

    async def next_order(self) -> Order | None:
        """What the supervisor says next; None when it is gone."""
        content = await self._next()
        return None if content is None else decoded(content)

    def serves_at(self, url: str) -> None:
        """Tell the supervisor."""
        self._writer.write(parcel(url.encode()))

    def bequeath(self, packets: Iterable[bytes]) -> None:
        """Tell the worker what those before it have left; it awaits that before it serves."""
        for packet in packets:
            self._writer.write(parcel(packet))
        self._writer.write(parcel(b""))

    async def inherited(self) -> list[bytes]:
        """What those before have left."""
        packets = []
        while packet := await self._next():
            packets.append(packet)
        return packets

    def leave(self, packet: bytes) -> None:
        """Tell the supervisor what to keep for a successor."""
        self._writer.write(parcel(packet))

    @property
    def said_all(self) -> bool:
        """Whether nothing that was said is still waiting here: the rest survives this process."""
        return not self._writer.transport.get_write_buffer_size()

    async def left(self) -> bytes | None:
        """What the worker says next that is to be kept; None when it is gone."""
        return await self._next()

    async def url(self) -> str | None:
        """Where the worker serves, once it does; None when it is gone."""
        content = await self._next()
        return None if content is None else content.decode()

    def close(self) -> None:
        """Let go of the other side."""
        self._writer.transport.abort()

    async def _next(self) -> bytes | None:
        try:
            return await read_parcel(self._reader, _LARGEST)
        except (EOFError, OSError):
            return None


def encoded(order: Order) -> bytes:
    """`order` as JSON, secrets included."""
    match order:
        case Start(config, place, simulated):
            told = {
                "order": "start",
                "config": _plain(config),
                "place": {
                    "index": place.index,
                    "count": place.count,
                    "directory": str(place.directory),
                    "restarts": place.restarts,
                },
                "simulated": simulated,
            }
        case Reload(config):
            told = {"order": "reload", "config": _plain(config)}
        case Refused():
            told = {"order": "refused"}
        case Stop(at_once):
            told = {"order": "stop", "at_once": at_once}
        case _:
            assert_never(order)
    return orjson.dumps(told)


def decoded(content: bytes) -> Order:
    """The order that was `encoded`."""
    told = orjson.loads(content)
    if told["order"] == "refused":
        return Refused()
    if told["order"] == "stop":
        return Stop(told["at_once"])
    config = Config.model_validate(told["config"])
    if told["order"] == "reload":
        return Reload(config)
    place = told["place"]
    return Start(
        config, Place(**{**place, "directory": Path(place["directory"])}), told["simulated"]
    )


def _plain(value: object) -> Any:
    """What the settings read as `value` again; their own dump hides secrets."""
    match value:
        case BaseModel():
            fields = type(value).model_fields
            return {f.alias or name: _plain(getattr(value, name)) for name, f in fields.items()}
        case SecretStr():
            return value.get_secret_value()
        case Mapping():
            return {name: _plain(item) for name, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case Decimal():
            return float(value)
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)
