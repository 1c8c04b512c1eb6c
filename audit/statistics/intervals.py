"""Confidence intervals of shares and of means."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from audit.statistics.designs import Design
from audit.statistics.shares import Shares, shares
from audit.types import Floats


@dataclass(frozen=True)
class Interval:
    """A two-sided interval; `...` are leading dimensions."""

    low: Floats
    high: Floats
    level: float
    method: str


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and interval."""

    value: float
    se: float
    low: float
    high: float
    level: float
    n: int
    df: float
    method: str


def wilson(
    p: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95, df: npt.ArrayLike = np.inf
) -> Interval:
    """Score interval of a share, after Wilson 1927; never empty, never outside [0, 1].

    Args:
        p: [...] observed share.
        n: [...] readings, or their effective number.
        level: coverage wanted.
        df: [...] degrees of freedom where the variance is estimated from clusters.

    >>> i = wilson(16 / 20, 20)
    >>> round(float(i.low), 6), round(float(i.high), 6)
    (0.583983, 0.919342)
    """
    p, n = np.asarray(p, float), np.asarray(n, float)
    z2 = quantile(level, df) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return Interval(
        np.where(p <= 0, 0.0, np.maximum(centre - half, 0)),
        np.where(p >= 1, 1.0, np.minimum(centre + half, 1)),
        level,
        "wilson",
    )


