"""A provider's ways as data, and a call as that provider is to read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from proxy.core.call import JsonObject
from proxy.upstream.dialects.answers import Events, Whole, as_it_is, nothing_to_do

# From the least to the most; a level that a model lacks becomes the next one that it has.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

_CAPS = ("max_completion_tokens", "max_tokens")  # where both are given, the first one counts
_SURELY = 6  # bytes a token, half as much again as usual: a longer text cannot fit
_MAX_DROPPED = 32  # names; the client chose them, and they go into a header
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that are known in one place: those in `only` (None: all), save those in `but`."""

    only: frozenset[str] | None = None
    but: frozenset[str] = frozenset()

    def knows(self, name: str) -> bool:
        """Whether `name` may stand there."""
        return name not in self.but and (self.only is None or name in self.only)

    def keep(self, value: JsonObject, place: str, dropped: list[str]) -> JsonObject:
        """`value` without what is not known; names of what had a value are added to `dropped`."""
        if self.only is None and (not self.but or self.but.isdisjoint(value)):  # as nearly always
            return value
        unknown = {name for name in value if not self.knows(name)}
        if not unknown:
            return value
        dropped += [place + name for name in value if name in unknown and value[name] is not None]
        return {name: each for name, each in value.items() if name not in unknown}


@dataclass(frozen=True, slots=True)
class Model:
    """What a model can do; what is not known of it stands as if it could."""

    window: int | None = None  # tokens of its context
    sees: bool = True  # images
    hears: bool = True  # audio
    schemas: bool = True  # `response_format` of type `json_schema`
    logprobs: bool = True
    choices: bool = True  # more than one
    signs: bool = False  # wants back the signature that its tool calls carry
    cap: str = ""  # the one name by which it reads the cap on its output; "": both are fine
    efforts: Sequence[str] | None = None  # levels of `reasoning_effort`; None: whatever is stated
    fields: Shape = field(default_factory=Shape)  # beyond what the provider knows


