"""What webhooks are still to be told: kept with the records, sent by any worker, once.

A delivery is made by whoever raised its alert, under an id that follows from the alert and the
webhook, so that making it again makes no second one. Before each try a worker claims it by
compare-and-set and moves its `due` beyond the longest try; if that worker dies, another one takes
over then. A receiver sees an alert twice only where a worker died between its answer and our note
of it, or where the store was away so long; both have the same `x-proxy-delivery`.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any, Final, Literal

import orjson

from proxy.access.news import Alert
from proxy.access.webhooks import Message, Post, Reply, Webhook
from proxy.core.events import AlertDelivered, DeliveryResult
from proxy.stores.protocols import Kept, Records, StoreFailed

_KIND: Final = "delivery"
_LEASE_S: Final = 30.0  # a try takes five seconds, and two writes
_LOOK_S: Final = 10.0  # between two looks for what other workers left
_TRIES: Final = 8
_FIRST_S: Final = 16.0
_LONGEST_S: Final = 300.0
_KEPT_S: Final = 35 * 86_400.0
_CLOSING_S: Final = 2.0  # for what is due, when the program ends
_TRY_S: Final = 6.0  # and for tries under way: a receiver may have read them already

_log = logging.getLogger("proxy")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert for one webhook; `due` (Unix seconds) is when any worker may try it next."""

    id: str
    webhook: str  # its id: the list may be another one by now
    label: str
    text: str
    alert: Alert
    made: float
    due: float
    tries: int = 0
    state: Literal["waiting", "done", "gave_up"] = "waiting"
    told: str = ""  # what came of the last try
    tried: float | None = None  # and when that was


