"""Unpacks compressed answers, which nobody asked for."""

import zlib
from collections.abc import Awaitable, Callable

from proxy.core.errors import BadAnswer, CutOff

_PIECE_BYTES = 64 << 10


class Unpacker:
    """Unpacks gzip and deflate piece by piece, so that a bomb never unfolds at once."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    async def chunk(self, raw: Callable[[], Awaitable[bytes]]) -> bytes:
        """The next unpacked piece of what `raw` gives, b"" at the end."""
        while True:
            packed = self._zlib.unconsumed_tail or await raw()
            if not packed:
                if not self._zlib.eof:
                    raise CutOff(f"{self._provider} broke off in the middle of its answer")
                return b""
            if self._zlib.eof:
                raise CutOff(f"{self._provider} sent more after the end of its packed answer")
            try:
                piece = self._zlib.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise CutOff(f"{self._provider} sent bytes that cannot be unpacked") from error
            if piece:
                return piece


def unpacker(encoding: str | None, provider: str) -> Unpacker | None:
    """Who unpacks a body of this `Content-Encoding`; raises `BadAnswer` for unknown ones."""
    if not encoding:  # as nearly always
        return None
    bare = encoding.strip().lower()
    if bare == "identity":
        return None
    if bare not in {"gzip", "x-gzip", "deflate"}:
        raise BadAnswer(f"{provider} answered in the encoding {bare[:40]!r}, unasked")
    return Unpacker(provider)
