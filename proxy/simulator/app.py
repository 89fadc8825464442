"""Opens the simulator: its paths, the way of a call through it, and its life."""

import asyncio
import weakref
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import orjson
from aiohttp import web

from proxy.simulator import damage, forms, keys, problems
from proxy.simulator.audio import ListeningDesk, SpeechDesk
from proxy.simulator.batches import BatchDesk
from proxy.simulator.calls import Outcome, RecordedCall
from proxy.simulator.chat import ChatDesk
from proxy.simulator.clock import Clock, RealClock
from proxy.simulator.delivery import Delivery, Spent, reset
from proxy.simulator.embeddings import EmbeddingDesk
from proxy.simulator.faults import Fault
from proxy.simulator.files import FileDesk, FileStore
from proxy.simulator.ids import Ids, org_id
from proxy.simulator.listing import ModelDesk
from proxy.simulator.magic import fault_of
from proxy.simulator.metering import Meter
from proxy.simulator.problems import Problem
from proxy.simulator.reply import Arrival, Reply, of_problem
from proxy.simulator.responses import ResponsesDesk
from proxy.simulator.scenario import Director, Endpoint, Sight
from proxy.simulator.settings import SimulatorSettings

LARGEST_BODY = 100 << 20

ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/chat/completions", Endpoint.CHAT),
    ("POST", "/responses", Endpoint.RESPONSES),
    ("POST", "/audio/transcriptions", Endpoint.TRANSCRIPTIONS),
    ("POST", "/audio/translations", Endpoint.TRANSLATIONS),
    ("POST", "/audio/speech", Endpoint.SPEECH),
    ("POST", "/embeddings", Endpoint.EMBEDDINGS),
    ("GET", "/models", Endpoint.MODELS),
    ("GET", "/models/{item:.+}", Endpoint.MODELS),
    ("DELETE", "/models/{item:.+}", Endpoint.MODELS),
    ("GET", "/files", Endpoint.FILES),
    ("POST", "/files", Endpoint.FILES),
    ("GET", "/files/{item}", Endpoint.FILES),
    ("DELETE", "/files/{item}", Endpoint.FILES),
    ("GET", "/files/{item}/{action:content}", Endpoint.FILES),
    ("GET", "/batches", Endpoint.BATCHES),
    ("POST", "/batches", Endpoint.BATCHES),
    ("GET", "/batches/{item}", Endpoint.BATCHES),
    ("POST", "/batches/{item}/{action:cancel}", Endpoint.BATCHES),
)


