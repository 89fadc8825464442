"""What need not be asked again: finds kept answers, and keeps new ones."""

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from proxy.cache.fingerprint import Fingerprint, cacheable, fingerprint, scope_of
from proxy.cache.kept import About, Kept, read
from proxy.cache.tap import Tap
from proxy.cache.wishes import Wishes, wishes
from proxy.cache.worth import why_not, written
from proxy.config.settings import CacheSettings
from proxy.core.call import Call, Caller, Reply, Target
from proxy.core.clock import Clock
from proxy.core.errors import NotCached, StoreUnavailable
from proxy.core.journal import CacheRecord
from proxy.stores.protocols import StoreFailed, Values

_MOST_KEEPING = 64  # answers on their way to the store; more are let go
_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Question:
    """What one call is to the cache. `why` says why it is none of its business, "" if it is."""

    call: Call
    targets: Sequence[Target]  # who may answer, in this order
    wishes: Wishes
    why: str
    ttl_s: float  # for which answers are kept at the longest
    key: str = ""  # of the answer
    scope: str = ""  # the circle that shares it
    record: CacheRecord = field(default_factory=CacheRecord)
    tap: Tap | None = None  # what heard the answer
    seconds: float = 0.0  # that the answer took

    @property
    def longest_s(self) -> float:
        """How old a kept answer may be."""
        wished_s = self.wishes.max_age_s
        return self.ttl_s if wished_s is None else min(wished_s, self.ttl_s)

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


class Answers:
    """The exact cache of one configuration."""

    def __init__(
        self,
        values: Values,
        settings: CacheSettings,
        base_urls: Mapping[str, str],
        clock: Clock,
        on_trouble: Callable[[str], None],
        on_stored: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`base_urls`: of the providers. `on_trouble` hears what the store failed to do.

        `on_stored` hears what came of each answer that might be kept: ok, skipped or error.
        """
        self._values = values
        self._settings = settings
        self._ceiling = Wishes(
            tiers="exact" if settings.exact.enabled else "off", ttl_s=settings.exact.ttl
        )
        self._base_urls = base_urls
        self._clock = clock
        self._on_trouble = on_trouble
        self._on_stored = on_stored
        self._keeping = 0

    def ask(self, call: Call, targets: Sequence[Target], headers: Mapping[str, str]) -> Question:
        """What `call` is to the cache; raises `InvalidRequest` for wishes that mean nothing."""
        wished = wishes(headers, call.cache).and_also(self._ceiling)
        record = CacheRecord()
        why = "disabled" if wished.tiers == "off" else cacheable(call)
        if why:
            return Question(call, targets, wished, why, 0.0, record=record)
        record.word = "miss"
        scope = scope_of(call.caller, self._settings.share)
        asked = targets[0]
        # A provider without a usable key has none; what another answers in its place is not kept.
        base_url = self._base_urls.get(asked.provider, "")
        same: Fingerprint = fingerprint(call, asked, base_url, scope, namespace=wished.namespace)
        ttl_s = self._settings.exact.ttl
        return Question(call, targets, wished, "", ttl_s, same.exact, scope, record)

    async def find(self, question: Question) -> Reply | None:
        """A kept answer; raises `NotCached` where no other is wanted. The record says why not."""
        record = question.record
        found = None
        if not question.why:
            found = await self._found(question) if question.wishes.read else None
            if not question.wishes.read:
                record.why = "asked"
        if found is None and question.wishes.only_if_cached:
            raise NotCached("no answer is kept for this call, and no other is wanted")
        return found

    async def _found(self, question: Question) -> Reply | None:
        record, began = question.record, self._clock.now()
        try:
            value = await self._values.get(question.key)
        except StoreFailed as error:
            self._on_trouble("get")
            _log.debug("a kept answer could not be read: %s", error)
            record.why, record.lookup = "store", "error"
            return None
        finally:
            record.lookup_s = self._clock.now() - began
        kept = None if value is None else read(value.data)
        if value is None or kept is None:
            record.why, record.lookup = "absent", "miss"
            return None
        age_s = max(0.0, self._clock.wall() - value.stored_at)
        if age_s > question.longest_s:
            record.why, record.lookup = "stale", "stale"
            return None
        record.word, record.lookup, record.entry = "exact", "hit", question.key
        record.age_s = age_s
        record.usage, record.finish_reason = kept.about.usage, kept.about.finish_reason
        record.saved_s = max(0.0, kept.about.seconds - record.lookup_s)
        return kept.replay(question.call, age_s=age_s, entry=question.key)

    def tap(self, question: Question, reply: Reply) -> Reply:
        """`reply` to be passed on; where it may be kept, it is heard."""
        if question.why or not question.wishes.write:
            return reply
        question.tap = tap = Tap(reply)
        return Reply(reply.head, tap, reply.summary)

    async def keep(self, question: Question) -> None:
        """Keep the answer to `question` that was heard, if it is worth it."""
        tap = question.tap
        if tap is None:
            return
        if not tap.summary.ended or self._keeping >= _MOST_KEEPING:
            self._on_stored("skipped")
            return
        data = _written(question, tap)
        if data is None:
            self._on_stored("skipped")
            return
        self._keeping += 1
        try:
            await self._put(question, data)
        finally:
            self._keeping -= 1

    async def _put(self, question: Question, data: bytes) -> None:
        ttl_s = question.wishes.ttl_s
        assert ttl_s is not None  # the configuration has one
        try:
            await self._values.put(question.key, data, ttl_s)
        except StoreFailed as error:
            self._on_trouble("put")
            self._on_stored("error")
            _log.debug("an answer could not be kept: %s", error)
        else:
            self._on_stored("ok")

    async def judge(self, caller: Caller, entry: str, *, good: bool) -> bool:
        """Hear what `caller` says of a kept answer, by its id; one that is not good is forgotten.

        False where none is kept that this caller shares, and then nothing is done. Raises
        `StoreUnavailable`.
        """
        try:
            value = await self._values.get(entry)
            kept = None if value is None else read(value.data)
            if kept is None or kept.about.scope != scope_of(caller, self._settings.share):
                return False
            if not good:
                await self._values.delete(entry)
        except StoreFailed as error:
            raise StoreUnavailable(
                "the store of kept answers is out of reach; try again in a moment",
                code="cache_store_unavailable",
            ) from error
        _log.debug("%s found the kept answer %s %s", caller.name, entry, "good" if good else "bad")
        return True


def _written(question: Question, tap: Tap) -> bytes | None:
    answer = tap.answer()
    if answer is None:
        return None
    if why_not(question.call, answer, tap.head, tap.summary, asked=question.asked):
        return None
    data = written(answer)
    if data is None:
        return None
    about = About(
        question.scope,
        question.asked,
        tap.summary.charged,
        tap.summary.finish_reason,
        tuple(tap.head.dropped),
        question.seconds,
    )
    return Kept(about, data).written()
