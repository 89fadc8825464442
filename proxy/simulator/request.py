"""A chat request that passed all checks."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from proxy.simulator import tokens
from proxy.simulator.catalogue import Model


class Reasoning(StrEnum):
    """Where a model's thoughts appear."""

    NONE = "none"  # it does not think
    PARSED = "parsed"  # in a field of their own
    RAW = "raw"  # inside the content, in <think> tags
    HIDDEN = "hidden"  # thought, billed, not shown


class Form(StrEnum):
    """What the content must be."""

    TEXT = "text"
    JSON_OBJECT = "json_object"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    parameters: Any


@dataclass(frozen=True, slots=True)
class Chat:
    """What the model is asked, with all defaults filled in."""

    model: Model
    name: str  # as asked; differs from `model.id` for magic names
    messages: tuple[Mapping[str, Any], ...]
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # none, auto, required; `=name` for a named one
    parallel: bool = True
    form: Form = Form.TEXT
    schema: Any = None
    effort: str = "medium"
    reasoning: Reasoning = Reasoning.NONE
    tier: str = "on_demand"
    tools_text: str = ""  # as the chat template would show the tools
    choices: int = 1  # how many answers, all the same
    ignored: tuple[str, ...] = ()  # fields that were dropped without a word

    @property
    def prompt(self) -> str:
        """Everything the model reads, in its order: what a prompt cache compares."""
        lines = [f"{m.get('role')}: {text_of(m)}" for m in self.messages]
        return "\n".join([self.tools_text, *lines] if self.tools_text else lines)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, images and template included."""
        images = sum(_images(m) for m in self.messages) * tokens.TOKENS_PER_IMAGE
        template = len(self.messages) * tokens.TOKENS_PER_MESSAGE
        return tokens.count(self.prompt) + template + images

    @property
    def question(self) -> str:
        """The last user message."""
        asked = (m for m in reversed(self.messages) if m.get("role") == "user")
        return next((text_of(m, calls=False) for m in asked), text_of(self.messages[-1]))


def text_of(message: Mapping[str, Any], *, calls: bool = True) -> str:
    """Give all text of a message: content parts joined, and its tool calls."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    text = content if isinstance(content, str) else "\n".join(_part_text(part) for part in parts)
    made = message.get("tool_calls")
    if calls and isinstance(made, list):
        text += "".join(
            f"\n{call['function']['name']}({call['function']['arguments']})" for call in made
        )
    return text


def _part_text(part: Mapping[str, Any]) -> str:
    if part.get("type") == "document":
        return str(part["document"].get("data", ""))
    return str(part.get("text", ""))


def _images(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return sum(part.get("type") == "image_url" for part in parts)
