"""The life of a call, told once, top to bottom."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from proxy.access.budget import Spending
from proxy.access.bulkheads import Bulkheads
from proxy.access.door import Door
from proxy.access.limits import Limits
from proxy.access.permits import permitted
from proxy.access.usage import Reader, since_of
from proxy.cache.answers import Answers
from proxy.cache.flights import Boarding, Flights
from proxy.cache.fresh import Fresh
from proxy.cache.question import Question
from proxy.core.call import (
    ANYONE,
    Call,
    Caller,
    Endpoint,
    Exchange,
    Form,
    Frame,
    Head,
    JsonObject,
    Reply,
    Target,
    Usage,
)
from proxy.core.errors import (
    Internal,
    Interrupted,
    InvalidRequest,
    NotFound,
    OutOfTokens,
    Overloaded,
    ProxyError,
    UnknownModel,
)
from proxy.core.journal import CallRecord, Heard, Journal, RagRecord
from proxy.core.money import Bill, usd_text
from proxy.rag.retrieval import Retrieval, Wish
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dispatcher import Dispatcher
from proxy.upstream.examples import Examples
from proxy.upstream.provider import Provider
from proxy.upstream.targets import Route, Targets
from proxy.wire.json import parse_object
from proxy.wire.listing import model_entry, model_list
from proxy.wire.requests import (
    NO_DEFAULTS,
    Bodies,
    Defaults,
    Envelope,
    check_json,
    overheard,
    parse_call,
    unread_call,
)
from proxy.wire.sources import with_sources

_Story = Callable[[CallRecord, Caller], Awaitable[None]]
Overhear = Callable[[Mapping[str, str]], Heard | None]  # by the headers of a call
Embed = Callable[[JsonObject], Awaitable[tuple[bytes, int]]]  # a body -> answer, tokens read

OWN_EMBEDDER = Target("proxy", "builtin")

_log = logging.getLogger(__name__)


class Gateway:
    """Serves calls by one configuration; a reload puts another gateway in its place."""

    def __init__(
        self,
        *,
        door: Door,
        bulkheads: Bulkheads,
        targets: Targets,
        examples: Examples,
        providers: Mapping[str, Provider],
        dispatcher: Dispatcher,
        catalogue: Catalogue,
        answers: Answers,
        retrieval: Retrieval,
        flights: Flights,
        limits: Limits,
        spending: Spending,
        reader: Reader,
        journal: Journal,
        default_provider: str,
        defaults: Defaults,
        embed: Embed,
        overhear: Overhear,
    ) -> None:
        """`embed` answers embeddings of our own, from the body of a call."""
        self._door = door
        self._bulkheads = bulkheads
        self._targets = targets
        self._examples = examples
        self._providers = providers
        self._dispatcher = dispatcher
        self._catalogue = catalogue
        self._answers = answers
        self._retrieval = retrieval
        self._flights = flights
        self._limits = limits
        self._spending = spending
        self._reader = reader
        self._journal = journal
        self._default_provider = default_provider
        self._embed = embed
        self._overhear = overhear
        filled = {Endpoint.CHAT: defaults, Endpoint.RESPONSES: Defaults(model=defaults.model)}
        self._bodies = {
            endpoint: Bodies(endpoint, filled.get(endpoint, NO_DEFAULTS)) for endpoint in Endpoint
        }

    async def chat(self, exchange: Exchange) -> None:
        """Serve one chat completion."""

        async def story(record: CallRecord, caller: Caller) -> None:
            check_json(exchange.headers)
            # The bytes are not kept: what goes upstream is written anew.
            bodies = self._bodies[Endpoint.CHAT]
            call = parse_call(_envelope(exchange), await exchange.read(), caller, bodies)
            await self._serve(call, exchange, record)

        await self._called(exchange, Endpoint.CHAT, story)

    async def forward(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Serve a JSON endpoint that needs no understanding: a shorter story of the same parts."""

        async def story(record: CallRecord, caller: Caller) -> None:
            check_json(exchange.headers)
            bodies = self._bodies[endpoint]
            call = parse_call(_envelope(exchange), await exchange.read(), caller, bodies)
            await self._serve(call, exchange, record)

        await self._called(exchange, endpoint, story)

    async def embeddings(self, exchange: Exchange) -> None:
        """Serve embeddings: our own by the name `builtin`, all others forwarded."""

        async def story(record: CallRecord, caller: Caller) -> None:
            data = await exchange.read()
            call = parse_call(_envelope(exchange), data, caller, self._bodies[Endpoint.EMBEDDINGS])
            own = call.model == OWN_EMBEDDER.model
            await (self._embed_here if own else self._serve)(call, exchange, record)

        await self._called(exchange, Endpoint.EMBEDDINGS, story)

    async def _embed_here(self, call: Call, exchange: Exchange, record: CallRecord) -> None:
        """Answer with vectors of our own, which cost nothing."""
        record.call, record.target = call, OWN_EMBEDDER
        permitted(call, [OWN_EMBEDDER], self._default_provider)
        assert isinstance(call.body, dict)
        async with self._limits.admit(call) as passed:
            try:
                body, tokens = await self._embed(call.body)
            except ProxyError:
                passed.used(0)
                raise
            passed.used(tokens)
            record.usage = Usage(tokens, 0)
            record.head = head = Head(
                200, Form.WHOLE, "application/json", {}, OWN_EMBEDDER, attempts=0
            )
            bill = self._spending.stands(call.caller)
            await exchange.send(Reply(head, _one(body)), bill)

    async def pass_through(self, exchange: Exchange, endpoint: Endpoint, *, upload: bool) -> None:
        """Serve an endpoint whose body, if any, goes through unread and is attempted once."""

        async def story(record: CallRecord, caller: Caller) -> None:
            pieces, audio = exchange.pieces() if upload else None, None
            if pieces is not None and endpoint is Endpoint.AUDIO:
                audio, pieces = await overheard(exchange.headers, pieces)
            call = unread_call(_envelope(exchange), caller, endpoint, pieces, audio)
            await self._serve(call, exchange, record)

        await self._called(exchange, endpoint, story)

    async def _serve(self, call: Call, exchange: Exchange, record: CallRecord) -> None:
        record.call, record.heard = call, self._overhear(exchange.headers)
        # Before any passages are put in: a document never changes the model.
        began = self._journal.now()
        likeness = await self._examples.measure(call)
        if likeness:
            self._journal.took(record, "route", began)
        route = self._targets.route(call, likeness)
        record.target, record.choice = route.targets[0], route.choice
        if call.audio and call.model and call.model != route.targets[0].model:
            raise InvalidRequest(
                "an upload is passed on as it is: name the model as its provider does",
                param="model",
            )
        if call.caller is not ANYONE:
            alias = call.model in self._targets.aliases
            usable = permitted(call, route.targets, self._default_provider, alias=alias)
            route = replace(route, targets=usable)
        wish = self._retrieval.wanted(call, exchange.headers)
        question = self._answers.ask(call, route.targets, exchange.headers)
        record.cache = question.record
        try:
            began = self._journal.now()
            async with self._limits.admit(call) as passed:
                self._journal.took(record, "admission", began)
                try:
                    question = await self._informed(question, wish, exchange, record)
                    await self._answer(question, route, exchange, record)
                finally:
                    passed.used(_tokens_of(record))
        except OutOfTokens as short:
            question = await self._informed(question, wish, exchange, record)
            kept = await self._answers.find(question)
            if kept is None:
                raise short from None
            async with self._limits.admit(call, free=True):
                await self._tell(kept, question, route, exchange, record)

    async def _informed(
        self, question: Question, wish: Wish | None, exchange: Exchange, record: CallRecord
    ) -> Question:
        """The question with passages put in, where some are wanted; they are part of what it is."""
        if wish is None:
            return question
        call = question.call
        record.rag = told = RagRecord(wish.collection)
        with self._journal.step(record, "retrieval"):
            found = await self._retrieval.inform(call, wish, told)
        question = self._answers.ask(call, question.targets, exchange.headers, rag=found.identity)
        question.informed, record.cache = found.call, question.record
        return question

    async def _answer(
        self, question: Question, route: Route, exchange: Exchange, record: CallRecord
    ) -> None:
        """Send a kept answer, or one that is on its way to another call, or a new one."""
        call = question.call
        flight = question.flight(capped=self._spending.caps(call.caller))
        kept = None
        if flight not in self._flights:
            with self._journal.step(record, "cache"):
                kept = await self._answers.find(question)
        if kept is not None:
            await self._tell(kept, question, route, exchange, record)
            return
        fly = partial(self._fly, question.sent, route, record, question)
        if question.why:
            async with fly() as (reply, bill):
                await _send(exchange, reply, bill, record)
            return
        keep = partial(self._answers.keep, question)
        place = self._flights.join(flight, fly, keep, alone=not question.shared)
        try:
            async with place as boarding:
                if boarding.joined:
                    await self._share(boarding, question, route, exchange, record)
                else:
                    await _send(exchange, boarding.reply, boarding.bill, record)
        finally:
            record.boarded_s = place.waited_s

    async def _tell(
        self, kept: Reply, question: Question, route: Route, exchange: Exchange, record: CallRecord
    ) -> None:
        """Send a kept answer."""
        cache, head = question.record, kept.head
        if route.replaced:
            head = replace(head, replaced=route.replaced)
        record.head = head
        cache.saved = self._spending.listed(question.asked, cache.usage)
        bill = self._spending.stands(question.call.caller)
        bill.saved = cache.saved
        await _send(exchange, Reply(head, kept.frames, kept.summary), bill, record)
        cache.given = True
        self._answers.served(question)

    async def _share(
        self,
        boarding: Boarding,
        question: Question,
        route: Route,
        exchange: Exchange,
        record: CallRecord,
    ) -> None:
        """Send an answer that somebody else pays for."""
        reply, cache, target = boarding.reply, question.record, boarding.reply.head.target
        cache.word, cache.why = "joined", ""
        record.joined = boarding.reply.summary.trace
        record.head = head = replace(
            reply.head,
            attempts=0,
            cache="joined",
            degraded=cache.degraded,
            replaced=route.replaced if target == route.targets[0] else "",
        )
        bill, summary = self._spending.stands(question.call.caller), reply.summary
        if target is not None:  # of a whole answer it is known before it is sent
            bill.saved = self._spending.listed(target, summary.charged)
        await _send(exchange, Reply(head, reply.frames, summary), bill, record)
        if target is not None:
            cache.given, cache.saved_s = True, boarding.ahead_s
            cache.usage, cache.finish_reason = summary.charged, summary.finish_reason
            cache.saved = self._spending.listed(target, cache.usage)

    @asynccontextmanager
    async def _fly(
        self, call: Call, route: Route, record: CallRecord, question: Question
    ) -> AsyncIterator[tuple[Reply, Bill]]:
        """Fetch one answer upstream, pay for it, keep it: once, however many read it."""
        with self._journal.flight(call, record.trace) as flight:
            purse = self._spending.purse(call, flight, route.targets[0])
            record.flight, record.bill = flight, purse.bill
            async with self._dispatcher.send(call, route, flight, purse.pay_for) as reply:
                if not question.why:
                    cache, degraded = question.record.told(), question.record.degraded
                    head = replace(reply.head, cache=cache, degraded=degraded)
                    reply = Reply(head, reply.frames, reply.summary)
                reply = self._answers.tap(question, reply)
                record.head, flight.head, flight.summary = reply.head, reply.head, reply.summary
                reply.summary.trace = record.trace
                yield reply, purse.bill
        question.seconds = flight.waited_s

    async def fetch(self, call: Call, target: Target) -> Fresh:
        """A whole new answer of `target` to a call of our own, past the cache.

        Raises `ProxyError`, also where clients may need the provider more.
        """
        self._dispatcher.make_way(call, target)
        with self._journal.flight(call) as flight:
            purse = self._spending.purse(call, flight, target, capped=False)
            route = Route((target,))
            async with self._dispatcher.send(call, route, flight, purse.pay_for) as reply:
                flight.head, flight.summary = reply.head, reply.summary
                answer = parse_object(b"".join([frame async for frame in reply.frames]))
                return Fresh(answer, reply.head.target)

    async def models(self, exchange: Exchange) -> None:
        """Tell which models this caller may use."""

        async def story(_: CallRecord, caller: Caller) -> None:
            await exchange.tell(model_list((await self._offered(caller)).values()))

        await self._called(exchange, Endpoint.MODELS, story)

    async def model(self, exchange: Exchange, name: str) -> None:
        """Tell of one model."""

        async def story(_: CallRecord, caller: Caller) -> None:
            entry = (await self._offered(caller)).get(name)
            if entry is None:
                raise UnknownModel(
                    f"model {name[:256]!r} is not offered here; see GET /v1/models", param="model"
                )
            await exchange.tell(entry)

        await self._called(exchange, Endpoint.MODELS, story)

    async def usage(self, exchange: Exchange) -> None:
        """Tell a caller what it has used, and how the budgets over it stand."""

        async def story(_: CallRecord, caller: Caller) -> None:
            spending = self._spending
            wall, zone = spending.till.wall(), spending.settings.zone
            since = since_of(exchange.query.get("since", "7d"), wall, zone)
            used = await self._reader.usage(since, "model", zone, key=caller.key_id)
            standings = spending.as_standing(spending.chain(caller))
            budgets = await self._reader.budgets(standings)
            who = {"key": caller.name, "team": caller.team or None}
            await exchange.tell({**who, "since": since, **used.told(), "budgets": budgets})

        await self._called(exchange, Endpoint.OTHER, story)

    async def feedback(self, exchange: Exchange, entry: str) -> None:
        """Hear from a caller whether a kept answer is good; a bad one is told no more."""

        async def story(_: CallRecord, caller: Caller) -> None:
            check_json(exchange.headers)
            good = _verdict(parse_object(await exchange.read()))
            if not await self._answers.judge(caller, entry, good=good):
                # The same for answers of others: nobody learns that they are there.
                raise NotFound("no such answer is kept for you", code="cache_entry_not_found")
            await exchange.tell({"id": entry, "good": good, "forgotten": not good})

        await self._called(exchange, Endpoint.OTHER, story)

    async def refuse(self, exchange: Exchange, error: ProxyError) -> None:
        """Answer what leads nowhere: no such address, no such method."""

        async def story(_: CallRecord, __: Caller) -> None:
            raise error

        await self._called(exchange, Endpoint.OTHER, story)

    async def _called(self, exchange: Exchange, endpoint: Endpoint, story: _Story) -> None:
        """Tell a story in the frame of every call: one record, a place, an answer to any error."""
        with self._journal.call(exchange, endpoint) as record:
            try:
                async with self._bulkheads.process as queued_s:
                    record.queued_s += queued_s
                    with self._journal.step(record, "auth"):
                        record.caller = caller = self._door.enter(exchange.headers, exchange.peer)
                    async with self._bulkheads.of_caller(caller) as queued_s:
                        record.queued_s += queued_s
                        await story(record, caller)
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
                if record.bill is not None and record.bill.cost:  # failed, but not for nothing
                    record.error.headers["x-proxy-cost-usd"] = usd_text(record.bill.cost)
                if record.degraded:
                    record.error.headers["x-proxy-degraded"] = record.degraded
                if record.rag is not None and (told := record.rag.told()):
                    record.error.headers["x-proxy-rag"] = told
                await exchange.refuse(record.error)

    async def _offered(self, caller: Caller) -> dict[str, JsonObject]:
        """Aliases, the default provider's models by their ids, all others as `PROVIDER/id`.

        Of these, what `caller` may use.
        """
        offered = {
            name: model_entry(name, {}, owner=self._targets.first(name).provider)
            for name in self._targets.aliases
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
        if not caller.models:
            return offered
        ours = {each.removeprefix(f"{self._default_provider}/") for each in caller.models}
        return {name: entry for name, entry in offered.items() if name in ours}


async def _send(exchange: Exchange, reply: Reply, bill: Bill, record: CallRecord) -> None:
    """Pass an answer on, and to this client what was put in for it from documents."""
    rag, call = record.rag, record.call
    if rag is not None:
        head = replace(reply.head, rag=rag.told(), degraded=record.degraded)
        reply = Reply(head, reply.frames, reply.summary)
    if call is not None and call.wants_sources and call.endpoint is Endpoint.CHAT:
        reply = with_sources(reply, rag.sources if rag else ())
    if record.heard is not None:
        reply = Reply(reply.head, record.heard.of(reply.frames), reply.summary)
    await exchange.send(reply, bill)


def _verdict(body: JsonObject) -> bool:
    """Whether a kept answer was found good."""
    if unknown := body.keys() - {"good"}:
        raise InvalidRequest(f"unknown field {min(unknown)[:100]!r}; known is good")
    good = body.get("good")
    if not isinstance(good, bool):
        raise InvalidRequest("good must be true or false", param="good")
    return good


def _tokens_of(record: CallRecord) -> int | None:
    """The tokens that a call used; None where nobody can tell."""
    flight = record.flight
    if flight is None or not flight.attempts:
        return 0
    usage = flight.summary.usage
    return None if usage is None else usage.prompt + usage.completion


def _stay() -> None:
    """Take back the cancel that interrupted this task: there is still something to tell."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


async def _one(body: bytes) -> AsyncIterator[Frame]:
    yield body


def _envelope(exchange: Exchange) -> Envelope:
    return Envelope(exchange.id, exchange.method, exchange.path, exchange.query, exchange.headers)
