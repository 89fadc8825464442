"""From settings to open vectors; nobody else knows where they are kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from proxy.core.clock import Clock
from proxy.stores.vectors import MOST_INDEXED, FollowingVectors
from proxy.stores.vectors_disk import FOLLOW_S, MOST_KEPT, READ_S, DiskTruth
from proxy.stores.vectors_faiss import fastest
from proxy.stores.vectors_truth import Truth


@asynccontextmanager
async def open_vectors(
    directory: Path,
    redis: str | None,
    clock: Clock,
    *,
    namespace: str = "",
    patience: float = 1.0,
    most: int = MOST_KEPT,
    most_indexed: int = MOST_INDEXED,
) -> AsyncIterator[FollowingVectors]:
    """The vectors in `directory`, or at the URL `redis` where there is one; never fails.

    `namespace` parts them in Redis from others; on disk the directory does.
    """
    async with AsyncExitStack() as stack:
        truth: Truth
        if redis is not None:
            # Imported here: most installs do without it, and it may not even be there.
            from proxy.stores.redis.vectors import RedisTruth

            remote = RedisTruth(
                redis, clock, namespace=namespace, most=most, read_s=READ_S * patience
            )
            truth = await stack.enter_async_context(remote)
        else:
            truth = await stack.enter_async_context(
                DiskTruth(
                    directory,
                    clock,
                    most=most,
                    read_s=READ_S * patience,
                    follow_s=FOLLOW_S * patience,
                )
            )
        counting = await asyncio.to_thread(fastest)
        vectors = FollowingVectors(truth, clock, most_indexed=most_indexed, counting=counting)
        yield await stack.enter_async_context(vectors)
