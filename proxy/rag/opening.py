"""Opens the stores of documents for commands, which look at them while a proxy may run, or not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

from proxy.config.settings import Config
from proxy.core.clock import SystemClock
from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import EmbedderFailed
from proxy.rag.embedding import embeds
from proxy.stores.passages import Passages
from proxy.stores.passages_open import open_passages

_QUERY_S: Final = 10.0  # a person waits longer for passages than a call does


@asynccontextmanager
async def open_stores(config: Config) -> AsyncIterator[Mapping[str, Passages]]:
    """The stores that `config` knows, by their names; what fails in them fails when it is used."""
    clock = SystemClock()
    try:
        builtin = await asyncio.to_thread(Builtin)
    except EmbedderFailed:
        builtin = None
    ours = embeds(lambda: builtin, clock)
    async with AsyncExitStack() as stack:
        kept = open_passages(config.state_dir / "collections", config.redis_url, clock, ours)
        stores: dict[str, Passages] = {"builtin": await stack.enter_async_context(kept)}
        if config.upstash is not None:
            # Imported here: most do without it, and it takes a while to import.
            from proxy.stores.upstash import UpstashPassages

            token = config.upstash.token.get_secret_value()
            chance = Random()  # noqa: S311 - draws pauses, not secrets
            url = config.upstash.url
            remote = UpstashPassages(url, token, ours, clock, chance, budget_s=_QUERY_S)
            stores["upstash"] = await stack.enter_async_context(remote)
        yield stores
