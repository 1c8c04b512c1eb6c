"""Many tests at once: adjusted p-values."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from audit.types import Floats


def holm(p: npt.ArrayLike) -> Floats:
    """Adjust p-values [M] after Holm 1979: reject where ≤ α and no true null falls, at 1 - α.

    For gates. A NaN (a test that could not be made) stays NaN and is not counted.

    >>> holm([0.01, 0.04]).tolist()
    [0.02, 0.04]
    """
    return _adjust(p, lambda ranked, m: np.maximum.accumulate(ranked * (m - np.arange(m))))


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Adjust p-values [M] after Benjamini and Hochberg 1995: bounds the share of false alarms.

    For tables that are explored, one row a prompt.

    >>> benjamini_hochberg([0.01, 0.04]).tolist()
    [0.02, 0.04]
    """
    return _adjust(
        p, lambda ranked, m: np.minimum.accumulate((ranked * m / np.arange(1, m + 1))[::-1])[::-1]
    )


def _adjust(p: npt.ArrayLike, rule: Callable[[Floats, int], Floats]) -> Floats:
    p = np.asarray(p, float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[p[tested].argsort(kind="stable")]
    adjusted[order] = np.minimum(rule(p[order], len(order)), 1)
    return adjusted
