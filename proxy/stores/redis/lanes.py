"""What is asked of a lane where the `redis` library may be absent, so it cannot be imported."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from proxy.stores.redis.scripts import Script

T = TypeVar("T")

Word = str | bytes | int


class Orders(Protocol):
    """See `lane.Lane`."""

    patience_s: float

    def send(
        self, script: Script | None, args: tuple[Word, ...], read: Callable[[Any], T]
    ) -> asyncio.Future[T]:
        """Queue an order; the future raises `StoreFailed`."""
        ...

    async def close(self, patience_s: float) -> None:
        """Leave when what waits has been sent, or after `patience_s`."""
        ...
