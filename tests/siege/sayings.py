"""What clients say: requests as bytes, to be sent whole, in pieces or spoiled."""

from collections.abc import Callable

import orjson

from tests.siege.fortress import MODEL

MARKER = "zebra-prompt-7f3a9c"  # stands in prompts and in headers: no log, metric or error has it
CLIENT_KEY = "sk-client-" + "0123456789abcdefSIEGE"
HEAD = b"Host: localhost\r\nAuthorization: Bearer " + CLIENT_KEY.encode() + b"\r\n"
JSON = b"Content-Type: application/json\r\n"
CHAT = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + JSON
ASK = {"model": MODEL, "messages": [{"role": "user", "content": f"Tell me of {MARKER}."}]}

Said = bytes | Callable[[], bytes]  # large ones are made when they are needed


def made(said: Said) -> bytes:
    """The bytes themselves."""
    return said if isinstance(said, bytes) else said()


def chat(**fields: object) -> bytes:
    """A whole chat request whose body is a good one with other `fields`."""
    return post(orjson.dumps({**ASK, **fields}))


def post(body: bytes, *, headers: bytes = b"") -> bytes:
    """A whole chat request with any body."""
    return CHAT + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(*pieces: bytes) -> bytes:
    """A whole chat request whose body comes in chunks."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return CHAT + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
