"""Who may come in: whoever has a key; while none is needed, the right `Host` and `Origin`.

An open gateway on loopback is still reachable by any web page in the same machine's browser, by DNS
rebinding or by a plain cross-site request. Both carry a name that is not ours. Where keys are
needed, neither is looked at: a page of others has no key, and the gateway may have any name.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from proxy.config.names import Address
from proxy.config.settings import Config
from proxy.core.call import ANYONE, Caller
from proxy.core.errors import Forbidden

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]*[a-z0-9_-])\.?)(?::\d{1,5})?")


class Keys(Protocol):
    """What is wanted of the virtual keys."""

    @property
    def closed(self) -> bool:
        """Whether a call needs a key."""
        ...

    def authenticate(self, header: str, address: str) -> Caller:
        """The caller behind an `Authorization` header; raises `Unauthenticated`."""
        ...


class Door:
    """Lets callers in, or says why not."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self._keys = keys
        self._listen = [each for each in (config.listen, config.admin_listen) if each]
        self._origins = frozenset(config.cors_origins)
        self._ours = lru_cache(maxsize=256)(self._is_ours)

    def enter(self, headers: Mapping[str, str], address: str) -> Caller:
        """The caller behind a request from `address`; raises `Unauthenticated` or `Forbidden`.

        While open, a key that is sent all the same is not looked at: SDKs do not work without one.
        """
        if self._keys.closed:
            return self._keys.authenticate(headers.get("Authorization", ""), address)
        self.visit(headers.get("Host", ""), headers.get("Origin", ""))
        return ANYONE

    def visit(self, host: str, origin: str) -> None:
        """Let in whoever wants no call, and so needs no key; raises `Forbidden`.

        "" is a header that was not sent.
        """
        if self._keys.closed:
            return
        if host and not self._ours(host):
            raise Forbidden(
                f"Host {host[:100]!r} is not this gateway's address; it is open without a key and"
                " therefore answers only to its own names",
                code="host_not_allowed",
            )
        if origin and not self.allows(origin, host):
            raise Forbidden(
                f"Origin {origin[:100]!r} is not listed in cors_origins", code="origin_not_allowed"
            )

    def allows(self, origin: str, host: str) -> bool:
        """Whether a page of `origin` may call: one that is listed, or one that we served."""
        origin = origin.lower()
        return origin in self._origins or (origin == f"http://{host.lower()}" and self._ours(host))

    def _is_ours(self, host: str) -> bool:
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match["v6"] or match["name"]
        return _is_loopback(name) or any(_is_listen(name, each) for each in self._listen)


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_listen(name: str, listen: Address) -> bool:
    """Whether `name` is the address we listen on.

    Listening on all addresses, that is any IP address and any name without a dot (a container's, a
    host's in the local network): an attacker's page cannot be served under either.
    """
    if name == listen.host.lower():
        return True
    if not listen.wildcard or not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in name
    return True