def clopper_pearson(k: npt.ArrayLike, n: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Exact interval of a share of independent readings: covers at least `level` everywhere."""
    k, n = np.asarray(k, float), np.asarray(n, float)
    tail = (1 - level) / 2
    some, not_all = np.where(k > 0, k, 1), np.where(k < n, k, 0)
    low = special.betaincinv(some, n - some + 1, tail)
    high = special.betaincinv(not_all + 1, n - not_all, 1 - tail)
    return Interval(
        np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high), level, "clopper-pearson"
    )


def goodman(counts: npt.NDArray[np.integer], level: float = 0.95) -> Interval:
    """Simultaneous intervals of all K shares, after Goodman 1965, from counts [..., K]."""
    c = np.asarray(counts, float)
    n = c.sum(-1, keepdims=True)
    b = stats.chi2.ppf(1 - (1 - level) / c.shape[-1], 1)
    half = np.sqrt(b * (b + 4 * c * (n - c) / n))
    return Interval(
        (b + 2 * c - half) / (2 * (n + b)), (b + 2 * c + half) / (2 * (n + b)), level, "goodman"
    )


def share_interval(estimate: Shares, level: float = 0.95) -> Interval:
    """Wilson interval [..., K] of every share, at the effective number of readings of its class.

    Independent hard readings give the ordinary Wilson interval; clustered ones count for fewer,
    and the quantile is Student's with the degrees of freedom that are left of them.
    """
    found = wilson(estimate.p, class_n(estimate), level, class_df(estimate))
    seen = np.asarray(estimate.n)[..., None] > 0
    return Interval(
        np.where(seen, found.low, np.nan), np.where(seen, found.high, np.nan), level, "wilson"
    )


def exact_interval(estimate: Shares, level: float = 0.95) -> Interval:
    """Clopper-Pearson interval [..., K] of every share, after Korn and Graubard 1998.

    Clusters count as the independent readings they are worth, and for fewer where few of them
    tell how many that are: by the square of the normal quantile over Student's.
    """
    known = quantile(level) / quantile(level, class_df(estimate))
    worth = class_n(estimate) * known**2
    found = clopper_pearson(estimate.p * worth, worth, level)
    seen = np.asarray(estimate.n)[..., None] > 0
    low, high = (np.where(seen, end, np.nan) for end in (found.low, found.high))
    return Interval(low, high, level, found.method)


def class_n(estimate: Shares) -> Floats:
    """Return the effective number of readings [..., K] of every share."""
    variance = np.diagonal(estimate.interval_cov, axis1=-2, axis2=-1)
    p = estimate.p
    with np.errstate(divide="ignore", invalid="ignore"):
        n = p * (1 - p) / variance + 1
    return np.where(variance > 0, n, estimate.n_effective[..., None])


def class_df(estimate: Shares) -> Floats:
    """Return the degrees of freedom [..., K] of the variance of every share, after Satterthwaite.

    A variance from M units is worth 2 / (2 / (M - 1) + κ / M) degrees of freedom, κ the excess
    kurtosis of a unit's share (O'Neill 2014, The American Statistician 68(4)). Few units say
    little of their fourth moment; but shares lie between 0 and 1, so κ is taken from the beta law
    with their mean and variance. A rare class that only some prompts draw is then known to be
    known badly. A variance that is known in form, as of whole votes of single images, keeps `df`.
    A corrected share may be of fewer than one unit, and is worth one degree of freedom still.
    """
    p, variance = estimate.p, np.diagonal(estimate.interval_cov, axis1=-2, axis2=-1)
    units, df = (np.asarray(x, float)[..., None] for x in (estimate.units, estimate.df))
    single = estimate.hard & (estimate.units >= estimate.n)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = 2 / (2 / df + beta_kurtosis(p, variance * units) / units)
        left = np.maximum(left, np.minimum(df, 1))
    return np.where(np.isinf(df) | np.isnan(left) | single[..., None], df, left)


def group_df(estimate: Shares) -> Floats:
    """Return the degrees of freedom [...] of the trace of the covariance, after Satterthwaite."""
    variance = np.diagonal(estimate.interval_cov, axis1=-2, axis2=-1)
    total = variance.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = total / (variance / class_df(estimate)).sum(-1)
    return np.where(total > 0, found, estimate.df)


def beta_kurtosis(mean: Floats, variance: Floats) -> Floats:
    """Return the excess kurtosis of the beta law with this mean and variance; NaN without one.

    Of a mean of next to nothing it is infinite.

    >>> round(float(beta_kurtosis(np.array(0.5), np.array(1 / 12))), 6)  # uniform
    -1.2
    >>> float(beta_kurtosis(np.array(5e-324), np.array(0.5)))
    inf
    """
    most = mean * (1 - mean)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = np.maximum(most / variance, 1)  # α + β + 1; 1 where units are all or nothing
        numerator = (1 - 2 * mean) ** 2 * spread - most * (spread + 1)
        return np.asarray(6 * numerator / (most * (spread + 1) * (spread + 2)))


def mean_interval(
    values: npt.NDArray[np.floating],
    *,
    prompts: npt.NDArray[np.int64] | None = None,
    seeds: npt.NDArray[np.int64] | None = None,
    design: Design = "iid",
    level: float = 0.95,
) -> Estimate:
    """Mean of a continuous reading [N] (a cosine, an age) with its t interval under a design.

    NaN is a missing reading and is left out; NaN is returned where nothing is left.
    """
    found = shares(np.asarray(values, float)[:, None], prompts=prompts, seeds=seeds, design=design)
    if found.n == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan, level, 0, np.nan, "no reading")
    df = max(float(found.units) - 1, 1) if design == "iid" else float(found.df)
    return t_interval(float(found.p[0]), float(found.cov[0, 0]) ** 0.5, df, int(found.n), level)


def difference_of_means(before: Estimate, after: Estimate) -> Estimate:
    """Return after minus before of two samples that have nothing in common: Welch 1947."""
    one, two = before.se**2, after.se**2
    parts = one**2 / before.df + two**2 / after.df
    df = (one + two) ** 2 / parts if parts > 0 else min(before.df, after.df)
    n = min(before.n, after.n)
    return t_interval(after.value - before.value, (one + two) ** 0.5, df, n, before.level)


def t_interval(value: float, se: float, df: float, n: int, level: float = 0.95) -> Estimate:
    """Student interval of an estimate that is about normal."""
    half = float(quantile(level, df)) * se
    return Estimate(value, se, value - half, value + half, level, n, df, "t")


def quantile(level: float, df: npt.ArrayLike = np.inf) -> Floats:
    """Two-sided quantile of Student's t; of the normal law where `df` is infinite.

    By the functions beneath `scipy.stats.t`, whose checks of its arguments take longer than all
    else that is done for one small interval.
    """
    df, p = np.asarray(df, float), 0.5 + level / 2
    known = np.isinf(df)
    return np.where(known, special.ndtri(p), special.stdtrit(np.where(known, 1.0, df), p))
