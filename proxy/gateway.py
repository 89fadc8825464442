"""The life of a call, told once, top to bottom."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from proxy.access.bulkheads import Bulkheads
from proxy.access.door import Door
from proxy.core.call import Call, Caller, Endpoint, Exchange, JsonObject, Reply
from proxy.core.errors import Internal, Interrupted, Overloaded, ProxyError, UnknownModel
from proxy.core.journal import CallRecord, Journal
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dispatcher import Dispatcher
from proxy.upstream.provider import Provider
from proxy.upstream.targets import Route, Targets
from proxy.wire.listing import model_entry, model_list
from proxy.wire.requests import NO_DEFAULTS, Defaults, Envelope, check_json, parse_call, unread_call

_log = logging.getLogger(__name__)


class Gateway:
    """Serves calls by one configuration; a reload puts another gateway in its place."""

    def __init__(
        self,
        *,
        door: Door,
        bulkheads: Bulkheads,
        targets: Targets,
        providers: Mapping[str, Provider],
        dispatcher: Dispatcher,
        catalogue: Catalogue,
        journal: Journal,
        default_provider: str,
        defaults: Defaults,
    ) -> None:
        self._door = door
        self._bulkheads = bulkheads
        self._targets = targets
        self._providers = providers
        self._dispatcher = dispatcher
        self._catalogue = catalogue
        self._journal = journal
        self._default_provider = default_provider
        self._defaults = defaults
        self._forwarded = {Endpoint.RESPONSES: Defaults(model=defaults.model)}

    async def chat(self, exchange: Exchange) -> None:
        """Serve one chat completion."""
        async with self._called(exchange, Endpoint.CHAT) as (record, caller):
            check_json(exchange.headers)
            # The bytes are not kept: what goes upstream is written anew.
            call = parse_call(
                _envelope(exchange), await exchange.read(), caller, Endpoint.CHAT, self._defaults
            )
            await self._serve(call, exchange, record)

    async def forward(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Serve a JSON endpoint that needs no understanding: a shorter story of the same parts."""
        async with self._called(exchange, endpoint) as (record, caller):
            defaults = self._forwarded.get(endpoint, NO_DEFAULTS)
            check_json(exchange.headers)
            call = parse_call(
                _envelope(exchange), await exchange.read(), caller, endpoint, defaults
            )
            await self._serve(call, exchange, record)

    async def pass_through(self, exchange: Exchange, endpoint: Endpoint, *, upload: bool) -> None:
        """Serve an endpoint whose body, if any, goes through unread and is attempted once."""
        async with self._called(exchange, endpoint) as (record, caller):
            pieces = exchange.pieces() if upload else None
            call = unread_call(_envelope(exchange), caller, endpoint, pieces)
            await self._serve(call, exchange, record)

    async def _serve(self, call: Call, exchange: Exchange, record: CallRecord) -> None:
        record.call = call
        route = self._targets.route(call)
        record.target = route.targets[0]
        async with self._fly(call, route, record) as reply:
            await exchange.send(reply)

    @asynccontextmanager
    async def _fly(self, call: Call, route: Route, record: CallRecord) -> AsyncIterator[Reply]:
        """Fetch one answer upstream: the part of the story that costs."""
        with self._journal.flight(call) as flight:
            record.flight = flight
            async with self._dispatcher.send(call, route, flight) as reply:
                record.head, flight.head, flight.summary = reply.head, reply.head, reply.summary
                yield reply

    async def models(self, exchange: Exchange) -> None:
        """Tell which models this caller may use."""
        async with self._called(exchange, Endpoint.MODELS):
            await exchange.tell(model_list((await self._offered()).values()))

    async def model(self, exchange: Exchange, name: str) -> None:
        """Tell of one model."""
        async with self._called(exchange, Endpoint.MODELS):
            entry = (await self._offered()).get(name)
            if entry is None:
                raise UnknownModel(
                    f"model {name[:256]!r} is not offered here; see GET /v1/models", param="model"
                )
            await exchange.tell(entry)

    async def refuse(self, exchange: Exchange, error: ProxyError) -> None:
        """Answer what leads nowhere: no such address, no such method."""
        async with self._called(exchange, Endpoint.OTHER):
            raise error

    @asynccontextmanager
    async def _called(
        self, exchange: Exchange, endpoint: Endpoint
    ) -> AsyncIterator[tuple[CallRecord, Caller]]:
        """The frame around every call: one record, a place, and an answer to every error."""
        with self._journal.call(exchange, endpoint) as record:
            try:
                async with self._bulkheads.process as queued_s:
                    record.queued_s += queued_s
                    record.caller = caller = self._enter(exchange)
                    async with self._bulkheads.of_caller(caller) as queued_s:
                        record.queued_s += queued_s
                        yield record, caller
            except ProxyError as error:
                record.error = error
                if isinstance(error, Overloaded):
                    record.queued_s += error.waited_s
            except asyncio.CancelledError:
                if not exchange.interrupted:
                    raise
                _stay()
                record.error = Interrupted("the gateway shut down before this answer was complete")
            except Exception:  # noqa: BLE001 - the edge: a bug must end as an answer
                _log.exception("call %s failed by a bug", exchange.id)
                record.error = Internal("internal error; the gateway's log tells more")
            if record.error is not None:
                await exchange.refuse(record.error)

    def _enter(self, exchange: Exchange) -> Caller:
        return self._door.enter(
            exchange.headers.get("Host", ""), exchange.headers.get("Origin", "")
        )

    async def _offered(self) -> dict[str, JsonObject]:
        """Aliases, the default provider's models by their ids, all others as `PROVIDER/id`."""
        offered = {
            name: model_entry(name, {}, owner=target.provider)
            for name, target in self._targets.aliases.items()
        }
        lists = await asyncio.gather(
            *map(self._catalogue.models, self._providers.values()), return_exceptions=True
        )
        for name, listed in zip(self._providers, lists, strict=True):
            default = name == self._default_provider
            if isinstance(listed, BaseException):
                if default:  # of the others we can tell nothing now, but need not fail
                    raise listed
                continue
            for model, entry in listed.items():
                id = model if default else f"{name}/{model}"
                offered.setdefault(id, model_entry(id, entry, owner=name))
        return offered


def _stay() -> None:
    """Take back the cancel that interrupted this task: there is still something to tell."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


def _envelope(exchange: Exchange) -> Envelope:
    return Envelope(exchange.id, exchange.method, exchange.path, exchange.query, exchange.headers)
