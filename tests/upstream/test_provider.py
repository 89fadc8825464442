"""What of a provider's answer reaches the client."""

from pathlib import Path

import orjson
import pytest

from tests.conftest import open_house
from tests.upstream.raw import Peer, Script, serving

NAME = 'attachment; filename="jobs.jsonl"'
CHUNK = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
WHOLE = {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}


def saying(kind: str, body: bytes, status: str) -> Script:
    """A provider that calls each of its answers a file."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"X-Groq-Region: here\r\nContent-Disposition: {NAME}\r\n\r\n"
    )

    async def script(peer: Peer) -> None:
        while True:
            await peer.hear()
            await peer.say(head.encode() + body)

    return script


async def told(
    state: Path, path: str, *, kind: str, body: bytes, stream: bool = False, status: str = "200 OK"
) -> str | None:
    """The `Content-Disposition` that reaches a client."""
    async with (
        serving(saying(kind, body, status)) as server,
        open_house(state, groq={"base_url": f"{server.url}/v1"}) as house,
    ):
        if path == "chat/completions":
            answer = await house.chat(stream=stream)
        elif path == "audio/speech":
            spoken = {"model": "groq/m", "input": "x", "voice": "y"}
            answer = await house.session.post(f"{house.url}/v1/{path}", json=spoken)
        else:
            answer = await house.session.get(f"{house.url}/v1/{path}")
        await answer.read()
        assert answer.status == int(status.split()[0])
        assert answer.headers["x-groq-region"] == "here"
        return answer.headers.get("content-disposition")


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/json"])
async def test_a_file_that_is_downloaded_has_the_name_that_the_provider_gives_it(
    kind: str, tmp_path: Path
) -> None:
    assert await told(tmp_path, "files/file-1/content", kind=kind, body=b"{}") == NAME


@pytest.mark.parametrize(
    ("path", "kind", "body", "stream"),
    [
        ("chat/completions", "application/json", orjson.dumps(WHOLE), False),
        (
            "chat/completions",
            "text/event-stream",
            b"data: %b\n\ndata: [DONE]\n\n" % orjson.dumps(CHUNK),
            True,
        ),
        ("files", "application/json", b'{"data": []}', False),
        ("files/file-1", "application/json", b"{}", False),
        ("batches/batch-1", "application/json", b"{}", False),
        ("audio/speech", "audio/wav", b"RIFF", False),
    ],
)
async def test_what_is_no_download_is_not_called_a_file(
    path: str, kind: str, body: bytes, stream: bool, tmp_path: Path
) -> None:
    assert await told(tmp_path, path, kind=kind, body=body, stream=stream) is None


@pytest.mark.parametrize("path", ["files/file-1/content", "chat/completions"])
async def test_a_refusal_is_not_called_a_file(path: str, tmp_path: Path) -> None:
    body, kind = b'{"error": {"message": "no"}}', "application/json"

    assert await told(tmp_path, path, kind=kind, body=body, status="404 Not Found") is None
