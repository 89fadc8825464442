"""Which calls are traced: each call's place in a trace, and whose spans are sent."""

from random import Random
from typing import Final

from proxy.core.errors import Outcome
from proxy.core.journal import CallRecord
from proxy.core.trace import Trace, parent_of

SLOW_S: Final = 10.0  # a call that took longer is always worth a line and a trace
_RATIO_BITS: Final = 64  # the end of a trace's id decides, so that all programs decide alike


class Tracing:
    """Begins traces, and goes on with those of callers.

    Who calls decides whether a trace is sampled; of those that begin here it is a share. Off, it
    still knows the traces of callers, for the log.
    """

    def __init__(self, chance: Random) -> None:
        self._bits = chance.getrandbits
        self.configure(on=False, sample=1.0)

    def configure(self, *, on: bool, sample: float) -> None:
        """Make spans, if `on`, of that share of the traces that begin here."""
        self.on = on
        self._bound = round(sample * (1 << _RATIO_BITS))

    def begin(self, traceparent: str) -> Trace | None:
        """The place of a call that came with this header ("" where there was none)."""
        parent = parent_of(traceparent) if traceparent else None
        if not self.on:
            return None if parent is None else Trace(parent[0], "", parent[1], sampled=False)
        span_id = f"{self._bits(_RATIO_BITS) or 1:016x}"
        if parent is not None:
            return Trace(parent[0], span_id, parent[1], parent[2])
        end = self._bits(_RATIO_BITS)
        trace_id = f"{self._bits(_RATIO_BITS) or 1:016x}{end:016x}"
        return Trace(trace_id, span_id, "", end < self._bound)


def kept(record: CallRecord) -> Trace | None:
    """The trace of a call whose spans are sent: it is sampled, or went wrong, or was slow."""
    trace = record.trace
    if trace is None or not trace.span_id:
        return None
    if trace.sampled or record.outcome is not Outcome.OK or record.duration_s >= SLOW_S:
        return trace
    return None
