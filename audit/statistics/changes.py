"""Two arms on the same requests: how shares and discrepancies changed.

Pairing removes what both arms share, so differences are taken image by image: the difference of
two votes is a vote like any other for `shares`, and keeps prompts and seeds together.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.statistics.designs import CLUSTERED, Design
from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import Estimate, Interval, class_n, share_interval
from audit.statistics.paired_shares import (
    hotelling,
    score_interval,
    score_p,
    student_p,
    unseen_flips,
)
from audit.statistics.pairs import exact
from audit.statistics.shares import Shares, shares, shares_by
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
class Compared:
    """The shares of two arms, and how they changed."""

    before: Shares
    after: Shares
    difference: Shares
    """After minus before; `p` is the change of each share."""
    interval: Interval
    """[..., K] of the changes."""
    p: Floats
    """[..., K] two-sided, of no change of a share."""
    together: Floats
    """[...] of no change of any share; NaN of two samples."""
    distance: Change
    """Of the debiased discrepancy."""
    squared: Change
    """Of the debiased squared discrepancy."""
    dropped: int = 0
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
) -> Compared:
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
    change = both[:, k:] - both[:, :k]
    estimate = partial(shares, prompts=prompts, seeds=seeds, design=design)
    one, two = estimate(both[:, :k]), estimate(both[:, k:])
    joint, moved = estimate(both), estimate(change**2).p
    found = compare_shares(one, two, joint.cov, moved, target, level)
    found = replace(found, dropped=len(both) - int(joint.n))
    if design in CLUSTERED:
        return found
    whole = np.zeros(len(change), np.int64)
    return replace(found, p=_exact_p(*_unweighted(change, whole, 1))[0])


def compare_each(
    change: npt.NDArray[np.floating],
    groups: npt.NDArray[np.int64],
    count: int,
    level: float = 0.95,
) -> tuple[Shares, Interval, Floats]:
    """Return the changes of every group of independent pairs, their intervals and p-values.

    Args:
        change: [N, K] hard votes of one arm less those of the other; NaN rows are missing.
        groups: [N] group of each pair, 0 … count - 1.
        count: how many groups there are, empty ones included.
        level: of the intervals.

    Returns:
        Shares with one leading dimension [count], and of both others [count, K]; the p-values are
        those of McNemar's exact test.
    """
    found, moved = _unweighted(change, groups, count)
    return found, score_interval(found, moved, level), _exact_p(found, moved)


def compare_shares(
    before: Shares,
    after: Shares,
    joint: Floats,
    moved: Floats,
    target: npt.NDArray[np.floating],
    level: float = 0.95,
) -> Compared:
    """Compare shares of the same pairs in two arms.

    Args:
        before: of the baseline, with any leading dimensions.
        after: of the other arm.
        joint: [..., 2K, 2K] covariance of both, those of the baseline first.
        moved: [..., K] mean of the squared change of a vote: the share of pairs that a class
            gained or lost, where votes are hard.
        target: [K].
        level: of the intervals.
    """
    k = before.p.shape[-1]
    contrast = np.concatenate([-np.eye(k), np.eye(k)], axis=1)
    cov, across = contrast @ joint @ contrast.T, joint[..., :k, k:]
    difference = Shares(after.p - before.p, cov, before.n, before.units, _df(before), hard=False)
    unseen = unseen_flips(difference, moved, level, difference.df)
    distance, squared = _changes(before, after, across, unseen, np.asarray(target, float), level)
    return Compared(
        before,
        after,
        difference,
        score_interval(difference, moved, level),
        score_p(difference, moved),
        hotelling(difference, moved),
        distance,
        squared,
    )


def compare_unpaired(
    before: Shares, after: Shares, target: npt.NDArray[np.floating], level: float = 0.95
) -> Compared:
    """Compare shares of two samples that have nothing in common.

    The interval of a change is made of those of both shares (Newcombe 1998, method 10), and the
    p-values are those of the pooled share.
    """
    one, two = (share_interval(found, level) for found in (before, after))
    low, high = mover((before.p, one.low, one.high), (after.p, two.low, two.high))
    n, units = np.minimum(after.n, before.n), np.minimum(after.units, before.units)
    df = np.minimum(_df(before), _df(after))
    difference = Shares(after.p - before.p, after.cov + before.cov, n, units, df, hard=False)
    a, b = class_n(before), class_n(after)
    pooled = (a * before.p + b * after.p) / (a + b)
    p = student_p(difference.p, pooled * (1 - pooled) * (1 / a + 1 / b), df)
    nothing = np.zeros_like(before.cov)
    distance, squared = _changes(before, after, nothing, 0.0, np.asarray(target, float), level)
    interval, together = Interval(low, high, level, "newcombe"), np.full(df.shape, np.nan)
    return Compared(before, after, difference, interval, p, together, distance, squared)


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
    before: Shares, after: Shares, across: Floats, unseen: Real, target: Floats, level: float
) -> tuple[Change, Change]:
    """Return the changes of FD and of its square; pairing enters by the arms' correlation.

    `unseen` [...] is of flips that were not seen and are not ruled out: what they take from the
    covariance of both arms in any direction. A flip moves two shares, hence by √2 ÷ n at most.
    """
    one, two = discrepancy(before, target, level), discrepancy(after, target, level)
    d, e = before.p - target, after.p - target
    spread = _form(d, before.cov, d) * _form(e, after.cov, e)
    common = _form(d, across, e)
    less = unseen * np.linalg.norm(d, axis=-1) * np.linalg.norm(e, axis=-1)
    common = np.where(common > 0, np.maximum(common - less, 0), common)
    r = np.where(spread > 0, common / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
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


def _unweighted(
    change: npt.NDArray[np.floating], groups: npt.NDArray[np.int64], count: int
) -> tuple[Shares, Floats]:
    """Return the changes [count] of groups of pairs that all weigh the same, and what moved."""
    return shares_by(change, groups, count), shares_by(change**2, groups, count).p


def _exact_p(found: Shares, moved: Floats) -> Floats:
    """Return the p-values [..., K] of McNemar's exact test: pairs gained against pairs lost."""
    flips = np.rint(np.stack([moved + found.p, moved - found.p]) * found.n[..., None] / 2)
    return exact(*flips)


def _form(d: Floats, cov: Floats, e: Floats) -> Floats:
    return np.asarray(np.einsum("...a,...ab,...b->...", d, cov, e))


def _df(found: Shares) -> Floats:
    return np.where(np.isinf(found.df), np.maximum(found.units - 1.0, 1.0), found.df)
