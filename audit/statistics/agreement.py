"""Agreement of raters beyond chance: probes with each other, or with people."""

import numpy as np
import numpy.typing as npt

from audit.types import Floats


def confusion(
    first: npt.NDArray[np.int64], second: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Count pairs of codes, [K, K]: rows the first rater, columns the second.

    A pair with a negative code, a missing reading, is left out.
    """
    both = (first >= 0) & (second >= 0)
    pairs = np.bincount(first[both] * classes + second[both], minlength=classes**2)
    return pairs.reshape(classes, classes)


def cohen(table: npt.NDArray[np.integer]) -> float:
    """Return Cohen's kappa of two raters from their table of counts [K, K].

    1 is agreement throughout, 0 what chance gives; NaN where both always say one same class.

    >>> round(cohen(np.array([[45, 5], [10, 40]])), 6)
    0.7
    """
    share = table / table.sum() if table.sum() else np.full(table.shape, np.nan)
    return _beyond_chance(float(np.trace(share)), float(share.sum(0) @ share.sum(1)))


def fleiss(votes: npt.NDArray[np.integer]) -> float:
    """Return Fleiss' kappa of a fixed number of raters from votes a class, [items, K]."""
    votes = np.asarray(votes, float)
    m = votes.sum(axis=1)
    if not (m == m[0]).all() or m[0] < 2:
        raise ValueError("every item needs the same number of raters, two or more")
    observed = ((votes**2).sum(axis=1) - m) / (m * (m - 1))
    expected = (votes.sum(axis=0) / votes.sum()) ** 2
    return _beyond_chance(float(observed.mean()), float(expected.sum()))


def krippendorff(codes: npt.NDArray[np.int64], classes: int) -> float:
    """Return Krippendorff's nominal alpha from codes [items, raters]; a negative code is missing.

    Items with a single reading say nothing about agreement and are left out.
    """
    votes = np.stack([(codes == k).sum(axis=1) for k in range(classes)], axis=1).astype(float)
    votes = votes[votes.sum(axis=1) >= 2]
    m = votes.sum(axis=1, keepdims=True)
    n = votes.sum()
    if n == 0:
        return float("nan")
    observed = float((votes * (m - votes) / (m - 1)).sum())
    totals = votes.sum(axis=0)
    expected = float((n**2 - (totals**2).sum()) / (n - 1))
    return 1 - observed / expected if expected > 0 else float("nan")


def agreement(table: npt.NDArray[np.integer]) -> float:
    """Return the share of pairs on the diagonal of a table of counts [K, K]."""
    return float(np.trace(table) / table.sum()) if table.sum() else float("nan")


def agreement_by_class(table: npt.NDArray[np.integer]) -> Floats:
    """Return for each class [K] the specific agreement 2 n_kk / (row + column); NaN if unseen."""
    both = table.sum(axis=0) + table.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(2 * np.diag(table) / both)


def _beyond_chance(observed: float, expected: float) -> float:
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")
