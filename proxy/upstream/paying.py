"""Frames on their way, paid for before the last of them is passed on."""

from collections.abc import AsyncIterator
from dataclasses import replace

from proxy.core.call import Form, Frame, Reply, Summary
from proxy.core.payment import Payment


async def paid(reply: Reply, payment: Payment) -> Reply:
    """`reply`, whose last byte nobody gets before it is charged."""
    if reply.head.form is Form.WHOLE:
        await payment.complete(reply.summary)
        return reply
    return replace(reply, frames=_PaidFrames(reply.frames, reply.summary, payment))


class _PaidFrames:
    """Frames, and the charge when the answer is complete."""

    __slots__ = ("_next", "_payment", "_summary")

    def __init__(self, frames: AsyncIterator[Frame], summary: Summary, payment: Payment) -> None:
        self._next = frames.__anext__
        self._summary = summary
        self._payment = payment

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        try:
            frame = await self._next()
        except StopAsyncIteration:
            if self._summary.ended:
                await self._payment.complete(self._summary)
            raise
        if self._summary.ended:
            await self._payment.complete(self._summary)
        return frame
