"""The refilling buckets of one quota domain, and all sums on them.

Groq counts with buckets that refill all the time: of a limit L and a window W, L/W drain a second.
A call that needs n fits while `used + n <= L`, else after `(used + n - L) * W / L` seconds; this is
what Groq's own texts and headers compute. There is no reset.

A call counts here when it is sent and at the provider when it arrives, so our buckets would run
ahead by as much as the network wavers. Hence a bucket begins to drain only `lag_s` after its first
call.

What a provider tells replaces our count, and answers overtake each other: `seq` numbers the calls
in the order in which they were sent, and `read` is the latest of those that told of a bucket.

What a call took drains with the rest. To give it back later would take from others, so a call gets
at most what is left of all that was in the bucket when it was counted: first in, first out.
"""

import math
from dataclasses import dataclass, field, replace

from proxy.core.quota import Counts, Need, Reading, Source, Window
from proxy.upstream.board import Ledger
from proxy.upstream.plans import Limits

# Floats of draining buckets are a hair off; half a millionth of a token is worth no wait.
TOLERANCE = 5e-7
LONGEST_CLOSED_S = 2 * 86_400.0

# Spelled out once: to go through an enumeration anew costs more than all the sums.
_WINDOWS = {window.value: window for window in Window if window.seconds}
_NAMES = {window: name for name, window in _WINDOWS.items()}
_LENGTHS = {window: window.seconds for window in Window}
_FILLS = {window: window.counts for window in Window}
_COUNTS = tuple(Counts)
_SOURCES = tuple(Source)
_SOURCE_NUMBERS = {source: n for n, source in enumerate(_SOURCES)}
_OURS = {Source.PLAN, Source.COUNTED}
_CALLS, _CLOSED = "calls", "closed"  # rows of a ledger that are no buckets


@dataclass(slots=True, eq=False)
class Taken:
    """What one call took: held until it is settled or refused, once."""

    need: Need
    seq: int
    at: float  # monotonic
    marks: dict[Counts, float]  # all that was ever sent, when this call was
    shares: dict[Window, float]  # what of a bucket's level is this call's
    marked: dict[Window, float]  # `Bucket.through` at that moment
    left: list[tuple[str, float, float]]  # (window, left, limit) then, with this call counted
    open: bool = True


@dataclass(slots=True)
class Bucket:
    """One limit of a domain: `level` was in it at `at`, from when on it drains."""

    window: Window
    limit: float
    level: float
    at: float
    source: Source
    read: int = 0
    out: float = 0.0  # all that ever left it: drained, given back, or corrected away

    def used(self, now: float) -> float:
        """What is in it; above `limit` after a call that used more than expected."""
        level, spent_s = self.level, now - self.at
        if spent_s <= 0.0 or not level:  # spelled out, as nothing is asked more often
            return level
        level -= spent_s * self.limit / _LENGTHS[self.window]
        if level < 0.0:
            return 0.0
        return level

    def wait_s(self, n: float, now: float) -> float:
        """Seconds until `n` more fit, whatever `n` is."""
        excess = self.used(now) + n - self.limit
        if excess <= TOLERANCE:
            return 0.0
        return max(0.0, self.at - now) + excess * _LENGTHS[self.window] / self.limit

    def full_at(self, now: float) -> float:
        """When nothing of the limit is used any more, in monotonic seconds."""
        return max(now, self.at) + self.used(now) * self.window.seconds / self.limit

    def add(self, n: float, now: float, lag_s: float = 0.0) -> None:
        """Put `n` in without asking; negative gives back."""
        used = self.drain(now)
        self.set(used + n, self.at if used > 0 else now + lag_s)

    def drain(self, now: float) -> float:
        """Count what has left it by now as out; what is still in it."""
        used = self.used(now)
        self.out += self.level - used
        self.level = used
        if self.at < now:
            self.at = now
        return used

    def set(self, level: float, at: float) -> None:
        """Let `level` be in it, which drains from `at` on; to be drained before."""
        if level < 0.0:
            level = 0.0
        if level < self.level:
            self.out += self.level - level
        self.level, self.at = level, at

    @property
    def through(self) -> float:
        """What will have left it when all is out that is now in it."""
        return self.level + self.out

    def left_of(self, marked: float, now: float) -> float:
        """What is left of all that was in it when `through` was `marked`."""
        return max(0.0, marked - self.out - (self.level - self.used(now)))

    def share(self, need: Need) -> float:
        """What of it a call takes; one that may be too large takes it whole, and tries."""
        share = need.of(_FILLS[self.window])
        if share > self.limit:
            return self.limit
        return share


