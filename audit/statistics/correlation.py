"""How alike two readings order the same images."""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from audit.statistics.intervals import quantile
from audit.types import Floats


def spearman(x: Floats, y: Floats, groups: npt.NDArray[np.int64] | None = None) -> Floats:
    """Return Spearman's rank correlation of readings [N] with each of [N, ...].

    1 where they rise together, -1 where one falls as the other rises, about 0 where they have
    nothing to do with each other; NaN where one of them is the same throughout.

    Args:
        x: [N].
        y: [N, ...].
        groups: [N] if given, what ranks have in common with others of their group is taken off:
            a partial correlation, which two readings do not have for telling the groups alone.

    >>> float(spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 10.0, 9.0])))
    0.5
    """
    groups = np.zeros(len(x), np.int64) if groups is None else groups
    a, b = rankdata(x), rankdata(y, axis=0)
    for group in np.unique(groups):
        own = groups == group
        a[own] -= a[own].mean()
        b[own] -= b[own].mean(axis=0)
    lengths = np.sqrt((a @ a) * (b**2).sum(axis=0))
    along = np.tensordot(a, b, 1)
    return np.asarray(
        np.divide(along, lengths, out=np.full_like(along, np.nan), where=lengths > 0)
    )


def spearman_interval(rho: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a rank correlation of n independent images; never empty.

    Fisher's z with the variance (1 + ρ²/2) / (n - 3): Bonett and Wright 2000 (Psychometrika
    65:23). Readings that agree throughout count as half a swap of neighbours, so that few images
    never make one sure. With three images or fewer it is all of [-1, 1]. Of a partial correlation
    n is less by one for each group but the first.

    >>> [round(end, 3) for end in spearman_interval(0.5, 43)]
    [0.217, 0.705]
    """
    if n <= 3:
        return -1.0, 1.0
    most = 1 - 6 / (n * (n**2 - 1))
    z = np.arctanh(np.clip(rho, -most, most))
    half = float(quantile(level)) * np.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = np.tanh([z - half, z + half])
    return float(min(low, rho)), float(max(high, rho))
