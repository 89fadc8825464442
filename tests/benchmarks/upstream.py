"""A raw mock of Groq: pre-rendered answers over an `asyncio.Protocol`, as cheap as can be.

`POST /openai/v1/chat/completions` answers whole, or as a stream whose tempo the model names:
`PACED_MODEL` sends a chunk every `delay_ms`, each its own wake-up; `FLAT_MODEL` all in one write.
`GET /openai/v1/models` lists both and `GET /stats` counts the chat calls that arrived.
Answers keep the shape, headers and sizes that Groq has on the wire.
"""

import argparse
import asyncio
import json
import re
import selectors
from dataclasses import dataclass
from functools import partial
from typing import Any

PACED_MODEL = "openai/gpt-oss-20b"
FLAT_MODEL = "openai/gpt-oss-120b"
ANSWER = "A relay passes on what it is given and keeps a note of what it cost. " * 10
ANSWER_ID = "chatcmpl-5d2c7c1e-0d0e-4f4e-9d0a-8b6a3c1f2e47"
CONTENT_KEY = b'"delta":{"content":"'
DONE = b"data: [DONE]\n\n"

WORD = " relaying"
CREATED = 1_763_700_000
X_GROQ = {"id": "req_01kfk38f6bebmb6c6xstpckt0x", "seed": 874_043_000}
USAGE = {
    "queue_time": 0.051100,
    "prompt_tokens": 212,
    "prompt_time": 0.004512,
    "completion_tokens": 200,
    "completion_time": 0.201400,
    "total_tokens": 412,
    "total_time": 0.205912,
}
EDGE_HEADERS = {
    "Date": "Sat, 21 Nov 2026 09:00:00 GMT",
    "Connection": "keep-alive",
    "Server": "cloudflare",
    "cache-control": "private, max-age=0, no-store, no-cache, must-revalidate",
    "vary": "Origin",
    "x-groq-region": "fra",
    "x-ratelimit-limit-requests": "50000000",
    "x-ratelimit-limit-tokens": "50000000000",
    "x-ratelimit-remaining-requests": "49999999",
    "x-ratelimit-remaining-tokens": "49999999000",
    "x-ratelimit-reset-requests": "1.728ms",
    "x-ratelimit-reset-tokens": "1ms",
    "x-request-id": X_GROQ["id"],
    "via": "1.1 google",
    "cf-cache-status": "DYNAMIC",
    "cf-ray": "97b1f0c2ab3e1f2d-FRA",
}

GOLDEN = 0.618034

