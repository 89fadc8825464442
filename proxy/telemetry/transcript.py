"""What a client was sent -> what it said, as JSON: the texts of a stream put together again.

A secret may come in two pieces; nobody finds it in pieces.
"""

from collections.abc import Iterator
from typing import Any

import orjson

_DATA = b"data: "


def told(body: bytes, form: str) -> Any:
    """The answer in `body`, of this form: whole | chat | events; text where it is no JSON."""
    if form == "chat":
        return _chat(body)
    if form == "events":
        return _events(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


def _sent(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if not line.startswith(_DATA):
            continue
        try:
            event = orjson.loads(line[len(_DATA) :])
        except orjson.JSONDecodeError:  # `[DONE]`, or one that is not all there
            continue
        if isinstance(event, dict):
            yield event


def _chat(body: bytes) -> dict[str, Any]:
    choices: dict[int, dict[str, str]] = {}
    answer: dict[str, Any] = {}
    for event in _sent(body):
        for name in ("id", "model", "usage", "error"):
            if event.get(name):
                answer[name] = event[name]
        found = event.get("choices")
        for choice in found if isinstance(found, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index")
                _continue(choices.setdefault(index if isinstance(index, int) else 0, {}), choice)
    return {**answer, "choices": [{"index": index, **said} for index, said in choices.items()]}


def _continue(said: dict[str, str], choice: dict[str, Any]) -> None:
    if isinstance(reason := choice.get("finish_reason"), str):
        said["finish_reason"] = reason
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return
    for name in ("role", "content", "reasoning", "refusal"):
        if isinstance(piece := delta.get(name), str):
            said[name] = piece if name == "role" else said.get(name, "") + piece
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        for name in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(piece := function.get(name), str):
                place = f"tool_calls.{call.get('index') or 0}.{name}"
                said[place] = said.get(place, "") + piece


def _events(body: bytes) -> Any:
    """The response as it was when it ended, else what was said until then."""
    text = ""
    for event in _sent(body):
        if isinstance(response := event.get("response"), dict) and response.get("output"):
            return response
        if isinstance(piece := event.get("delta"), str):
            text += piece
    return {"output_text": text}
