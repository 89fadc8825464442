"""How a chat answer travels: one completion object, or the chunks of a stream, in Groq's shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from random import Random
from typing import Any

from proxy.simulator import tokens
from proxy.simulator.answer import Answer, ToolCall
from proxy.simulator.problems import Problem, json_failed
from proxy.simulator.reply import Piece, done, frame
from proxy.simulator.request import Chat, Reasoning

_PREFILL_TOKENS_PER_S = 30_000.0
_WHOLE_ARGUMENTS = 60  # characters of tool arguments that still travel in one chunk


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer with everything that is told around it."""

    chat: Chat
    answer: Answer
    id: str
    request_id: str
    created: int
    seed: int
    prompt_tokens: int
    cached_tokens: int

    @property
    def queue_s(self) -> float:
        """Seconds in the queue; not part of the total time."""
        return Random(f"queue:{self.seed}:{self.prompt_tokens}").uniform(0.01, 0.06)  # noqa: S311

    @property
    def prompt_s(self) -> float:
        """Seconds to read the prompt; cached tokens cost nearly nothing."""
        return 0.002 + (self.prompt_tokens - self.cached_tokens) / _PREFILL_TOKENS_PER_S

    @property
    def completion_s(self) -> float:
        """Seconds to write the answer, at the model's published speed."""
        return self.answer.completion_tokens / self.chat.model.tokens_per_s

    @property
    def first_token_s(self) -> float:
        """Seconds from the arrival to the first byte of a stream."""
        return self.queue_s + self.prompt_s

    @property
    def total_s(self) -> float:
        """Seconds from the arrival to the end."""
        return self.first_token_s + self.completion_s

    def written_at_s(self, tokens_written: float) -> float:
        """Give the second when so many tokens of the answer are out."""
        spent = tokens_written / self.chat.model.tokens_per_s
        return self.first_token_s + min(spent, self.completion_s)

    @property
    def problem(self) -> Problem | None:
        """Why there is no answer after all."""
        return json_failed(self.answer.content) if self.answer.broken else None

    @property
    def content(self) -> str:
        """The content as shown, with raw thoughts inside."""
        if self.chat.reasoning is Reasoning.RAW and self.answer.reasoning:
            return f"<think>\n{self.answer.reasoning}\n</think>\n{self.answer.content}"
        return self.answer.content

    @property
    def reasoning(self) -> str:
        """The thoughts, if they are shown in a field of their own."""
        return self.answer.reasoning if self.chat.reasoning is Reasoning.PARSED else ""

    def usage(self) -> dict[str, Any]:
        """Give the usage object: details are absent when there is nothing to report."""
        written, thought = self.answer.completion_tokens, self.answer.reasoning_tokens
        usage: dict[str, Any] = {
            "queue_time": round(self.queue_s, 9),
            "prompt_tokens": self.prompt_tokens,
            "prompt_time": round(self.prompt_s, 9),
            "completion_tokens": written,
            "completion_time": round(self.completion_s, 9),
            "total_tokens": self.prompt_tokens + written,
            "total_time": round(self.prompt_s + self.completion_s, 9),
        }
        if self.cached_tokens:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        if thought:
            usage["completion_tokens_details"] = {"reasoning_tokens": thought}
        return usage

    def whole(self) -> dict[str, Any]:
        """Give the completion object."""
        message: dict[str, Any] = {"role": "assistant"}
        if self.answer.tool_calls:
            message["tool_calls"] = [_call(call) for call in self.answer.tool_calls]
        else:
            message["content"] = self.content
        if self.reasoning:
            message["reasoning"] = self.reasoning
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.answer.finish_reason,
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self.usage(),
            "usage_breakdown": None,
            "system_fingerprint": _fingerprint(self.chat.model.id),
            "x_groq": {"id": self.request_id, "seed": self.seed},
            "service_tier": self.chat.tier,
        }

    def frames(self) -> Iterator[Piece]:
        """Give the events of the stream, each at the second when its last token is written."""
        yield self._chunk(
            {"role": "assistant", "content": ""},
            self.first_token_s,
            x_groq={"id": self.request_id, "seed": self.seed},
        )
        hidden = self.chat.reasoning is Reasoning.HIDDEN
        written = float(self.answer.reasoning_tokens if hidden else 0)
        for delta, cost in chain(self._thoughts(), self._texts(), self._calls()):
            written += cost
            yield self._chunk(delta, self.written_at_s(written))
        if self.problem is not None:
            error = {**self.problem.error, "status_code": self.problem.status}
            yield frame({"error": error}, self.total_s, "error")
            return
        usage = self.usage()
        yield self._chunk(
            {},
            self.total_s,
            self.answer.finish_reason,
            x_groq={"id": self.request_id, "usage": usage},
            usage=usage,
        )
        if self.chat.include_usage:
            last = {"choices": [], "usage": usage, "service_tier": self.chat.tier}
            yield frame({**self._chunk_head, **last}, self.total_s)
        yield done(self.total_s)

    def _thoughts(self) -> Iterator[tuple[dict[str, Any], float]]:
        channel = {"channel": "analysis"} if self.chat.model.harmony else {}
        for piece in tokens.pieces(self.reasoning):
            yield {"reasoning": piece, **channel}, len(piece) / tokens.CHARS_PER_TOKEN

    def _texts(self) -> Iterator[tuple[dict[str, Any], float]]:
        if not self.answer.tool_calls:
            for piece in tokens.pieces(self.content):
                yield {"content": piece}, len(piece) / tokens.CHARS_PER_TOKEN

    def _calls(self) -> Iterator[tuple[dict[str, Any], float]]:
        for index, call in enumerate(self.answer.tool_calls):
            head, *rest = _parts(call.arguments)
            first = {"index": index, **_call(ToolCall(call.id, call.name, head))}
            yield {"tool_calls": [first]}, len(call.name + head) / tokens.CHARS_PER_TOKEN
            for part in rest:
                more = {"index": index, "function": {"arguments": part}}
                yield {"tool_calls": [more]}, len(part) / tokens.CHARS_PER_TOKEN

    def _chunk(
        self, delta: dict[str, Any], at_s: float, finish: str | None = None, **more: Any
    ) -> Piece:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return frame({**self._chunk_head, "choices": [choice], **more}, at_s)

    @property
    def _chunk_head(self) -> dict[str, Any]:
        return {
            **self._head("chat.completion.chunk"),
            "system_fingerprint": _fingerprint(self.chat.model.id),
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.chat.name,
        }


@cache  # of served models only: there are a dozen
def _fingerprint(model: str) -> str:
    return f"fp_{Random(model).getrandbits(40):010x}"  # noqa: S311


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _parts(arguments: str) -> list[str]:
    """Cut long arguments in pieces; short ones travel whole, and so may any at Groq."""
    if len(arguments) <= _WHOLE_ARGUMENTS:
        return [arguments]
    step = _WHOLE_ARGUMENTS // 2
    return [arguments[at : at + step] for at in range(0, len(arguments), step)]
