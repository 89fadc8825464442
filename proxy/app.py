"""Builds the house: the one place where parts meet."""

import asyncio
import contextlib
import logging
import platform
import signal
import socket
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
from proxy.access.bulkheads import Bulkheads
from proxy.access.door import Door
from proxy.config.errors import ConfigError
from proxy.config.names import Address
from proxy.config.reload import Watch, reread
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.config.template import show
from proxy.core.call import Target
from proxy.core.clock import Clock, SystemClock, WallWatch
from proxy.core.events import ClockJumped, ConfigReloaded, LoopLagged, StaleConnection
from proxy.core.journal import Journal, Observer
from proxy.core.secrets import Secrets
from proxy.gateway import Gateway
from proxy.server.drain import Drain
from proxy.server.edge import Edge
from proxy.server.files import most_connections
from proxy.server.listener import Listener
from proxy.server.manners import GOOD_MANNERS, Manners
from proxy.server.ops import Ops, Page
from proxy.server.siblings import ALONE, Place, Siblings
from proxy.server.sockets import AT_A_TIME, bound
from proxy.telemetry import operations
from proxy.telemetry.lines import LineWriter
from proxy.telemetry.logs import AccessLog
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
    secrets: Secrets
    bulkheads: Bulkheads
    drain: Drain
    on_terminal: bool  # whether lines are read by a person


@dataclass(frozen=True, slots=True)
class House:
    """What one configuration makes of the state; a reload puts another in its place."""

    config: Config
    edge: Edge
    providers: dict[str, Provider]


