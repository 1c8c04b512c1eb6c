"""Two arms on the same requests: how shares and discrepancies changed.

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

Real = float | Floats


@dataclass(frozen=True)
class Change:
    """After minus before; negative is fairer; `...` are the leading dimensions of the shares."""

    value: Floats
    low: Floats
    high: Floats
    level: float


@dataclass(frozen=True)
class Paired:
    """Two arms compared on the pairs that both sides read."""

    before: Shares
    after: Shares
    difference: Shares
    """After minus before; `p` is the change of each share."""
    interval: Interval
    """[..., K] of the changes."""
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
    both[np.isnan(both).any(axis=1)] = np.nan
    estimate = partial(shares, prompts=prompts, seeds=seeds, design=design)
    one, two, joint = estimate(both[:, :k]), estimate(both[:, k:]), estimate(both)
    found = compare_shares(one, two, joint.cov, target, level)
    return replace(found, dropped=len(both) - int(joint.n))


def compare_shares(
    before: Shares,
    after: Shares,
    joint: Floats,
    target: npt.NDArray[np.floating],
    level: float = 0.95,
) -> Paired:
    """Compare shares of the same pairs in two arms.

    Args:
        before: of the baseline, with any leading dimensions.
        after: of the other arm.
        joint: [..., 2K, 2K] covariance of both, those of the baseline first.
        target: [K].
        level: of the intervals.
    """
    k = before.p.shape[-1]
    contrast = np.concatenate([-np.eye(k), np.eye(k)], axis=1)
    cov, across = contrast @ joint @ contrast.T, joint[..., :k, k:]
    df = np.where(np.isinf(before.df), np.maximum(before.units - 1.0, 1.0), before.df)
    difference = Shares(after.p - before.p, cov, before.n, before.units, df, hard=False)
    distance, squared = _changes(before, after, across, np.asarray(target, float), level)
    interval = difference_interval(difference, level)
    return Paired(before, after, difference, interval, distance, squared, dropped=0)


def difference_interval(difference: Shares, level: float = 0.95) -> Interval:
    """Return the interval [..., K] of the change of every share, clipped to [-1, 1]."""
    variance = np.diagonal(difference.cov, axis1=-2, axis2=-1)
    half = quantile(level, difference.df)[..., None] * np.sqrt(np.maximum(variance, 0))
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


def mover(
    before: tuple[Real, Real, Real], after: tuple[Real, Real, Real], correlation: Real = 0.0
) -> tuple[Floats, Floats]:
    """Return the interval of a difference from those of both sides.

    Zou and Donner 2008, "method of variance estimates recovery": each side keeps its own
    asymmetric interval, which a normal approximation would not.

    Args:
        before: Value, lower and upper end.
        after: The same of what it is subtracted from.
        correlation: Of the two estimates.

    >>> [round(float(end), 3) for end in mover((2, 1, 3), (5, 3, 6))]
    [0.764, 4.414]
    """
    (a, a_low, a_high), (b, b_low, b_high) = before, after
    down = [np.maximum(np.subtract(x, y), 0) for x, y in ((b, b_low), (a_high, a))]
    up = [np.maximum(np.subtract(x, y), 0) for x, y in ((b_high, b), (a, a_low))]
    below, above = (x**2 + y**2 - 2 * correlation * x * y for x, y in (down, up))
    change = np.subtract(b, a)
    return change - np.sqrt(np.maximum(below, 0)), change + np.sqrt(np.maximum(above, 0))


def _changes(
    before: Shares, after: Shares, across: Floats, target: Floats, level: float
) -> tuple[Change, Change]:
    """Return the changes of FD and of its square; pairing enters by the arms' correlation."""
    one, two = discrepancy(before, target, level), discrepancy(after, target, level)
    d, e = before.p - target, after.p - target
    spread = _form(d, before.cov, d) * _form(e, after.cov, e)
    r = np.where(spread > 0, _form(d, across, e) / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
    # Signed, so that the centre is unbiased where an arm is fair.
    roots = [np.sign(x.squared) * np.sqrt(np.abs(x.squared)) for x in (one, two)]
    distance = mover((roots[0], one.low, one.high), (roots[1], two.low, two.high), r)
    square = mover(
        (one.squared, one.low**2, one.high**2), (two.squared, two.low**2, two.high**2), r
    )
    return (
        Change(two.debiased - one.debiased, *distance, level),
        Change(two.squared - one.squared, *square, level),
    )


def _form(d: Floats, cov: Floats, e: Floats) -> Floats:
    return np.asarray(np.einsum("...a,...ab,...b->...", d, cov, e))