@dataclass(frozen=True, slots=True)
class Spoken:
    """A body as a provider is to read it, and what it lacks of the original.

    Parts of it may be the original's own, so nothing inside it is to be changed.
    """

    body: JsonObject
    dropped: tuple[str, ...] = ()  # not known there; dotted inside messages: `messages.reasoning`


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider departs from the common ground."""

    usage_on_request: bool = True  # streams state usage only with `stream_options.include_usage`
    fields: Shape = field(default_factory=Shape)  # of the body
    messages: Shape = field(default_factory=Shape)  # fields of a message
    tool_calls: Shape = field(default_factory=Shape)  # fields of a tool call in a message
    stream_options: Shape = field(default_factory=Shape)
    parts: Shape = field(default_factory=Shape)  # types of content parts
    tools: Shape = field(default_factory=Shape)  # types of tools
    tiers: Shape = field(default_factory=Shape)  # values of `service_tier`
    older_cap: bool = False  # a cap of ours is best written by the name known for longest
    roles: Mapping[str, str] = field(default_factory=dict)  # by another name there
    vital: Sequence[str] = ()  # fields that it lacks, and without which the answer is another one
    models: Sequence[tuple[str, Model]] = ()  # by how an id begins; the first that fits
    others: Model = field(default_factory=Model)  # all that are not among them
    # Answers in the common shape; `id` is to be new with each answer, "" has one made.
    whole: Whole = as_it_is  # a whole body
    events: Events = nothing_to_do  # one stream: `data:` in, `data:` out; None: they need nothing

    def speak(self, body: JsonObject, model: str) -> Spoken:
        """The chat body as this provider is to read it; `model` "" leaves the one it names.

        What is only spelt otherwise there is not counted as dropped, and neither is a null.
        """
        known = self.about(model or str(body.get("model")))
        dropped: list[str] = []
        spoken = {**body, "model": model} if model else {**body}
        _respell_cap(spoken, known.cap)
        _lower_effort(spoken, known.efforts, dropped)
        tier = spoken.get("service_tier")
        if isinstance(tier, str) and not self.tiers.knows(tier):
            dropped.append("service_tier")
            del spoken["service_tier"]
        spoken = known.fields.keep(self.fields.keep(spoken, "", dropped), "", dropped)
        options = spoken.get("stream_options")
        if isinstance(options, dict):
            kept = self.stream_options.keep(options, "stream_options.", dropped)
            spoken["stream_options"] = kept
        messages = spoken.get("messages")
        if isinstance(messages, list) and not self._knows_all(messages):
            spoken["messages"] = [self._message(each, dropped) for each in messages]
        return Spoken(spoken, _named(dropped) if dropped else ())

    def unable(self, body: JsonObject, model: str) -> str:
        """Why this model cannot serve the chat body at all, in words of ours; "" if it may."""
        return next(self._lacking(body, self.about(model)), "")

    def about(self, model: str) -> Model:
        """What is known of a model, by its id there."""
        for start, known in self.models:
            if model.startswith(start):
                return known
        return self.others

    def _knows_all(self, messages: list[Any]) -> bool:
        """Whether it is plain at a glance that no message needs a change."""
        if self.messages.only is not None or self.roles:
            return False
        without = self.messages.but.isdisjoint
        for each in messages:
            if not isinstance(each, dict) or "tool_calls" in each or not without(each):
                return False
        return True

    def _message(self, message: Any, dropped: list[str]) -> Any:
        if not isinstance(message, dict):
            return message
        kept = self.messages.keep(message, "messages.", dropped)
        role, calls = kept.get("role"), kept.get("tool_calls")
        if isinstance(role, str) and role in self.roles:
            kept = {**kept, "role": self.roles[role]}
        if not isinstance(calls, list):
            return kept
        told = [
            self.tool_calls.keep(call, "messages.tool_calls.", dropped)
            if isinstance(call, dict)
            else call
            for call in calls
        ]
        return {**kept, "tool_calls": told}

    def _lacking(self, body: JsonObject, known: Model) -> Iterator[str]:
        for name in self.vital:
            if body.get(name):
                yield f"no {name}"
        if not all(map(self.tools.knows, _kinds(body.get("tools"), "function"))):
            yield "no tools but functions"
        messages = _messages(body)
        contents = [each.get("content") for each in messages]
        parts = {kind for each in contents if isinstance(each, list) for kind in _kinds(each, "")}
        if "image_url" in parts and not known.sees:
            yield "no images"
        if "input_audio" in parts and not known.hears:
            yield "no audio"
        if not all(map(self.parts.knows, parts)):
            yield "no such content parts"
        if not known.choices and isinstance(choices := body.get("n"), int) and choices > 1:
            yield "one choice only"
        if not known.schemas and "json_schema" in _kinds([body.get("response_format")], ""):
            yield "no json_schema"
        if not known.logprobs and (body.get("logprobs") or body.get("top_logprobs")):
            yield "no logprobs"
        if known.signs and _has_unsigned_calls(messages):
            yield "no signature on a tool call"
        if known.window is not None and _is_longer(contents, _SURELY * known.window):
            yield "prompt too long"


def _respell_cap(spoken: JsonObject, cap: str) -> None:
    if not cap or all(name == cap or name not in spoken for name in _CAPS):
        return
    stated = [spoken.pop(name, None) for name in _CAPS]
    spoken[cap] = next((value for value in stated if value is not None), None)


def _lower_effort(spoken: JsonObject, efforts: Sequence[str] | None, dropped: list[str]) -> None:
    stated = spoken.get("reasoning_effort")
    if efforts is None or stated is None:
        return
    if stated == "default" or (stated == "none" and not efforts):  # that is what it does anyway
        del spoken["reasoning_effort"]
    elif not efforts:
        del spoken["reasoning_effort"]
        dropped.append("reasoning_effort")
    elif stated in EFFORTS:  # any other value is the provider's to judge
        rank = EFFORTS.index(stated)
        enough = (each for each in efforts if EFFORTS.index(each) >= rank)
        spoken["reasoning_effort"] = next(enough, efforts[-1])


def _named(dropped: Sequence[str]) -> tuple[str, ...]:
    return tuple(name[:_MAX_NAME] for name in islice(dict.fromkeys(dropped), _MAX_DROPPED))


def _messages(body: JsonObject) -> list[JsonObject]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return []
    return [each for each in messages if isinstance(each, dict)]


def _kinds(items: Any, default: str) -> set[str]:
    """The types of the objects in a list; `default` where one states none, "" for no type."""
    if not isinstance(items, list):
        return set()
    kinds = (item.get("type") or default for item in items if isinstance(item, dict))
    return {kind for kind in kinds if isinstance(kind, str) and kind}


def _has_unsigned_calls(messages: Sequence[JsonObject]) -> bool:
    """Whether the current turn, which began with the last question, has tool calls of others.

    Of calls that were made at once, only the first one is signed.
    """
    for message in reversed(messages):
        if message.get("role") == "user":
            return False
        calls = message.get("tool_calls")
        if message.get("function_call") or (calls and not _is_signed(calls)):
            return True
    return False


def _is_signed(calls: Any) -> bool:
    value = calls[0] if isinstance(calls, list) else None
    for name in ("extra_content", "google", "thought_signature"):
        value = value.get(name) if isinstance(value, dict) else None
    return isinstance(value, str) and bool(value)


def _is_longer(contents: Sequence[Any], limit: int) -> bool:
    """Whether all texts have more bytes than `limit`; images and audio count for nothing."""
    texts = [content for content in contents if isinstance(content, str)]
    for content in contents:
        for part in content if isinstance(content, list) else ():
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                texts.append(text)
    if 4 * sum(map(len, texts)) <= limit:  # a character has four bytes at most
        return False
    return sum(len(text.encode("utf-8", "replace")) for text in texts) > limit
