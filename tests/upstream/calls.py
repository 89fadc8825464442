"""Calls as the upstream side gets them."""

from dataclasses import replace
from typing import Any

from proxy.core.call import ANYONE, Call, Caller, Endpoint
from proxy.wire.json import dumps

CHAT = Call(
    id="c1",
    caller=ANYONE,
    endpoint=Endpoint.CHAT,
    method="POST",
    path="chat/completions",
    query="",
    model="m",
    body={},
    stream=False,
)


def chat(text: str = "Hello", *, model: str = "m", key: str = "", **fields: Any) -> Call:
    """A chat with one question; `messages` in `fields` for more."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
    caller = Caller(key_id=key, name=key) if key else ANYONE
    return replace(CHAT, model=model, caller=caller, body=body, size=len(dumps(body)))
