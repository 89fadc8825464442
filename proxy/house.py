"""Builds the house: the one place where parts meet."""

import asyncio
import platform
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from random import Random
from typing import TextIO
from urllib.parse import urlsplit

from proxy import __version__
from proxy.access.alerts import Alerts, open_alerts
from proxy.access.bookkeeper import Bookkeeper
from proxy.access.budget import Spending
from proxy.access.bulkheads import Bulkheads
from proxy.access.door import Door
from proxy.access.keys import VirtualKeys
from proxy.access.limits import Limits
from proxy.access.prices import Prices
from proxy.access.till import Till
from proxy.access.usage import Reader
from proxy.access.webhooks import webhooks_of
from proxy.cache.answers import Answers
from proxy.cache.flights import Flights
from proxy.cache.fresh import Skipped
from proxy.cache.near.eligible import Bypass
from proxy.cache.near.guards import Guard
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.config.template import show
from proxy.core.call import Target
from proxy.core.clock import Clock
from proxy.core.events import StaleConnection
from proxy.core.journal import Journal, Observer
from proxy.core.secrets import Secrets
from proxy.core.tasks import beside
from proxy.gateway import OWN_EMBEDDER, Gateway
from proxy.library import Library, open_library
from proxy.nearness import Nearness, open_nearness
from proxy.server.drain import Drain
from proxy.server.edge import Edge
from proxy.server.manners import Manners
from proxy.server.ops import Ops
from proxy.server.siblings import Place
from proxy.stores.counters import HostCounters
from proxy.stores.open import Stores, open_stores
from proxy.stores.protocols import Eviction, Values
from proxy.telemetry import operations
from proxy.telemetry.captures import Captures
from proxy.telemetry.decisions import Decisions
from proxy.telemetry.estate import Estate, Inherited
from proxy.telemetry.lines import LineWriter
from proxy.telemetry.live import Live
from proxy.telemetry.logs import AccessLog
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.sender import Exporter
from proxy.telemetry.spans import Places
from proxy.telemetry.tracer import Tracer
from proxy.telemetry.tracing import Tracing
from proxy.upstream.accounts import Accounts
from proxy.upstream.board import HostBoard
from proxy.upstream.breaker import Breakers
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dialects.names import field_names
from proxy.upstream.dispatcher import Dispatcher
from proxy.upstream.examples import Examples
from proxy.upstream.http1 import Http1Transport
from proxy.upstream.journey import Means
from proxy.upstream.keypool import KeyPool
from proxy.upstream.leases import HostLeases, Leases, LocalLeases
from proxy.upstream.provider import Provider
from proxy.upstream.quota import Quotas
from proxy.upstream.retries import RetryBudget
from proxy.upstream.targets import Targets
from proxy.upstream.transport import Transport
from proxy.wire.requests import Defaults

_TELL_AFTER_S = 0.005
_PLACE_GRACE_S = 60.0  # that a place outlives its call: older ones have lost their worker


@dataclass(frozen=True, slots=True)
class State:
    """What is made once and outlives reloads."""

    clock: Clock
    transport: Transport
    journal: Journal
    catalogue: Catalogue
    metrics: Metrics
    access_log: AccessLog
    tracing: Tracing
    tracer: Tracer
    captures: Captures
    live: Live
    decisions: Decisions
    estate: Estate
    secrets: Secrets
    bulkheads: Bulkheads
    breakers: Breakers
    accounts: Accounts
    quotas: Quotas
    chance: Random
    drain: Drain
    stores: Stores
    keys: VirtualKeys
    till: Till
    flights: Flights
    nearness: Nearness
    library: Library
    bookkeeper: Bookkeeper
    alerts: Alerts
    place: Place
    on_terminal: bool  # whether lines are read by a person


@dataclass(frozen=True, slots=True)
class House:
    """What one configuration makes of the state; a reload puts another in its place."""

    config: Config
    edge: Edge
    providers: dict[str, Provider]
    spending: Spending
    config_hash: str


