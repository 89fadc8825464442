"""What each provider lists, and which of our keys it accepts."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.core.call import Target
from proxy.core.clock import Clock
from proxy.core.errors import BadAnswer, KeyRejected, ProxyError
from proxy.core.events import KeyChecked, KeyState
from proxy.upstream.provider import Key, Provider

FRESH_S = 60.0
RETRY_S = 5.0  # after a failure
_MAX_LIST_BYTES = 4 << 20
_MAX_MODELS = 10_000
_MAX_GONE = 100


@dataclass(slots=True)
class _List:
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_at: float | None = None
    due_at: float = -math.inf  # when it is to be asked for again
    error: ProxyError | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Catalogue:
    """The model lists of all providers, read again when older than a minute and asked for.

    It outlives reloads of the configuration: names that were listed once keep their meaning while a
    provider is down.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lists: dict[str, _List] = {}
        self._rejected: set[tuple[str, str]] = set()
        self._gone: OrderedDict[Target, None] = OrderedDict()

    def listed(self, provider: str) -> Collection[str]:
        """The ids that `provider` listed last; empty before the first time."""
        known = self._lists.get(provider)
        return known.models.keys() if known else ()

    def can_serve(self, providers: Mapping[str, Provider]) -> bool:
        """Whether some provider has a key that was not rejected."""
        return any(
            self.accepts(name, key.name)
            for name, provider in providers.items()
            for key in provider.keys
        )

    def accepts(self, provider: str, key: str) -> bool:
        """Whether a key may be used: its provider has not rejected it, the last time it was."""
        return (provider, key) not in self._rejected

    def forgive(self) -> None:
        """Have all keys be tried again: a new configuration may have other ones."""
        self._rejected.clear()

    def gone(self, target: Target) -> bool:
        """Whether the provider has answered that it has no such model."""
        return target in self._gone

    def lost(self, target: Target) -> None:
        """Remember that a provider has no such model; names come from clients, so only some."""
        self._gone[target] = None
        if len(self._gone) > _MAX_GONE:
            self._gone.popitem(last=False)

    def _accepted(self, provider: Provider) -> Key:
        accepted = (key for key in provider.keys if self.accepts(provider.name, key.name))
        return next(accepted, provider.keys[0])

    async def models(self, provider: Provider) -> Mapping[str, Mapping[str, Any]]:
        """The models of `provider` by id; an old list while a new one cannot be had."""
        known = self._lists.setdefault(provider.name, _List())
        async with known.reading:  # many may ask at once, one asks the provider
            if self._clock.now() > known.due_at:
                try:
                    await self._read(provider, self._accepted(provider))
                except ProxyError as error:
                    known.error, known.due_at = error, self._clock.now() + RETRY_S
            if known.read_at is None and known.error is not None:
                raise known.error
        return known.models

    async def check(self, provider: Provider, key: Key) -> KeyChecked:
        """Try a key by asking for the list, and remember whether it was rejected."""
        place = (provider.name, key.name)
        try:
            count = await self._read(provider, key)
        except KeyRejected as error:
            self._rejected.add(place)
            return KeyChecked(*place, KeyState.DISABLED, None, error.message)
        except ProxyError as error:
            return KeyChecked(*place, KeyState.ACTIVE, None, error.message)
        self._rejected.discard(place)
        return KeyChecked(*place, KeyState.ACTIVE, count, "accepted")

    def learn(self, provider: str, key: str, *, rejected: bool) -> KeyChecked | None:
        """What a call tells of its key, if that is news."""
        place = (provider, key)
        if rejected is (place in self._rejected):
            return None
        if rejected:
            self._rejected.add(place)
            return KeyChecked(*place, KeyState.DISABLED, None, "rejected by the provider")
        self._rejected.discard(place)
        return KeyChecked(*place, KeyState.ACTIVE, None, "accepted again")

    async def _read(self, provider: Provider, key: Key) -> int:
        body = await provider.get("models", key, limit=_MAX_LIST_BYTES)
        try:
            entries = orjson.loads(body)["data"]
            models = {_bare(entry["id"]): entry for entry in entries[:_MAX_MODELS]}
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise BadAnswer(f"{provider.name} answered GET /models without a list") from error
        known = self._lists.setdefault(provider.name, _List())
        known.models, known.read_at = models, self._clock.now()
        for target in [each for each in self._gone if each.provider == provider.name]:
            if target.model in models:
                del self._gone[target]
        known.due_at = known.read_at + FRESH_S
        return len(models)


def _bare(id: str) -> str:
    """Gemini lists `models/gemini-...` but wants the bare id in requests."""
    return id.removeprefix("models/")
