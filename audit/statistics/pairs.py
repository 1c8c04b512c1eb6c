"""Two arms on the same requests: who flipped, and how shares and discrepancies differ.

Pairing removes what both arms share, so differences are taken image by image: the difference of
two votes is a vote like any other for `shares`, and keeps prompts and seeds together.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.statistics.discrepancy import squared_discrepancy
from audit.statistics.intervals import Estimate, Interval, quantile, t_interval
from audit.statistics.shares import Design, Shares, shares
from audit.types import Floats


@dataclass(frozen=True)
class McNemar:
    """Tests of equal shares of one class from b and c flips; 1 where nothing flipped."""

    exact: float
    mid_p: float
    asymptotic: float
    corrected: float


def mcnemar(gained: int, lost: int) -> McNemar:
    """Test whether a class gained as many images as it lost.

    >>> round(mcnemar(18, 6).mid_p, 6)
    0.014633
    """
    n, fewer = gained + lost, min(gained, lost)
    if n == 0:
        return McNemar(1.0, 1.0, 1.0, 1.0)
    tail = float(stats.binom.cdf(fewer, n, 0.5))
    at = float(stats.binom.pmf(fewer, n, 0.5))
    net = abs(gained - lost)
    return McNemar(
        exact=min(2 * tail, 1.0),
        mid_p=min(2 * tail - at, 1.0),
        asymptotic=float(stats.chi2.sf(net**2 / n, 1)),
        corrected=float(stats.chi2.sf(max(net - 1, 0) ** 2 / n, 1)),
    )


@dataclass(frozen=True)
class Homogeneity:
    """A chi-square test on a table of flips."""

    statistic: float
    df: int
    p: float
    dropped: tuple[int, ...]
    """Classes that neither arm drew, left out of the test."""


def stuart_maxwell(table: npt.NDArray[np.integer]) -> Homogeneity:
    """Test whether all K shares are equal in both arms, from flips [K, K] (rows: before)."""
    seen = (table.sum(axis=0) + table.sum(axis=1)) > 0
    dropped = tuple(int(i) for i in np.flatnonzero(~seen))
    t = np.asarray(table, float)[np.ix_(seen, seen)]
    d = t.sum(axis=1) - t.sum(axis=0)
    cov = np.diag(t.sum(axis=1) + t.sum(axis=0)) - t - t.T
    # A class that did not flip, and one class of every closed group, add nothing: hence the rank.
    df = int(np.linalg.matrix_rank(cov)) if len(d) else 0
    statistic = float(d @ np.linalg.pinv(cov) @ d) if df else 0.0
    return Homogeneity(statistic, df, float(stats.chi2.sf(statistic, df)) if df else 1.0, dropped)


def bowker(table: npt.NDArray[np.integer]) -> Homogeneity:
    """Test whether flips from a to b are as many as from b to a, for all pairs [K, K]."""
    t = np.asarray(table, float)
    a, b = np.triu_indices(len(t), 1)
    there, back = t[a, b], t[b, a]
    flipped = there + back > 0
    parts = (there - back)[flipped] ** 2 / (there + back)[flipped]
    df = int(flipped.sum())
    p = float(stats.chi2.sf(parts.sum(), df)) if df else 1.0
    return Homogeneity(float(parts.sum()), df, p, ())


def difference_error(gained: int, lost: int, n: int) -> float:
    """Return the standard error of (gained - lost) / n over n pairs."""
    return (gained + lost - (gained - lost) ** 2 / n) ** 0.5 / n


@dataclass(frozen=True)
class Paired:
    """Two arms compared on the pairs that both sides read."""

    before: Shares
    after: Shares
    difference: Shares
    """After minus before; `p` is the change of each share."""
    interval: Interval
    """[K] of the changes."""
    squared: Estimate
    """Change of the debiased squared discrepancy; negative is fairer."""
    dropped: int
    """Pairs left out because one side at least has no reading."""


def compare(
    before: npt.NDArray[np.floating],
    after: npt.NDArray[np.floating],
    target: npt.NDArray[np.floating],
    *,
    prompts: npt.NDArray[np.int64] | None = None,
    seeds: npt.NDArray[np.int64] | None = None,
    design: Design = "iid",
    level: float = 0.95,
) -> Paired:
    """Compare two arms row by row.

    Args:
        before: [N, K] votes of the baseline; NaN rows are missing.
        after: [N, K] votes of the other arm, row i of the same request as row i of `before`.
        target: [K].
        prompts: [N], as for `shares`.
        seeds: [N], as for `shares`.
        design: as for `shares`.
        level: of the intervals.
    """
    k = before.shape[1]
    both = np.concatenate([before, after], axis=1)
    joint = shares(both, prompts=prompts, seeds=seeds, design=design)
    contrast = np.concatenate([-np.eye(k), np.eye(k)], axis=1)
    difference = Shares(
        contrast @ joint.p,
        contrast @ joint.cov @ contrast.T,
        joint.n,
        joint.units,
        _df(joint),
        hard=False,
    )
    return Paired(
        before=_half(joint, slice(0, k)),
        after=_half(joint, slice(k, 2 * k)),
        difference=difference,
        interval=difference_interval(difference, level),
        squared=_squared_change(joint, np.asarray(target, float), level),
        dropped=len(both) - int(joint.n),
    )


def difference_interval(difference: Shares, level: float = 0.95) -> Interval:
    """Return the interval [K] of the change of every share, clipped to [-1, 1]."""
    variance = np.diagonal(difference.cov)
    half = quantile(level, difference.df) * np.sqrt(variance)
    low, high = difference.p - half, difference.p + half
    return Interval(np.clip(low, -1, 1), np.clip(high, -1, 1), level, "paired-t")


def tost(estimate: Estimate, margin: float) -> float:
    """Return the p-value of the claim |change| < margin: two one-sided t tests (Schuirmann 1987).

    Small means equivalent; a change that is merely not significant is no evidence of that.
    """
    if estimate.se == 0:
        return 0.0 if abs(estimate.value) < margin else 1.0
    nearest = (margin - abs(estimate.value)) / estimate.se
    return float(stats.t.sf(nearest, estimate.df))


def _squared_change(joint: Shares, target: Floats, level: float) -> Estimate:
    k = len(target)
    deviation = joint.p - np.tile(target, 2)
    sign = np.repeat([-1.0, 1.0], k)
    change = squared_discrepancy(_half(joint, slice(k, 2 * k)), target) - squared_discrepancy(
        _half(joint, slice(0, k)), target
    )
    # Var of dᵀAd - tr AΣ with A = diag(-I, I); the plug-in of its first term is 4 tr (AΣ)² too large.
    linear = (sign * deviation) @ joint.cov @ (sign * deviation)
    noise = np.trace((sign[:, None] * joint.cov) @ (sign[:, None] * joint.cov))
    variance = max(4 * linear - 2 * noise, 2 * noise, 0.0)
    return t_interval(float(change), variance**0.5, float(_df(joint)), int(joint.n), level)


def _half(joint: Shares, part: slice) -> Shares:
    return Shares(joint.p[part], joint.cov[part, part], joint.n, joint.units, joint.df, hard=False)


def _df(joint: Shares) -> Floats:
    return np.asarray(np.where(np.isinf(joint.df), np.maximum(joint.units - 1.0, 1.0), joint.df))
