"""Two arms on the same requests: how the discrepancy changed, averaged over prompts.

A mitigation that balances the whole may still draw every nurse as a woman and every executive as
a man. What it does prompt by prompt is the change of the mean of the prompts' squares.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from audit.statistics.changes import Change, mover
from audit.statistics.decomposition import Decomposition, contributions, decompose_votes
from audit.statistics.designs import CLUSTERED, Design
from audit.statistics.discrepancy import maximum
from audit.statistics.intervals import quantile
from audit.statistics.paired_shares import unseen_flips
from audit.statistics.shares import shares, shares_by
from audit.types import Floats

Votes = npt.NDArray[np.floating]
Ends = tuple[float, float, float]
"""An estimate with the lower and the upper end of its interval."""


def macro_changes(
    before: Votes,
    after: Votes,
    target: Votes,
    *,
    prompts: npt.NDArray[np.int64],
    seeds: npt.NDArray[np.int64],
    design: Design,
    level: float = 0.95,
) -> tuple[Change, Change]:
    """Return the change of FD over prompts, and of its square; negative is fairer.

    Args:
        before: [N, K] votes of the baseline; NaN rows are missing.
        after: [N, K] votes of the other arm, row i of the same request as row i of `before`.
        target: [K].
        prompts: [N] which prompt, 0 … J - 1.
        seeds: [N], as for `shares`.
        design: as for `shares`; not `iid`.
        level: of the intervals.

    Returns:
        NaN where no prompt has two pairs that were read on both sides.
    """
    k, count = before.shape[1], int(prompts.max()) + 1
    both: Floats = np.concatenate([before, after], axis=1, dtype=float)
    lost = np.isnan(both).any(axis=1)
    usable = np.bincount(prompts[~lost], minlength=count) >= 2
    both[lost | ~usable[prompts]] = np.nan
    if not usable.any():
        nothing = Change(np.array(np.nan), np.array(np.nan), np.array(np.nan), level)
        return nothing, nothing
    one, two = both[:, :k], both[:, k:]
    p, q = shares_by(one, prompts, count), shares_by(two, prompts, count)
    split = partial(decompose_votes, target=target, prompts=prompts, seeds=seeds, design=design)
    estimate = partial(shares, prompts=prompts, seeds=seeds, design=design)

    d, e = p.p[usable] - target, q.p[usable] - target
    common = _covariance(d, e, shares_by(both, prompts, count).cov[usable, :k, k:])
    if design in CLUSTERED:
        moved = [contributions(votes, of, target, prompts) for votes, of in ((one, p), (two, q))]
        common = min(common, float(estimate(np.stack(moved, axis=1)).cov[0, 1]))
    # As for the whole: flips that were not seen and are not ruled out make arms less alike.
    change = two - one
    unseen = unseen_flips(estimate(change), estimate(change**2).p, level)
    lengths = np.linalg.norm(d, axis=1) * np.linalg.norm(e, axis=1)
    less = 4 * float(unseen) * float(lengths.mean())
    common = max(common - less, min(common, 0))
    return changes_of(split(one, p), split(two, q), target, common, level)


def changes_of(
    before: Decomposition,
    after: Decomposition,
    target: Votes,
    common: float = 0.0,
    level: float = 0.95,
) -> tuple[Change, Change]:
    """Return the change of FD over prompts, and of its square.

    Args:
        before: of the baseline.
        after: of the other arm.
        target: [K].
        common: covariance of both mean squares; 0 of samples that have nothing in common.
        level: of the intervals.
    """
    spread = before.macro_se * after.macro_se
    r = float(np.clip(common / spread, -1, 1)) if spread > 0 else 0.0
    farthest = maximum(target) ** 2
    one, two = (_ends(split, level, farthest) for split in (before, after))
    # What a root near 0 may be says nothing of how it goes with another.
    together = r if min(one[1], two[1]) > 0 else min(r, 0.0)
    roots = max(before.macro, 0.0) ** 0.5, max(after.macro, 0.0) ** 0.5
    return (
        _change(roots[1] - roots[0], _rooted(one), _rooted(two), together, level),
        _change(after.macro - before.macro, one, two, r, level),
    )


def _ends(split: Decomposition, level: float, farthest: float) -> Ends:
    """Return the mean square with both ends; below 0 as well, where the truth may be 0."""
    half = float(quantile(level, split.df)) * split.macro_se
    return split.macro, split.macro - half, min(split.macro + half, farthest)


def _change(value: float, before: Ends, after: Ends, r: float, level: float) -> Change:
    """No distance is below 0: it cannot fall by more than it was, nor rise by more than it is.

    The value may lie beyond, as an unbiased square may lie below 0, and belongs to the interval.
    """
    low, high = mover(before, after, r)
    least, most = min(-max(before[2], 0.0), value), max(after[2], 0.0, value)
    return Change(np.asarray(value), np.maximum(low, least), np.minimum(high, most), level)


def _rooted(ends: Ends) -> Ends:
    """Signed, so that the centre is unbiased where an arm is fair."""
    value, low, high = (float(np.sign(end)) * abs(end) ** 0.5 for end in ends)
    return value, low, high


def _covariance(d: Floats, e: Floats, across: Floats) -> float:
    """Return the covariance of two mean squares of J prompts; see `squared_variance`."""
    linear = np.einsum("ja,jab,jb->", d, across, e)
    noise = np.einsum("jab,jab->", across, across)
    return float(4 * linear - 2 * noise) / len(d) ** 2
