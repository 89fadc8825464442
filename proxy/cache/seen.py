"""What was seen of hits, as people look at it."""

from dataclasses import dataclass

from proxy.cache.bins import Why
from proxy.cache.circles import Count, stand_for
from proxy.stores.protocols import Tally


@dataclass(frozen=True, slots=True)
class Seen:
    """One bin of all circles as people look at it. Shares are of wrong hits.

    `point` is the share among the hits that the audits stand for, as far as they could judge;
    `unsure_share` is that of audits which could not. `upper` is what is held against
    the target: the least bound of all stretches that the bin belongs to, with what was tested
    before; `upper_own` is that by audits alone. `right`, `wrong`, `unsure` and `noise` have faded,
    `audits` and `complaints` have not. `why` holds for a circle that has seen nothing yet, or for
    the only one; `served` is the share of circles that are served, of those that audits looked at
    or that asked this worker.
    """

    bin: str
    why: Why
    right: float
    wrong: float
    unsure: float
    noise: float
    audits: int
    complaints: int
    unsure_share: float
    point: float
    upper: float
    upper_own: float
    served: float


def as_seen(tally: Tally, why: Why, upper: float, upper_own: float, served: float) -> Seen:
    """What `tally` comes to; all else is told as it is."""
    counts = (tally.right, tally.wrong, tally.unsure, tally.noise, tally.audits, tally.complaints)
    looked = tally.right + tally.wrong + tally.unsure
    unsure = tally.unsure / looked if looked else 0.0
    point = Count(tally.hits - tally.bad_hits, tally.bad_hits * stand_for(unsure)).share
    return Seen(tally.bin, why, *counts, unsure, point, upper, upper_own, served)


def counted(tally: Tally) -> Count:
    """What the audits of a tally stand for, for those of all circles alike."""
    return Count(tally.right, tally.wrong, tally.unsure).weighed
