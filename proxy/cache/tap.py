"""What hears an answer that may be kept, while it is passed on."""

from collections.abc import AsyncIterator

from proxy.cache.worth import MAX_BYTES
from proxy.core.call import Form, Frame, Head, JsonObject, Reply, Summary
from proxy.core.errors import InvalidRequest
from proxy.wire.fold import Fold
from proxy.wire.json import parse_object

_FOLD_BYTES = 8 << 20


class Tap:
    """Frames on their way, heard by who keeps the answer."""

    __slots__ = ("_fold", "_next", "_whole", "head", "summary")

    def __init__(self, reply: Reply) -> None:
        self.head: Head = reply.head
        self.summary: Summary = reply.summary
        self._next = reply.frames.__anext__
        self._whole: Frame = b""
        self._fold = Fold(_FOLD_BYTES) if reply.head.form is Form.CHAT else None

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        frame = await self._next()
        if self._fold is not None:
            self._fold.feed(frame)
        elif len(frame) <= MAX_BYTES:
            self._whole = frame
        return frame

    def answer(self) -> JsonObject | None:
        """The whole answer; None where it is too long, not complete, or not JSON as we keep it."""
        if self._fold is not None:
            return self._fold.whole(self.summary.usage)
        try:
            return parse_object(self._whole)
        except InvalidRequest:  # also of nothing
            return None
