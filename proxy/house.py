"""Builds the house: the one place where parts meet."""

import asyncio
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import TextIO

from proxy import __version__
from proxy.access.bulkheads import Bulkheads
from proxy.access.door import Door
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config
from proxy.config.template import show
from proxy.core.clock import Clock, SystemClock
from proxy.core.events import StaleConnection
from proxy.core.journal import Journal, Observer
from proxy.core.secrets import Secrets
from proxy.gateway import Gateway
from proxy.server.drain import Drain
from proxy.server.edge import Edge
from proxy.server.manners import Manners
from proxy.server.ops import Ops
from proxy.server.siblings import Place
from proxy.telemetry import operations
from proxy.telemetry.lines import LineWriter
from proxy.telemetry.logs import AccessLog
from proxy.telemetry.metrics import Metrics
from proxy.upstream.accounts import Accounts
from proxy.upstream.board import HostBoard
from proxy.upstream.breaker import Breakers
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dialects.names import field_names
from proxy.upstream.dispatcher import Dispatcher
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
    breakers: Breakers
    accounts: Accounts
    quotas: Quotas
    chance: Random
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
    targets = Targets(config, state.catalogue.listed, state.catalogue.gone)
    door = Door(config)
    gateway = Gateway(
        door=door,
        bulkheads=state.bulkheads,
        targets=targets,
        providers=providers,
        dispatcher=Dispatcher(_means(config, state, providers, targets)),
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
    configured = list(dict.fromkeys(targets.configured))
    state.metrics.labels.configure(config.default_provider, configured)
    state.metrics.expect(configured)
    state.metrics.runs(config_hash=blake2b(show(config).encode(), digest_size=6).hexdigest())
    log = config.telemetry
    text = log.log == "text" or (log.log == "auto" and state.on_terminal)
    state.access_log.configure(text=text, sample=log.sample)
    return House(config, edge, providers)


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


@asynccontextmanager
async def open_state(
    config: Config, place: Place, out: TextIO, observers: tuple[Observer, ...]
) -> AsyncIterator[State]:
    """The state of a worker at `place`; lines for each call go to `out`."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        catalogue = Catalogue(clock)
        metrics = Metrics(
            clock,
            catalogue.listed,
            version=__version__,
            python=platform.python_version(),
        )
        if place.count > 1:
            metrics.work_among_others(place.restarts)
        told = operations.in_force()
        secrets = told.secrets if told else Secrets()
        writer = LineWriter(out)
        stack.callback(writer.close)
        metrics.watch_dropped("logs", lambda: writer.dropped + (told.dropped if told else 0))
        chance = Random()  # noqa: S311 - draws samples and pauses, not secrets
        access_log = AccessLog(writer.write, chance, secrets, place.index)
        loop = asyncio.get_running_loop()
        journal = Journal(
            clock,
            (metrics, access_log, *observers),
            lambda flush: loop.call_later(_TELL_AFTER_S, flush),
        )
        stack.callback(journal.flush)
        transport = await stack.enter_async_context(
            Http1Transport(on_stale=lambda provider: journal.tell(StaleConnection(provider)))
        )
        bulkheads, drain = Bulkheads(config.limits), Drain()
        metrics.watch_queue(lambda: bulkheads.waiting)
        metrics.fields.known = field_names()
        alone = place.count == 1
        board = None if alone else HostBoard(place.directory, clock)
        leases: Leases = LocalLeases(clock) if alone else HostLeases(place.directory, clock)
        quotas = Quotas(clock, board, journal.tell)
        stack.push_async_callback(quotas.close)
        metrics.upstream.quotas.watch(quotas.snapshot)

        breakers = Breakers(clock, chance, leases, journal.tell)
        yield State(
            clock,
            transport,
            journal,
            catalogue,
            metrics,
            access_log,
            secrets,
            bulkheads,
            breakers,
            Accounts({}, journal.tell),
            quotas,
            chance,
            drain,
            out.isatty(),
        )