def build(config: Config, state: State, ops: Ops, *, manners: Manners, simulated: bool) -> House:
    """Join the parts by `config`."""
    state.secrets.know(secrets_of(config))
    state.bulkheads.limits = config.limits
    providers = {
        name: Provider(name, settings, state.transport, state.clock)
        for name, settings in config.providers.items()
        if settings.usable
    }
    targets = Targets(config, state.catalogue.listed)
    door = Door(config)
    gateway = Gateway(
        door=door,
        bulkheads=state.bulkheads,
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
        drain=state.drain,
        clock=state.clock,
        body_limit=config.limits.body,
        upload_limit=config.limits.upload,
        manners=manners,
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
        manners: Manners = GOOD_MANNERS,
        sockets: Sequence[socket.socket] = (),
        place: Place = ALONE,
    ) -> None:
        """`sockets` listen already, shared with other workers; else it has its own."""
        self._config = config
        self._reload = reload
        self._watch = Watch(watch)
        self._simulated = simulated
        self._signals = signals
        self._out = out
        self._observers = observers
        self._manners = manners
        self._sockets = sockets
        self._place = place
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._keys_due = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.state = state = await self._open_state(stack)
            if self._signals:
                stack.enter_context(self._heeding_signals())
            page = Page(state.journal.flush, state.metrics.render)
            siblings = await stack.enter_async_context(
                Siblings(
                    self._place.index,
                    self._place.count,
                    self._place.directory,
                    {"metrics": page.answer},
                )
            )
            self._ops = Ops(self._not_ready, page, siblings)
            self.house = self._build(self._config)
            state.metrics.watch_ready(lambda: not self._not_ready())
            await self._listen(stack)
            await stack.enter_async_context(_task(self._check_keys()))
            await stack.enter_async_context(_task(self._watch_time()))
            if self._reload:
                await stack.enter_async_context(_task(self._watch_files()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.state.drain.begun = True
        await self._stack.aclose()

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`."""
        await self._stopping.wait()

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end `run`, a second one does not wait for calls; SIGHUP reloads."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_IGN)  # what is left to do takes no time

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End `run`; asked again, do not wait for the calls in flight."""
        if self._stopping.is_set():
            self.state.drain.hurry()
        self._stopping.set()

    def reload(self) -> None:
        """Take over the configuration as it is now, all of it or nothing."""
        if self._reload is None:
            return
        try:
            config = reread(self.house.config, self._reload)
        except ConfigError as error:
            self.state.journal.tell(ConfigReloaded(ok=False, reason=str(error)))
            return
        self.take(config)

    def take(self, config: Config) -> None:
        """Serve by `config` from now on. Calls in flight keep the house they started in."""
        self.house = self._build(config)
        self._listener.header_timeout_s = config.limits.header_timeout_s
        self.state.journal.tell(ConfigReloaded(ok=True))
        self._keys_due.set()

    def _build(self, config: Config) -> House:
        return build(
            config, self.state, self._ops, manners=self._manners, simulated=self._simulated
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
        if self._place.count > 1:
            metrics.work_among_others(self._place.restarts)
        told = operations.in_force()
        secrets = told.secrets if told else Secrets()
        writer = LineWriter(self._out)
        stack.callback(writer.close)
        metrics.watch_dropped("logs", lambda: writer.dropped + (told.dropped if told else 0))
        chance = Random()  # noqa: S311 - draws samples, not secrets
        access_log = AccessLog(writer.write, chance, secrets, self._place.index)
        observers: tuple[Observer, ...] = (metrics, access_log, *self._observers)
        loop = asyncio.get_running_loop()
        journal = Journal(clock, observers, lambda flush: loop.call_later(_TELL_AFTER_S, flush))
        stack.callback(journal.flush)
        transport = await stack.enter_async_context(
            Http1Transport(on_stale=lambda provider: journal.tell(StaleConnection(provider)))
        )
        bulkheads, drain = Bulkheads(self._config.limits), Drain()
        metrics.watch_queue(lambda: bulkheads.waiting)
        return State(
            clock,
            transport,
            journal,
            catalogue,
            metrics,
            access_log,
            secrets,
            bulkheads,
            drain,
            self._out.isatty(),
        )

    async def _listen(self, stack: AsyncExitStack) -> None:
        config = self._config
        self._listener = Listener(
            lambda request: self.house.edge.handle(request),
            self.state.journal.unread,
            header_timeout_s=config.limits.header_timeout_s,
            manners=self._manners,
            max_connections=most_connections(config.limits.in_flight),
        )
        runner = web.ServerRunner(self._listener, shutdown_timeout=_CANCEL_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        sockets = self._sockets or bound(config.listen.host, config.listen.port)
        sites = [web.SockSite(runner, sock, backlog=AT_A_TIME) for sock in sockets]
        for site in sites:
            await site.start()
        stack.push_async_callback(self._drain, sites)
        host, port = runner.addresses[0][:2]
        if config.listen.wildcard:  # for a browser on this machine
            host = "127.0.0.1"
        self.url = f"http://{Address(host, port)}"

    async def _drain(self, sites: Sequence[web.BaseSite]) -> None:
        """Take no more calls, give those in flight `drain_s` to end, and cut the rest openly."""
        drain, drain_s = self.state.drain, self.house.config.limits.drain_s
        for site in sites:
            await site.stop()
        self._listener.closing = True
        self._listener.close_idle()
        if drain:
            _log.warning(
                "stopping: up to %g s for %d calls; signal again to stop now", drain_s, len(drain)
            )
        await drain.idle(drain_s)
        await drain.interrupt(_CANCEL_S)

    def _not_ready(self) -> str:
        """Why no new call can be served; "" when it can."""
        if self.state.drain.begun:
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

    async def _watch_time(self) -> None:
        clock, journal = self.state.clock, self.state.journal
        wall = WallWatch(clock)
        while True:
            due = clock.now() + _LAG_EVERY_S
            await clock.sleep(_LAG_EVERY_S)
            journal.tell(LoopLagged(max(0.0, clock.now() - due)))
            if jumped_s := wall.jumped():
                journal.tell(ClockJumped(jumped_s))

    async def _watch_files(self) -> None:
        while True:
            await self.state.clock.sleep(_WATCH_EVERY_S)
            if self._watch.changed():
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
