"""The text that a model will see of a request, counted; and what in it nobody can count.

A byte-level tokenizer never makes more tokens than there are bytes, so the bytes of all text are a
bound; 16 for the frame of each message and 64 for that of the whole come on top.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.core.call import Call, Endpoint, JsonObject
from proxy.wire.caps import ALL as ALL_CAPS

_PER_MESSAGE: Final = 16
_PER_CALL: Final = 64
_BYTES_A_TOKEN: Final = 4  # of English text; others have fewer

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_TEXT_PARTS = frozenset(
    {
        *("text", "input_text", "output_text", "refusal", "document"),
        *("reasoning_text", "summary_text"),
    }
)
_OWN_TOOLS = frozenset({"function", "custom"})  # which the client runs itself
_ITEMS = frozenset(
    {
        *("message", "reasoning", "function_call", "function_call_output"),
        *("custom_tool_call", "custom_tool_call_output"),
    }
)

# Fields that steer a model without its reading them.
_UNREAD = frozenset(
    {
        *("model", "stream", "stream_options", "n", "seed", "user", "stop", "temperature", "top_p"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *(*ALL_CAPS, "tool_choice", "function_call", "parallel_tool_calls", "service_tier"),
        *("reasoning_effort", "reasoning_format", "include_reasoning", "verbosity", "metadata"),
        *("store", "safety_identifier", "prompt_cache_key", "disable_tool_validation"),
        *("citation_options", "truncation", "include", "encoding_format", "dimensions"),
        # of servers that people run themselves
        *("top_k", "top_a", "min_p", "typical_p", "tfs_z", "repetition_penalty", "length_penalty"),
        *("min_tokens", "stop_token_ids", "ignore_eos", "skip_special_tokens", "keep_alive"),
        *("mirostat", "mirostat_tau", "mirostat_eta", "repeat_penalty", "repeat_last_n", "think"),
    }
)

# Fields that a model reads, or whose text at least bounds what it reads of them.
_READ = frozenset(
    {
        *("instructions", "functions", "response_format", "text", "reasoning", "documents"),
        *("chat_template_kwargs", "guided_json", "guided_regex", "guided_choice", "grammar"),
        *("guided_grammar", "input_type", "task", "suffix"),
    }
)

# Fields by which a provider does, or lets the model see, what cannot be seen from here.
_UNBOUNDED: Mapping[str, str] = {
    "search_settings": "searches are billed apart from tokens",
    "include_domains": "searches are billed apart from tokens",
    "exclude_domains": "searches are billed apart from tokens",
    "web_search_options": "searches are billed apart from tokens",
    "compound_custom": "its tools are billed apart from tokens",
    "plugins": "they are billed apart from tokens",
    "audio": "audio is billed apart from text",
    "modalities": "audio is billed apart from text",
    "prediction": "what does not come true of it is billed as output",
    "prompt_cache_retention": "what is kept for longer is billed at another price",
    "prompt_cache_options": "what is kept for longer is billed at another price",
    "previous_response_id": "the text that it stands for is kept by the provider",
    "conversation": "the text that it stands for is kept by the provider",
    "prompt": "the text that it stands for is kept by the provider",
    "background": "what it costs is told to somebody else",
    "best_of": "answers that nobody sees are billed as well",
    "models": "another model may answer, at another price",
}
_NOT_ASKED: tuple[object, ...] = ([], {}, ["text"], False)
_SYSTEMS = frozenset({"compound", "compound-mini", "compound-beta", "compound-beta-mini"})


def estimate_of(call: Call) -> int:
    """About as many tokens as the prompt has; what cannot be read of it is left out."""
    if not isinstance(call.body, dict) or call.endpoint in {Endpoint.AUDIO, Endpoint.OTHER}:
        return 0
    text = text_of(call, call.body)
    return min(text.tokens, -(-text.size // _BYTES_A_TOKEN) + 4 * text.frames + text.numbered)


class PromptText:
    """Adds up what a model will see. `obstacle` is the first thing that has no bound, if any."""

    __slots__ = ("frames", "numbered", "obstacle", "param", "size")

    def __init__(self) -> None:
        self.size = 0  # bytes
        self.frames = 0  # messages, and parts of one beyond its first
        self.numbered = 0  # tokens that came as numbers
        self.obstacle = ""
        self.param: str | None = None

    @property
    def tokens(self) -> int:
        """The most that it can be."""
        return self.size + self.numbered + _PER_MESSAGE * self.frames + _PER_CALL

    def add(self, value: Any) -> None:
        """Anything that is read: text as it is, all else as compact JSON."""
        if isinstance(value, str):
            self.size += len(value) if value.isascii() else len(value.encode())
        elif value is not None:
            self.size += _json_size(value)

    def refuse(self, why: str, param: str) -> None:
        """Note what has no bound; the first counts."""
        if not self.obstacle:
            self.obstacle, self.param = why, param

    def message(self, message: Any) -> None:
        """A message of a chat, or an item of a Responses input."""
        self.frames += 1
        if not isinstance(message, dict):
            self.add(message)
            return
        for name, value in message.items():
            if name in {"content", "output"}:
                self.content(value)
            elif name == "role" and isinstance(value, str) and value in _ROLES:
                continue  # one word, within the frame
            elif name in {"audio", "images"} and value:
                self.refuse(f"{name} in a message have no price here", name)
            else:
                self.add(value)

    def content(self, content: Any) -> None:
        """Text, or parts of it."""
        if isinstance(content, str):
            self.add(content)
            return
        parts = content if isinstance(content, list) else [content]
        self.frames += max(0, len(parts) - 1)
        for part in parts:
            self.part(part)

    def part(self, part: Any) -> None:
        """One part of a message, by its type."""
        if not isinstance(part, dict):
            self.add(part)
        elif (kind := part.get("type")) == "text" and len(part) == 2:
            self.add(part.get("text"))
        elif isinstance(kind, str) and kind in _TEXT_PARTS:
            self.add(part)
        else:
            self.refuse(f"parts of type {_shown(kind)} have no price here", "messages")

    def items(self, items: Any) -> None:
        """The `input` of a Responses call."""
        for item in items if isinstance(items, list) else [items]:
            self.message({"content": item} if isinstance(item, str) else item)
            kind = item.get("type", "message") if isinstance(item, dict) else "message"
            if not (isinstance(kind, str) and kind in _ITEMS):
                self.refuse(f"items of type {_shown(kind)} have no price here", "input")

    def texts(self, texts: Any) -> None:
        """The `input` of an embeddings call: texts, or the numbers of their tokens."""
        numbers = isinstance(texts, list) and bool(texts) and isinstance(texts[0], int)
        for text in [texts] if numbers or not isinstance(texts, list) else texts:
            self.frames += 1
            if not isinstance(text, list):
                self.add(text)
                continue
            known = sum(1 for token in text if isinstance(token, int))
            self.numbered += known
            if known < len(text):
                self.add(text)

    def tools(self, tools: Any, param: str) -> None:
        """What the model may call; only what the client runs itself costs nothing but its text."""
        self.add(tools)
        for tool in tools if isinstance(tools, list) else ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if not (isinstance(kind, str) and kind in _OWN_TOOLS):
                self.refuse(f"tools of type {_shown(kind)} are billed apart from tokens", param)


def text_of(call: Call, body: JsonObject, model: str = "") -> PromptText:
    """The text of a JSON call, for `model` ("": the one that it names)."""
    text = PromptText()
    if (model or call.model).rpartition("/")[2] in _SYSTEMS:
        text.refuse("compound systems bill their tools apart from tokens", "model")
    for name, value in body.items():
        if name in _UNREAD or value is None:
            continue
        if name == "messages" and isinstance(value, list):
            for message in value:
                text.message(message)
        elif name == "input":
            text.texts(value) if call.endpoint is Endpoint.EMBEDDINGS else text.items(value)
        elif name == "tools":
            text.tools(value, name)
        elif name == "extra_body":
            text.add(value)
            if not _only_thinking(value):
                text.refuse("what stands in 'extra_body' may be billed apart from tokens", name)
        elif name in _UNBOUNDED:
            # OpenAI searches as soon as there are options for it, be they none.
            if value not in _NOT_ASKED or name == "web_search_options":
                text.refuse(f"{name!r} has no price here: {_UNBOUNDED[name]}", name)
        else:
            text.add(value)
            if name not in _READ:
                text.refuse(f"nobody here knows what {name[:64]!r} may cost", name[:64])
    return text


def _only_thinking(extra: Any) -> bool:
    """Whether Gemini's own fields are only about how it thinks, which is output like any other."""
    if not isinstance(extra, dict) or extra.keys() - {"google"}:
        return False
    google = extra.get("google", {})
    return isinstance(google, dict) and google.keys() <= {"thinking_config"}


def _json_size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except TypeError:  # an integer beyond 64 bits; its digits are at most 20
        return len(repr(value).encode())


def _shown(kind: Any) -> str:
    return repr(kind[:40]) if isinstance(kind, str) else "unknown"
