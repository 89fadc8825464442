"""POST /chat/completions."""

from dataclasses import replace
from functools import partial
from random import Random

from proxy.simulator.answer import compose
from proxy.simulator.catalogue import Metric
from proxy.simulator.clock import Clock
from proxy.simulator.completion import Completion
from proxy.simulator.ids import Ids
from proxy.simulator.limits import Cost
from proxy.simulator.metering import Meter
from proxy.simulator.prompt_cache import PromptCache
from proxy.simulator.reply import UNMETERED, Arrival, Metered, Reply, of_problem, stream, whole
from proxy.simulator.request import Chat
from proxy.simulator.settings import SimulatorSettings


class ChatDesk:
    """Answers chats; the responses and batch endpoints ask it too."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, ids: Ids, meter: Meter) -> None:
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._meter = meter
        self._cache = PromptCache()

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request, whole or streamed."""
        tongue = self._meter.tongue
        chat = tongue.chat(arrival.fields)
        completion, metered = self.complete(chat, arrival)
        if chat.stream:
            reply = stream(tongue.frames(completion), metered)
        elif completion.problem is not None and tongue.proves_json:
            reply = of_problem(completion.problem, metered, tongue.tell)
        else:
            answer = tongue.whole(completion)
            reply = whole(200, answer, at_s=completion.total_s, metered=metered)
        return replace(reply, ignored=chat.ignored)

    def complete(self, chat: Chat, arrival: Arrival) -> tuple[Completion, Metered]:
        """Admit a request and compose its answer."""
        now = self._clock.now()
        output = chat.max_tokens if chat.max_tokens is not None else self._settings.output_estimate
        billed = self._meter.tongue.bills_output
        reserved = _cost(chat.prompt_tokens + (output if billed else 0))
        pool = self._meter.admit(arrival, chat.model, reserved, now, chat.tier)
        completion = self._completed(chat, arrival, now)
        used = completion.prompt_tokens - completion.cached_tokens
        written = completion.answer.completion_tokens if billed else 0
        actual = _cost(used + written)
        if arrival.bare:
            return completion, UNMETERED
        return completion, Metered(
            headers=self._meter.shown(pool),
            settle=partial(pool.settle, reserved, actual),
        )

    def _completed(self, chat: Chat, arrival: Arrival, now: float) -> Completion:
        cached = 0
        if chat.model.caches:
            cached = self._cache.cached_tokens(arrival.org, chat.name, chat.prompt, now)
        return Completion(
            chat=chat,
            answer=compose(chat, self._settings.seed),
            id=self._meter.tongue.answer_id(self._ids),
            request_id=arrival.request_id,
            created=int(now),
            seed=chat.seed if chat.seed is not None else _seed(chat),
            prompt_tokens=min(chat.prompt_tokens, chat.model.context_window),  # the rest is cut
            cached_tokens=cached,
        )


def _cost(tokens: int) -> Cost:
    return {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: tokens, Metric.TPD: tokens}


def _seed(chat: Chat) -> int:
    return Random(f"{chat.model.id}:{chat.prompt}").getrandbits(30)  # noqa: S311
