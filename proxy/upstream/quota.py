"""Who may call a provider now: the quotas of each account and model.

A *domain* is what a provider counts together: one account (an organisation) and one model. What a
call needs is taken before it is sent, corrected by what its answer tells, and given back when
nothing came of it. A limit that nobody told us holds nobody back.
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from proxy.core.clock import Clock
from proxy.core.events import DomainClosed, Event
from proxy.core.quota import Need, Reading, Shortage, Source, Window
from proxy.upstream.board import Board
from proxy.upstream.buckets import LONGEST_CLOSED_S, Books, Bucket, Taken
from proxy.upstream.line import Line
from proxy.upstream.plans import Limits, Plan, limits
from proxy.wire.quotas import to_midnight_s

LAG_S = 0.25  # by how much the way to a provider may take longer at one time than at another
MOST_DOMAINS = 4_096  # clients name models
MOST_SHOWN = 200
LONGEST_BACKOFF_S = 60.0
_SPARED = 0.75  # of a limit may be used by what can be left out; the rest is for clients


@dataclass(frozen=True, slots=True)
class WindowView:
    """One limit as people see it; `full_at` is when nothing is used any more, in wall seconds."""

    window: Window
    limit: float
    used: float
    remaining: float
    source: Source
    full_at: float


class _OwnBooks:
    """Books that nobody shares: kept as they are, which costs a tenth of reading a ledger."""

    __slots__ = ("_books", "_clock", "_domain", "_limits")

    def __init__(self, domain: "Domain", clock: Clock) -> None:
        self._domain = domain
        self._clock = clock
        self._books = Books({})
        self._limits: Limits = {}

    def __enter__(self) -> tuple[Books, float]:
        now = self._clock.now()
        if self._limits is not self._domain.limits:
            self._limits = self._domain.limits
            self._books.plan(self._limits, now)
        return self._books, now

    def __exit__(self, *_: object) -> None:
        """Nothing is to be written."""


@dataclass(frozen=True, slots=True)
class DomainView:
    """One domain as people see it; the account is a label, never an organisation's id."""

    provider: str
    account: str
    model: str
    closed_for_s: float
    waiting: int
    windows: Sequence[WindowView]


class Domain:
    """The quotas of one account for one model; its figures live on the board."""

    def __init__(
        self,
        provider: str,
        account: str,
        model: str,
        *,
        clock: Clock,
        board: Board | None,
        on_event: Callable[[Event], None],
        lag_s: float = LAG_S,
    ) -> None:
        self.provider = provider
        self.account = account
        self.model = model
        self.limits: Limits = {}  # of the plan; a reload may replace them
        self.line = Line(self, clock)
        self._clock = clock
        self._board = board
        self._on_event = on_event
        self._lag_s = lag_s
        self._name = "\0".join((provider, account, model))
        self._own = _OwnBooks(self, clock)

    def look(self) -> Books:
        """The books as they are now; a copy."""
        with self._books() as (books, _):
            return books.copy()

    def wait_s(self, need: Need) -> float:
        """Seconds until a call may be sent: 0 when now, infinite when it never fits."""
        with self._books() as (books, now):
            return books.wait_s(need, now)

    def take(self, need: Need) -> Taken | float:
        """Take for a call that is sent now from all limits, or from none and say the wait."""
        with self._books() as (books, now):
            wait_s = books.wait_s(need, now)
            return wait_s if wait_s > 0 else books.take(need, now, self._lag_s)

    def heard(self, taken: Taken, readings: Sequence[Reading]) -> None:
        """What the headers of the answer to a call tell: it replaces our own count."""
        if not readings or not taken.open:
            return
        with self._books() as (books, now):
            for reading in readings:
                books.tell(taken, reading, now, self._lag_s)
        self.line.stir()

    def settled(self, taken: Taken, tokens: float | None) -> None:
        """The call ended and used `tokens`; None when it was not charged: all is given back.

        A second time does nothing.
        """
        if not taken.open:
            return
        taken.open = False
        with self._books() as (books, now):
            books.settle(taken, tokens, now)
            if tokens is not None:
                books.strikes = 0
        self.line.stir()

    def refused(self, taken: Taken, shortage: Shortage) -> None:
        """A 429 or 413: give back, believe its figures, and rest as long as it says.

        A 413, or what else can never fit, only tells a limit. After a second time nothing happens.
        """
        if not taken.open:
            return
        taken.open = False
        window = shortage.window or Window.OTHER
        limit = shortage.limit or 0.0
        with self._books() as (books, now):
            open_before = books.closed_until <= now
            books.settle(taken, None, now)
            if limit > 0 and window.seconds and shortage.never:
                books.limit(window, limit, now)
            elif shortage.used is not None:
                told = Reading(window, limit, shortage.used, Source.BODY)
                books.tell(taken, told, now, self._lag_s)
            if not shortage.never:
                wait_s = self._rest_s(books, taken, shortage, now)
                books.closed_until = max(books.closed_until, now + wait_s)
            closed_for_s = books.closed_until - now
        if open_before and closed_for_s > 0:
            self._on_event(
                DomainClosed(self.provider, self.account, self.model, shortage.window, closed_for_s)
            )
        self.line.stir()

    def spares(self, need: Need) -> bool:
        """Whether nobody waits, and a call that is sent now leaves much of each known limit."""
        with self._books() as (books, now):
            return (
                not len(self.line)
                and books.closed_until <= now
                and all(
                    bucket.used(now) + bucket.share(need) <= _SPARED * bucket.limit
                    for bucket in books.buckets.values()
                )
            )

    @property
    def closed_for_s(self) -> float:
        """How long it still rests after a refusal."""
        return max(0.0, self.look().closed_until - self._clock.now())

    def close_for(self, wait_s: float, window: Window | None) -> None:
        """Rest so long: a refusal that another domain was told of was meant for this one."""
        with self._books() as (books, now):
            longer = now + wait_s > books.closed_until
            books.closed_until = max(books.closed_until, now + wait_s)
        if longer:
            self._on_event(DomainClosed(self.provider, self.account, self.model, window, wait_s))
        self.line.stir()

    def view(self) -> DomainView:
        """How it stands."""
        books, now = self.look(), self._clock.now()
        ahead = self._clock.wall() - now
        windows = [_view(bucket, now, ahead) for bucket in books.buckets.values()]
        closed_for_s = max(0.0, books.closed_until - now)
        return DomainView(
            self.provider, self.account, self.model, closed_for_s, len(self.line), windows
        )

    def _books(self) -> AbstractContextManager[tuple[Books, float]]:
        return self._own if self._board is None else self._shared_books(self._board)

    @contextmanager
    def _shared_books(self, board: Board) -> Iterator[tuple[Books, float]]:
        with board.edit(self._name) as ledger:
            now = self._clock.now()  # behind the lock: nobody was later and wrote before us
            books = Books.read(ledger, self.limits, now, self._lag_s)
            yield books, now
            books.write(ledger)

    def _rest_s(self, books: Books, taken: Taken, shortage: Shortage, now: float) -> float:
        if shortage.until_day_end:
            return to_midnight_s(self._clock.wall())
        if shortage.wait_s is not None:
            return min(shortage.wait_s, LONGEST_CLOSED_S)
        # Those that were on their way together are one refusal.
        if taken.at >= books.struck_at or not books.strikes:
            books.strikes, books.struck_at = books.strikes + 1, now
        return float(min(LONGEST_BACKOFF_S, 2 ** min(books.strikes - 1, 10)))


