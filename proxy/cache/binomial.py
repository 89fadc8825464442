"""How large a share may be, by what was counted: bounds for right and wrong.

Two questions, two answers. *After all was counted*, `interval` gives Clopper and Pearson's exact
interval (Biometrika 26, 1934), out of the quantiles of the beta distribution.

*While it is being counted*, somebody looks after each count, and would sooner or later see any
bound broken by chance. `ceiling` holds for all looks together. It is a confidence sequence by
Robbins' mixture (Annals of Mathematical Statistics 41, 1970): were the true share `m`, the ratio

    E(m) = B(a + wrong, b + right) / B(a, b) / (m**wrong * (1 - m)**right)

would be a fair game that starts at 1, and would ever reach 1/alpha with a chance of alpha at most
(Ville). So a share whose E has reached 1/alpha is excluded. The game is right for any `a` and `b`
that were chosen beforehand, and shortest where the truth is near a/b: that is aim / 5, as what is
to be shown to be below `aim` is mostly well below it. The larger `a`, the more it insists on that:
few wrong ones among many are forgiven sooner, and a truth close below the aim is shown later. With
3, as against 1, one wrong one among them asks for 591 right ones to show 1 %, and not 619; none
for 363, and not 351; and half of the aim for a twentieth more of them.

That holds for one share, one `b` and counts that only grow. Counts may be fractions: those that
fade are, and for them it is no theorem. Old findings are given up, so a falsehood may be told later
that would not have been told at first; but as much is needed to prove a share as ever, and less of
it is left. What comes of it was tried out: see the tests that fade.
"""

from math import exp, inf, lgamma, log, log1p
from typing import Final

_STEPS: Final = 60  # of a bisection: as far as floats go
_MOST_TERMS: Final = 500
_TINY: Final = 1e-300
_SMALL: Final = 1e-15
_BEYOND: Final = 5.0  # times as far below the aim the game is shortest
_FIRM: Final = 3.0  # `a`: how much it insists on that
_LEAST: Final = 1e-8  # a share: what would show a smaller one, nobody counts, nor do floats
_MOST_NEEDED: Final = 10**9


def excludes(share: float, right: float, wrong: float, alpha: float, aim: float = 0.0) -> bool:
    """Whether the true share of wrong ones is below `share`, as far as was counted.

    Said falsely ever, however often it is asked while counts grow, with a chance of `alpha`. `aim`:
    see `ceiling`; left out, it is `share`.
    """
    if not _LEAST <= share < 1.0:
        return share >= 1.0
    if wrong >= share * (right + wrong):
        return False
    b = _FIRM * _BEYOND / max(aim or share, _LEAST)
    return _game(share, right, wrong, b) >= -log(alpha)


def ceiling(right: float, wrong: float, alpha: float, aim: float) -> float:
    """The largest share of wrong ones that is not excluded; 1 where nothing was counted.

    `aim` is the share that matters: near it the bound is tightest. It holds for any other, too.
    """
    low, high = wrong / (right + wrong) if right + wrong > 0 else 1.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if excludes(middle, right, wrong, alpha, aim):
            high = middle
        else:
            low = middle
    return high


def needed(share: float, wrong: float, alpha: float) -> int | None:
    """How many right ones beside `wrong` wrong ones show that the true share is below `share`.

    None where no number does, as the share is 0 or nearly so, or none that anybody counts to.
    """
    low, high = 0, 1
    while not excludes(share, high, wrong, alpha):
        if high >= _MOST_NEEDED:
            return None
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if excludes(share, middle, wrong, alpha):
            high = middle
        else:
            low = middle
    return high


def interval(hits: int, tries: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval for the share of `hits` among `tries`; (0, 1) for none."""
    tail = (1.0 - confidence) / 2
    low = beta_quantile(tail, hits, tries - hits + 1) if hits else 0.0
    high = beta_quantile(1.0 - tail, hits + 1, tries - hits) if hits < tries else 1.0
    return low, high


def beta_quantile(chance: float, a: float, b: float) -> float:
    """Where the beta distribution of `a` and `b` has reached `chance`."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if beta_below(middle, a, b) < chance:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_below(x: float, a: float, b: float) -> float:
    """The share of the beta distribution below `x`: the regularised incomplete beta function.

    By its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22), which
    converges quickly below the mean; above it, from the other side.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_below(1.0 - x, b, a)
    return exp(a * log(x) + b * log1p(-x) - log(a) - _log_beta(a, b)) / _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)), by Lentz's method: from the top, until nothing changes."""
    value, c, d = 1.0, 1.0, 0.0
    for n in range(1, _MOST_TERMS):
        k, odd = divmod(n, 2)
        if odd:
            term = -(a + k) * (a + b + k) * x / ((a + n - 1) * (a + n))
        else:
            term = k * (b - k) * x / ((a + n - 1) * (a + n))
        d = 1.0 / (1.0 + term * d or _TINY)
        c = 1.0 + term / c or _TINY
        value *= c * d
        if abs(c * d - 1.0) < _SMALL:
            break
    return value


def _game(share: float, right: float, wrong: float, b: float) -> float:
    """The logarithm of E."""
    if right + wrong == inf:
        return inf
    mixed = _log_beta(_FIRM + wrong, b + right) - _log_beta(_FIRM, b)
    return mixed - wrong * log(share) - right * log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
