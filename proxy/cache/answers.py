"""What need not be asked again: finds kept answers, and keeps new ones."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from proxy.cache.fingerprint import Fingerprint, cacheable, fingerprint, scope_of
from proxy.cache.kept import About, Kept, read
from proxy.cache.near.turns import Busy
from proxy.cache.question import Question
from proxy.cache.semantic import Asked, Semantic
from proxy.cache.tap import Tap
from proxy.cache.wishes import Tiers, Wishes, wishes
from proxy.cache.worth import why_not, written
from proxy.config.settings import CacheSettings
from proxy.core.call import Call, Caller, JsonObject, Reply, Target
from proxy.core.clock import Clock
from proxy.core.errors import NotCached, StoreUnavailable
from proxy.core.journal import CacheRecord, NearRecord
from proxy.stores.protocols import StoreFailed, Values

_MOST_KEEPING = 64  # answers on their way to the store; more are let go
_ENTRY = re.compile("[0-9a-f]{64}")  # the id of an answer

_log = logging.getLogger(__name__)


class Answers:
    """The cache of one configuration: the same calls, and those that mean the same."""

    def __init__(
        self,
        values: Values,
        settings: CacheSettings,
        base_urls: Mapping[str, str],
        clock: Clock,
        on_trouble: Callable[[str], None],
        on_stored: Callable[[str], None] = lambda _: None,
        semantic: Semantic | None = None,
        auditable: Callable[[Call, Target], bool] = lambda *_: True,
    ) -> None:
        """`base_urls`: of the providers. `on_trouble` hears what the store failed to do.

        `on_stored` hears what came of each answer that might be kept: ok, skipped or error.
        `semantic` is None where only the same calls are to be found. `auditable`: whether there
        can be money for a target's audits.
        """
        self._values = values
        self._settings = settings
        tiers: Tiers = "semantic" if semantic is not None else "exact"
        if not settings.exact.enabled:
            tiers = "off"
        self._ceiling = Wishes(tiers=tiers, ttl_s=settings.exact.ttl)
        self._base_urls = base_urls
        self._clock = clock
        self._on_trouble = on_trouble
        self._on_stored = on_stored
        self._semantic = semantic
        self._auditable = auditable
        self._keeping = 0

    def ask(
        self, call: Call, targets: Sequence[Target], headers: Mapping[str, str], *, rag: str = ""
    ) -> Question:
        """What `call` is to the cache; raises `InvalidRequest` for wishes that mean nothing.

        `rag` names what was put in from documents.
        """
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
        same: Fingerprint = fingerprint(
            call, asked, base_url, scope, rag=rag, namespace=wished.namespace
        )
        ttl_s = self._settings.exact.ttl
        return Question(call, targets, wished, "", ttl_s, same.exact, same.partition, scope, record)

    async def find(self, question: Question) -> Reply | None:
        """A kept answer; raises `NotCached` where no other is wanted. The record says why not."""
        record = question.record
        found = None
        if not question.why:
            found = await self._found(question) if question.wishes.read else None
            if not question.wishes.read:
                record.why = "asked"
            elif found is None and record.lookup != "error":
                found = await self._near(question)
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

    async def _near(self, question: Question) -> Reply | None:
        """A kept answer to a question that means the same."""
        record = question.record
        try:
            asked = await self._asked(question)
        except Busy:
            record.why = "busy"
            return None
        if self._semantic is None or asked is None:
            return None
        record.near = near = NearRecord()
        found, why = await self._semantic.find(asked, near)
        if found is not None and found.tier == "near" and not self._vouched(question):
            # Measured like one in shadow mode: the client's new answer costs no audit.
            found, why, asked.served = None, "unaudited", False
            near.result, near.tier = "miss", ""
        if found is None:
            record.why = why or record.why
            return None
        kept, about = found.kept, found.kept.about
        record.word, record.why = "semantic", ""
        record.entry, record.age_s = found.entry, found.age_s
        record.usage, record.finish_reason = about.usage, about.finish_reason
        ours_s = record.lookup_s + near.lookup_s + near.embed_s
        record.saved_s = max(0.0, about.seconds - ours_s)
        return kept.replay(question.call, age_s=found.age_s, entry=found.entry, score=found.score)

    def _vouched(self, question: Question) -> bool:
        """Whether near answers are audited there, or the house wants no audits at all."""
        wanted = self._settings.semantic.audit > 0
        return not wanted or self._auditable(question.call, question.asked)

    async def _asked(self, question: Question) -> Asked | None:
        """Its last turn, where it may be answered by meaning; read once, as that takes a while.

        Raises `Busy`.
        """
        body = question.call.body
        if self._semantic is None or question.wishes.tiers != "semantic" or question.is_read:
            return question.near
        assert isinstance(body, dict)
        question.near = await self._semantic.asked(
            body,
            question.partition,
            question.scope,
            question.longest_s,
            question.wishes.max_error,
        )
        question.is_read = True
        return question.near

    async def _read(self, question: Question) -> Asked | None:
        """The same; None also where there is no time."""
        try:
            return await self._asked(question)
        except Busy:
            return None

    def served(self, question: Question) -> None:
        """A found answer has reached its client: it may be audited."""
        if self._semantic is None:
            return
        if question.near is not None and question.near.served:
            self._semantic.served(question.near, question.sent, question.asked)
        elif question.record.word == "exact":
            self._semantic.exactly(question.call, question.key)

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
        whole = tap.answer()
        self._heard(question, tap, whole)
        answer = _worthy(question, tap, whole)
        data = None if answer is None else written(answer)
        if answer is None or data is None:
            self._on_stored("skipped")
            return
        self._keeping += 1
        try:
            asked = await self._read(question)
            await self._put(question, _kept(question, tap, data).written())
            if self._semantic is not None and asked is not None:
                await self._semantic.keep(asked, question.key, answer, question.kept_s)
        finally:
            self._keeping -= 1

    def _heard(self, question: Question, tap: Tap, whole: JsonObject | None) -> None:
        """Show the semantic tier what the provider says, be it worth keeping or not."""
        if self._semantic is None or question.near is None or whole is None:
            return
        if tap.head.status == 200 and tap.head.target == question.asked:
            self._semantic.heard(question.near, question.sent, question.asked, whole)

    async def _put(self, question: Question, data: bytes) -> None:
        try:
            await self._values.put(question.key, data, question.kept_s)
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
        if not _ENTRY.fullmatch(entry):
            return False
        try:
            value = await self._values.get(entry)
            kept = None if value is None else read(value.data)
            if kept is None or kept.about.scope != scope_of(caller, self._settings.share):
                return False
            if not good:
                await self._values.delete(entry)
                if self._semantic is not None:
                    await self._semantic.complain(entry, kept, caller.key_id)
        except StoreFailed as error:
            raise StoreUnavailable(
                "the store of kept answers is out of reach; try again in a moment",
                code="cache_store_unavailable",
            ) from error
        _log.debug("%s found the kept answer %s %s", caller.name, entry, "good" if good else "bad")
        return True


def _worthy(question: Question, tap: Tap, answer: JsonObject | None) -> JsonObject | None:
    """The answer that was heard, if it is worth keeping."""
    if answer is None:
        return None
    flaw = why_not(question.call, answer, tap.head, tap.summary, asked=question.asked)
    return None if flaw else answer


def _kept(question: Question, tap: Tap, data: bytes) -> Kept:
    about = About(
        question.scope,
        question.partition,
        question.near.text if question.near else "",
        question.asked,
        tap.summary.charged,
        tap.summary.finish_reason,
        tuple(tap.head.dropped),
        question.seconds,
    )
    return Kept(about, data)
