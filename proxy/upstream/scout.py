"""Looks whether a provider that was down is back, so that no pause outlasts its reason."""

import asyncio
from collections.abc import Callable, Mapping

from proxy.core.errors import ProxyError, UpstreamError, Verdict
from proxy.core.events import BreakerState
from proxy.upstream.breaker import Breaker, Breakers
from proxy.upstream.provider import Provider

LOOK_EVERY_S = 1.0
_PATIENCE_S = 1.0
_MAX_LIST_BYTES = 4 << 20


class Scout:
    """Asks providers with open breakers for their models, which costs nothing and uses no quota.

    Only one that was seen down and then up is worth a probe before its time: a provider whose list
    comes all the while fails at something else, of which a list tells nothing.
    """

    def __init__(self, breakers: Breakers, providers: Callable[[], Mapping[str, Provider]]) -> None:
        self._breakers = breakers
        self._providers = providers
        self._down: set[str] = set()

    async def look(self) -> None:
        """One look at each provider that is left alone."""
        suspects: dict[str, list[Breaker]] = {}
        for target, breaker in self._breakers.all():
            if breaker.state is BreakerState.OPEN and breaker.forced is None:
                suspects.setdefault(target.provider, []).append(breaker)
        self._down &= suspects.keys()
        await asyncio.gather(*(self._look_at(name, found) for name, found in suspects.items()))

    async def _look_at(self, name: str, suspects: list[Breaker]) -> None:
        provider = self._providers().get(name)
        if provider is None:
            return
        if not await _is_up(provider):
            self._down.add(name)
        elif name in self._down:
            self._down.discard(name)
            for breaker in suspects:
                breaker.relent()


async def _is_up(provider: Provider) -> bool:
    """Whether it answers; what it thinks of our key says that it does."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await provider.get("models", provider.keys[0], limit=_MAX_LIST_BYTES)
    except UpstreamError as error:
        return error.verdict is not Verdict.FAILED
    except (ProxyError, TimeoutError):
        return False
    return True
