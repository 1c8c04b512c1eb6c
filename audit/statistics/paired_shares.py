"""How shares of the same pairs changed: intervals and tests, for pairs that may come in clusters.

How sure a change is depends on how many pairs flipped, and pairs that did not flip do not show
that none would: n of them are no surprise while fewer than 3 of n flip. So every interval here is
of the kind of Wilson's, which asks for the changes that are not ruled out, and has a width where
no pair flipped and where all did.
"""

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.statistics.intervals import Interval, quantile
from audit.statistics.shares import Shares
from audit.types import Floats

STEPS = 48
"""Of bisection: an end of an interval is then known to 2 ** -47."""


def score_interval(change: Shares, moved: Floats, level: float = 0.95) -> Interval:
    """Return the interval [..., K] of the change of every share, after Tango 1998.

    The score interval of a paired difference, at the effective number of pairs: independent pairs
    give Tango's, with Student's quantile, and clustered ones count for fewer.

    Args:
        change: After minus before, with any leading dimensions.
        moved: [..., K] as for `compare_shares`.
        level: Coverage wanted.
    """
    n, d = _pairs(change, moved), change.p
    bar = quantile(level, change.df)[..., None] ** 2 / n
    lost = (moved - d) / 2

    def beyond(ends: Floats) -> npt.NDArray[np.bool_]:
        # q is the likeliest share of lost pairs were the change this: the root of 2q² + bq + c.
        b = (2 - d) * ends - moved
        c = -lost * ends * (1 - ends)
        q = (np.sqrt(np.maximum(b**2 - 8 * c, 0)) - b) / 4
        return np.asarray((d - ends) ** 2 > bar * (2 * q + ends - ends**2))

    def end(far: float) -> Floats:
        outside, inside = np.full_like(d, far), d
        for _ in range(STEPS):
            middle = (outside + inside) / 2
            out = beyond(middle)
            outside, inside = np.where(out, middle, outside), np.where(out, inside, middle)
        return np.where(np.isnan(n), np.nan, inside)

    return Interval(end(-1.0), end(1.0), level, "paired-score")


def score_p(change: Shares, moved: Floats) -> Floats:
    """Return the p-values [..., K] of no change of a share: McNemar's, for pairs in clusters.

    The variance is that of flips as many both ways, so it is not 0 where all went one way.
    """
    return student_p(change.p, moved / _pairs(change, moved), change.df)


def hotelling(change: Shares, moved: Floats) -> Floats:
    """Return the p-value [...] of no change of any share, for pairs in clusters: Hotelling's T².

    About no change, as `score_p`, with which it agrees for two classes.
    """
    n, d, df = _effective_pairs(change, moved)[..., None, None], change.p, np.asarray(change.df)
    null = (change.cov * (n - 1) + d[..., :, None] * d[..., None, :]) / n
    known = np.asarray(np.isfinite(null).all((-2, -1)))
    null = np.where(known[..., None, None], null, 0)
    # Shares add up to 1, so a class adds nothing, and neither does one that nobody drew.
    rank = np.linalg.matrix_rank(null, hermitian=True)
    squared = np.einsum("...a,...ab,...b->...", d, np.linalg.pinv(null, hermitian=True), d)
    left = df - rank + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stats.f.sf(squared * left / (rank * df), rank, left)
    return np.where(known & (rank == 0), 1.0, np.where(known & (left > 0), p, np.nan))


def student_p(change: Floats, variance: Floats, df: Floats) -> Floats:
    """Return two-sided p-values [..., K] of no change, whose variance has `df` [...] of freedom.

    1 where nothing changed.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(change == 0, 0.0, np.abs(change) / np.sqrt(variance))
        p = 2 * stats.t.sf(t, np.asarray(df)[..., None])
    return np.where(np.isnan(variance), np.nan, p)


def _pairs(change: Shares, moved: Floats) -> Floats:
    """Return how many independent pairs [..., K] would tell as much of the change of a share."""
    variance = np.diagonal(change.cov, axis1=-2, axis2=-1)
    return _effective(moved - change.p**2, variance, np.asarray(change.units)[..., None])


def _effective_pairs(change: Shares, moved: Floats) -> Floats:
    """Return how many independent pairs [...] would tell as much of all changes together."""
    trace = np.trace(change.cov, axis1=-2, axis2=-1)
    return _effective((moved - change.p**2).sum(-1), trace, np.asarray(change.units))


def unseen_flips(
    change: Shares, moved: Floats, level: float = 0.95, df: float | Floats = np.inf
) -> Floats:
    """Return what flips that were not seen and are not ruled out take from a covariance [...].

    (t / n)² of n effective pairs, in any direction.

    Args:
        change: After minus before, with any leading dimensions.
        moved: [..., K] as for `compare_shares`.
        level: Coverage wanted.
        df: Degrees of freedom [...] of the quantile t.
    """
    return np.asarray((quantile(level, df) / _effective_pairs(change, moved)) ** 2)


def _effective(spread: Floats, variance: Floats, units: npt.NDArray[np.int64]) -> Floats:
    """Return spread ÷ variance + 1, n for independent pairs; the units where nothing varies."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(variance > 0, spread / variance + 1, units)
    return np.where(np.isnan(variance), np.nan, np.maximum(found, 1))
