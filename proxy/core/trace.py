"""Which trace a call belongs to, and how traces are named between programs.

Source: W3C Trace Context, level 1. Names travel in the header `traceparent`:
`00-TRACE-PARENT-FLAGS`, in lower-case hex digits. What does not look so is as if it were not there.
"""

import re
from typing import Final

from proxy.core.light import light

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@light
class Trace:
    """The place of a call in a trace. Ids are in hex.

    `span_id` is the call's own; "" where no spans are made of it. `parent_id` is the span of who
    called, "" where the trace begins here. `sampled` says that it is sent whatever comes of it.
    """

    trace_id: str
    span_id: str
    parent_id: str
    sampled: bool


def parent_of(header: str) -> tuple[str, str, bool] | None:
    """Trace, span and whether it is sampled, as `traceparent` names them."""
    found = _TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    # Later versions may say more at the end; of the first one, nothing more is right.
    if version == "ff" or (version == "00" and rest):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return trace_id, span_id, bool(int(flags, 16) & _SAMPLED)
