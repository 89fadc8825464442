"""What the simulated model says: text, JSON or tool calls, made from the request alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

import orjson

from proxy.simulator import tokens
from proxy.simulator.catalogue import Kind
from proxy.simulator.ids import tool_call_id
from proxy.simulator.magic import ECHO, wanted_tokens
from proxy.simulator.prose import Writer
from proxy.simulator.request import Chat, Form, Reasoning, Tool, text_of
from proxy.simulator.schema import instance

_SENTENCES = {"minimal": 1, "low": 1, "medium": 2, "default": 2, "high": 5, "max": 5}
_TOOL_CALL_TOKENS = 12  # the format around a call's name and arguments


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model produced, before anyone decides how it travels."""

    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    broken: bool = False  # it should have been JSON and ran out of tokens

    @property
    def reasoning_tokens(self) -> int:
        """Tokens thought; they are part of the completion."""
        return tokens.count(self.reasoning)

    @property
    def completion_tokens(self) -> int:
        """All tokens that the model produced."""
        calls = sum(
            _TOOL_CALL_TOKENS + tokens.count(call.name + call.arguments) for call in self.tool_calls
        )
        return self.reasoning_tokens + tokens.count(self.content) + calls


def compose(chat: Chat, seed: int = 0) -> Answer:
    """Answer a request; the same request and seed give the same answer."""
    chance = Random(f"{seed}:{chat.seed}:{chat.model.id}:{chat.prompt}")  # noqa: S311 - not for secrets
    answer = _said(chat, Writer(chat.question, chance), chance)
    return _limited(_stopped(answer, chat.stop), chat)


def _said(chat: Chat, writer: Writer, chance: Random) -> Answer:
    fixed = _fixed(chat, chance)
    if fixed is not None:
        return Answer(fixed)
    thinks = chat.reasoning is not Reasoning.NONE
    thought = writer.thoughts(_SENTENCES.get(chat.effort, 2)) if thinks else ""
    called = _called(chat)
    if called:
        calls = tuple(_call(tool, number, writer, chance) for number, tool in enumerate(called))
        return Answer("", thought, calls, "tool_calls")
    if chat.form is not Form.TEXT:
        shape = chat.schema if chat.form is Form.JSON_SCHEMA else _any_object(writer)
        made = instance(shape or {"type": "object"}, chance, writer.words)
        return Answer(orjson.dumps(made).decode(), thought)
    last = chat.messages[-1]
    if last.get("role") == "tool":
        return Answer(writer.from_tool(text_of(last)), thought)
    return Answer(writer.answer(), thought)


def _fixed(chat: Chat, chance: Random) -> str | None:
    """Give the content that is settled: of magic models, and of guards, which answer a figure."""
    wanted = wanted_tokens(chat.name)
    if chat.name == ECHO:
        return chat.question
    if wanted is not None:
        return "tick " * (wanted * tokens.CHARS_PER_TOKEN // 5) + "x" * (
            wanted * tokens.CHARS_PER_TOKEN % 5
        )
    if chat.model.kind is Kind.GUARD:
        attack = re.search(r"\b(ignore|disregard|jailbreak|bypass)\b", chat.question, re.IGNORECASE)
        return f"{chance.uniform(0.9, 0.9999) if attack else chance.uniform(0.0001, 0.02):.12f}"
    return None


def _any_object(writer: Writer) -> dict[str, object]:
    """Give the schema of what JSON mode answers when nobody said which object."""
    return {
        "properties": {
            "subject": {"const": " and ".join(writer.subject)},
            "answer": {"const": writer.answer()},
            "simulated": {"const": True},
        }
    }


def _called(chat: Chat) -> Sequence[Tool]:
    """Give the tools that this request makes the model call."""
    if chat.tool_choice == "none" or not chat.tools:
        return ()
    if chat.tool_choice.startswith("="):
        return [tool for tool in chat.tools if tool.name == chat.tool_choice[1:]][:1]
    asked = chat.messages[-1].get("role") == "user"
    words = set(re.findall(r"\w+", chat.question.lower()))
    hit = [tool for tool in chat.tools if asked and _words_of(tool) & words]
    if not hit and chat.tool_choice == "required":
        hit = [chat.tools[0]]
    return hit if chat.parallel else hit[:1]


def _words_of(tool: Tool) -> set[str]:
    """Give the words whose mention calls a tool: its name, the parts of it, its parameters."""
    properties = tool.parameters.get("properties") if isinstance(tool.parameters, dict) else None
    names = [tool.name, *(properties if isinstance(properties, dict) else [])]
    parts = [part for name in names for part in re.split(r"[\W_]+", name.lower())]
    return {word for word in [tool.name.lower(), *parts] if len(word) > 3}


def _call(tool: Tool, number: int, writer: Writer, chance: Random) -> ToolCall:
    shape = {"type": "object", **(tool.parameters or {})}
    made = instance(shape, chance, writer.words)
    arguments = orjson.dumps(made if isinstance(made, dict) else {}).decode()
    return ToolCall(tool_call_id(f"{number}:{tool.name}:{chance.random()}"), tool.name, arguments)


def _stopped(answer: Answer, stops: Sequence[str]) -> Answer:
    """End the content before the first stop sequence."""
    found = [at for at in map(partial(str.find, answer.content), stops) if at >= 0]
    return replace(answer, content=answer.content[: min(found)]) if found else answer


def _limited(answer: Answer, chat: Chat) -> Answer:
    """End the answer where its token budget ends: thoughts spend it first."""
    if chat.max_tokens is None or answer.completion_tokens <= chat.max_tokens:
        return answer
    reasoning = tokens.first(answer.reasoning, chat.max_tokens)
    content = tokens.first(answer.content, chat.max_tokens - tokens.count(reasoning))
    broken = chat.form is not Form.TEXT
    return Answer(content, reasoning, (), "length", broken)
