"""POST /responses: the same chats in OpenAI's newer shape; nothing is stored."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.simulator import checks, shape, tokens
from proxy.simulator.chat import ChatDesk
from proxy.simulator.completion import Completion
from proxy.simulator.ids import Ids
from proxy.simulator.problems import bad
from proxy.simulator.reply import Arrival, Piece, Reply, frame, of_problem, stream, whole

_PROPERTIES: dict[str, shape.Check] = {
    "model": shape.string,
    "input": shape.anything,
    "instructions": shape.string,
    "max_output_tokens": shape.integer(1),
    "metadata": shape.mapping,
    "parallel_tool_calls": shape.boolean,
    "previous_response_id": shape.anything,
    "reasoning": shape.mapping,
    "service_tier": shape.one_of("auto", "default", "flex"),
    "store": shape.boolean,
    "stream": shape.boolean,
    "temperature": shape.number(0, 2),
    "text": shape.mapping,
    "tool_choice": shape.anything,
    "tools": shape.array,
    "top_p": shape.number(0, 1),
    "truncation": shape.one_of("auto", "disabled"),
    "user": shape.string,
}


class ResponsesDesk:
    """Turns a Responses request into a chat and its answer back."""

    def __init__(self, chat: ChatDesk, ids: Ids) -> None:
        self._chat = chat
        self._ids = ids

    def reply(self, arrival: Arrival) -> Reply:
        """Answer one request, whole or streamed."""
        asked = arrival.fields
        shape.fields(asked, _PROPERTIES, ("model", "input"))
        if asked.get("store") or asked.get("previous_response_id") is not None:
            raise bad(
                "`store` and `previous_response_id` are not supported: responses are stateless"
            )
        completion, metered = self._chat.complete(checks.chat(_chat_body(asked)), arrival)
        answered = Answered(asked, completion, self._ids.short("resp_"))
        if asked.get("stream"):
            return stream(answered.frames(), metered)
        if completion.problem is not None:
            return of_problem(completion.problem, metered)
        return whole(200, answered.whole(), at_s=completion.total_s, metered=metered)


def _chat_body(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Give the chat request that asks the same."""
    reasoning = asked.get("reasoning") or {}
    body = {
        "model": asked["model"],
        "messages": _messages(asked),
        "max_completion_tokens": asked.get("max_output_tokens"),
        "parallel_tool_calls": asked.get("parallel_tool_calls"),
        "reasoning_effort": reasoning.get("effort"),
        "response_format": _form(asked),
        "service_tier": "flex" if asked.get("service_tier") == "flex" else None,
        "stream": asked.get("stream"),
        "temperature": asked.get("temperature"),
        "tools": [_tool(tool) for tool in asked.get("tools") or []],
        "tool_choice": _tool_choice(asked.get("tool_choice")),
        "top_p": asked.get("top_p"),
    }
    return {name: value for name, value in body.items() if value not in (None, [])}


def _messages(asked: Mapping[str, Any]) -> list[Any]:
    given = asked["input"]
    messages: list[Any] = []
    if asked.get("instructions"):
        messages.append({"role": "system", "content": asked["instructions"]})
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    if not isinstance(given, list):
        raise shape.wrong("input", "value must be a string or an array")
    for number, item in enumerate(given):
        if not isinstance(item, dict):
            raise shape.wrong(f"input.{number}", "value must be an object")
        # Thoughts of earlier turns are read by no model.
        if item.get("type") != "reasoning":
            messages.append(_message(item))
    return messages


def _message(item: Mapping[str, Any]) -> dict[str, Any]:
    if item.get("type") == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "tool_calls": [call]}
    if item.get("type") == "function_call_output":
        output = item.get("output")
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": _content(output)}
    return {"role": item.get("role"), "content": _content(item.get("content"))}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [_part(part) if isinstance(part, dict) else part for part in content]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if part.get("type") in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text")}
    return {"type": "unknown"}


def _form(asked: Mapping[str, Any]) -> Any:
    wanted = (asked.get("text") or {}).get("format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        inner = {name: value for name, value in wanted.items() if name != "type"}
        return {"type": "json_schema", "json_schema": inner}
    return wanted


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict):
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


