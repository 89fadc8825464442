"""The ledger and its books in SQLite."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from proxy.core.money import (
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Moved,
    Refund,
    Row,
    Served,
    Settled,
    Spent,
    Traffic,
)
from proxy.stores.protocols import check_amounts
from proxy.stores.sqlite import books, rules
from proxy.stores.sqlite.audit import complaints
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.page import Page

_MOST_SWEPT: Final = 500
_AUDIT_S: Final = 600.0  # a million rows take some ten seconds


@dataclass(frozen=True, slots=True)
class _Step:
    """One change of the ledger, and what it will look at."""

    do: Callable[[Page], Any]
    holds: Sequence[str] = ()
    buckets: Sequence[Bucket] = ()


class SqliteLedger:
    """Implements `Ledger` and `Books`.

    A hold with buckets of several windows is checked and changed in one transaction. Nothing is
    ever removed: a charged hold takes some 400 bytes of the file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def wall(self) -> float:
        """As `Ledger` says."""
        return self._database.clock.wall()

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        """As `Ledger` says."""
        check_amounts(hold)
        return self._do(_Step(partial(rules.reserve, hold=hold), (hold.id,), hold.buckets))

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        """As `Ledger` says."""
        check_amounts(hold, charge)
        step = _Step(partial(rules.settle, hold=hold, charge=charge), (hold.id,), hold.buckets)
        return self._do(step)

    def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> Awaitable[None]:
        """As `Ledger` says."""
        for closing in closings:
            check_amounts(*closing)
        ids = [hold.id for hold, _ in closings]
        buckets = [bucket for hold, _ in closings for bucket in hold.buckets]
        return self._do(_Step(partial(_enter, closings=closings), ids, buckets))

    async def sweep(self) -> Sequence[Settled]:
        """As `Ledger` says."""
        swept: Sequence[Settled] = await self._do(_Step(_sweep))
        return swept

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        """As `Ledger` says."""
        refunds: Sequence[Refund] = await self._do(_Step(partial(_refund, id=id, why=why)))
        return refunds

    async def balances(self, ids: Sequence[str]) -> Sequence[Balance]:
        """As `Books` says."""
        return await self._database.read(partial(books.balances, ids=ids))

    async def served(self, calls: Iterable[Served], batch: str) -> None:
        """As `Books` says."""
        counted = books.Batch(batch, tuple(calls), self.wall())
        await self._database.submit(books.count_all, counted)

    async def spent(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Spent]:
        """As `Books` says."""
        part = books.Part(since, until, key)
        return await self._database.read(partial(books.spent, part=part))

    async def traffic(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Traffic]:
        """As `Books` says."""
        part = books.Part(since, until, key)
        return await self._database.read(partial(books.traffic, part=part))

    async def rows(self, after: str = "", count: int = 1000) -> Sequence[Row]:
        """As `Books` says; a `seq` is a decimal number."""
        return await self._database.read(partial(books.rows, after=after, count=count))

    async def check(self) -> Sequence[str]:
        """As `Books` says."""
        return await self._database.read(complaints, _AUDIT_S)

    def _do(self, step: _Step) -> Awaitable[Any]:
        return self._database.submit(self._do_all, step)

    def _do_all(self, connection: sqlite3.Connection, steps: Sequence[_Step]) -> Sequence[Any]:
        page = Page(connection, self.wall())
        page.load(
            [hold for step in steps for hold in step.holds],
            {bucket.id for step in steps for bucket in step.buckets},
        )
        answers = [step.do(page) for step in steps]
        page.write()
        return answers


def _enter(page: Page, closings: Sequence[tuple[Hold, Charge]]) -> None:
    for hold, charge in closings:
        rules.settle(page, hold, charge)


def _sweep(page: Page) -> Sequence[Settled]:
    return [rules.expire(page, held) for held in page.overdue(_MOST_SWEPT)]


def _refund(page: Page, id: str, why: str) -> Sequence[Refund]:
    one = page.hold(id)
    found = page.of_call(id) if one is None else [one]
    return [rules.refund(page, held, why) for held in found if not held.is_open]
