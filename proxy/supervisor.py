"""Keeps several workers serving at one address: starts, restarts, reloads and stops them."""

import asyncio
import logging
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from proxy.config.errors import ConfigError
from proxy.config.reload import Watch, reread
from proxy.config.settings import Config
from proxy.core.children import import_flags
from proxy.core.clock import Clock
from proxy.core.keepsakes import Keepsakes
from proxy.server.siblings import Place
from proxy.server.signals import heeding
from proxy.tether import Order, Refused, Reload, Start, Stop, Tether

_log = logging.getLogger(__name__)

_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_FORGOTTEN_AFTER_S = 60.0  # of life
_START_S = 60.0  # for a worker to serve
_LAST_WORDS_S = 5.0  # to read what a worker said before it ended
_GRACE_S = 5.0  # beyond the drain, for a worker to end
_WATCH_EVERY_S = 1.0
_ENDED_WELL = (0, -signal.SIGTERM)  # the latter before it could heed signals


class Backoff:
    """How long to wait before a worker that died is started again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._born = clock.now()
        self._deaths = 0

    def born(self) -> None:
        """The worker was started."""
        self._born = self._clock.now()

    def died(self) -> float:
        """Seconds: none the first time, then 0.5, 1, 2, … 30; a long life makes it the first."""
        if self._clock.now() - self._born >= _FORGOTTEN_AFTER_S:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        doublings = min(self._deaths - 2, 10)
        return min(_FIRST_WAIT_S * 2.0**doublings, _LONGEST_WAIT_S)


class Supervisor:
    """The parent of the workers, which itself serves nobody."""

    def __init__(
        self,
        config: Config,
        *,
        sockets: Sequence[socket.socket],
        admin_sockets: Sequence[socket.socket] = (),
        directory: Path,
        simulated: bool,
        read: Callable[[], Config],
        watch: Sequence[Path],
        clock: Clock,
        on_serving: Callable[[str], None],
    ) -> None:
        """`sockets` listen; `directory` is where workers meet; `on_serving` is told their URL."""
        self._config = config
        self._sockets = sockets
        self._admin_sockets = admin_sockets
        self._directory = directory
        self._simulated = simulated
        self._read = read
        self._watch = Watch(watch)
        self._clock = clock
        self._on_serving = on_serving
        self._processes: dict[int, Process] = {}
        self._tethers: dict[int, Tether] = {}
        self._keepsakes = [Keepsakes() for _ in range(config.workers)]
        self._serving: set[int] = set()  # those that served at least once
        self._failed = False
        self._stopping = asyncio.Event()

    async def run(self) -> int:
        """Have all workers serve until told to stop; the exit code."""
        async with asyncio.TaskGroup() as group:
            with heeding(self._stop, self._reload):
                watching = group.create_task(self._watch_files())
                keepers = [group.create_task(self._keep(i)) for i in range(self._config.workers)]
                await self._stopping.wait()
                watching.cancel()
                await self._await_end(keepers)
        ended_well = all(keeper.result() in _ENDED_WELL for keeper in keepers)
        return 0 if ended_well and not self._failed else 1

    def _stop(self) -> None:
        """Tell all workers to stop; asked again, not to wait for calls in flight."""
        order = Stop(at_once=self._stopping.is_set())
        self._stopping.set()
        for sock in (*self._sockets, *self._admin_sockets):
            sock.close()  # when the workers have closed theirs too, connections are refused
        self._tell_all(order)

    async def _await_end(self, keepers: Sequence[asyncio.Task[int]]) -> None:
        """Let the workers end by themselves, then make them."""
        _, hanging = await asyncio.wait(keepers, timeout=self._config.limits.drain_s + _GRACE_S)
        if hanging:
            _log.error("%d workers did not stop in time; killed", len(hanging))
            for process in self._processes.values():
                _send(process, signal.SIGKILL)

    def _reload(self) -> None:
        """Check the configuration as it is now; only a good one reaches the workers."""
        order: Order
        self._watch.changed()  # whatever did is hereby seen
        try:
            self._config = reread(self._config, self._read)
            order = Reload(self._config)
        except ConfigError as error:
            _log.error("configuration not reloaded: %s", error)
            order = Refused()
        self._tell_all(order)

    def _tell_all(self, order: Order) -> None:
        for tether in self._tethers.values():
            tether.order(order)

    async def _watch_files(self) -> None:
        while True:
            await self._clock.sleep(_WATCH_EVERY_S)
            if self._watch.changed():
                self._reload()

    async def _keep(self, index: int) -> int:
        """Have worker `index` run, again and again; the exit status of the last one."""
        backoff, restarts = Backoff(self._clock), 0
        while True:
            backoff.born()
            status = await self._live(index, restarts)
            if self._stopping.is_set():
                if status not in _ENDED_WELL:
                    _log.error("worker %d %s", index, _ending(status))
                return status
            if index not in self._serving and restarts == 0:
                self._failed = True
                self._stop()
                return status
            wait_s = backoff.died()
            _log.error(
                "worker %d %s; it is started again%s",
                *(index, _ending(status), f" in {wait_s:g} s" if wait_s else ""),
            )
            if await self._stopped_within(wait_s):
                return 0
            restarts += 1

    async def _live(self, index: int, restarts: int) -> int:
        """The whole life of one process; its exit status."""
        place = Place(index, self._config.workers, self._directory, restarts)
        with ExitStack() as stack:
            try:
                process, tether = await self._start()
            except OSError as error:  # of memory, processes or descriptors there is none left
                _log.error("worker %d cannot be started: %s", index, error)
                return 1
            stack.callback(tether.close)
            stack.callback(_send, process, signal.SIGKILL)  # if it is not our end that we await
            self._processes[index], self._tethers[index] = process, tether
            stack.callback(self._processes.pop, index)
            stack.callback(self._tethers.pop, index)
            tether.order(Start(self._config, place, self._simulated))
            tether.bequeath(self._keepsakes[index].packets())
            if self._stopping.is_set():  # since it was started
                tether.order(Stop())
            async with asyncio.TaskGroup() as group:
                hearing = group.create_task(self._hear(index, process, tether))
                status = await process.wait()
                await asyncio.wait([hearing], timeout=_LAST_WORDS_S)
                hearing.cancel()
            return status

    async def _start(self) -> tuple[Process, Tether]:
        ours, theirs = socket.socketpair()
        with theirs, ExitStack() as stack:
            stack.enter_context(ours)
            groups = [
                [str(sock.fileno()) for sock in some]
                for some in ([theirs], self._sockets, self._admin_sockets)
                if some
            ]
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *import_flags(), "-m", "proxy.worker"),
                *(",".join(group) for group in groups),
                stdin=DEVNULL,
                pass_fds=[int(each) for group in groups for each in group],
                start_new_session=True,  # Ctrl-C reaches the supervisor alone
            )
            stack.pop_all()
        return process, await Tether.over(ours)

    async def _hear(self, index: int, process: Process, tether: Tether) -> None:
        """Wait until the worker serves, tell when all do, and keep what it says to the end."""
        try:
            async with asyncio.timeout(_START_S):
                url = await tether.url()
        except TimeoutError:
            _log.error("worker %d does not serve after %g s; killed", index, _START_S)
            _send(process, signal.SIGKILL)
            return
        if url is None:
            return
        if index not in self._serving:
            self._serving.add(index)
            if len(self._serving) == self._config.workers:
                self._on_serving(url)
        while packet := await tether.left():
            self._keepsakes[index].take(packet)

    async def _stopped_within(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                return await self._stopping.wait()
        except TimeoutError:
            return self._stopping.is_set()


def _send(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"
