"""How the upstream side pays: what it must have before a request may go out."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from proxy.core.call import Summary, Target
from proxy.core.journal import AttemptRecord


class Payment(Protocol):
    """The money for one request. When its block ends, the request is charged for what it was."""

    @property
    def cap(self) -> int | None:
        """The most output tokens that the request may ask for; None where nobody limits them."""
        ...

    def of(self, record: AttemptRecord) -> None:
        """Name the request that it is for."""
        ...

    async def complete(self, summary: Summary) -> None:
        """Charge for a complete answer, before its last byte is passed on. Once; raises nothing."""
        ...


# The payment for one request to a target, which may take so many seconds, in a service tier that
# the gateway names ("": in the one that the client names, if any).
# Entered it raises a `ProxyError` where a budget does not allow it.
PayFor = Callable[[Target, float, str], AbstractAsyncContextManager[Payment]]
