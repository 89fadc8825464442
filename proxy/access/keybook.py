"""How virtual keys come and go: what `groq-proxy keys` and `/admin/keys` do."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from proxy.access.keys import KEY
from proxy.access.virtual_key import (
    PREFIX,
    Former,
    State,
    VirtualKey,
    decoded,
    encoded,
    hashed,
    of_settings,
)
from proxy.config.errors import ConfigError
from proxy.config.new_key import NewKey, new_key
from proxy.config.settings import Config
from proxy.config.units import moment, pause
from proxy.core.clock import Clock
from proxy.core.errors import CallerError, InvalidRequest, NotFound, StoreUnavailable
from proxy.stores.protocols import Kept, Records, StoreFailed

OVERLAP: Final = "1h"  # for which the old secret of a rotated key still counts

_NAME: Final = "key_name"  # the kind of the records that say whose a name is
_MAKING_S = 10.0  # a name whose key is not there after so long has lost its maker
_TRIES = 10  # to change what others change at the same time


class UnknownKey(NotFound):
    """There is no such key."""

    code = "unknown_key"


class KeyConflict(CallerError):
    """The key, or another one, does not allow this."""

    status, code = 409, "key_conflict"


@dataclass(frozen=True, slots=True)
class Made:
    """A key with its new secret, which is nowhere else and cannot be shown again."""

    key: VirtualKey
    secret: str = field(repr=False)


class KeyBook:
    """Makes, shows and ends keys. What a user can cause is a `CallerError`.

    Keys are named by their id, or by a name that only one of them has; of several the one that is
    active is meant. `StoreUnavailable` is raised where the store does not answer.
    """

    def __init__(self, records: Records, clock: Clock, config: Callable[[], Config]) -> None:
        """`config` is the one in force, whose keys count too."""
        self._records = records
        self._clock = clock
        self._config = config

    async def create(self, wish: Mapping[str, object]) -> Made:
        """A key by the terms of `wish`: a name, and what else the `keys` of the file have.

        `expires` is a date (it counts to that day's end) or a duration. `InvalidRequest` names the
        field that is wrong in `param`.
        """
        terms, expires = self._terms(wish)
        id, secret = f"k_{secrets.token_hex(6)}", _new_secret()
        key = VirtualKey(
            id=id,
            name=terms.name,
            sha256=hashed(secret),
            hint=secret[-4:],
            team=terms.team or "",
            models=terms.models,
            endpoints=terms.endpoints,
            rag=terms.rag,
            budgets=terms.budgets,
            limits=terms.limits,
            created=self._clock.wall(),
            expires=expires,
        )
        with _store():
            await self._claim(key)
            if await self._records.put(KEY, id, encoded(key), expected=0) is None:
                raise KeyConflict("the id was taken already; try again")  # once in 2**48
        return Made(key, secret)

    async def all(self) -> Sequence[VirtualKey]:
        """All keys: those of the configuration, then the others as they were made."""
        with _store():
            kept = await self._records.since(KEY)
        stored = filter(None, (decoded(each) for each in kept if each.value is not None))
        made = sorted(stored, key=lambda key: (key.created or 0.0, key.id))
        return [*map(of_settings, self._config().keys), *made]

    async def find(self, named: str) -> VirtualKey:
        """The key of that id or name."""
        if named.startswith(PREFIX):
            raise InvalidRequest("a key is named by its id or its name, never by its secret")
        keys, now = await self.all(), self._clock.wall()
        if found := [key for key in keys if key.id == named]:
            return found[0]
        found = [key for key in keys if key.name == named]
        active = [key for key in found if key.state(now) is State.ACTIVE]
        found = active or found
        if not found:
            raise UnknownKey(f"there is no key {named[:100]!r}; `groq-proxy keys list` shows all")
        if len(found) > 1:
            ids = ", ".join(key.id for key in found)
            raise KeyConflict(f"{len(found)} keys are called {named!r}; name one by its id: {ids}")
        return found[0]

    async def disable(self, named: str) -> VirtualKey:
        """The key, which counts no more, for good; its name is free."""

        def disabled(key: VirtualKey) -> VirtualKey:
            return key if key.disabled else replace(key, disabled=self._clock.wall())

        return await self._change(named, disabled)

    async def rotate(self, named: str, overlap: str = OVERLAP) -> Made:
        """The key with a new secret; the old one counts on for `overlap`, older ones end now."""
        try:
            overlap_s = pause(overlap)
        except ValueError as error:
            raise InvalidRequest(f"overlap: {error}", param="overlap") from None
        secret = _new_secret()

        def rotated(key: VirtualKey) -> VirtualKey:
            now = self._clock.wall()
            if (state := key.state(now)) is not State.ACTIVE:
                raise KeyConflict(f"key {key.id} is {state}; make a new one")
            former = Former(key.sha256, now + overlap_s) if overlap_s else None
            return replace(key, sha256=hashed(secret), hint=secret[-4:], former=former)

        return Made(await self._change(named, rotated), secret)

    def _terms(self, wish: Mapping[str, object]) -> tuple[NewKey, float | None]:
        """What is wished for, and when the key expires."""
        try:
            terms = new_key(wish)
            if terms.name.startswith(PREFIX):
                raise InvalidRequest(
                    f"name: must not begin with {PREFIX}, as secrets do", param="name"
                )
            if terms.expires is None:
                return terms, None
            zone = self._config().budgets.zone
            return terms, moment(terms.expires, self._clock.wall(), zone)
        except ConfigError as error:
            raise InvalidRequest(str(error), param=error.path) from None
        except ValueError as error:
            raise InvalidRequest(f"expires: {error}", param="expires") from None

    async def _claim(self, key: VirtualKey) -> None:
        """Take the name of a key that is about to be made; `KeyConflict` where it is another's."""
        if all(each.name != key.name for each in self._config().keys):
            value = orjson.dumps({"key": key.id, "at": key.created})
            for _ in range(_TRIES):
                claim = await self._records.get(_NAME, key.name)
                if claim is not None and await self._holds(claim):
                    break
                version = 0 if claim is None else claim.version
                if await self._records.put(_NAME, key.name, value, expected=version):
                    return
        raise KeyConflict(
            f"the name {key.name!r} is taken; disable its key, or choose another name"
        )

    async def _holds(self, claim: Kept) -> bool:
        """Whether a name still belongs to the key that claimed it."""
        told, now = orjson.loads(claim.value or b"{}"), self._clock.wall()
        kept = await self._records.get(KEY, str(told.get("key")))
        if kept is None:
            return bool(now < float(told.get("at", 0.0)) + _MAKING_S)
        key = decoded(kept)
        return key is not None and key.state(now) is State.ACTIVE

    async def _change(self, named: str, edit: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Replace a key by what `edit` makes of it, whoever else does so too."""
        id = (found := await self.find(named)).id
        if found.created is None:
            raise KeyConflict(f"key {id} stands in the configuration file; change it there")
        with _store():
            for _ in range(_TRIES):
                kept = await self._records.get(KEY, id)
                key = None if kept is None else decoded(kept)
                if kept is None or key is None:
                    raise UnknownKey(f"key {id} is gone, or cannot be read")
                changed = edit(key)
                if changed is key or await self._records.put(
                    KEY, id, encoded(changed), expected=kept.version
                ):
                    return changed
        raise KeyConflict(f"key {id} is being changed by others all the time; try again")


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


@contextmanager
def _store() -> Iterator[None]:
    try:
        yield
    except StoreFailed as error:
        raise StoreUnavailable(
            f"the store of keys does not answer: {error}", code="key_store_unavailable"
        ) from error