@dataclass(slots=True)
class Books:
    """A domain's ledger, read: its buckets, what was ever sent, until when it is closed."""

    buckets: dict[Window, Bucket]
    seq: int = 0
    sent: dict[Counts, float] = field(default_factory=lambda: dict.fromkeys(_COUNTS, 0.0))
    closed_until: float = 0.0
    strikes: int = 0
    struck_at: float = 0.0

    @classmethod
    def read(cls, ledger: Ledger, limits: Limits, now: float, lag_s: float) -> "Books":
        """What `ledger` holds, with the `limits` of the plan; rows that make no sense are lost."""
        books = cls({})
        for name, row in ledger.items():
            window = _WINDOWS.get(name)
            if window is not None and len(row) == 6 and row[0] > 0:
                limit, level, at, source, read, out = row
                told = _SOURCES[int(source) % len(_SOURCES)]
                books.buckets[window] = Bucket(
                    window, limit, level, min(at, now + lag_s), told, int(read), out
                )
        match ledger.get(_CALLS):
            case [seq, *sent] if len(sent) == len(_COUNTS):
                books.seq, books.sent = int(seq), dict(zip(_COUNTS, sent, strict=True))
        match ledger.get(_CLOSED):
            case [until, strikes, struck_at]:
                books.closed_until = min(until, now + LONGEST_CLOSED_S)
                books.strikes, books.struck_at = int(strikes), struck_at
        books.plan(limits, now)
        return books

    def copy(self) -> "Books":
        """Books to calculate with."""
        buckets = {window: replace(bucket) for window, bucket in self.buckets.items()}
        return replace(self, buckets=buckets, sent=dict(self.sent))

    def plan(self, limits: Limits, now: float) -> None:
        """Take over the limits of a plan, as far as nothing better is known."""
        for window, limit in limits.items():
            bucket = self.buckets.get(window)
            if bucket is None:
                self.buckets[window] = Bucket(window, limit, 0.0, now, Source.PLAN)
            elif bucket.source in _OURS:
                bucket.limit = limit  # a reload may bring another plan

    def write(self, ledger: Ledger) -> None:
        """Put all of it into `ledger`."""
        for window, bucket in self.buckets.items():
            source = _SOURCE_NUMBERS[bucket.source]
            figures = [bucket.limit, bucket.level, bucket.at, source, bucket.read, bucket.out]
            ledger[_NAMES[window]] = figures
        ledger[_CALLS] = [self.seq, *self.sent.values()]
        ledger[_CLOSED] = [self.closed_until, self.strikes, self.struck_at]

    def wait_s(self, need: Need, now: float) -> float:
        """Seconds until a call may be sent: 0 when now, infinite when it never fits."""
        wait_s = max(0.0, self.closed_until - now)
        for window, bucket in self.buckets.items():
            share = bucket.share(need)
            if share >= bucket.limit and need.least_of(_FILLS[window]) > bucket.limit:
                return math.inf
            if (for_this_s := bucket.wait_s(share, now)) > wait_s:
                wait_s = for_this_s
        return wait_s

    def take(self, need: Need, now: float, lag_s: float) -> Taken:
        """Count a call that is sent now."""
        self.seq += 1
        for counts in _COUNTS:
            self.sent[counts] += need.of(counts)
        taken = Taken(need, self.seq, now, dict(self.sent), {}, {}, [])
        for window, bucket in self.buckets.items():
            taken.shares[window] = share = bucket.share(need)
            bucket.add(share, now, lag_s)
            taken.marked[window] = bucket.through
            taken.left.append((_NAMES[window], bucket.limit - bucket.level, bucket.limit))
            if bucket.source is Source.PLAN:
                bucket.source = Source.COUNTED
        return taken

    def tell(self, taken: Taken, reading: Reading, now: float, lag_s: float) -> None:
        """Take over what the answer to a call told of a limit."""
        window = reading.window
        if reading.limit <= 0 or not _LENGTHS[window]:
            return
        bucket = self.buckets.get(window)
        if bucket is None:
            bucket = Bucket(window, reading.limit, 0.0, now, reading.source)
            self.buckets[window] = bucket
        used = bucket.drain(now)
        bucket.limit, bucket.source = reading.limit, reading.source
        if bucket.read > taken.seq:
            # Overtaken by the answer to a later call: it may be old, and can only add.
            bucket.set(max(used, reading.used), bucket.at)
            return
        counts = _FILLS[window]
        later = max(0.0, self.sent[counts] - taken.marks[counts])  # not counted there yet
        # Providers charge now what a call may use, and now what it did: see what this one was.
        share = taken.shares.get(window)
        if share is None:
            share = taken.need.of(counts)
        taken.shares[window] = min(share, max(0.0, reading.used - max(0.0, used - share - later)))
        # It may be counted there by now, and what does not fit there is refused: so whatever is
        # told, no more than the limit is in it, unless it was before.
        level = min(reading.used + later, max(reading.used, used, reading.limit))
        bucket.set(level, now + (lag_s if later else 0.0))
        bucket.read, taken.marked[window] = taken.seq, bucket.through

    def limit(self, window: Window, limit: float, now: float) -> None:
        """Take over a limit, of whose use nothing was told."""
        bucket = self.buckets.setdefault(window, Bucket(window, limit, 0.0, now, Source.BODY))
        bucket.drain(now)
        bucket.limit, bucket.source = limit, Source.BODY

    def settle(self, taken: Taken, tokens: float | None, now: float) -> None:
        """Put what a call used in the place of what it took; None gives all of it back."""
        for window, bucket in self.buckets.items():
            change = self._change(taken, bucket, tokens)
            if change < 0 and window in taken.marked:
                change = max(change, -bucket.left_of(taken.marked[window], now))
            if change:
                bucket.add(change, now)
        excess = (tokens or 0.0) - taken.need.tokens
        if excess > 0:  # answers that are on their way do not tell of it
            self.sent[Counts.TOKENS] += excess

    def _change(self, taken: Taken, bucket: Bucket, tokens: float | None) -> float:
        counts = _FILLS[bucket.window]
        share = taken.shares.get(bucket.window)
        if share is None:  # the bucket is younger than the call
            share = taken.need.of(counts) if 0 < bucket.read < taken.seq else 0.0
        if tokens is None:
            change = -share
        elif counts is Counts.TOKENS:
            change = tokens - share
        else:
            return 0.0
        # A later answer told the whole, maybe already without what we would give back.
        return max(0.0, change) if bucket.read > taken.seq else change
