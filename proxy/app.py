"""Builds the house: the one place where parts meet."""

import asyncio
import contextlib
import logging
import platform
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Self, TextIO

from aiohttp import web

from proxy import __version__
from proxy.access.door import Door
from proxy.config.errors import ConfigError
from proxy.config.load import restart_only_changes
from proxy.config.names import Address
from proxy.config.settings import Config
from proxy.config.template import show
from proxy.core.call import Target
from proxy.core.clock import Clock, SystemClock
from proxy.core.events import ConfigReloaded, LoopLagged, StaleConnection
from proxy.core.journal import Journal, Observer
from proxy.gateway import Gateway
from proxy.server.edge import Edge
from proxy.server.listener import Listener
from proxy.server.ops import Ops
from proxy.telemetry.logs import AccessLog, LineWriter
from proxy.telemetry.metrics import Metrics
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dispatcher import Dispatcher
from proxy.upstream.http1 import Http1Transport
from proxy.upstream.provider import Provider
from proxy.upstream.targets import Targets
from proxy.upstream.transport import Transport
from proxy.wire.requests import Defaults

_log = logging.getLogger(__name__)

_LAG_EVERY_S = 0.1
_CANCEL_S = 0.25  # for calls to end that were cancelled; the framework takes it twice
_TELL_AFTER_S = 0.005
_WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What is made once and outlives reloads."""

    clock: Clock
    transport: Transport
    journal: Journal
    catalogue: Catalogue
    metrics: Metrics
    access_log: AccessLog
    on_terminal: bool  # whether lines are read by a person


@dataclass(frozen=True, slots=True)
class House:
    """What one configuration makes of the state; a reload puts another in its place."""

    config: Config
    edge: Edge
    providers: dict[str, Provider]


def build(
    config: Config, state: State, ops: Ops, *, simulated: bool, slow_reader_s: float
) -> House:
    """Join the parts by `config`."""
    providers = {
        name: Provider(name, settings, state.transport, state.clock)
        for name, settings in config.providers.items()
        if settings.usable
    }
    targets = Targets(config, state.catalogue.listed)
    door = Door(config)
    gateway = Gateway(
        door=door,
        targets=targets,
        providers=providers,
        dispatcher=Dispatcher(providers, state.catalogue, state.journal),
        catalogue=state.catalogue,
        journal=state.journal,
        default_provider=config.default_provider,
        defaults=Defaults(config.default_model, config.defaults.model_dump(exclude_none=True)),
    )
    edge = Edge(
        gateway=gateway,
        door=door,
        ops=ops,
        clock=state.clock,
        body_limit=config.limits.body,
        upload_limit=config.limits.upload,
        slow_reader_s=slow_reader_s,
        simulated=simulated,
    )
    configured: list[Target] = [targets.first(config.default_model), *targets.aliases.values()]
    state.metrics.labels.configure(config.default_provider, configured)
    state.metrics.expect(configured)
    state.metrics.runs(config_hash=blake2b(show(config).encode(), digest_size=6).hexdigest())
    log = config.telemetry
    text = log.log == "text" or (log.log == "auto" and state.on_terminal)
    state.access_log.configure(text=text, sample=log.sample)
    return House(config, edge, providers)


class App:
    """The running program. `async with` opens it and closes it in reverse."""

    def __init__(
        self,
        config: Config,
        *,
        reload: Callable[[], Config] | None = None,
        watch: Sequence[Path] = (),
        simulated: bool = False,
        signals: bool = False,
        out: TextIO = sys.stdout,
        observers: tuple[Observer, ...] = (),
        slow_reader_s: float = 60.0,
    ) -> None:
        self._config = config
        self._reload = reload
        self._watch = watch
        self._seen = [_stamp(path) for path in watch]
        self._simulated = simulated
        self._signals = signals
        self._out = out
        self._observers = observers
        self._slow_reader_s = slow_reader_s
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._keys_due = asyncio.Event()
        self._serving = 0
        self._idle = asyncio.Event()
        self._draining = False
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.state = state = await self._open_state(stack)
            self._ops = Ops(self._not_ready, state.journal.flush, state.metrics.render)
            self.house = self._build(self._config)
            state.metrics.watch_ready(lambda: not self._not_ready())
            await self._listen(stack)
            await stack.enter_async_context(_task(self._check_keys()))
            await stack.enter_async_context(_task(self._measure_lag()))
            if self._watch:
                await stack.enter_async_context(_task(self._watch_files()))
            if self._signals:
                stack.enter_context(self._heeding_signals())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._draining = True
        await self._stack.aclose()

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        await self._stopping.wait()

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end `run`, SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            yield
        finally:
            # Whoever asks again does not want to wait: then it ends at once.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def reload(self) -> None:
        """Take over the configuration as it is now, all of it or nothing."""
        if self._reload is None:
            return
        try:
            config = self._reload()
            if changed := restart_only_changes(self.house.config, config):
                raise ConfigError(
                    None, None, f"{', '.join(changed)} can only change with a restart"
                )
        except (ConfigError, OSError, ValueError) as error:
            self.state.journal.tell(ConfigReloaded(ok=False, reason=str(error)))
            return
        # Calls in flight keep the house they started in.
        self.house = self._build(config)
        self.state.journal.tell(ConfigReloaded(ok=True))
        self._keys_due.set()

    def _build(self, config: Config) -> House:
        return build(
            config,
            self.state,
            self._ops,
            simulated=self._simulated,
            slow_reader_s=self._slow_reader_s,
        )

    async def _open_state(self, stack: AsyncExitStack) -> State:
        clock = SystemClock()
        catalogue = Catalogue(clock)
        metrics = Metrics(
            clock,
            catalogue.listed,
            version=__version__,
            python=platform.python_version(),
        )
        writer = LineWriter(self._out, lambda: metrics.dropped("logs"))
        stack.callback(writer.close)
        access_log = AccessLog(writer.write, Random())  # noqa: S311 - draws samples, not secrets
        observers: tuple[Observer, ...] = (metrics, access_log, *self._observers)
        loop = asyncio.get_running_loop()
        journal = Journal(clock, observers, lambda flush: loop.call_later(_TELL_AFTER_S, flush))
        stack.callback(journal.flush)
        transport = await stack.enter_async_context(
            Http1Transport(on_stale=lambda provider: journal.tell(StaleConnection(provider)))
        )
        return State(clock, transport, journal, catalogue, metrics, access_log, self._out.isatty())

    async def _listen(self, stack: AsyncExitStack) -> None:
        config = self._config
        runner = web.ServerRunner(Listener(self._handle), shutdown_timeout=_CANCEL_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, config.listen.host, config.listen.port)
        await site.start()
        stack.push_async_callback(self._drain, site)
        host, port = runner.addresses[0][:2]
        if config.listen.wildcard:  # for a browser on this machine
            host = "127.0.0.1"
        self.url = f"http://{Address(host, port)}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._serving += 1
        try:
            return await self.house.edge.handle(request)
        finally:
            self._serving -= 1
            if not self._serving:
                self._idle.set()

    async def _drain(self, site: web.TCPSite) -> None:
        """Take no more calls, and give those in flight `drain_s` to end."""
        await site.stop()
        if not self._serving:
            return
        drain_s = self.house.config.limits.drain_s
        _log.warning(
            "stopping: up to %g s for %d calls; signal again to stop now", drain_s, self._serving
        )
        self._idle.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._idle.wait()

    def _not_ready(self) -> str:
        """Why no new call can be served; "" when it can."""
        if self._draining:
            return "draining"
        if not self.state.catalogue.can_serve(self.house.providers):
            return "every provider key was rejected"
        return ""

    async def _check_keys(self) -> None:
        """Try all keys now and after each reload."""
        while True:
            await self._check_all_keys()
            await self._keys_due.wait()
            self._keys_due.clear()

    async def _check_all_keys(self) -> None:
        async def check(provider: Provider) -> None:
            for key in provider.keys:
                self.state.journal.tell(await self.state.catalogue.check(provider, key))

        await asyncio.gather(*map(check, self.house.providers.values()))

    async def _measure_lag(self) -> None:
        clock = self.state.clock
        while True:
            due = clock.now() + _LAG_EVERY_S
            await clock.sleep(_LAG_EVERY_S)
            self.state.journal.tell(LoopLagged(max(0.0, clock.now() - due)))

    async def _watch_files(self) -> None:
        while True:
            await self.state.clock.sleep(_WATCH_EVERY_S)
            now = [_stamp(path) for path in self._watch]
            if now != self._seen:
                self._seen = now
                self.reload()


@asynccontextmanager
async def _task(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `work` beside the block; it is cancelled and awaited at the end."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_report)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task


def _report(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and (error := task.exception()):
        _log.error("a background task failed", exc_info=error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
