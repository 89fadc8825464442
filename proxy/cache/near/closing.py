"""The question at the end of a longer text: what comes before it makes two texts look alike."""

import re
from functools import lru_cache
from typing import Final

from proxy.cache.near.reading import Reading, read

_PARTS: Final = re.compile(r"(?<=\w\w\w[.?!])\s+|(?<=\w['\")\]][.?!])\s+|\n+")
_MOST: Final = 3  # parts without content that are passed over: thanks, greetings
_LABEL: Final = re.compile(
    r"\A\s*(?:question|q|task|query|user|prompt|instructions?)\s*:\s*", re.IGNORECASE
)


@lru_cache(64)
def closing(reading: Reading) -> Reading:
    """Of a text of several sentences or lines the last one that asks; any other as it is."""
    parts = [part for part in _PARTS.split(reading.text) if part.strip()]
    if len(parts) < 2:
        return reading
    asking = [part for part in parts if part.rstrip(" \t\"')").endswith("?")]
    for part in (asking or parts)[: -_MOST - 1 : -1]:
        found = read(_LABEL.sub("", part))
        if found.stems or found.spans:
            return found
    return reading
