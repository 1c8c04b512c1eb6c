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
from audit.statistics.intervals import quantile
from audit.statistics.paired_shares import effective_pairs
from audit.statistics.shares import shares, shares_by
from audit.types import Floats

Votes = npt.NDArray[np.floating]


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
        nothing = Change(*map(np.asarray, (np.nan, np.nan, np.nan)), level)
        return nothing, nothing
    joint = shares_by(both, prompts, count)
    splits, each, away = [], [], []
    for votes in (both[:, :k], both[:, k:]):
        found = shares_by(votes, prompts, count)
        splits.append(
            decompose_votes(votes, found, target, prompts=prompts, seeds=seeds, design=design)
        )
        each.append(contributions(votes, found, target, prompts))
        away.append(found.p[usable] - target)
    common = _covariance(*away, joint.cov[usable, :k, k:])
    if design in CLUSTERED:
        found = shares(np.stack(each, axis=1), prompts=prompts, seeds=seeds, design=design)
        common = min(common, float(found.cov[0, 1]))
    change = both[:, k:] - both[:, :k]
    estimate = partial(shares, prompts=prompts, seeds=seeds, design=design)
    unseen = (quantile(level) / effective_pairs(estimate(change), estimate(change**2).p)) ** 2
    lengths = (np.linalg.norm(d, axis=1) for d in away)
    less = 4 * float(unseen) * float(np.mean(np.prod(list(lengths), axis=0)))
    return changes_of(*splits, max(common - less, min(common, 0.0)), level)


def _covariance(d: Floats, e: Floats, across: Floats) -> float:
    """Return the covariance of two mean squares of J prompts; see `squared_variance`."""
    linear = np.einsum("ja,jab,jb->", d, across, e)
    noise = np.einsum("jab,jab->", across, across)
    return float(4 * linear - 2 * noise) / len(d) ** 2


def changes_of(
    before: Decomposition, after: Decomposition, common: float = 0.0, level: float = 0.95
) -> tuple[Change, Change]:
    """Return the change of FD over prompts, and of its square.

    Args:
        before: of the baseline.
        after: of the other arm.
        common: covariance of both mean squares; 0 of samples that have nothing in common.
        level: of the intervals.
    """
    spread = before.macro_se * after.macro_se
    r = float(np.clip(common / spread, -1, 1)) if spread > 0 else 0.0
    ends = []
    for side in (before, after):
        half = float(quantile(level, side.df)) * side.macro_se
        ends.append((side.macro, side.macro - half, side.macro + half))
    roots = [tuple(np.sign(end) * abs(end) ** 0.5 for end in side) for side in ends]
    # What a root near 0 may be says nothing of how it goes with another.
    together = r if min(low for _, low, _ in ends) > 0 else min(r, 0.0)
    one, two = (max(side.macro, 0.0) ** 0.5 for side in (before, after))
    return (
        Change(np.asarray(two - one), *mover(*roots, together), level),  # type: ignore[arg-type]
        Change(np.asarray(after.macro - before.macro), *mover(*ends, r), level),
    )
