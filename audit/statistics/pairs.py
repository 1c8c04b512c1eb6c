"""Two arms on the same requests: who flipped, and how shares and discrepancies differ.

Pairing removes what both arms share, so differences are taken image by image: the difference of
two votes is a vote like any other for `shares`, and keeps prompts and seeds together.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import Estimate, Interval, quantile
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
    return float(np.sqrt(gained + lost - (gained - lost) ** 2 / n) / n)


@dataclass(frozen=True)
class Change:
    """After minus before; negative is fairer."""

    value: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Paired:
    """Two arms compared on the pairs that both sides read."""

    before: Shares
    after: Shares
    difference: Shares
    """After minus before; `p` is the change of each share."""
    interval: Interval
    """[K] of the changes."""
    distance: Change
    """Of the debiased discrepancy."""
    squared: Change
    """Of the debiased squared discrepancy."""
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
    both: Floats = np.concatenate([before, after], axis=1, dtype=float)
    wanted: Floats = np.asarray(target, float)
    both[np.isnan(both).any(axis=1)] = np.nan
    estimate = partial(shares, prompts=prompts, seeds=seeds, design=design)
    joint, one, two = estimate(both), estimate(both[:, :k]), estimate(both[:, k:])
    contrast = np.concatenate([-np.eye(k), np.eye(k)], axis=1)
    cov = contrast @ joint.cov @ contrast.T
    difference = replace(joint, p=contrast @ joint.p, cov=cov, df=_df(joint))
    distance, square = _changes(one, two, joint.cov[:k, k:], wanted, level)
    return Paired(
        before=one,
        after=two,
        difference=difference,
        interval=difference_interval(difference, level),
        distance=distance,
        squared=square,
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


def _changes(
    before: Shares, after: Shares, across: Floats, target: Floats, level: float
) -> tuple[Change, Change]:
    """Return the changes of FD and of its square, with intervals put together from both arms'.

    Zou and Donner 2008 (MOVER): each side keeps its own asymmetric interval, which a normal
    approximation of a difference of squares would not; pairing enters by their correlation.
    """
    one, two = discrepancy(before, target, level), discrepancy(after, target, level)
    d, e = before.p - target, after.p - target
    spread = (d @ before.cov @ d) * (e @ after.cov @ e)
    r = float(d @ across @ e / spread**0.5) if spread > 0 else 0.0
    # Signed, so that the centre is unbiased where an arm is fair.
    roots = [np.sign(x.squared) * np.sqrt(np.abs(x.squared)) for x in (one, two)]
    distance = _change(roots[0], one.low, one.high, roots[1], two.low, two.high, r)
    square = _change(one.squared, one.low**2, one.high**2, two.squared, two.low**2, two.high**2, r)
    return (
        Change(float(two.debiased - one.debiased), *distance, level),
        Change(float(two.squared - one.squared), *square, level),
    )


def _change(
    a: Floats, a_low: Floats, a_high: Floats, b: Floats, b_low: Floats, b_high: Floats, r: float
) -> tuple[float, float]:
    """Return the interval of b - a from those of a and b and their correlation r."""
    down = np.maximum(b - b_low, 0), np.maximum(a_high - a, 0)
    up = np.maximum(b_high - b, 0), np.maximum(a - a_low, 0)
    below, above = (x**2 + y**2 - 2 * r * x * y for x, y in (down, up))
    return float(b - a - np.sqrt(max(below, 0))), float(b - a + np.sqrt(max(above, 0)))


def _df(joint: Shares) -> Floats:
    return np.asarray(np.where(np.isinf(joint.df), np.maximum(joint.units - 1.0, 1.0), joint.df))
