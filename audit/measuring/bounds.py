"""Interval, null and one-sided bounds of any metric of shares, by the method that it names."""

from collections.abc import Callable

import numpy as np

from audit.metrics.evaluation import debiased, evaluate
from audit.statistics.discrepancy import Discrepancy, discrepancy
from audit.statistics.intervals import quantile
from audit.statistics.inversion import Inverted
from audit.statistics.shares import Shares
from audit.types import Floats, Metric

Bounds = Callable[[float], tuple[float, float]]
"""Level -> one-sided lower and upper bound, each at that level."""

INTERVALS = frozenset({"inversion", "debiased"})
"""Methods by which a metric of shares gets its interval."""

FINEST = 0.99
"""Level that the draws of an inverted test resolve; beyond it bounds are stretched as the normal
law would, away from the value."""


def measured(metric: Metric, found: Shares, target: Floats, level: float) -> Inverted:
    """Return a metric of shares with all that is known of its estimate.

    Args:
        metric: of shares; one whose interval is in `INTERVALS`.
        found: hard or soft, as the metric asks, with any leading dimensions.
        target: [K].
        level: of the interval and of each one-sided bound, up to `FINEST`.
    """
    if metric.interval == "debiased":
        return from_discrepancy(metric, discrepancy(found, target, level))
    # A class that is wanted with share 0 makes ratios infinite; such ends are no numbers.
    with np.errstate(divide="ignore", invalid="ignore"):
        return evaluate(metric, found, target, level)


def from_discrepancy(metric: Metric, found: Discrepancy) -> Inverted:
    """Return a form of the discrepancy, debiased or plain, from one that was measured."""
    if metric.interval == "debiased":
        return debiased(metric, found)
    return Inverted(
        value=found.plugin,
        low=found.low,
        high=found.high,
        lower=found.lower,
        upper=found.upper,
        null_mean=found.null_mean,
        null_low=np.zeros_like(found.null_high),
        null_high=found.null_high,
        p_null=found.p_null,
        method=found.method,
    )


def one_sided(metric: Metric, found: Shares, target: Floats) -> Bounds | None:
    """Return the bounds of a metric of one group; None where it has none."""
    if found.n < 2 or metric.interval not in INTERVALS:
        return None

    def bounds(level: float) -> tuple[float, float]:
        lower, upper = _ends(metric, found, target, level)
        return float(lower), float(upper)

    return bounds


def of_worst(metric: Metric, by_prompt: Shares, target: Floats) -> Bounds | None:
    """Return the bounds of the worst of many prompts.

    On the bad side no adjustment is needed: that bound is too good only where the one of the truly
    worst prompt is. On the good side the bound is picked among many, so they share the level.
    """
    usable = int((by_prompt.n >= 2).sum())
    if usable == 0 or metric.interval not in INTERVALS:
        return None

    def bounds(level: float) -> tuple[float, float]:
        shared = 1 - (1 - level) / usable
        falls = metric.better == "higher"
        lower, _ = _ends(metric, by_prompt, target, level if falls else shared)
        _, upper = _ends(metric, by_prompt, target, shared if falls else level)
        worst = np.nanmin if falls else np.nanmax
        return float(worst(lower)), float(worst(upper))

    return bounds


def _ends(metric: Metric, found: Shares, target: Floats, level: float) -> tuple[Floats, Floats]:
    tests = measured(metric, found, target, min(level, FINEST))
    if level <= FINEST:
        return tests.lower, tests.upper
    lower = lowered(metric, tests.value, tests.lower, FINEST, level)
    return lower, raised(metric, tests.value, tests.upper, FINEST, level)


def lowered(metric: Metric, value: Floats, bound: Floats, level: float, to: float) -> Floats:
    """Carry lower bounds to a stricter level; one above a debiased value below 0 stays."""
    return np.minimum(_stretched(metric, value, bound, level, to), bound)


def raised(metric: Metric, value: Floats, bound: Floats, level: float, to: float) -> Floats:
    """Carry upper bounds to a stricter level."""
    return np.maximum(_stretched(metric, value, bound, level, to), bound)


def _stretched(metric: Metric, value: Floats, bound: Floats, level: float, to: float) -> Floats:
    """Carry one-sided bounds from one level to another as the normal law would."""
    stretch = float(quantile(2 * to - 1) / quantile(2 * level - 1))
    return np.asarray(np.clip(value + stretch * (bound - value), *metric.range))
