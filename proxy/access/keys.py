"""Virtual keys as every worker knows them: from the secret that came with a call to its caller."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hmac import compare_digest
from math import inf
from typing import Final, Literal

from proxy.access.knocks import Knocks
from proxy.access.virtual_key import VirtualKey, decoded, hashed, of_settings
from proxy.config.settings import Config
from proxy.core.call import Caller
from proxy.core.clock import Clock
from proxy.core.errors import Unauthenticated
from proxy.stores.protocols import Kept, Records, StoreFailed

KEY: Final = "key"  # the kind of their records

_AUTH, _CLOSED = "auth", "closed"  # the record that remembers keys of the configuration
_ALL_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What a record of that version holds; None where it is gone or cannot be read."""

    version: int
    key: VirtualKey | None


@dataclass(frozen=True, slots=True)
class _Way:
    """A secret that leads to a caller, until `ends` (Unix seconds)."""

    sha256: str
    caller: Caller
    ends: float = inf
    disabled: bool = False


_NOWHERE = _Way("0" * 64, Caller("", ""))


class VirtualKeys:
    """All keys, in memory. `refresh` keeps them in step with the store and the other workers.

    Before the first `refresh` and `configure` nobody comes in. `knocks` counts wrong keys.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self.knocks = Knocks(clock)
        self._records = records
        self._clock = clock
        self._auth: Literal["auto", "keys", "none"] = "keys"
        self._loopback = False
        self._configured: tuple[VirtualKey, ...] = ()
        self._known: dict[str, _Known] = {}
        self._version = 0
        self._ways: dict[str, _Way] = {}
        self._ever: bool | None = None  # whether there ever was a key; None: not known yet
        self._remembered = False  # by the store, that there was
        self._refreshing = asyncio.Lock()
        self._all_again_at = 0.0

    def configure(self, config: Config) -> None:
        """Go by `config` from now on."""
        self._auth, self._loopback = config.auth, config.listen.loopback
        self._configured = tuple(map(of_settings, config.keys))
        if self._configured:
            self._ever = True
        self._index()

    @property
    def closed(self) -> bool:
        """Whether a call needs a key. By `auto` that is for good once there was one.

        So it is wherever other machines may call, until `auth: none` is written out.
        """
        if self._auth == "auto":
            return not self._loopback or self._ever is not False
        return self._auth == "keys"

    @property
    def callers(self) -> Sequence[Caller]:
        """Whoever could call now, each once."""
        wall = self._clock.wall()
        counting = (way for way in self._ways.values() if not way.disabled and wall < way.ends)
        return list({way.caller.key_id: way.caller for way in counting}.values())

    def authenticate(self, header: str, address: str) -> Caller:
        """The caller behind an `Authorization` header; raises `Unauthenticated`.

        Wrong keys from one `address` are `TooManyWrongKeys` (429) in the end. The secret is found
        by its hash: how long that takes tells nothing of any key.
        """
        scheme, _, secret = header.partition(" ")
        if scheme.lower() != "bearer" or not (secret := secret.strip()):
            raise _refusal("missing", "this gateway wants a key: send Authorization: Bearer KEY")
        found = hashed(secret)
        way = self._ways.get(found, _NOWHERE)
        if not compare_digest(way.sha256, found):
            self.knocks.wrong(address)
            raise _refusal("unknown_key", "this key is not known here")
        # From here on the secret was right, and its owner may know what became of it.
        if way.disabled:
            raise _refusal("disabled", "this key was disabled")
        if self._clock.wall() >= way.ends:
            raise _refusal("expired", "this key has expired, or was replaced by a new one")
        return way.caller

    async def refresh(self) -> None:
        """Take over what changed in the store; raises `StoreFailed`, and then all stays as it is.

        Once a second, a change counts within a second. Once a minute it looks at all records, for
        a store that was emptied and counts its versions from 1 again.
        """
        async with self._refreshing:
            now, known, version = self._clock.now(), self._known, self._version
            all_again = now >= self._all_again_at
            if all_again:
                known, version = {}, 0
            changed = await self._records.since(KEY, version)
            if all_again:
                self._all_again_at = now + _ALL_AGAIN_S
            known = known | {each.id: self._latest(each) for each in changed}
            self._version = max([version, *(each.version for each in changed)])
            if known != self._known:
                self._known = known
                self._index()
            await self._remember()

    async def catch_up(self) -> None:
        """`refresh` at once after a change; where the store fails now, the next one does."""
        with suppress(StoreFailed):
            await self.refresh()

    def _latest(self, kept: Kept) -> _Known:
        known = self._known.get(kept.id)
        if known is not None and known.version == kept.version:
            return known
        return _Known(kept.version, None if kept.value is None else decoded(kept))

    async def _remember(self) -> None:
        """Learn whether there ever was a key, and keep it where keys are of the configuration."""
        if self._remembered:
            return
        if self._known or await self._records.get(_AUTH, _CLOSED) is not None:
            self._ever = self._remembered = True
        elif self._ever:
            await self._records.put(_AUTH, _CLOSED, b"true", expected=0)
            self._remembered = True
        else:
            self._ever = False

    def _index(self) -> None:
        stored = (each.key for each in self._known.values())
        keys = (*filter(None, stored), *self._configured)
        self._ways = {way.sha256: way for key in keys for way in _ways(key)}


async def ever_made(records: Records) -> bool:
    """Whether there ever was a key, as far as the store remembers; raises `StoreFailed`."""
    return bool(await records.since(KEY)) or await records.get(_AUTH, _CLOSED) is not None


def _ways(key: VirtualKey) -> Iterator[_Way]:
    caller, disabled = key.caller(), key.disabled is not None
    ends = inf if key.expires is None else key.expires
    if key.former is not None:
        yield _Way(key.former.sha256, caller, min(ends, key.former.until), disabled)
    yield _Way(key.sha256, caller, ends, disabled)


def _refusal(reason: str, message: str) -> Unauthenticated:
    error = Unauthenticated(message, headers={"www-authenticate": "Bearer"})
    error.reason = reason
    return error
