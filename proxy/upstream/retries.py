"""How long to wait before a target is asked again, and how often that may happen at all."""

from random import Random

from proxy.core.clock import Clock

_FIRST_S = 0.25
_LONGEST_S = 8.0
_BUCKET = 10.0
_PER_CALL = 0.1
_PER_SECOND = 1.0
_SPREAD = 0.1  # added to what a provider asks for, so that those who were told the same part


def pause_s(tried: int, retry_after_s: float | None, chance: Random) -> float:
    """Seconds to wait before the next try, after `tried` (1, 2, …) at the same target.

    The provider's own `retry-after` wins, spread a little. Otherwise "full jitter": uniform in
    [0, 0.25 * 2**(tried - 1)], at most 8. Source: AWS Architecture Blog, "Exponential Backoff And
    Jitter" (2015).
    """
    if retry_after_s is not None:
        return retry_after_s * (1 + chance.uniform(0, _SPREAD))
    doublings = min(tried - 1, 10)
    return chance.uniform(0, min(_LONGEST_S, _FIRST_S * 2.0**doublings))


class RetryBudget:
    """How many retries a provider gets: few for each call, so that an outage is not multiplied.

    A bucket of 10, which gains 0.1 with each call and 1 with each second.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = _BUCKET
        self._at = clock.now()

    def called(self) -> None:
        """A call came, which earns a tenth of a retry."""
        self._gain(_PER_CALL)

    def take(self) -> bool:
        """Whether one more retry may be made, which is then counted."""
        now = self._clock.now()
        self._gain((now - self._at) * _PER_SECOND)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def _gain(self, retries: float) -> None:
        self._left = min(_BUCKET, self._left + retries)
