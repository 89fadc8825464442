"""Wrong keys, counted by where they come from: guessing is slow, and a right key always counts."""

import ipaddress
import math
from collections import OrderedDict
from typing import Final

from proxy.core.clock import Clock
from proxy.core.errors import Unauthenticated

MOST: Final = 100  # in a row
EVERY_S: Final = 6.0  # then one in so many seconds

_MOST_PLACES = 10_000  # that are remembered; the one that was quiet longest is forgotten
_NET = 64  # bits of an IPv6 address that tell one customer of a provider from another


class TooManyWrongKeys(Unauthenticated):
    """Too many wrong keys came from one address."""

    status, type, code = 429, "rate_limit_error", "too_many_wrong_keys"


class Knocks:
    """Counts for one process; several allow as many times more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Place -> when all that came from there is forgiven ("generic cell rate algorithm").
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()

    def wrong(self, address: str) -> None:
        """Count a wrong key from `address`; raises `TooManyWrongKeys`."""
        place, now = _place(address), self._clock.now()
        forgiven_at = max(self._forgiven_at.get(place, 0.0), now) + EVERY_S
        wait_s = forgiven_at - now - MOST * EVERY_S
        if wait_s > 0:
            # Not counted: whoever waits as told is heard, however often he has come too early.
            raise TooManyWrongKeys(
                "too many wrong keys came from your address; a right one is let in at once",
                headers={"retry-after": str(math.ceil(wait_s))},
            )
        self._forgiven_at[place] = forgiven_at
        self._forgiven_at.move_to_end(place)
        if len(self._forgiven_at) > _MOST_PLACES:
            self._forgiven_at.popitem(last=False)


def _place(address: str) -> str:
    """What is counted together: an IPv4 address, an IPv6 network, else the text itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(int(ip) >> (128 - _NET))
    return str(ip)
