"""One call, as the cache sees it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from proxy.cache.semantic import Asked
from proxy.cache.tap import Tap
from proxy.cache.wishes import Wishes
from proxy.core.call import Call, Target
from proxy.core.journal import CacheRecord


@dataclass(slots=True, eq=False)
class Question:
    """What one call is to the cache. `why` says why it is none of its business, "" if it is."""

    call: Call  # as the client sent it
    targets: Sequence[Target]  # who may answer, in this order
    wishes: Wishes
    why: str
    ttl_s: float  # for which answers are kept at the longest
    key: str = ""  # of the answer
    partition: str = ""  # all but the last question
    scope: str = ""  # the circle that shares it
    record: CacheRecord = field(default_factory=CacheRecord)
    tap: Tap | None = None  # what heard the answer
    seconds: float = 0.0  # that the answer took
    is_read: bool = False  # `near` is known
    near: Asked | None = None  # its last turn, where it may be answered by meaning
    informed: Call | None = None  # the call with what was put in from documents

    @property
    def longest_s(self) -> float:
        """How old a kept answer may be."""
        wished_s = self.wishes.max_age_s
        return self.ttl_s if wished_s is None else min(wished_s, self.ttl_s)

    @property
    def kept_s(self) -> float:
        """How long an answer to it is kept."""
        wished_s = self.wishes.ttl_s
        return self.ttl_s if wished_s is None else wished_s

    @property
    def sent(self) -> Call:
        """The call as providers get it."""
        return self.informed or self.call

    @property
    def asked(self) -> Target:
        """Whose answer is wanted: no other is kept."""
        return self.targets[0]

    @property
    def shared(self) -> bool:
        """Whether a flight may be shared: only by calls that may both read and write the cache."""
        wishes = self.wishes
        return not self.why and wishes.read and wishes.write and not wishes.only_if_cached

    def flight(self, *, capped: bool) -> Hashable:
        """The flight that it takes; `capped` where our budgets may cap the answer.

        Others on it are calls with the same answer that go the same way: to the same targets, for
        the same time, in as many attempts, with the same events in their stream.
        """
        if not self.shared:
            return self.call.id
        call, body = self.call, self.call.body
        events = body.get("stream_options") if isinstance(body, dict) and call.stream else None
        targets = self.targets if call.fallback else self.targets[:1]
        told = None if events is None else repr(events)
        way = (call.stream, told, call.timeout_s, call.repeats, capped, self.wishes.ttl_s)
        return (self.key, way, *targets)
