"""A ledger that grants and settles everything, unless a test says otherwise."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from proxy.core.money import Balance, Charge, Denied, Granted, Hold, Moved, Refund, Settled
from proxy.stores.protocols import StoreFailed

_Told = TypeVar("_Told")

NOW = 1_800_000_000.0


class ScriptedLedger:
    """Keeps all that it is asked for, which is under way at once, whoever waits."""

    def __init__(self) -> None:
        self.now = NOW
        self.answers: deque[Denied | Moved | StoreFailed] = deque()  # to `reserve`, in order
        self.failing = False  # `settle` and `enter`
        self.gate: asyncio.Event | None = None  # answers wait for it
        self.balance = Balance()  # of each bucket
        self.reserved: list[Hold] = []
        self.settled: list[tuple[Hold, Charge]] = []
        self.entered: list[Sequence[tuple[Hold, Charge]]] = []

    @property
    def charges(self) -> list[tuple[str, str, int, str]]:
        """(hold, kind, amount, reason) of all that was handed in."""
        told = [*self.settled, *(closing for closings in self.entered for closing in closings)]
        return [(hold.id, charge.kind.value, charge.amount, charge.reason) for hold, charge in told]

    def wall(self) -> float:
        return self.now

    def reserve(self, hold: Hold) -> "asyncio.Future[Granted | Denied | Moved]":
        self.reserved.append(hold)
        answer = self.answers.popleft() if self.answers else Granted(self._balances(hold))
        return asyncio.ensure_future(self._told(answer))

    def settle(self, hold: Hold, charge: Charge) -> "asyncio.Future[Settled]":
        self.settled.append((hold, charge))
        failed = StoreFailed("the disk is full")
        return asyncio.ensure_future(
            self._told(failed if self.failing else Settled(self._balances(hold)))
        )

    async def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> None:
        self.entered.append(closings)
        if self.failing:
            raise StoreFailed("the disk is full")

    async def sweep(self) -> Sequence[Settled]:
        return []

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        return []

    def _balances(self, hold: Hold) -> tuple[Balance, ...]:
        return (self.balance,) * len(hold.buckets)

    async def _told(self, answer: _Told | StoreFailed) -> _Told:
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(answer, StoreFailed):
            raise answer
        return answer
