"""A cached value as it is kept: with its times, and a checksum over all of it.

A store may hand out what was half written, changed on disk, or kept under another key. Such a value
is none.
"""

from hashlib import blake2b
from random import Random
from struct import Struct
from typing import Final

from proxy.stores.protocols import Value

_MARK: Final = b"gpv1"  # what follows is laid out in this way
_DIGEST_BYTES: Final = 16
_HEAD: Final = Struct(">4sdd16s")  # mark, stored at, expires at, checksum
_CHECKED: Final = _HEAD.size - _DIGEST_BYTES  # the head's bytes before the checksum

JITTER: Final = 0.1  # of a time to live, downwards only: nothing lives longer than it may


def lifetime(ttl_s: float, random: Random) -> float:
    """Seconds for which a value is kept: `ttl_s` at the most."""
    return ttl_s * (1 - JITTER * random.random())


def seal(key: str, value: Value) -> bytes:
    """What is to be kept of `value`."""
    head = _HEAD.pack(_MARK, value.stored_at, value.expires_at, bytes(_DIGEST_BYTES))[:_CHECKED]
    return b"".join((head, _checksum(key, head, value.data), value.data))


def unseal(key: str, sealed: object) -> Value | None:
    """What `seal` was given; None where `sealed` is not exactly what it made for that key."""
    if type(sealed) is not bytes or len(sealed) < _HEAD.size:
        return None
    mark, stored_at, expires_at, checksum = _HEAD.unpack_from(sealed)
    data = sealed[_HEAD.size :]
    if mark != _MARK or checksum != _checksum(key, sealed[:_CHECKED], data):
        return None
    return Value(data, stored_at, expires_at)


def _checksum(key: str, head: bytes, data: bytes) -> bytes:
    name = key.encode()
    made = blake2b(b"%d " % len(name), digest_size=_DIGEST_BYTES)
    for part in (name, head, data):
        made.update(part)
    return made.digest()