class Quotas:
    """All domains of this process; those not used for longest are forgotten (the board is not)."""

    def __init__(
        self,
        clock: Clock,
        board: Board | None,
        on_event: Callable[[Event], None],
        *,
        lag_s: float = LAG_S,
        most: int = MOST_DOMAINS,
    ) -> None:
        self._clock = clock
        self._board = board
        self._on_event = on_event
        self._lag_s = lag_s
        self._most = most
        self._domains: OrderedDict[tuple[str, str, str], Domain] = OrderedDict()

    def domain(self, provider: str, account: str, model: str, plan: Plan | None) -> Domain:
        """The domain of an account and a model, with the limits of `plan` where it has any."""
        name = (provider, account, model)
        domain = self._domains.get(name)
        if domain is None:
            domain = self._domains[name] = Domain(
                *name,
                clock=self._clock,
                board=self._board,
                on_event=self._on_event,
                lag_s=self._lag_s,
            )
            self._forget()
        self._domains.move_to_end(name)
        domain.limits = limits(plan, model)
        return domain

    def turn(
        self, caller: str, domain: Domain, need: Need, deadline: float, longest_s: float
    ) -> Coroutine[Any, Any, Taken | float]:
        """What the call took, as soon as its turn came; else the least seconds it has to wait.

        Waits at most `longest_s`, never beyond `deadline` (monotonic), and not at all when it
        shows that this will not do; infinite seconds when the call can never fit.
        """
        until = min(deadline, self._clock.now() + longest_s)
        return domain.line.turn(caller, need, until)

    def snapshot(self) -> Sequence[DomainView]:
        """How the domains stand that this process used last, of which a limit is known.

        At most `MOST_SHOWN`: clients name models.
        """
        shown: list[DomainView] = []
        for domain in reversed(list(self._domains.values())):
            if len(shown) == MOST_SHOWN:
                break
            view = domain.view()
            if view.windows or view.closed_for_s or view.waiting:
                shown.append(view)
        return shown[::-1]

    async def close(self) -> None:
        """Stop all timers."""
        for domain in self._domains.values():
            await domain.line.close()

    def _forget(self) -> None:
        if len(self._domains) > self._most:
            for name, domain in self._domains.items():
                if not len(domain.line):
                    del self._domains[name]
                    return


def _view(bucket: Bucket, now: float, ahead: float) -> WindowView:
    used = bucket.used(now)
    return WindowView(
        bucket.window,
        bucket.limit,
        used,
        max(0.0, bucket.limit - used),
        bucket.source,
        bucket.full_at(now) + ahead,
    )