def build(config: Config, state: State, ops: Ops, *, manners: Manners, simulated: bool) -> House:
    """Join the parts by `config`."""
    state.secrets.know(secrets_of(config))
    state.bulkheads.limits = config.limits
    state.stores.values.resize(config.cache.exact.max_size)
    providers = {
        name: Provider(name, settings, state.transport, state.clock)
        for name, settings in config.providers.items()
        if settings.usable
    }
    targets = Targets(config, state.catalogue.listed, state.catalogue.gone)
    state.keys.configure(config)
    state.alerts.configure(config.alerts, config.budgets.zone)
    prices = Prices(config.prices)
    spending = Spending(config.budgets, prices, state.till, state.alerts)
    door = Door(config, state.keys)
    answers = Answers(
        state.stores.values,
        config.cache,
        # The simulator of a demo is at another port each time, and says the same.
        {name: "" if simulated else provider.base_url for name, provider in providers.items()},
        state.clock,
        state.metrics.cache.store_failed,
        state.metrics.cache.stored,
        state.nearness.configure(config.cache),
        spending.bounded,
    )
    examples = Examples(config.models, state.nearness.words)
    if examples:
        state.nearness.words()  # which begins to load it
    gateway = Gateway(
        door=door,
        bulkheads=state.bulkheads,
        targets=targets,
        examples=examples,
        providers=providers,
        dispatcher=Dispatcher(_means(config, state, providers, targets)),
        catalogue=state.catalogue,
        answers=answers,
        retrieval=state.library.configure(config),
        flights=state.flights,
        limits=_limits(config, state),
        spending=spending,
        reader=Reader(state.stores.books),
        journal=state.journal,
        default_provider=config.default_provider,
        defaults=Defaults(config.default_model, config.defaults.model_dump(exclude_none=True)),
        embed=state.nearness.own.answer,
        overhear=state.captures.begin,
    )
    state.nearness.fetch = gateway.fetch
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
        begin_trace=state.tracing.begin,
        apart=config.admin_listen is not None,
    )
    configured = list(dict.fromkeys(targets.configured))
    state.metrics.labels.configure(config.default_provider, [*configured, OWN_EMBEDDER])
    _begin_counting(config, state.metrics, configured)
    state.metrics.splits.configure(targets.splits)
    config_hash = blake2b(show(config).encode(), digest_size=6).hexdigest()
    state.metrics.runs(config_hash=config_hash)
    log = config.telemetry
    text = log.log == "text" or (log.log == "auto" and state.on_terminal)
    state.access_log.configure(text=text, sample=log.sample)
    state.captures.configure(log.capture, log.redact)
    state.tracer.configure(log.traces, log.trace_sample, _places(providers))
    state.metrics.money.prices_are(prices.version, prices.age_days(state.clock.wall()))
    return House(config, edge, providers, spending, config_hash)


def _begin_counting(config: Config, metrics: Metrics, configured: Sequence[Target]) -> None:
    """Have everything start at 0 that the configuration or the code names."""
    metrics.expect(configured)
    metrics.money.expect_tenants(key.name for key in config.keys)
    metrics.money.expect_webhooks(each.label for each in webhooks_of(config.alerts.webhooks))
    metrics.cache.semantic.expect(guards=Guard, rules=Bypass, skipped=Skipped)


def _places(providers: Mapping[str, Provider]) -> Places:
    parts = {name: urlsplit(provider.base_url) for name, provider in providers.items()}
    own_port = {"http": 80, "https": 443}
    return Places(
        {
            name: (each.hostname or "", each.port or own_port.get(each.scheme, 0))
            for name, each in parts.items()
        }
    )


def _collector(worker: int, url: str) -> Exporter:
    # Imported here: most installs do without it, and it may not even be there.
    from proxy.telemetry.collector import Collector

    return Collector(url, version=__version__, worker=worker)


def _limits(config: Config, state: State) -> Limits:
    longest_s = max(
        max(each.timeouts.total_s, each.timeouts.stream_total_s)
        for each in config.providers.values()
    )
    return Limits(
        state.stores.counters,
        HostCounters(None, state.clock),
        teams=config.budgets.team_limits,
        workers=state.place.count,
        ttl_s=longest_s + config.limits.queue_wait_s + _PLACE_GRACE_S,
        on_trouble=lambda _: state.metrics.money.store_failed("limit"),
    )


def _means(
    config: Config, state: State, providers: Mapping[str, Provider], targets: Targets
) -> Means:
    state.catalogue.forgive()
    state.accounts.configure(
        {
            (name, key.name): key.org
            for name, settings in config.providers.items()
            for key in settings.secrets
        }
    )
    pools = {
        name: KeyPool(
            provider,
            accounts=state.accounts,
            quotas=state.quotas,
            accepts=state.catalogue.accepts,
            chance=state.chance,
        )
        for name, provider in providers.items()
    }
    return Means(
        providers=providers,
        pools=pools,
        budgets={name: RetryBudget(state.clock) for name in providers},
        accounts=state.accounts,
        breakers=state.breakers,
        catalogue=state.catalogue,
        targets=targets,
        journal=state.journal,
        clock=state.clock,
        chance=state.chance,
        places=state.bulkheads.of_target,
        retries=config.retries,
        queue_wait_s=config.limits.queue_wait_s,
    )


def _evicted(values: Values, reason: Eviction) -> int:
    return values.evicted.get(reason, 0)


