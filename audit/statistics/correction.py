"""Shares corrected for the errors of the probe that read them.

Measured shares are q = Cᵀp, C[y, k] = P(read k | is y). The error of C, known from finitely many
labelled images, is carried into every covariance and interval.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from audit.statistics.intervals import Interval, group_df, quantile
from audit.statistics.shares import Shares, multinomial_cov, nearest
from audit.types import Floats

SMALLEST_YOUDEN = 0.3
LARGEST_CONDITION = 10.0
FEWEST_LABELS = 30
STEPS = 17
ROUNDS = 8


@dataclass(frozen=True)
class Calibration:
    """What a probe read on images whose class is known."""

    counts: npt.NDArray[np.int64]
    """[K, K]: rows the true class, columns what was read."""

    @property
    def confusion(self) -> Floats:
        """[K, K], rows adding up to 1."""
        return np.asarray(self.counts / self.counts.sum(axis=1, keepdims=True))

    def refusals(self) -> tuple[str, ...]:
        """Say why a correction by this table cannot be trusted; empty where it can."""
        rows = self.counts.sum(axis=1)
        if rows.min() < FEWEST_LABELS:
            return (f"a class has {rows.min()} labelled images, {FEWEST_LABELS} are needed",)
        c = self.confusion
        if len(c) == 2 and np.trace(c) - 1 < SMALLEST_YOUDEN:
            return (f"sensitivity + specificity - 1 is {np.trace(c) - 1:.2f}, below 0.3",)
        condition = np.linalg.cond(c)
        if condition > LARGEST_CONDITION:
            return (f"the condition number of the confusion matrix is {condition:.1f}, above 10",)
        return ()


@dataclass(frozen=True)
class Corrected:
    """Corrected shares and what to say about them."""

    shares: Shares
    inverse: Floats
    """[K] before they were brought back to possible shares: unbiased, and may be negative."""
    interval: Interval
    """[K], with the uncertainty of the calibration."""
    raw: Shares
    method: str
    warnings: tuple[str, ...]


def correct(
    measured: Shares,
    calibration: Calibration,
    *,
    method: Literal["likelihood", "projection"] = "likelihood",
    level: float = 0.95,
) -> Corrected:
    """Correct hard shares of one group by the confusion matrix of their probe.

    Assumes label shift: that C is the same on the images audited as on those labelled.

    Args:
        measured: hard shares without leading dimensions.
        calibration: of the same probe, classes in the same order.
        method: what to do where the inverse leaves the simplex: the shares under which the
            readings are likeliest, or the nearest shares. Inside the simplex both are the inverse.
        level: of the interval.

    Returns:
        Warnings hold the reasons of `Calibration.refusals` and `infeasible_inverse`.
    """
    c = calibration.confusion
    matrix = np.linalg.inv(c.T)
    raw = matrix @ measured.p
    warnings = list(calibration.refusals())
    if raw.min() < 0:
        warnings.append("infeasible_inverse")
    p = likeliest(measured.p, c) if method == "likelihood" else nearest(raw)
    cov, cautious = (
        matrix @ (sampling + calibration_cov(p, calibration)) @ matrix.T
        for sampling in (measured.cov, measured.interval_cov)
    )
    found = replace(measured, p=p, cov=cov, hard=False, cautious=cautious)
    interval = _score_interval(raw, p, measured, calibration, level)
    return Corrected(found, raw, interval, measured, f"confusion-{method}", tuple(warnings))


def towards_collapse(
    found: Corrected, calibration: Calibration, target: Floats, level: float
) -> Floats:
    """Return places on the way to all images being of one class that readings do not rule out.

    The covariance of an estimate says too little of places beyond it: near collapse few labels
    and few readings are in error, and none at all in many a sample. So each place has a score
    test: readings q are as far from Cᵀp as chance would have them if p were true, C being what
    labels and readings together make likeliest under p. At collapse that is the test of two
    samples, readings and labels of one class, with their errors pooled.

    Args:
        found: what `correct` returned.
        calibration: the same as there.
        target: [K]; a place is ruled out where it lies too far from it for the readings.
        level: of each test, one-sided.

    Returns:
        Shares [P, K], first the corrected ones.
    """
    q, n, p = found.raw.p, float(found.raw.n_effective), found.shares.p
    rows, k = calibration.counts.sum(axis=1)[:, None], len(p)
    corner = np.eye(k)[p.argmax()]
    places = p + np.linspace(0, 1, STEPS)[:, None] * (corner - p)
    c = np.broadcast_to((calibration.counts + 0.5) / (rows + k / 2), (STEPS, k, k))
    for _ in range(ROUNDS):
        joint = places[:, :, None] * c
        whose = joint / np.maximum(joint.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        seen = calibration.counts + n * q * whose
        c = seen / seen.sum(axis=2, keepdims=True)
    read = multinomial_cov((places[:, :, None] * c).sum(axis=1)) / n
    labelled = (places[:, :, None, None] ** 2 * multinomial_cov(c) / rows[..., None]).sum(axis=1)
    away = places - target
    along = away @ np.linalg.inv(calibration.confusion.T)
    error = np.sqrt(np.einsum("si,sij,sj->s", along, read + labelled, along))
    ahead = (away * (places - found.inverse)).sum(axis=1)
    inside = ahead <= float(quantile(2 * level - 1, group_df(found.raw))) * error
    inside[0] = True
    return np.asarray(places[inside])


def calibration_cov(p: Floats, calibration: Calibration) -> Floats:
    """Return what the error of C adds to the covariance of Cᵀp: Σ_y p_y² cov(C_y)."""
    rows = calibration.counts.sum(axis=1)
    each = multinomial_cov(calibration.confusion) / rows[:, None, None]
    return np.asarray((p[:, None, None] ** 2 * each).sum(axis=0))


def likeliest(q: Floats, confusion: Floats) -> Floats:
    """Return the shares [K] that make measured shares q [K] likeliest, by EM on hard readings."""
    inverse = np.linalg.solve(confusion.T, q)
    if inverse.min() >= 0:
        return np.asarray(inverse)
    p = np.full(len(q), 1 / len(q))
    for _ in range(20_000):
        joint = p[:, None] * confusion
        new = (joint / joint.sum(axis=0)) @ q
        if abs(new - p).max() < 1e-12:
            break
        p = new
    return np.asarray(new)


def prior_shift(probabilities: npt.NDArray[np.floating], training: Floats) -> Floats:
    """Return the shares [K] under which calibrated probabilities [N, K] agree with themselves.

    EM of Saerens et al. 2002. Only for calibrated probes whose training shares are known; on
    others it exaggerates. NaN rows are left out.
    """
    s = np.asarray(probabilities, float)
    s = s[~np.isnan(s).any(axis=1)]
    p = np.asarray(training, float)
    for _ in range(100_000):
        weights = s * (p / training)
        new = (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)
        if abs(new - p).max() < 1e-14:
            break
        p = new
    return np.asarray(new)


def _score_interval(
    raw: Floats, p: Floats, measured: Shares, calibration: Calibration, level: float
) -> Interval:
    """Intervals of corrected shares, after Wilson: the variance is that at the share in question.

    For a share θ of class k, the others in proportion, the inverse has variance V(θ), which is
    quadratic in θ; so is the set of θ with (raw - θ)² ≤ z² V(θ). An inverse beyond 0 or 1 counts
    as 0 or 1: that readings fit no share well makes none of them surer, and far beyond there
    would be no θ left at all.
    """
    raw = np.clip(raw, 0, 1)
    c = calibration.confusion
    inverse = np.linalg.inv(c.T)
    rows = calibration.counts.sum(axis=1)
    smooth = (calibration.counts + 0.5) / (rows + len(c) / 2)[:, None]
    z2 = float(quantile(level, group_df(measured))) ** 2
    n = float(measured.n_effective)
    bounds = []
    for k, a in enumerate(inverse):
        others = np.delete(p, k)
        others = (
            others / others.sum() if others.sum() > 0 else np.full(len(p) - 1, 1 / (len(p) - 1))
        )
        r = np.insert(others, k, 0.0)
        square = c @ a**2
        error = np.einsum("i,yij,j->y", a, multinomial_cov(smooth), a) / rows
        rest, rest_error = r @ square, r**2 @ error
        constant = rest / n + rest_error
        linear = (square[k] - rest) / n - 2 * rest_error
        quadratic = -1 / n + error[k] + rest_error
        bounds.append(_roots(raw[k], z2, constant, linear, quadratic))
    low, high = np.array(bounds).T
    return Interval(low, high, level, "corrected-score")


def _roots(
    raw: float, z2: float, constant: float, linear: float, quadratic: float
) -> tuple[float, float]:
    """Solve (raw - θ)² = z² (constant + linear θ + quadratic θ²) within [0, 1]."""
    a = 1 - z2 * quadratic
    half = raw + z2 * linear / 2
    root = half**2 - a * (raw**2 - z2 * constant)
    if a <= 0 or root < 0:
        return 0.0, 1.0
    low, high = (half - root**0.5) / a, (half + root**0.5) / a
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))