def pause_s(tried: int, retry_after_s: float, chance: Random) -> float:
    """Seconds to wait after the `tried`-th failure (1, 2, …): "full jitter", 1 s to 5 min.

    Eight tries take about ten minutes. What the webhook asks for counts, up to 5 min. Source: AWS
    Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    longest = min(_LONGEST_S, _FIRST_S * 2.0 ** (tried - 1))
    return max(chance.uniform(1.0, longest), min(retry_after_s, _LONGEST_S))


class Outbox:
    """The deliveries of all workers, and this worker's part in them."""

    def __init__(
        self,
        records: Records,
        post: Post,
        *,
        wall: Callable[[], float],
        chance: Random,
        tell: Callable[[AlertDelivered], None],
    ) -> None:
        self.webhooks: tuple[Webhook, ...] = ()  # replaced by a reload
        self._records = records
        self._post = post
        self._wall = wall
        self._chance = chance
        self._tell = tell
        self._version = 0  # of the records that were looked at
        self._looked: float | None = None
        self._waiting: dict[str, tuple[Delivery, int]] = {}
        self._unnoted: dict[str, tuple[Delivery, int]] = {}  # tried, while the store was away
        self._lanes: dict[str, asyncio.Task[None]] = {}  # one for each webhook: none waits for one
        self._closing = False

    async def add(self, alert: Alert, text: str) -> None:
        """Have every webhook told; it may be asked again. Raises `StoreFailed`."""
        now = self._wall()
        for webhook in self.webhooks:
            id = sha256(f"{alert.id} {webhook.id}".encode()).hexdigest()[:32]
            delivery = Delivery(id, webhook.id, webhook.label, text, alert, made=now, due=now)
            kept = await self._records.put(_KIND, id, _as_bytes(delivery), expected=0)
            if kept is not None:
                self._waiting[id] = delivery, kept.version

    async def beat(self) -> None:
        """Begin to send what is due. Raises `StoreFailed`."""
        for id, (delivery, version) in list(self._unnoted.items()):
            await self._records.put(_KIND, id, _as_bytes(delivery), expected=version)
            self._unnoted.pop(id, None)
        now = self._wall()
        if self._looked is None or not 0 <= now - self._looked < _LOOK_S:
            await self._look()
            self._looked = now
        for id in {delivery.webhook for delivery, _ in self._waiting.values()} - self._lanes.keys():
            lane = asyncio.create_task(self._send_to(id), name="webhook")
            self._lanes[id] = lane
            lane.add_done_callback(partial(self._ended, id))

    async def idle(self) -> None:
        """Return when nothing is being sent."""
        while self._lanes:
            await asyncio.wait(list(self._lanes.values()))

    async def close(self) -> None:
        """Send what is due, if that is a matter of moments; begin nothing more."""
        lanes = list(self._lanes.values())
        for patience_s in (_CLOSING_S, _TRY_S):
            if lanes:
                await asyncio.wait(lanes, timeout=patience_s)
            self._closing = True
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)

    async def clean(self) -> None:
        """Forget what is old. Raises `StoreFailed`."""
        for kept in await self._records.since(_KIND):
            delivery = _from_bytes(kept)
            if kept.value is not None and (
                delivery is None or self._wall() - delivery.made > _KEPT_S
            ):
                await self._records.put(_KIND, kept.id, None, expected=kept.version)

    async def _look(self) -> None:
        """See what is waiting."""
        for kept in await self._records.since(_KIND, self._version):
            self._version = max(self._version, kept.version)
            _, known = self._waiting.get(kept.id, (None, 0))
            if kept.version < known:  # read before we changed it
                continue
            delivery = _from_bytes(kept)
            if delivery is None or delivery.state != "waiting" or kept.id in self._unnoted:
                self._waiting.pop(kept.id, None)
            else:
                self._waiting[kept.id] = delivery, kept.version

    def _ended(self, webhook_id: str, _: "asyncio.Task[None]") -> None:
        self._lanes.pop(webhook_id, None)

    async def _send_to(self, webhook_id: str) -> None:
        """Send what is due to one webhook, one after another."""
        try:
            while not self._closing and (due := self._next(webhook_id)):
                await self._try(*due)
        except StoreFailed as error:
            _log.debug("webhooks wait for the store: %s", error)

    def _next(self, webhook_id: str) -> tuple[Delivery, int] | None:
        now = self._wall()
        due = (
            (delivery, version)
            for delivery, version in self._waiting.values()
            if delivery.webhook == webhook_id
            # far in the future: the wall clock was set back meanwhile
            and (delivery.due <= now or delivery.due > now + 2 * _LONGEST_S)
        )
        return min(due, key=lambda each: (each[0].made, each[0].alert.at), default=None)

    async def _try(self, delivery: Delivery, version: int) -> None:
        """Claim a delivery, try it, and note what came of it."""
        del self._waiting[delivery.id]
        claim = replace(delivery, tries=delivery.tries + 1, due=self._wall() + _LEASE_S)
        try:
            kept = await self._records.put(_KIND, claim.id, _as_bytes(claim), expected=version)
        except StoreFailed:
            self._waiting[delivery.id] = delivery, version
            raise
        if kept is None:  # another worker was quicker; if it fails, we see it again
            return
        webhook = next((each for each in self.webhooks if each.id == claim.webhook), None)
        reply = Reply(False, "it is no longer configured")
        if webhook is not None:
            claim = replace(claim, label=webhook.label)
            message = Message(claim.text, claim.alert)
            reply = await self._post(webhook, message, id=claim.id, at=self._wall())
        tried = self._tried(claim, reply, last=webhook is None or claim.tries >= _TRIES)
        try:
            noted = await self._records.put(
                _KIND, tried.id, _as_bytes(tried), expected=kept.version
            )
        except StoreFailed:
            self._unnoted[tried.id] = tried, kept.version
            raise
        if noted is not None and tried.state == "waiting":
            self._waiting[tried.id] = tried, noted.version
        else:
            self._waiting.pop(tried.id, None)

    def _tried(self, claim: Delivery, reply: Reply, *, last: bool) -> Delivery:
        """How the delivery stands after a try."""
        now = self._wall()
        tried = replace(claim, told=reply.told, tried=now)
        if reply.good:
            self._tell(AlertDelivered(claim.label, DeliveryResult.OK))
            return replace(tried, state="done")
        if last:
            self._tell(AlertDelivered(claim.label, DeliveryResult.GAVE_UP))
            _log.error(
                "webhook %s could not be told, after %d tries: %s (delivery %s)",
                *(claim.label, claim.tries, reply.told, claim.id),
            )
            return replace(tried, state="gave_up")
        self._tell(AlertDelivered(claim.label, DeliveryResult.RETRY))
        return replace(tried, due=now + pause_s(claim.tries, reply.retry_after_s, self._chance))


def _as_bytes(delivery: Delivery) -> bytes:
    return orjson.dumps(asdict(delivery))


def _from_bytes(kept: Kept) -> Delivery | None:
    """As it was kept; None where it was deleted, or is not readable."""
    if kept.value is None:
        return None
    try:
        tree: dict[str, Any] = orjson.loads(kept.value)
        return Delivery(**{**tree, "alert": Alert.read(tree["alert"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
