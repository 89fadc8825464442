"""From settings to open collections; nobody else knows where they are kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from proxy.core.clock import Clock
from proxy.stores.embeds import Embeds
from proxy.stores.passages_kept import PATIENCE_S, KeptPassages, Room
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import FILE, DiskTruth
from proxy.stores.vectors_faiss import fastest
from proxy.stores.vectors_truth import Truth

MOST_KEPT: Final = 500_000  # passages, in all collections; 150,000 take 100 MB of each worker
_NAMESPACE: Final = "collections"  # in Redis, apart from the cache
_FOLLOW_S: Final = 5.0
_READ_S: Final = 0.5  # many texts at once; whoever cannot wait so long has a limit of its own
_SHORTLIST: Final = 2048  # a question and its answer are not very near: more has to be compared


def open_passages(
    directory: Path,
    redis: str | None,
    clock: Clock,
    embedder: Callable[[], Embeds | None],
    *,
    patience_s: float = PATIENCE_S,
) -> KeptPassages:
    """The collections in `directory`, or at the URL `redis` where there is one; never fails.

    To be opened with `async with`. Where nobody ever wrote a passage, it costs nothing.
    """
    file = directory / FILE
    return KeptPassages(
        lambda: _open(directory, redis, clock),
        embedder,
        exists=lambda: redis is not None or file.exists(),
        patience_s=patience_s,
    )


@asynccontextmanager
async def _open(directory: Path, redis: str | None, clock: Clock) -> AsyncIterator[Room]:
    async with AsyncExitStack() as stack:
        truth: Truth
        if redis is not None:
            # Imported here: most installs do without it, and it may not even be there.
            from proxy.stores.redis.vectors import RedisTruth

            remote = RedisTruth(redis, clock, namespace=_NAMESPACE, most=MOST_KEPT, read_s=_READ_S)
            truth = await stack.enter_async_context(remote)
        else:
            local = DiskTruth(directory, clock, most=MOST_KEPT, read_s=_READ_S, follow_s=_FOLLOW_S)
            truth = await stack.enter_async_context(local)
        counting = await asyncio.to_thread(fastest)
        vectors = FollowingVectors(truth, clock, counting=counting, shortlist=_SHORTLIST)
        yield Room(await stack.enter_async_context(vectors), truth)
