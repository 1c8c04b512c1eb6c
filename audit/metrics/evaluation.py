"""A fairness metric with its interval, the same way for all of them."""

import numpy as np
import numpy.typing as npt

from audit.statistics.discrepancy import Discrepancy, distance
from audit.statistics.inversion import Inverted, invert
from audit.statistics.shares import Shares
from audit.types import Floats, Metric


def evaluate(
    metric: Metric, shares: Shares, target: npt.NDArray[np.floating], level: float = 0.95
) -> Inverted:
    """Measure one metric of shares, with interval, one-sided bounds and null range.

    Args:
        metric: one whose `interval` is `inversion`.
        shares: hard or soft, as the metric asks; leading dimensions are kept.
        target: [K]; a metric that knows no target is measured from even shares.
        level: of the interval, and of each one-sided bound.
    """
    target = np.asarray(target, float)
    if "first_share" in metric.columns:
        # How the others are shared out says nothing of the first, and would bend its interval.
        first = np.eye(len(target))[0]
        groups = np.stack([first, 1 - first])
        shares, target = shares.merged(groups), groups @ target
    sign = -1.0 if metric.better == "higher" else 1.0
    targeted = "target" in metric.columns

    def grows(p: Floats, t: Floats) -> Floats:
        return np.asarray(sign * (metric.function(p, t) if targeted else metric.function(p)))

    start = target if targeted else np.full(len(target), 1 / len(target))
    found = invert(grows, shares, start, level)
    return found if sign > 0 else found.mirrored()


def exact(metric: Metric, p: Floats, target: Floats) -> Floats:
    """Return a metric of shares [..., K] that are known and not estimated."""
    if metric.interval == "debiased":
        return distance(p, target) ** _power(metric)
    return np.asarray(metric.function(*((p, target) if "target" in metric.columns else (p,))))


def debiased(metric: Metric, found: Discrepancy) -> Inverted:
    """Return `fd_debiased` or `fd2_debiased` as `evaluate` does, from a discrepancy at hand.

    The interval is that of the distance itself, squared where the metric is a square.
    """
    power = _power(metric)
    value = found.squared if power == 2 else found.debiased
    return Inverted(
        value,
        found.low**power,
        found.high**power,
        found.lower**power,
        found.upper**power,
        np.zeros_like(value),
        np.zeros_like(value),
        found.null_high**power,
        found.p_null,
        found.method,
    )


def _power(metric: Metric) -> int:
    return 2 if metric.name.startswith("fd2") else 1
