"""The life of the program: it listens, reloads, watches, drains."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self, TextIO

from aiohttp import web

from proxy.access.keybook import KeyBook
from proxy.access.usage import Reader
from proxy.cache.tier import Tier
from proxy.cache.upkeep import Upkeep
from proxy.config.errors import ConfigError
from proxy.config.names import Address
from proxy.config.reload import Watch, reread
from proxy.config.settings import Config
from proxy.core.call import Target
from proxy.core.clock import Clock, SystemClock, WallWatch
from proxy.core.events import ClockJumped, ConfigReloaded, LoopLagged
from proxy.core.journal import Observer
from proxy.core.tasks import beside
from proxy.house import House, build, open_state
from proxy.rounds import Rounds
from proxy.server.admin import Admin, Entry, Panel
from proxy.server.admin_keys import KeyDesk
from proxy.server.caching import CacheDesk, evictions
from proxy.server.files import most_connections
from proxy.server.listener import Listener
from proxy.server.manners import GOOD_MANNERS, Manners
from proxy.server.ops import Ops, Page
from proxy.server.siblings import ALONE, Place, Siblings
from proxy.server.signals import heeding
from proxy.server.sockets import AT_A_TIME, bound
from proxy.server.spending import SpendingDesk
from proxy.upstream.breaker import Breaker
from proxy.upstream.provider import Provider
from proxy.upstream.scout import LOOK_EVERY_S, Scout

_log = logging.getLogger(__name__)

_LAG_EVERY_S = 0.1
_CANCEL_S = 0.25  # for calls to end that were cancelled; the framework takes it twice
_WATCH_EVERY_S = 1.0
_KEYS_EVERY_S = 600.0


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
        clock: Clock | None = None,
        patience: float = 1.0,
    ) -> None:
        """`sockets` listen already, shared with other workers; else it has its own.

        What is kept is waited for `patience` times as long as usual.
        """
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
        self._clock = clock or SystemClock()
        self._patience = patience
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._keys_due = asyncio.Event()
        self.url = ""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self.state = state = await stack.enter_async_context(
                open_state(
                    self._config,
                    self._place,
                    self._out,
                    self._observers,
                    self._clock,
                    self._patience,
                )
            )
            if self._signals:
                stack.enter_context(heeding(self.stop, self.reload))
            page = Page(state.journal.flush, state.metrics)
            panel = Panel(
                self._place.index,
                quotas=state.quotas.snapshot,
                breakers=state.breakers.all,
                breaker=self._breaker,
            )
            upkeep = Upkeep(state.stores.values, state.clock, state.nearness.vectors)
            siblings = await stack.enter_async_context(
                Siblings(
                    self._place.index,
                    self._place.count,
                    self._place.directory,
                    {"metrics": page.answer, **panel.answers, **evictions(upkeep)},
                )
            )
            admin = Admin(panel, siblings, self._entry)
            rounds = Rounds(state, lambda: self.house.spending)
            book = KeyBook(state.stores.records, state.clock, lambda: self.house.config)
            keys = KeyDesk(book, state.keys, state.clock, self._entry)
            money = SpendingDesk(
                Reader(state.stores.books),
                book,
                rounds.standings,
                self._entry,
                wall=state.till.wall,
                zone=lambda: self.house.config.budgets.zone,
            )
            cache = CacheDesk(upkeep, siblings, self._entry, self._tier)
            tables = {**admin.table, **keys.table, **money.table, **cache.table}
            self._ops = Ops(self._not_ready, page, siblings, tables)
            self.house = self._build(self._config)
            state.metrics.watch_ready(lambda: not self._not_ready())
            state.metrics.money.watch(rounds.standings)
            await self._listen(stack)
            await stack.enter_async_context(beside(self._check_keys()))
            await stack.enter_async_context(beside(self._watch_time()))
            await stack.enter_async_context(beside(self._watch_providers()))
            await stack.enter_async_context(beside(rounds.watch_keys()))
            await stack.enter_async_context(beside(rounds.watch_budgets()))
            await stack.enter_async_context(beside(rounds.watch_cache()))
            await stack.enter_async_context(beside(rounds.watch_nearness()))
            if self._reload:
                await stack.enter_async_context(beside(self._watch_files()))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.state.drain.begun = True
        await self._stack.aclose()

    async def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`."""
        await self._stopping.wait()

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
        self._watch.changed()  # whatever did is hereby seen
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

    def _entry(self) -> Entry:
        key = self.house.config.admin_key
        keys = self.state.keys
        return Entry(key.get_secret_value() if key else "", not keys.closed, keys.knocks)

    def _tier(self) -> Tier:
        nearness = self.state.nearness
        return Tier(
            self.house.config.cache.semantic,
            nearness.state,
            nearness.evidence,
            nearness.canonical,
            nearness.quarantined,
        )

    def _not_ready(self) -> str:
        """Why no new call can be served; "" when it can."""
        if self.state.drain.begun:
            return "draining"
        if not self.state.catalogue.can_serve(self.house.providers):
            return "every provider key was rejected"
        return ""

    def _breaker(self, target: Target) -> Breaker | None:
        """The breaker of a target; None where its provider is not in use."""
        provider = self.house.providers.get(target.provider)
        if provider is None:
            return None
        settings = provider.settings.breaker
        return self.state.breakers.of(provider.name, provider.base_url, target.model, settings)

    async def _check_keys(self) -> None:
        """Try all keys now and after each reload, and now and then those that were rejected."""
        accepts = self.state.catalogue.accepts
        await self._check(lambda *_: True)
        while True:
            try:
                async with asyncio.timeout(_KEYS_EVERY_S):
                    await self._keys_due.wait()
            except TimeoutError:
                await self._check(lambda provider, key: not accepts(provider, key))
            else:
                self._keys_due.clear()
                await self._check(lambda *_: True)

    async def _check(self, wanted: Callable[[str, str], bool]) -> None:
        async def check(provider: Provider) -> None:
            for key in provider.keys:
                if wanted(provider.name, key.name):
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

    async def _watch_providers(self) -> None:
        scout = Scout(self.state.breakers, lambda: self.house.providers)
        while True:
            await self.state.clock.sleep(LOOK_EVERY_S)
            await scout.look()

    async def _watch_files(self) -> None:
        while True:
            await self.state.clock.sleep(_WATCH_EVERY_S)
            if self._watch.changed():
                self.reload()
