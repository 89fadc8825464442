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

from proxy import __version__
from proxy.access.keybook import KeyBook
from proxy.access.usage import Reader, since_of, standing_told
from proxy.cache.tier import Tier
from proxy.cache.upkeep import Upkeep
from proxy.config.errors import ConfigError
from proxy.config.names import Address
from proxy.config.reload import Watch, reread
from proxy.config.settings import Config
from proxy.core.call import JsonObject, Target
from proxy.core.clock import Clock, SystemClock, WallWatch
from proxy.core.events import ClockJumped, ConfigReloaded, LoopLagged
from proxy.core.journal import Observer
from proxy.core.tasks import beside
from proxy.house import House, build, open_state
from proxy.rounds import Rounds
from proxy.server.admin import Admin, Entry, Panel
from proxy.server.admin_keys import KeyDesk
from proxy.server.admin_live import LiveDesk, Window
from proxy.server.caching import CacheDesk, evictions
from proxy.server.dashboard import Dashboard
from proxy.server.files import most_connections
from proxy.server.listener import Handle, Listener
from proxy.server.manners import GOOD_MANNERS, Manners
from proxy.server.ops import Ops, Page
from proxy.server.siblings import ALONE, Place, Siblings
from proxy.server.signals import heeding
from proxy.server.sockets import AT_A_TIME, bound
from proxy.server.spending import SpendingDesk
from proxy.telemetry.estate import NOTHING, Inherited
from proxy.upstream.breaker import Breaker
from proxy.upstream.provider import Provider
from proxy.upstream.scout import LOOK_EVERY_S, Scout

_log = logging.getLogger(__name__)

_LAG_EVERY_S = 0.1
_CANCEL_S = 0.25  # for calls to end that were cancelled; the framework takes it twice
_WATCH_EVERY_S = 1.0
_MOST_ADMINS = 128  # connections at their own address
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
        admin_sockets: Sequence[socket.socket] = (),
        place: Place = ALONE,
        inherited: Inherited = NOTHING,
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
        self._admin_sockets = admin_sockets
        self._place = place
        self._inherited = inherited
        self._clock = clock or SystemClock()
        self._patience = patience
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self._keys_due = asyncio.Event()
        self.url = ""
        self.admin_url = ""  # the same, unless admins have an address of their own

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
                    self._inherited,
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
            rounds = Rounds(state, lambda: self.house.spending)
            window = Window(
                self._place.index,
                state.live,
                state.decisions,
                stands=lambda: self._stands(panel, rounds),
                show=state.secrets.hide,
                flush=state.journal.flush,
                inherited=self._inherited,
            )
            siblings = await stack.enter_async_context(
                Siblings(
                    self._place.index,
                    self._place.count,
                    self._place.directory,
                    {
                        "metrics": page.answer,
                        **panel.answers,
                        **evictions(upkeep),
                        **window.answers,
                    },
                )
            )
            admin = Admin(panel, siblings, self._entry)
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
            watched = LiveDesk(
                window,
                siblings,
                self._entry,
                wall=state.clock.wall,
                since=lambda told: since_of(
                    told, state.clock.wall(), self.house.config.budgets.zone
                ),
            )
            desks = (admin, keys, money, cache, watched, Dashboard())
            tables = {path: each for desk in desks for path, each in desk.table.items()}
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

    def news(self) -> bytes:
        """What a successor of this worker is to know that it has not heard yet; b"" for nothing."""
        self.state.journal.flush()
        return self.state.estate.news()

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
        if config.admin_listen is not None:  # the first to be there, and the last to go
            listener = self._listener_of(
                lambda request: self.house.edge.handle_admin(request), _MOST_ADMINS
            )
            self.admin_url, _ = await self._serve(
                stack, listener, config.admin_listen, self._admin_sockets
            )
            stack.callback(listener.close_idle)
        most = most_connections(config.limits.in_flight)
        self._listener = self._listener_of(lambda request: self.house.edge.handle(request), most)
        self.url, sites = await self._serve(stack, self._listener, config.listen, self._sockets)
        stack.push_async_callback(self._drain, sites)
        self.admin_url = self.admin_url or self.url

    def _listener_of(self, handle: Handle, most: int) -> Listener:
        return Listener(
            handle,
            self.state.journal.unread,
            header_timeout_s=self._config.limits.header_timeout_s,
            manners=self._manners,
            max_connections=most,
        )

    async def _serve(
        self,
        stack: AsyncExitStack,
        listener: Listener,
        address: Address,
        sockets: Sequence[socket.socket],
    ) -> tuple[str, list[web.SockSite]]:
        """Serve at an address; its URL, and what is to be stopped."""
        runner = web.ServerRunner(listener, shutdown_timeout=_CANCEL_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        shared = sockets or bound(address.host, address.port)
        sites = [web.SockSite(runner, sock, backlog=AT_A_TIME) for sock in shared]
        for site in sites:
            await site.start()
        host, port = runner.addresses[0][:2]
        if address.wildcard:  # for a browser on this machine
            host = "127.0.0.1"
        return f"http://{Address(host, port)}", sites

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

    def _stands(self, panel: Panel, rounds: Rounds) -> JsonObject:
        """How this worker stands at this moment, for the live page."""
        state, live, reason = self.state, self.state.live, self._not_ready()
        budgets = [
            {**line, "ends_at": state.alerts.ends_at(each, budget)}
            for each in rounds.standings()
            for line, budget in zip(standing_told(each), each.budgets, strict=True)
        ]
        troubles = {"embedder": state.nearness.state} if "fail" in state.nearness.state else {}
        if pending := state.stores.ledger.pending:
            troubles["ledger"] = f"{pending} charges wait for their store"
        return {
            "started": live.started,
            "restarts": self._place.restarts,
            "ready": reason or "ready",
            "version": __version__,
            "config_hash": self.house.config_hash,
            "simulated": self._simulated,
            "base_url": self.url,
            "keys_needed": state.keys.closed,
            "in_flight": live.in_flight,
            "waiting": state.bulkheads.waiting,
            "totals": live.totals,
            "kept_calls": state.estate.kept,
            "missed": live.missed,
            "troubles": troubles,
            "budgets": budgets,
            "quotas": panel.quotas(),
            "breakers": panel.breakers(),
        }

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
