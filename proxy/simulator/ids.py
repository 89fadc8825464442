"""Names for requests, answers, organisations: in Groq's shapes, reproducible for a seed."""

import hashlib
import itertools
import uuid

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, as ULIDs use it


def ulid_like(text: str) -> str:
    """Give 26 characters that look like a ULID of our days and depend on `text` alone."""
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:16])
    return "01" + "".join(_ALPHABET[(number >> (5 * i)) & 31] for i in range(24))


def org_id(org: str) -> str:
    """Give the `org_...` id that error texts name for an organisation."""
    return "org_" + ulid_like(f"org:{org}")


class Ids:
    """New names, one after another; the same row for the same seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = itertools.count(1)

    def _next(self) -> str:
        return f"{self._seed}:{next(self._count)}"

    def short(self, prefix: str) -> str:
        """Give `prefix` and a ULID-like tail: `req_`, `file_`, `batch_`, `resp_`."""
        return prefix + ulid_like(self._next())

    def completion(self) -> str:
        """Give a `chatcmpl-<uuid>`."""
        digest = hashlib.sha256(self._next().encode()).digest()
        return f"chatcmpl-{uuid.UUID(bytes=digest[:16], version=4)}"

    def numbered(self) -> str:
        """Give a `chatcmpl-` with a number below 999: not unique, as Ollama's."""
        digest = hashlib.sha256(self._next().encode()).digest()
        return f"chatcmpl-{int.from_bytes(digest[:8]) % 999}"


def tool_call_id(text: str) -> str:
    """Give the short id of a tool call: nine characters, as Groq's are."""
    return ulid_like(text)[-9:]
