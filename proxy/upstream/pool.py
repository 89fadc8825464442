"""All connections to providers, and those of them that wait for reuse."""

import asyncio
import ssl

from proxy.upstream.connections import Connection, Origin
from proxy.upstream.dial import dial

_READ_BYTES = 64 << 10


class Pool:
    """All open connections. Idle ones wait for reuse, those used last are taken first.

    At most `max_idle` of them wait for each origin, and each for less than `idle_s`.
    """

    def __init__(
        self, tls: ssl.SSLContext | None, *, max_idle: int = 100, idle_s: float = 60.0
    ) -> None:
        self._max_idle = max_idle
        self._idle_s = idle_s
        self.buffer = memoryview(bytearray(_READ_BYTES))
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._open: set[Connection] = set()
        self._idle: dict[Origin, list[Connection]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None
        self._lingering: set[asyncio.Task[None]] = set()

    def count(self) -> tuple[int, int]:
        """How many connections are idle, and how many in use; to be asked from any thread."""
        idle = sum(map(len, list(self._idle.values())))
        return idle, max(0, len(self._open) - idle)

    def take(self, origin: Origin, now: float) -> Connection | None:
        """An idle connection to `origin`, if there is one that may still be alive."""
        idle = self._idle.get(origin)
        if idle is None:
            return None
        while idle:
            connection = idle.pop()
            if connection.alive and now - connection.idle_since < self._idle_s:
                return connection
            connection.abort()
        return None

    async def connect(self, origin: Origin) -> Connection:
        """A new connection; raises `OSError`."""
        sock = await dial(origin.host, origin.port)
        connection = Connection(origin, self)
        try:
            await self._loop.create_connection(  # which sets TCP_NODELAY
                lambda: connection,
                sock=sock,
                ssl=self._context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            if connection in self._open:
                connection.abort()  # asyncio alone would wait for the other side to say goodbye
            raise
        return connection

    def give(self, connection: Connection) -> None:
        """Keep `connection` for reuse."""
        connection.idle_since = self._loop.time()
        idle = self._idle.setdefault(connection.origin, [])
        if len(idle) >= self._max_idle:
            idle.pop(0).abort()
        idle.append(connection)
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_s, self._sweep)

    def linger(self, connection: Connection, grace_s: float) -> None:
        """Keep `connection` if the end of its answer comes within `grace_s`, else close it."""
        task = self._loop.create_task(self._end_of(connection, grace_s))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    async def _end_of(self, connection: Connection, grace_s: float) -> None:
        connection.limit(grace_s)
        while not (connection.pieces or connection.complete or connection.failure):
            await connection.wait()
        if connection.finish():
            self.give(connection)

    def opened(self, connection: Connection) -> None:
        """`connection` is there."""
        self._open.add(connection)
        if self._emptied is not None:
            connection.abort()  # it comes too late: we are closing

    def lost(self, connection: Connection) -> None:
        """`connection` is gone."""
        self._open.discard(connection)
        idle = self._idle.get(connection.origin, [])
        if connection in idle:
            idle.remove(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    async def close(self) -> None:
        """Close all connections, those in use as well."""
        if self._timer is not None:
            self._timer.cancel()
        if self._open:
            self._emptied = self._loop.create_future()
            for connection in list(self._open):
                connection.abort()
            await self._emptied
        if self._lingering:
            await asyncio.wait(self._lingering)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._idle_s
        for idle in self._idle.values():
            for connection in [each for each in idle if each.idle_since <= oldest]:
                idle.remove(connection)
                connection.abort()
        left = [idle[0].idle_since for idle in self._idle.values() if idle]
        self._timer = self._loop.call_at(min(left) + self._idle_s, self._sweep) if left else None
