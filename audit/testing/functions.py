"""Contract tests of rankings and metrics, which are pure functions."""

from copy import deepcopy

import numpy as np
import numpy.typing as npt

from audit.features.codes import Ranking, SparseCodes, StepCodes
from audit.testing.promises import close, pure, require
from audit.types import Metric


def check_ranking(ranking: Ranking, *, latents: int = 12, classes: int = 2) -> None:
    """Check that a ranking is a pure function from codes to finite effects [K, L]."""
    codes = step_codes(latents=latents, classes=classes)
    copies = deepcopy(codes)
    with pure():
        effects = ranking(iter(codes))
    require(effects.shape == (classes, latents), f"effects are [K, L], got {effects.shape}")
    require(bool(np.isfinite(effects).all()), "effects are finite")
    close(effects, ranking(iter(copies)), 0, "a ranking is a function of the codes alone")
    for code, copy in zip(codes, copies, strict=True):
        close(code.latents.dense(), copy.latents.dense(), 0, "a ranking does not change the codes")
        close(code.directions, copy.directions, 0, "a ranking does not change the directions")


def check_metric(metric: Metric, **columns: npt.ArrayLike) -> None:
    """Check a metric's facts, and its value on the arrays that `metric.columns` names."""
    require(isinstance(metric, Metric), "a metric is an audit.types.Metric")
    missing = set(metric.columns) - set(columns)
    require(not missing, f"give the columns {sorted(missing)}")
    low, high = metric.range
    require(low < high and bool(metric.source), "a metric has a range and a source")
    arrays = [np.asarray(columns[name], np.float64) for name in metric.columns]
    copies = [array.copy() for array in arrays]
    with pure():
        result = metric.function(*arrays)
    # A number, one for each image, or an estimate with its interval.
    value = float(np.mean(getattr(result, "value", result)))
    inside = np.isnan(value) or low - 1e-9 <= value <= high + 1e-9
    require(inside, f"{metric.name} lies in {metric.range}, got {value}")
    for array, copy in zip(arrays, copies, strict=True):
        close(array, copy, 0, "a metric does not change its arrays")


def step_codes(
    *, count: int = 6, positions: int = 4, latents: int = 12, classes: int = 2, steps: int = 2
) -> list[StepCodes]:
    """Return seeded codes with zero baselines, some latents silent, for tests of rankings."""
    rng = np.random.default_rng(0)
    codes = []
    for step in range(steps):
        shape = (count, positions, latents)
        active = rng.random(shape, np.float32) * (rng.random(shape) < 0.4)
        codes.append(
            StepCodes(
                step=step,
                latents=SparseCodes.of(np.asarray(active, np.float32)),
                baseline=SparseCodes.zeros(shape),
                labels=np.arange(count) % classes,
                directions=rng.standard_normal((classes, positions, latents), np.float32),
                offsets=np.zeros(classes, np.float32),
            )
        )
    return codes
