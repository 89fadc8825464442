"""The way to the ledger: promises asked for, charges handed in, and how all buckets stood last."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from proxy.core.errors import StoreUnavailable
from proxy.core.money import Balance, Charge, Denied, Granted, Hold, Kind, Moved, Settled
from proxy.stores.protocols import Ledger, StoreFailed

_MOST_BALANCES = 20_000  # a key may have some buckets, each with its own
_MOST_NOTED = 500
_NOTE_AFTER_S = 0.25
GIVEN_BACK = Charge(Kind.RELEASE, 0, "unbilled")
_QUIET_S = 60.0  # a store that comes and goes is told of no more often
_log = logging.getLogger(__name__)


class Till:
    """Made once: it outlives reloads, and at the end waits for what is still on its way."""

    def __init__(self, ledger: Ledger, on_trouble: Callable[[str], None]) -> None:
        """`on_trouble` is told of each operation that the store failed."""
        self._ledger = ledger
        self._on_trouble = on_trouble
        self._balances: dict[str, Balance] = {}
        self._pending: set[asyncio.Future[Any]] = set()
        self._noted: list[tuple[Hold, Charge]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._away = False  # and it was told
        self._quiet_until = 0.0

    @property
    def wall(self) -> Callable[[], float]:
        """The ledger's clock."""
        return self._ledger.wall

    def balance(self, bucket: str) -> Balance:
        """How a bucket stood when it was last heard of."""
        return self._balances.get(bucket, _EMPTY)

    def heard(self, buckets: Sequence[str], balances: Sequence[Balance]) -> None:
        """Remember how buckets stand."""
        self._balances.update(zip(buckets, balances, strict=False))
        while len(self._balances) > _MOST_BALANCES:  # the next round reads those that are needed
            del self._balances[next(iter(self._balances))]

    async def reserve(self, hold: Hold) -> Granted | Denied | Moved:
        """Ask for `hold`; raises `StoreUnavailable`. Whoever stops waiting holds nothing."""
        asked = self._ledger.reserve(hold)
        try:
            answer = await asked
        except StoreFailed as error:
            self._failed("reserve", error)
            if error.sent:
                self._close(hold, GIVEN_BACK, doubtful=True)  # it may stand all the same
            raise StoreUnavailable(
                "the store of the budgets is out of reach; nothing was sent, try again in a moment"
            ) from error
        except BaseException:
            self._close(hold, GIVEN_BACK, doubtful=True)
            raise
        self._worked()
        if isinstance(answer, Granted):
            self.heard([bucket.id for bucket in hold.buckets], answer.balances)
        return answer

    def close(self, hold: Hold, charge: Charge) -> "asyncio.Future[Settled]":
        """Hand in how `hold` ends; raises nothing. It is under way, whether or not anybody waits.

        What the future raises is told already.
        """
        return self._close(hold, charge)

    def _close(
        self, hold: Hold, charge: Charge, *, doubtful: bool = False
    ) -> "asyncio.Future[Settled]":
        """`doubtful`: nobody knows whether the hold stands."""
        closing: asyncio.Future[Settled]
        try:
            closing = asyncio.ensure_future(self._ledger.settle(hold, charge))
        except Exception as error:  # noqa: BLE001 - told as all others are, once somebody listens
            closing = asyncio.get_running_loop().create_future()
            closing.set_exception(error)
        self._pending.add(closing)
        closing.add_done_callback(lambda done: self._closed(done, hold, charge, doubtful))
        return closing

    def note(self, hold: Hold, charge: Charge) -> None:
        """Hand in a charge that nothing was promised for, and that no budget looks at; soon."""
        self._noted.append((hold, charge))
        if len(self._noted) >= _MOST_NOTED:
            self.hand_in()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_NOTE_AFTER_S, self.hand_in)

    def hand_in(self) -> None:
        """Hand in what was noted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        noted, self._noted = self._noted, []
        if noted:
            entering = asyncio.ensure_future(self._enter(noted))
            self._pending.add(entering)
            entering.add_done_callback(self._pending.discard)

    async def _enter(self, noted: Sequence[tuple[Hold, Charge]]) -> None:
        try:
            await self._ledger.enter(noted)
        except Exception as error:  # noqa: BLE001 - one of them must not take the others with it
            _log.debug("%d charges are entered one by one: %s", len(noted), error)
            for hold, charge in noted:
                self._close(hold, charge)

    def _closed(
        self, done: "asyncio.Future[Settled]", hold: Hold, charge: Charge, doubtful: bool
    ) -> None:
        self._pending.discard(done)
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._failed("settle", error)
            # A hold that stays open is charged in full when its time is over. While the store is
            # away there may be a doubtful one for each call.
            _log.log(
                logging.DEBUG if doubtful else logging.ERROR,
                "hold %s could not be charged %d nano-USD (%s): %s",
                *(hold.id, charge.amount, charge.reason, error),
            )
        elif done.result().balances:
            self._worked()
            self.heard([bucket.id for bucket in hold.buckets], done.result().balances)

    def _failed(self, operation: str, error: BaseException) -> None:
        self._on_trouble(operation)
        now = asyncio.get_running_loop().time()
        if isinstance(error, StoreFailed) and not self._away and now >= self._quiet_until:
            self._away, self._quiet_until = True, now + _QUIET_S
            _log.warning(
                "the store of budgets is out of reach (%s): calls under a hard budget are refused",
                error,
            )

    def _worked(self) -> None:
        if self._away:
            self._away = False
            _log.info("the store of budgets works again")

    async def drain(self) -> None:
        """Wait until all that was noted or handed in is through, or failed."""
        self.hand_in()
        while self._pending:
            await asyncio.wait(self._pending)


async def through(closing: "asyncio.Future[Any]") -> None:
    """Wait for `closing` and leave it alone: neither its end nor ours disturbs the other.

    Why it failed is told where it was handed in.
    """
    if closing.done():
        return
    over = asyncio.Event()  # `asyncio.wait` costs several times as much
    closing.add_done_callback(lambda _: over.set())
    await over.wait()


_EMPTY = Balance()
