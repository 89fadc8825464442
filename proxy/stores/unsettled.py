"""Charges that the store could not take, kept on this host until it can."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

import orjson

from proxy.core.clock import Clock
from proxy.core.money import (
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Refund,
    Settled,
)
from proxy.stores.protocols import Ledger, StoreFailed
from proxy.stores.waiting import BAD, MOST_RELEASES, Entry, File, adopt, append, create, set_aside

_log = logging.getLogger(__name__)

_RETRY_S: Final = 1.0
_CLOSE_S: Final = 5.0
_MOST_KEPT: Final = 100_000  # some 100 MB
_MOST_REFUSED: Final = 3  # in a row; fewer than make us leave Redis alone for a while
_SLOWEST_RETRY_S: Final = 60.0  # of what was refused


class Unsettled:
    """A `Ledger` over another one, whose `settle` and `enter` survive that one's failures.

    A charge that the store does not take goes to a file of this process, and to the store once it
    works again. Charges are idempotent, so that one which the store took without saying so does no
    harm. What dead processes left is taken over at the start. What no store can take is set aside
    in `unsettled-bad.jsonl`, for people to look at.

    A store that is away for long does not fill the memory: 100,000 charges wait at most, and of
    releases, which may come from each call that is refused meanwhile, 5,000. What is beyond fails,
    charges with an error in the log; a hold that stays open by it is charged in full when its time
    is over.
    """

    def __init__(self, ledger: Ledger, directory: Path, clock: Clock) -> None:
        self._ledger = ledger
        self._directory = directory
        self._clock = clock
        self._own: File | None = None
        self._left: list[File] = []  # by the dead
        # Those at the store are bounded by its queue, those at the file by what may wait at most.
        self._under_way: set[asyncio.Future[Any]] = set()
        self._writing = asyncio.Lock()
        self._being_written = 0
        self._retrying: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """How many charges wait for the store."""
        return sum(len(file.entries) for file in self._files())

    async def __aenter__(self) -> Self:
        try:
            self._left = await asyncio.to_thread(adopt, self._directory)
        except OSError as error:
            raise StoreFailed(f"{self._directory}: {error.strerror}") from error
        if self._left:
            _log.warning("%d charges of a former process are entered now", self.pending)
            await self._replay()
        self._retry_if_needed()
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                while self._under_way:  # what the store fails now is written down after that
                    await asyncio.wait(self._under_way)
        if self._retrying is not None:
            self._retrying.cancel()
            with suppress(asyncio.CancelledError):
                await self._retrying
        await self._replay()
        for file in self._files():
            os.close(file.file)
        self._own, self._left = None, []

    def wall(self) -> float:
        """As `Ledger` says."""
        return self._ledger.wall()

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        """As `Ledger` says."""
        return self._ledger.reserve(hold)

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        """As `Ledger` says; a charge that has to wait is settled with no balances.

        Raises `StoreFailed` where not even our own file takes it.
        """
        answer: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        asked = asyncio.ensure_future(self._ledger.settle(hold, charge))

        def tell(asked: asyncio.Future[Settled]) -> None:
            self._under_way.discard(asked)
            error = None if asked.cancelled() else asked.exception()
            if asked.cancelled() or isinstance(error, StoreFailed):
                keeping = asyncio.ensure_future(self._keep([Entry(hold, charge)]))
                self._under_way.add(keeping)
                keeping.add_done_callback(tell_kept)
            elif answer.done():
                pass
            elif error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(asked.result())

        def tell_kept(keeping: asyncio.Future[None]) -> None:
            self._under_way.discard(keeping)
            error = None if keeping.cancelled() else keeping.exception()
            if answer.done():
                return
            if keeping.cancelled():
                answer.cancel()
            elif error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(Settled(()))

        self._under_way.add(asked)
        asked.add_done_callback(tell)
        return answer

    async def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> None:
        """As `Ledger` says; what has to wait is kept as by `settle`."""
        try:
            await self._ledger.enter(closings)
        except StoreFailed:
            await self._keep([Entry(hold, charge) for hold, charge in closings])

    async def sweep(self) -> Sequence[Settled]:
        """As `Ledger` says."""
        return await self._ledger.sweep()

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        """As `Ledger` says."""
        return await self._ledger.refund(id, why)

    async def _keep(self, entries: Sequence[Entry]) -> None:
        """Write entries down; they are safe when this returns. Raises `StoreFailed`."""
        releases = sum(entry.charge.kind is Kind.RELEASE for entry in entries)
        self._being_written += len(entries)
        try:
            if self.pending + self._being_written > _MOST_KEPT:
                raise StoreFailed(f"{_MOST_KEPT} charges wait already", sent=False)
            async with self._writing:  # lines in the order in which they came
                if self._own is None:
                    self._own = await asyncio.to_thread(create, self._directory)
                if releases == len(entries) and self._own.releases >= MOST_RELEASES:
                    raise StoreFailed(f"{MOST_RELEASES} releases wait already", sent=False)
                await asyncio.to_thread(append, self._own.file, entries)
                self._own.entries.extend(entries)
                self._own.count(releases)
        except Exception as error:  # whatever it is, somebody waits for an answer
            why = f"{self._directory}: {_text_of(error)}"
            for entry in entries:
                _tell_lost(entry, f"the store failed, and so did {why}")
            raise StoreFailed(why) from error
        finally:
            self._being_written -= len(entries)
        self._retry_if_needed()

    def _retry_if_needed(self) -> None:
        if self.pending and (self._retrying is None or self._retrying.done()):
            self._retrying = asyncio.ensure_future(self._retry())

    async def _retry(self) -> None:
        pause_s = _RETRY_S
        while self.pending:
            await self._clock.sleep(pause_s)
            refused = await self._replay()
            pause_s = min(2 * pause_s, _SLOWEST_RETRY_S) if refused else _RETRY_S

    async def _replay(self) -> bool:
        """Bring to the store what waits, in order, until it fails again; whether it refused any.

        What it refuses waits behind the others: it may take those.
        """
        refused, any_refused = 0, False  # in a row; at all
        for file in self._files():
            passed_over = 0
            while len(file.entries) > passed_over:
                entry = file.entries[0]
                try:
                    await self._ledger.settle(entry.hold, entry.charge)
                except StoreFailed as error:
                    if not error.refused:
                        return any_refused
                    any_refused = True
                    file.entries.rotate(-1)
                    passed_over, refused = passed_over + 1, refused + 1
                    if refused >= _MOST_REFUSED:
                        return True
                    continue
                except Exception as error:  # noqa: BLE001 - it must not block those behind it
                    await self._set_aside(entry, error)
                file.entries.popleft()
                refused = 0
            async with self._writing:
                await self._finish(file)
        return any_refused

    async def _set_aside(self, entry: Entry, error: Exception) -> None:
        """Pass over a charge that no store can take, and keep it for people to look at."""
        _log.error(
            "a charge cannot be entered, and is moved to %s: hold %s, %s nano-dollars, %s: %s",
            *(BAD, entry.hold.id, entry.charge.amount, entry.charge.reason, _text_of(error)),
        )
        await asyncio.to_thread(set_aside, self._directory, orjson.dumps(entry))

    async def _finish(self, file: File) -> None:
        """Remove a file whose entries are all in the store, unless there is a new one."""
        if file.entries:
            return
        try:
            await asyncio.to_thread(file.path.unlink, missing_ok=True)
        except OSError as error:
            _log.warning("%s is done with, and stays: %s", file.path, error.strerror)
        os.close(file.file)
        if file is self._own:
            self._own = None
        else:
            self._left.remove(file)

    def _files(self) -> Sequence[File]:
        return [*self._left, *([self._own] if self._own else [])]


def _tell_lost(entry: Entry, why: str) -> None:
    # A release that is lost costs a line for each call that is refused: too many for the log.
    release = entry.charge.kind is Kind.RELEASE
    _log.log(
        logging.DEBUG if release else logging.ERROR,
        "a charge is lost: hold %s, %s nano-dollars, %s: %s",
        *(entry.hold.id, entry.charge.amount, entry.charge.reason, why),
    )


def _text_of(error: Exception) -> str:
    told = error.strerror if isinstance(error, OSError) else None
    return told or str(error) or type(error).__name__