@asynccontextmanager
async def open_state(
    config: Config,
    place: Place,
    out: TextIO,
    observers: tuple[Observer, ...],
    clock: Clock,
    patience: float,
    inherited: Inherited,
) -> AsyncIterator[State]:
    """The state of a worker at `place`; lines for each call go to `out`.

    What is kept is waited for `patience` times as long as usual. `inherited` is what those left
    who served before at that place.
    """
    async with AsyncExitStack() as stack:
        catalogue = Catalogue(clock)
        metrics = Metrics(
            clock,
            catalogue.listed,
            version=__version__,
            python=platform.python_version(),
        )
        metrics.resume(inherited.counts.get("metrics", {}))
        if place.count > 1:
            metrics.work_among_others(place.restarts)
        trouble = metrics.money.store_failed
        stores = await stack.enter_async_context(
            open_stores(
                config.state_dir,
                config.redis_url,
                clock,
                alone=place.count == 1,
                cache_bytes=config.cache.exact.max_size,
                patience=patience,
                watcher=metrics.stores.done,
            )
        )
        metrics.money.watch_unsettled(lambda: stores.ledger.pending)
        for reason in Eviction:
            metrics.cache.watch_evicted(reason, partial(_evicted, stores.values, reason))
        till = Till(stores.ledger, trouble)
        stack.push_async_callback(till.drain)
        chance = Random()  # noqa: S311 - draws samples and pauses, not secrets
        nearness = await stack.enter_async_context(
            open_nearness(config, stores, clock, chance, metrics.cache.semantic, patience)
        )
        library = await stack.enter_async_context(
            open_library(
                config,
                nearness.embedders,
                clock,
                chance,
                metrics.rag,
                metrics.cache.semantic,
                patience,
            )
        )
        flights = Flights(clock)
        keys = VirtualKeys(stores.records, clock)
        keys.configure(config)
        await keys.refresh()
        bookkeeper = Bookkeeper(stores.books, clock, trouble)
        stack.push_async_callback(bookkeeper.hand_over)
        told = operations.in_force()
        secrets = told.secrets if told else Secrets()
        writer = LineWriter(out)
        stack.callback(writer.close)
        metrics.watch_dropped("logs", lambda: writer.dropped + (told.dropped if told else 0))
        access_log = AccessLog(writer.write, chance, secrets, place.index)
        stack.callback(access_log.close)
        tracing = Tracing(chance)
        tracer = Tracer(tracing, secrets, partial(_collector, place.index))
        stack.push_async_callback(asyncio.to_thread, tracer.close)
        metrics.watch_dropped("spans", lambda: tracer.dropped)
        captures = Captures(
            config.state_dir / "captures" / f"worker-{place.index}.jsonl", lambda: secrets.known
        )
        stack.push_async_callback(asyncio.to_thread, captures.close)
        metrics.watch_dropped("captures", lambda: captures.dropped)
        live, decisions = Live(clock, metrics.labels.own), Decisions()
        live.resume(inherited.counts.get("totals", {}), inherited.slots)
        estate = Estate(
            metrics,
            live,
            decisions,
            show=secrets.hide,
            worker=place.index,
            life=place.restarts,
        )
        heirs = (estate,) if place.count > 1 else ()
        loop = asyncio.get_running_loop()
        journal = Journal(
            clock,
            (
                metrics,
                access_log,
                tracer,
                captures,
                bookkeeper,
                live,
                decisions,
                *heirs,
                *observers,
            ),
            lambda flush: loop.call_later(_TELL_AFTER_S, flush),
        )
        stack.callback(journal.flush)
        stack.push_async_callback(flights.drain)  # what they cost is told, too
        await stack.enter_async_context(beside(bookkeeper.work()))
        alerts = await stack.enter_async_context(
            open_alerts(
                stores.records,
                config.alerts,
                zone=config.budgets.zone,
                clock=clock,
                wall=till.wall,
                chance=chance,
                tell=journal.tell,
            )
        )
        transport = await stack.enter_async_context(
            Http1Transport(on_stale=lambda provider: journal.tell(StaleConnection(provider)))
        )
        metrics.upstream.watch_connections(transport.connections)
        bulkheads, drain = Bulkheads(config.limits), Drain()
        metrics.watch_queue(lambda: bulkheads.waiting)
        metrics.fields.known = field_names()
        alone = place.count == 1
        board = None if alone else HostBoard(place.directory, clock)
        leases: Leases = LocalLeases(clock) if alone else HostLeases(place.directory, clock)
        quotas = Quotas(clock, board, journal.tell)
        stack.push_async_callback(quotas.close)
        metrics.upstream.quotas.watch(quotas.snapshot)
        # Audits under way ask providers and are paid for: they end before all that needs.
        stack.push_async_callback(nearness.drain)

        breakers = Breakers(clock, chance, leases, journal.tell)
        yield State(
            clock,
            transport,
            journal,
            catalogue,
            metrics,
            access_log,
            tracing,
            tracer,
            captures,
            live,
            decisions,
            estate,
            secrets,
            bulkheads,
            breakers,
            Accounts({}, journal.tell),
            quotas,
            chance,
            drain,
            stores,
            keys,
            till,
            flights,
            nearness,
            library,
            bookkeeper,
            alerts,
            place,
            out.isatty(),
        )