class Desk(Protocol):
    """One endpoint: an arrival in, a reply out; a `Problem` raised is the reply too."""

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request."""
        ...


class Simulator:
    """A provider on your own machine: Groq, unless the settings name another dialect.

    `serve` opens it on a port; `calls` then remembers the latest requests, newest last.
    """

    def __init__(
        self, settings: SimulatorSettings | None = None, *, clock: Clock | None = None
    ) -> None:
        self.settings = settings or SimulatorSettings()
        self.clock = clock or RealClock(self.settings.speed)
        self.calls: deque[RecordedCall] = deque(maxlen=self.settings.keep_calls)
        self.origin = ""  # http://127.0.0.1:PORT, once it serves
        self._arrived = 0
        self._ids = Ids(self.settings.seed)
        self._meter = Meter(self.settings)
        self._tongue = self._meter.tongue
        self._director = Director(self.settings.scenario)
        self._delivery = Delivery(self.clock, self._tongue.edge)
        # Connections that a fault closes when their next request arrives.
        self._doomed: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._desks = self._opened()

    def _opened(self) -> dict[Endpoint, Desk]:
        settings, clock, ids, meter = self.settings, self.clock, self._ids, self._meter
        chat = ChatDesk(settings, clock, ids, meter)
        files = FileStore(clock, ids)
        return {
            Endpoint.CHAT: chat,
            Endpoint.RESPONSES: ResponsesDesk(chat, ids),
            Endpoint.TRANSCRIPTIONS: ListeningDesk("transcribe", settings, clock, meter),
            Endpoint.TRANSLATIONS: ListeningDesk("translate", settings, clock, meter),
            Endpoint.SPEECH: SpeechDesk(clock, meter),
            Endpoint.EMBEDDINGS: EmbeddingDesk(clock, meter),
            Endpoint.MODELS: ModelDesk(self._tongue.models, self._tongue.shown),
            Endpoint.FILES: FileDesk(files),
            Endpoint.BATCHES: BatchDesk(chat, files, clock, ids),
        }

    @property
    def base_url(self) -> str:
        """The address to configure for OpenAI-style clients; Groq's own SDK wants `origin`."""
        return self.origin + self._tongue.base_path

    def app(self) -> web.Application:
        """Give the aiohttp application, for those who bring their own server."""
        # A new one each time: a simulator may be closed and opened again, as after an outage.
        self._delivery = Delivery(self.clock, self._tongue.edge)
        app = web.Application(client_max_size=LARGEST_BODY)
        for method, path, endpoint in ROUTES:
            if endpoint in self._tongue.endpoints:
                handler = self._recording(partial(self._reply, endpoint))
                app.router.add_route(method, self._tongue.base_path + path, handler)
        app.router.add_get("/simulator/state", self._show_state)
        app.router.add_route("*", "/{tail:.*}", self._recording(self._unknown))
        app.on_shutdown.append(self._close)
        return app

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Listen (port 0: on a free one) and give the base URL; Groq's ends in /openai/v1."""
        runner = web.AppRunner(
            self.app(),
            handler_cancellation=True,  # so that a client's leaving is noted at once
            access_log=None,
            shutdown_timeout=0.1,
            auto_decompress=False,  # Groq reads plain bodies; aiohttp logs a traceback for bad gzip
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            name = f"[{host}]" if ":" in host else host
            self.origin = f"http://{name}:{runner.addresses[0][1]}"
            yield self.base_url
        finally:
            await runner.cleanup()

    async def _close(self, _app: web.Application) -> None:
        self._delivery.close()

    def _recording(
        self, answered: Callable[[web.Request, RecordedCall], Awaitable[Reply]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Give the handler that records a call, makes its reply and sends it."""

        async def handle(request: web.Request) -> web.StreamResponse:
            call = self._recorded(request)
            try:
                if request.transport in self._doomed:
                    call.end(Outcome.CUT, self.clock.now())
                    await reset(request.transport)
                    return Spent()
                reply = await answered(request, call)
                return await self._delivery.send(request, reply, call)
            except asyncio.CancelledError:
                call.end(self._gone(), self.clock.now())
                raise
            except ConnectionError:
                call.end(self._gone(), self.clock.now())
                return Spent()

        return handle

    def _gone(self) -> Outcome:
        return Outcome.CUT if self._delivery.closing else Outcome.CLIENT_LEFT

    def _recorded(self, request: web.Request) -> RecordedCall:
        self._arrived += 1
        call = RecordedCall(
            number=self._arrived,
            at=self.clock.now(),
            method=request.method,
            path=request.raw_path,
            headers={name.lower(): value for name, value in request.headers.items()},
            request_id=self._ids.short("req_"),
        )
        self.calls.append(call)
        return call

    async def _unknown(self, request: web.Request, _call: RecordedCall) -> Reply:
        return self._told(problems.unknown_url(request.method, request.path))

    def _told(self, problem: Problem) -> Reply:
        return of_problem(problem, tell=self._tongue.tell)

    async def _reply(self, endpoint: Endpoint, request: web.Request, call: RecordedCall) -> Reply:
        """Read a call, know its key, fail it if told to, answer it."""
        try:
            call.raw = await _read(request)
            authorization = request.headers.get("authorization", "")
            call.key = keys.bearer(authorization)
            call.org = self._tongue.organisation(call.key, self.settings.organisations)
            arrival = self._arrival(request, call)
            fault = self._fault(endpoint, arrival, call)
            if fault is not None:
                call.fault = str(fault)
                instead = damage.instead(fault, arrival, self._meter, authorization)
                if instead is not None:
                    return instead
                if fault.keepalive_close and request.transport is not None:
                    self._doomed.add(request.transport)
            reply = self._answered(endpoint, arrival)
            call.ignored = reply.ignored
            return reply if fault is None else damage.damaged(fault, reply, self._tongue)
        except Problem as problem:
            return self._told(problem)

    def _fault(self, endpoint: Endpoint, arrival: Arrival, call: RecordedCall) -> Fault | None:
        sight = Sight(
            endpoint=endpoint,
            path=arrival.path,
            model=arrival.model,
            org=call.org,
            key=call.key,
            stream=arrival.fields.get("stream") is True,
        )
        return self._director.fault_for(sight) or fault_of(arrival.model)

    def _answered(self, endpoint: Endpoint, arrival: Arrival) -> Reply:
        if arrival.wrong is not None:
            raise arrival.wrong
        return self._desks[endpoint].reply(arrival)

    async def _show_state(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=orjson.dumps(self.state(), option=orjson.OPT_INDENT_2),
            content_type="application/json",
        )

    def state(self) -> dict[str, Any]:
        """Show the buckets of all organisations, the outcomes of calls, and the rules."""
        now = self.clock.now()
        quotas = self._meter.quotas.state(now)
        outcomes = Counter(call.outcome.value for call in self.calls)
        return {
            "dialect": self.settings.dialect,
            "now": now,
            "speed": self.settings.speed,
            "plan": self.settings.plan,
            "calls": {"arrived": self._arrived, "latest_by_outcome": dict(outcomes)},
            "organisations": {
                org: {"id": org_id(org), "models": models} for org, models in quotas.items()
            },
            "ignored": dict(Counter(name for call in self.calls for name in call.ignored)),
            "rules": self._director.state(),
        }

    def _arrival(self, request: web.Request, call: RecordedCall) -> Arrival:
        action = request.match_info.get("action", "")
        read: tuple[forms.Fields, forms.Uploads, Problem | None] = ({}, {}, None)
        if request.method == "POST" and not action:
            read = forms.read(call.raw, request.headers.get("content-type", ""))
        fields, uploads, wrong = read
        call.body = None if wrong else dict(fields)
        arrival = Arrival(
            method=request.method,
            path=request.path.removeprefix(self._tongue.base_path),
            org=call.org,
            request_id=call.request_id,
            fields=fields,
            uploads=uploads,
            wrong=wrong,
            item=request.match_info.get("item", ""),
            action=action,
        )
        call.model = arrival.model
        return arrival


async def _read(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise problems.body_too_large() from error
    except web.RequestPayloadError as error:
        raise problems.unreadable("it ends too early or is not encoded as it says") from error
