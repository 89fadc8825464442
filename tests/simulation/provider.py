"""A provider whose requests go to the world, and not over a network."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from proxy.config.settings import ProviderSettings
from proxy.core.call import Call, Form, Frame, Head, Reply, Summary, Target, Usage
from proxy.core.errors import BadAnswer, CutOff, Stalled, TimedOut, Unreachable
from proxy.core.journal import AttemptRecord
from proxy.upstream.provider import Key, Provider
from proxy.upstream.transport import Incoming, Outgoing
from proxy.wire.refusals import refusal
from tests.simulation.fates import Asked, Fate
from tests.simulation.loop import LoopClock
from tests.simulation.tariff import FRAME_TOKENS, cap_of, guess_of, stated
from tests.simulation.watch import Request, Watch
from tests.simulation.world import ORGS, Charge, World, listing

_CONTENT: Frame = b"data: {}\n\n"


class _NoNetwork:
    async def request(self, outgoing: Outgoing) -> Incoming:
        raise AssertionError(f"a request to {outgoing.url} left the simulation")


@dataclass(frozen=True, slots=True)
class _Patience:
    """Until when an attempt may go on, and how long it may be silent."""

    until: float
    first_byte_s: float
    idle_s: float


class SimulatedProvider(Provider):
    """The real one but for its attempts."""

    def __init__(
        self, name: str, settings: ProviderSettings, clock: LoopClock, world: World, watch: Watch
    ) -> None:
        super().__init__(name, settings, _NoNetwork(), clock)
        self._time = clock
        self._world = world
        self._watch = watch

    async def get(self, path: str, key: Key, *, limit: int) -> bytes:
        return listing(self.name)

    @asynccontextmanager
    async def attempt(
        self,
        call: Call,
        target: Target,
        key: Key,
        record: AttemptRecord,
        *,
        left_s: float,
        tier: str = "",
        cap: int | None = None,
    ) -> AsyncIterator[Reply]:
        org = ORGS[self.name, key.name]
        seen = cap_of(call) if cap is None else cap
        request = self._watch.begins(
            call, target, record, org=org, tier=tier, left_s=left_s, cap=seen
        )
        try:
            reply = await self._exchange(request, record, left_s)
            record.summary = told = reply.summary
            self._watch.answers(request)
            try:
                yield reply
            finally:
                if told.usage is None and told.count is not None:
                    told.usage = told.count()
                told.count = None
        except BaseException as error:
            request.error = error
            raise
        finally:
            self._watch.ends(request)

    async def _exchange(self, request: Request, record: AttemptRecord, left_s: float) -> Reply:
        call, clock = request.case.call, self._time
        chance = self._world.chance(f"{call.id} {request.number}")
        patience = self._patience(call, left_s)
        await self._wait(chance.uniform(0.001, 0.06), patience)
        self._watch.pays(request)
        asked = Asked(
            clock.passed_s,
            clock.wall(),
            self.name,
            request.target.model,
            request.key,
            request.org,
            request.tier,
            call,
            chance,
        )
        fate, charge = self._world.answer(asked)
        request.rest_s = fate.rest_s
        if not fate.reached:
            if fate.went_out:
                self._send(request, record)
            await self._wait(fate.after_s, patience)
            raise Unreachable(f"{self.name} cannot be reached: connection refused")
        self._send(request, record)
        await self._wait(min(fate.after_s, patience.first_byte_s), patience)
        if fate.after_s > patience.first_byte_s:
            raise TimedOut(f"{self.name} sent nothing for {patience.first_byte_s:g} s")
        record.headers_at, record.status = clock.now(), fate.status
        if fate.status != 200:
            raise refusal(
                fate.status, fate.headers, fate.body, provider=self.name, wall=clock.wall()
            )
        head = Head(200, Form.CHAT, "text/event-stream", fate.headers, request.target)
        answer = _Answer(request, fate, charge, patience, self._world, clock)
        if call.stream:
            if fate.breaks_at == 0:
                self._break(fate)
            return Reply(head, answer, answer.summary)
        await self._read_all(answer)
        return Reply(head, _once(), answer.summary)

    def _send(self, request: Request, record: AttemptRecord) -> None:
        request.sent = True
        record.sent_at = self._time.now()

    def _patience(self, call: Call, left_s: float) -> _Patience:
        times, now = self.settings.timeouts, self._time.now()
        until = now + min(self.total_s(call), left_s)
        return _Patience(until, times.first_byte_s if call.stream else math.inf, times.idle_s)

    async def _wait(self, seconds: float, patience: _Patience) -> None:
        """Let time pass, as far as the attempt may go on."""
        left_s = patience.until - self._time.now()
        await self._time.sleep(max(0.0, min(seconds, left_s)))
        if seconds >= left_s:
            raise TimedOut(f"{self.name} did not answer in time")

    async def _read_all(self, answer: "_Answer") -> None:
        """Read all of it: what is not streamed has no content before its end."""
        try:
            async for _ in answer:
                pass
        except Stalled as error:
            raise TimedOut(error.message) from error
        except CutOff as error:
            raise BadAnswer(error.message) from error

    def _break(self, fate: Fate) -> NoReturn:
        if fate.stalls:
            raise TimedOut(f"{self.name} sent headers and nothing else")
        raise BadAnswer(f"{self.name} sent an empty stream")


class _Answer:
    """The frames of one answer, each in its time."""

    def __init__(
        self,
        request: Request,
        fate: Fate,
        charge: Charge | None,
        patience: _Patience,
        world: World,
        clock: LoopClock,
    ) -> None:
        self.summary = Summary(count=self._count)
        self._request = request
        self._fate = fate
        self._charge = charge
        self._patience = patience
        self._world = world
        self._clock = clock
        self._sent = 0

    def __aiter__(self) -> "_Answer":
        return self

    async def __anext__(self) -> Frame:
        fate = self._fate
        if self._sent == fate.breaks_at:
            if fate.stalls:
                await self._pause(self._patience.idle_s)
                raise Stalled("the provider sent nothing for too long")
            raise CutOff("the provider broke off in the middle of its answer")
        if self._sent == fate.frames:
            self._complete()
            raise StopAsyncIteration
        if self._sent:
            await self._pause(fate.gap_s)
        self._sent += 1
        self._request.received += FRAME_TOKENS
        return _CONTENT

    async def _pause(self, seconds: float) -> None:
        left_s = self._patience.until - self._clock.now()
        await self._clock.sleep(max(0.0, min(seconds, left_s)))
        if seconds >= left_s:
            raise Stalled("the provider took too long to finish its answer")

    def _count(self) -> Usage:
        """The gateway's own count of what came until now."""
        return Usage(guess_of(self._request.case.call), self._request.received, exact=False)

    def _complete(self) -> None:
        request, usage = self._request, stated(self._request, self._fate)
        if self._charge is not None:
            self._world.settle(self._charge, usage.completion if usage else 0)
        request.complete, request.usage = True, usage
        self.summary.usage = usage
        self.summary.ended = True


async def _once() -> AsyncIterator[Frame]:
    yield _CONTENT
