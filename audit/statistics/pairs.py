"""Tests on flips: the table of who was read as what in two arms, on the same requests."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True)
class McNemar:
    """Tests of equal shares of one class from b and c flips; 1 where nothing flipped."""

    exact: float
    mid_p: float
    asymptotic: float
    corrected: float


def exact(gained: npt.ArrayLike, lost: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the exact p-values [...] of McNemar's test, of flips of independent pairs."""
    fewer, n = np.minimum(gained, lost), np.add(gained, lost)
    return np.asarray(np.minimum(2 * stats.binom.cdf(fewer, n, 0.5), 1.0))


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
        exact=float(exact(gained, lost)),
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
