"""Fairness discrepancy: plug-in, debiased, against the null of a fair model, with an interval.

The plug-in distance is positive for a perfectly fair model: E‖p̂ - t‖² = ‖p - t‖² + tr cov(p̂).
Subtracting the trace of the estimated covariance removes that bias under every design of
`shares`, for hard and for soft votes alike.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.statistics.inversion import invert
from audit.statistics.shares import Shares, multinomial_cov, smoothed
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


@dataclass(frozen=True)
class Decomposition:
    """Mean over prompts of ‖p_j - t‖², split; debiased, so a term may be slightly negative."""

    macro: float
    """Mean over prompts."""
    pooled: float
    """‖p̄ - t‖²: imbalance of the whole."""
    spread: float
    """Mean over prompts of ‖p_j - p̄‖²: stereotype."""
    macro_se: float
    """Of whole votes never 0: a prompt that drew one class only is not taken for certain."""
    worst: int
    """The prompt with the largest debiased square."""


def decompose(by_prompt: Shares, target: npt.NDArray[np.floating]) -> Decomposition:
    """Split the mean squared discrepancy of J prompts into pooled imbalance and spread.

    Macro = pooled + spread holds exactly. Prompts without two readings are left out; where none
    is left every number is NaN and `worst` is -1.

    Args:
        by_prompt: shares with one leading dimension [J], independent between prompts.
        target: [K].
    """
    target = np.asarray(target, float)
    usable = np.flatnonzero(by_prompt.n >= 2)
    if len(usable) == 0:
        return Decomposition(np.nan, np.nan, np.nan, np.nan, -1)
    p, cov = by_prompt.p[usable], by_prompt.cov[usable]
    each = squared_discrepancy(by_prompt[usable], target)
    mean_cov = cov.mean(axis=0) / len(usable)
    pooled = float(((p.mean(axis=0) - target) ** 2).sum() - np.trace(mean_cov))
    macro = float(each.mean())
    if by_prompt.hard:
        n = by_prompt.n[usable, None]
        likely = smoothed(p, n, np.full_like(target, 1 / len(target)))
        cov = multinomial_cov(likely) / (n[..., None] - 1)
    variance = squared_variance(p - target, cov).sum() / len(usable) ** 2
    worst = int(usable[each.argmax()])
    return Decomposition(macro, pooled, macro - pooled, float(variance) ** 0.5, worst)


def squared_variance(deviation: Floats, cov: Floats) -> Floats:
    """Estimate the variance [...] of the debiased square of a deviation [..., K].

    Var = 4 dᵀΣd + 2 tr Σ²; the plug-in of the first term is too large by 4 tr Σ² on average.
    """
    linear = np.einsum("...a,...ab,...b->...", deviation, cov, deviation)
    noise = np.einsum("...ab,...ba->...", cov, cov)
    return np.asarray(np.maximum(4 * linear - 2 * noise, 2 * noise))