_STREAM = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that will ever be sent, ready for the socket."""

    whole: bytes
    models: bytes
    paced: tuple[bytes, ...]  # head and role; one per content chunk; finish and end
    delay_s: float

    # One write: chunk by chunk, chance would decide how many the contender finds at each read, and
    # with it the cost of a chunk; two equal contenders came out at 0.6 of each other.
    flat: bytes


def script(chunks: int, delay_ms: float) -> Script:
    """The answers, with `chunks` content chunks to a stream, `delay_ms` apart when paced."""
    stream = tuple(_stream(chunks))
    return Script(_whole(), _models(), stream, delay_ms / 1000, b"".join(stream))


def _whole() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": ANSWER},
        "logprobs": None,
        "finish_reason": "stop",
    }
    return _answer(
        {
            "id": ANSWER_ID,
            "object": "chat.completion",
            "created": CREATED,
            "model": PACED_MODEL,
            "choices": [choice],
            "usage": USAGE,
            "usage_breakdown": None,
            "system_fingerprint": "fp_80501ff3a1",
            "x_groq": X_GROQ,
            "service_tier": "on_demand",
        }
    )


def _models() -> bytes:
    entry = {"object": "model", "created": CREATED, "owned_by": "OpenAI", "active": True}
    sizes = {"context_window": 131_072, "public_apps": None, "max_completion_tokens": 65_536}
    data = [{"id": name, **entry, **sizes} for name in (PACED_MODEL, FLAT_MODEL)]
    return _answer({"object": "list", "data": data})


def _stream(chunks: int) -> list[bytes]:
    head = _head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    role = _event({"role": "assistant", "content": ""}, x_groq=X_GROQ)
    content = [_chunk(_event({"content": WORD})) for _ in range(chunks)]
    finish = _event({}, "stop", x_groq={"id": X_GROQ["id"], "usage": USAGE}, usage=USAGE)
    return [head + _chunk(role), *content, _chunk(finish) + _chunk(DONE) + b"0\r\n\r\n"]


def _event(delta: dict[str, Any], finish_reason: str | None = None, **extra: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    body = {
        "id": ANSWER_ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": PACED_MODEL,
        "system_fingerprint": "fp_80501ff3a1",
        "choices": [choice],
        **extra,
    }
    return b"data: " + _json(body) + b"\n\n"


def _answer(body: Any, status: int = 200) -> bytes:
    payload = _json(body)
    length = str(len(payload))
    return _head(status, {"Content-Type": "application/json", "Content-Length": length}) + payload


def _head(status: int, headers: dict[str, str]) -> bytes:
    reason = "OK" if status == 200 else "Not Found"
    lines = [f"{name}: {value}\r\n" for name, value in (EDGE_HEADERS | headers).items()]
    return f"HTTP/1.1 {status} {reason}\r\n{''.join(lines)}\r\n".encode()


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(slots=True)
class Stats:
    """How many chat calls arrived."""

    calls: int = 0


class Groq(asyncio.Protocol):
    """One connection from a contender."""

    def __init__(self, script: Script, stats: Stats) -> None:
        self._script = script
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._sent = 0  # pieces of the stream that is under way
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n") + 4
        if head_end < 4:
            return
        length = _LENGTH.search(self._received, 0, head_end)
        body_end = head_end + (int(length[1]) if length else 0)
        if len(self._received) >= body_end:
            request, self._received = self._received[:body_end], self._received[body_end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if request.startswith(b"POST /openai/v1/chat/completions "):
            self._stats.calls += 1
            self._chat(request)
        elif request.startswith(b"GET /openai/v1/models "):
            self._transport.write(self._script.models)
        elif request.startswith(b"GET /stats "):
            self._transport.write(_answer({"calls": self._stats.calls}))
        else:
            self._transport.write(_answer({"error": {"message": "no such address"}}, 404))

    def _chat(self, request: bytes) -> None:
        if not _STREAM.search(request):
            self._transport.write(self._script.whole)
        elif FLAT_MODEL.encode() in request:
            self._transport.write(self._script.flat)
        else:
            self._sent = 0
            self._due = self._place()
            self._tick()

    def _place(self) -> float:
        """When this stream's first content is due: streams share each `delay_s` evenly.

        Left to their starts they would bunch, and the contender serve several chunks at a wake-up.
        Multiples of the golden ratio, less their whole parts, keep apart however many there are.
        """
        now, delay_s = self._loop.time(), self._script.delay_s
        place_s = self._stats.calls * GOLDEN % 1 * delay_s
        return now + (place_s - now) % delay_s

    def _tick(self) -> None:
        self._transport.write(self._script.paced[self._sent])
        self._sent += 1
        if self._sent < len(self._script.paced):
            self._timer = self._loop.call_at(self._due, self._tick)
            self._due += self._script.delay_s  # from the plan, not from now: delays do not add up


async def _serve(port: int, script: Script) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(Groq, script, Stats()), "127.0.0.1", port)
    await server.serve_forever()


def _loop() -> asyncio.AbstractEventLoop:
    # asyncio rounds epoll's waits up to whole milliseconds, which would send paced chunks in gangs
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chunks", type=int, default=200)
    parser.add_argument("--delay-ms", type=float, default=5.0)
    args = parser.parse_args()
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(args.port, script(args.chunks, args.delay_ms)))
