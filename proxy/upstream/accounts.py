"""Which keys share an organisation, hence its quotas.

The configuration says it, and by default all keys of a provider share one: to count too little is
worse than to wait. A refusal names the organisation of its key, and wins over the configuration.
The id is kept as a salted hash only, and never shown.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from proxy.core.events import AccountsChanged, Event

SHARED = "shared"  # the label of keys of which nothing is said


@dataclass(frozen=True, slots=True)
class Joined:
    """These keys turned out to share one organisation: `account` is its label."""

    account: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """This key turned out to have an organisation of its own, now labelled `account`."""

    account: str
    key: str


class Accounts:
    """The labels of the organisations behind all keys.

    `orgs` is the configuration: by provider and key, the label of its organisation, or None.
    """

    def __init__(
        self, orgs: Mapping[tuple[str, str], str | None], on_event: Callable[[Event], None]
    ) -> None:
        self._on_event = on_event
        self._salt = secrets.token_bytes(16)
        self._labels: dict[tuple[str, str], str] = {}
        self._told: dict[tuple[str, str], bytes] = {}  # what refusals named, hashed
        self._configured: Mapping[tuple[str, str], str | None] = {}
        self.configure(orgs)

    def configure(self, orgs: Mapping[tuple[str, str], str | None]) -> None:
        """Take over a new configuration; what was learned of keys whose entry is the same stays."""
        kept = {place for place, org in orgs.items() if self._configured.get(place, "") == org}
        self._labels = {
            place: self._labels[place] if place in kept else org or SHARED
            for place, org in orgs.items()
        }
        self._told = {place: told for place, told in self._told.items() if place in kept}
        self._configured = dict(orgs)

    def of(self, provider: str, key: str) -> str:
        """The label of the organisation behind a key."""
        return self._labels.get((provider, key), SHARED)

    def heard(self, provider: str, key: str, org: str) -> Joined | Split | None:
        """What changes now that a refusal named the organisation of `key`; None: nothing."""
        place = (provider, key)
        if place not in self._labels:
            return None
        told = blake2b(org.encode("utf-8", "replace"), key=self._salt, digest_size=16).digest()
        self._told[place] = told
        own = self._labels[place]
        alike = next(
            (
                self._labels[other]
                for other in self._others(provider, key)
                if self._told.get(other) == told and self._labels[other] != own
            ),
            None,
        )
        companions = [one for one in self._others(provider, key) if self._labels[one] == own]
        at_odds = any(self._told.get(one, told) != told for one in companions)
        if alike is not None:
            # What is said of the others still holds, unless a refusal said otherwise.
            return self._join(provider, [place] if at_odds else [place, *companions], alike)
        return self._split(provider, key) if at_odds else None

    def _others(self, provider: str, key: str) -> list[tuple[str, str]]:
        return [one for one in self._labels if one[0] == provider and one[1] != key]

    def _join(self, provider: str, places: list[tuple[str, str]], account: str) -> Joined:
        for place in places:
            self._labels[place] = account
        keys = tuple(
            one[1] for one, label in self._labels.items() if one[0] == provider and label == account
        )
        self._on_event(AccountsChanged(provider, keys, joined=True))
        return Joined(account, keys)

    def _split(self, provider: str, key: str) -> Split:
        label = key
        while any(self._labels[other] == label for other in self._others(provider, key)):
            label += "'"
        self._labels[provider, key] = label
        self._on_event(AccountsChanged(provider, (key,), joined=False))
        return Split(label, key)