@dataclass(frozen=True, slots=True)
class Answered:
    """A completion told as a response object or as its events."""

    asked: Mapping[str, Any]
    completion: Completion
    id: str

    def whole(self) -> dict[str, Any]:
        """Give the finished response."""
        cut = self.completion.answer.finish_reason == "length"
        return {
            **self._begun("incomplete" if cut else "completed"),
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": self._items(),
            "usage": self._usage(),
        }

    def frames(self) -> Iterator[Piece]:
        """Give the events, numbered, each at the second when its last token is written."""
        for number, (name, value, at_s) in enumerate(self._events()):
            numbered = {"type": name, "sequence_number": number, **value}
            yield frame(numbered, at_s, name)

    def _begun(self, status: str) -> dict[str, Any]:
        asked, chat = self.asked, self.completion.chat
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.completion.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.get("instructions"),
            "max_output_tokens": asked.get("max_output_tokens"),
            "metadata": asked.get("metadata") or {},
            "model": chat.name,
            "output": [],
            "parallel_tool_calls": chat.parallel,
            "previous_response_id": None,
            "reasoning": {"effort": chat.effort if chat.model.efforts else None, "summary": None},
            "service_tier": "flex" if chat.tier == "flex" else "default",
            "store": False,
            "temperature": _given(asked, "temperature", 1.0),
            "text": asked.get("text") or {"format": {"type": "text"}},
            "tool_choice": _given(asked, "tool_choice", "auto"),
            "tools": asked.get("tools") or [],
            "top_p": _given(asked, "top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
            "user": asked.get("user"),
        }

    def _usage(self) -> dict[str, Any]:
        answer, read = self.completion.answer, self.completion.prompt_tokens
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": self.completion.cached_tokens},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": read + answer.completion_tokens,
        }

    def _items(self) -> list[dict[str, Any]]:
        """Give the output: thoughts, then tool calls or the message."""
        done, items = "completed", []
        if self.completion.reasoning:
            part = {"type": "reasoning_text", "text": self.completion.reasoning}
            items.append(self._item("reasoning", 0, done, summary=[], content=[part]))
        for call in self.completion.answer.tool_calls:
            said = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
            items.append(self._item("function_call", len(items), done, **said))
        if not self.completion.answer.tool_calls:
            content = [_text_part(self.completion.content)]
            items.append(self._item("message", len(items), done, role="assistant", content=content))
        return items

    def _item(self, kind: str, number: int, status: str, **more: Any) -> dict[str, Any]:
        prefix = {"reasoning": "rs", "function_call": "fc", "message": "msg"}[kind]
        return {
            "type": kind,
            "id": f"{prefix}_{self.id.removeprefix('resp_')}{number}",
            "status": status,
            **more,
        }

    def _events(self) -> Iterator[tuple[str, dict[str, Any], float]]:
        at_s = self.completion.first_token_s
        begun = {"response": self._begun("in_progress")}
        yield "response.created", begun, at_s
        yield "response.in_progress", begun, at_s
        for index, item in enumerate(self._items()):
            for name, value, cost in _item_events(item, index):
                at_s = min(
                    at_s + cost / self.completion.chat.model.tokens_per_s, self.completion.total_s
                )
                yield name, value, at_s
        problem = self.completion.problem
        if problem is not None:
            yield "error", {"error": {**problem.error, "status_code": problem.status}}, at_s
            return
        finished = self.whole()
        yield f"response.{finished['status']}", {"response": finished}, self.completion.total_s


_Event = tuple[str, dict[str, Any], float]


def _item_events(item: dict[str, Any], index: int) -> Iterator[_Event]:
    """Give the events of one output item, each with the tokens that it costs."""
    where = {"output_index": index}
    bare = {**item, "status": "in_progress"}
    if item["type"] == "function_call":
        bare["arguments"] = ""
        inner = _deltas("response.function_call_arguments", item, where, item["arguments"])
    else:
        bare["content"] = []
        inner = _part_events(item, {**where, "content_index": 0})
    yield "response.output_item.added", {**where, "item": bare}, 0
    yield from inner
    yield "response.output_item.done", {**where, "item": item}, 0


def _part_events(item: dict[str, Any], where: dict[str, Any]) -> Iterator[_Event]:
    part = item["content"][0]
    here = {"item_id": item["id"], **where}
    if item["type"] == "reasoning":
        yield from _deltas("response.reasoning_text", item, where, part["text"])
        return
    yield "response.content_part.added", {**here, "part": {**part, "text": ""}}, 0
    yield from _deltas("response.output_text", item, where, part["text"])
    yield "response.content_part.done", {**here, "part": part}, 0


def _deltas(name: str, item: dict[str, Any], where: dict[str, Any], text: str) -> Iterator[_Event]:
    here = {"item_id": item["id"], **where}
    plain: dict[str, Any] = {"logprobs": []} if name == "response.output_text" else {}
    for piece in tokens.pieces(text):
        cost = len(piece) / tokens.CHARS_PER_TOKEN
        yield f"{name}.delta", {**here, "delta": piece, **plain}, cost
    whole_name = "arguments" if item["type"] == "function_call" else "text"
    yield f"{name}.done", {**here, whole_name: text, **plain}, 0


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _given(asked: Mapping[str, Any], name: str, otherwise: Any) -> Any:
    value = asked.get(name)
    return otherwise if value is None else value
