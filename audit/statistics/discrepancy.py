"""Fairness discrepancy: plug-in, debiased, against the null of a fair model, with an interval.

The plug-in distance is positive for a perfectly fair model: E‖p̂ - t‖² = ‖p - t‖² + tr cov(p̂).
Subtracting the trace of the estimated covariance removes that bias under every design of
`shares`, for hard and for soft votes alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.statistics.inversion import invert
from audit.statistics.shares import Shares
from audit.types import Floats


@dataclass(frozen=True)
class Discrepancy:
    """Distance of shares from a target; `...` are the leading dimensions of the shares."""

    plugin: Floats
    """[...] ‖p̂ - t‖, as papers print it; biased upwards."""
    squared: Floats
    """[...] unbiased estimate of ‖p - t‖²; may be negative."""
    debiased: Floats
    """[...] root of `squared`, 0 where that is negative."""
    normalised: Floats
    """[...] plug-in as a part of the largest possible: 1 = all in the rarest wanted class."""
    low: Floats
    high: Floats
    """[...] two-sided interval of ‖p - t‖ at `level`; it can contain 0."""
    lower: Floats
    upper: Floats
    """[...] one-sided bounds at `level`, for gates: fail above the one, pass below the other."""
    null_mean: Floats
    null_high: Floats
    """[...] mean and `level` quantile of the plug-in of a model exactly on the target."""
    p_null: Floats
    """[...] P(plug-in at least as large | model exactly on the target)."""
    level: float
    method: str


def squared_discrepancy(shares: Shares, target: npt.NDArray[np.floating]) -> Floats:
    """Return the unbiased estimate of ‖p - t‖², [...]; negative values keep their sign.

    >>> from audit.statistics.shares import from_counts
    >>> round(float(squared_discrepancy(from_counts(np.array([16, 4])), np.array([0.5, 0.5]))), 6)
    0.163158
    """
    plugin = ((shares.p - target) ** 2).sum(-1)
    return np.asarray(plugin - np.trace(shares.cov, axis1=-2, axis2=-1))


def maximum(target: npt.NDArray[np.floating]) -> float:
    """Return the largest ‖p - t‖ there is: everything in the class that was wanted least."""
    t = np.asarray(target, float)
    return float(np.sqrt((t**2).sum() + 1 - 2 * t.min()))


def discrepancy(
    shares: Shares, target: npt.NDArray[np.floating], level: float = 0.95
) -> Discrepancy:
    """Measure the distance of shares from a target, all forms at once.

    Args:
        shares: of any design, with any leading dimensions.
        target: [K] shares wanted, adding up to 1.
        level: of the interval, of each one-sided bound and of the null band.

    Returns:
        NaN throughout where nothing was read.
    """
    target = np.asarray(target, float)
    found = invert(distance, shares, target, level)
    squared = squared_discrepancy(shares, target)
    return Discrepancy(
        plugin=found.value,
        squared=squared,
        debiased=np.sqrt(np.maximum(squared, 0)),
        normalised=found.value / maximum(target),
        low=found.low,
        high=found.high,
        lower=found.lower,
        upper=found.upper,
        null_mean=found.null_mean,
        null_high=found.null_high,
        p_null=found.p_null,
        level=level,
        method=found.method,
    )


def distance(p: Floats, target: Floats) -> Floats:
    """Return ‖p - t‖ over the last dimension."""
    away = np.asarray(p - target)
    return np.asarray(np.sqrt(np.einsum("...k,...k->...", away, away)))
