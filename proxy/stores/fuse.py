"""Leave a store alone that does not answer: a breaker for one way to it."""

from collections.abc import Callable

FAILURES = 5  # in a row
PAUSE_S = 1.0  # then one order may try, and the next pause begins, or all is well


class Fuse:
    """Blows after failures in a row; then all is refused, but for one order after each pause."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures = 0
        self._rests_until = 0.0
        self._verdicts = 0

    @property
    def blown(self) -> bool:
        """Whether the last orders failed, one after another."""
        return self._failures >= FAILURES

    @property
    def resting(self) -> bool:
        """Whether it is too early to try again."""
        return self.blown and self._now() < self._rests_until

    @property
    def verdicts(self) -> int:
        """Grows with every success and failure.

        Whoever finds it changed since it asked has failed beside others: they have told already.
        """
        return self._verdicts

    def admits(self) -> bool:
        """Whether one more order may be sent; after a pause the first one only."""
        if not self.blown:
            return True
        if self.resting:
            return False
        # The order that passes now is the only one till then.
        self._rests_until = self._now() + PAUSE_S
        return True

    def failed(self, orders: int = 1) -> None:
        """So many orders had no answer."""
        self._verdicts += 1
        self._failures += orders
        if self.blown:
            self._rests_until = self._now() + PAUSE_S

    def worked(self) -> None:
        """The store did what it was asked."""
        self._verdicts += 1
        self._failures = 0
