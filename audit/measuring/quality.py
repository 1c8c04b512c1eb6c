"""Quality and alignment from embeddings: each value with the encoder in its id."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.measuring.bounds import Bounds
from audit.measuring.groups import Scored, number
from audit.measuring.votes import Requests, positions
from audit.statistics.designs import Codes, Design, units
from audit.statistics.intervals import Estimate, mean_interval, t_interval
from audit.types import Floats, Measurement, Metric

Features = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Embeddings:
    """What one encoder makes of the images of a run."""

    encoder: str
    extractor: str
    """What a reader needs to compare two values."""
    images: Features
    """[N, D]: row i is of row i of the table of images; NaN where there is no usable image."""
    texts: Mapping[str, Features]
    """By prompt id: [D]; empty where the encoder or the model knows no text."""
    reference: Features | None = None
    """[M, D] of the reference images; None without any."""


@dataclass(frozen=True)
class Layout:
    """The embeddings of one encoder in the order of the requests."""

    embeddings: Embeddings
    requests: Requests
    arms: Mapping[str, Features]
    """By arm, the baseline first: [R, D]; NaN where there is no image."""
    design: Design
    level: float

    @property
    def baseline(self) -> str:
        """Name of the first arm."""
        return next(iter(self.arms))


def lay_out(
    embeddings: Embeddings,
    images: pd.DataFrame,
    requests: Requests,
    arms: Sequence[str],
    design: Design,
    level: float,
) -> Layout:
    """Put the rows of the table of images in the order of the requests, arm by arm."""
    table = np.asarray(embeddings.images)
    placed = {}
    for arm in arms:
        rows = np.flatnonzero(images["arm"].to_numpy() == arm)
        one = np.full((len(requests.prompt), table.shape[1]), np.nan, table.dtype)
        one[positions(requests, images.iloc[rows])] = table[rows]
        placed[arm] = one
    return Layout(embeddings, requests, placed, design, level)


def measure_quality(
    layout: Layout, metrics: Sequence[Metric], listed: Collection[str]
) -> Iterator[Scored]:
    """Yield the listed metrics over embeddings for every arm."""
    for metric in metrics:
        if "features" in metric.columns and wanted(metric, layout, listed):
            for arm in layout.arms:
                if "pairs" in metric.columns and arm == layout.baseline:
                    continue
                yield _score(layout, metric, arm)


def wanted(metric: Metric, layout: Layout, listed: Collection[str]) -> bool:
    """Say whether a metric is listed, for any encoder or for this one."""
    return metric.name in listed or f"{metric.name}@{layout.embeddings.encoder}" in listed


def _score(layout: Layout, metric: Metric, arm: str) -> Scored:
    features = usable(layout.arms[arm])
    why_not = _lacking(layout, metric, len(features))
    found: Estimate | float = float("nan")
    if why_not is None and metric.columns == ("features", "reference"):
        offered = {
            "level": layout.level,
            "mean": partial(_mean_of_usable, layout, arm),
            "units": _units(layout, arm),
        }
        takes = signature(metric.function).parameters
        given = {name: what for name, what in offered.items() if name in takes}
        found = metric.function(features, layout.embeddings.reference, **given)
    elif why_not is None:
        each = each_image(layout, metric, arm)
        found = found if each is None else mean_of(layout, each, arm)
    if isinstance(found, float):
        n = len(features)
        found = Estimate(found, np.nan, np.nan, np.nan, layout.level, n, np.nan, "no interval")
    if metric.interval == "clamped-mean":
        low, high = (np.maximum(end, 0) for end in (found.low, found.high))
        found = Estimate(
            max(found.value, 0.0),
            found.se,
            low,
            high,
            found.level,
            found.n,
            found.df,
            found.method,
        )
    row = Measurement(
        metric=f"{metric.name}@{layout.embeddings.encoder}",
        arm=arm,
        value=number(found.value),
        n=found.n,
        method=f"not measured: {why_not}" if why_not else found.method,
        direction=metric.better,
        ci_low=number(found.low),
        ci_high=number(found.high),
        level=found.level if np.isfinite(found.low) else None,
        extractor=layout.embeddings.extractor,
    )
    return Scored(row, _bounds(found))


def _lacking(layout: Layout, metric: Metric, n: int) -> str | None:
    """Say what a metric lacks; None where it lacks nothing."""
    reference = layout.embeddings.reference
    if n == 0:
        return "no usable image"
    if "reference" in metric.columns and (reference is None or len(reference) == 0):
        return "the benchmark names no reference_images"
    if "texts" in metric.columns and not layout.embeddings.texts:
        return "there are no prompts, or the encoder reads no text"
    return None


def each_image(layout: Layout, metric: Metric, arm: str) -> Floats | None:
    """Return a metric of every image [R]; NaN where it has none."""
    columns: dict[str, Features] = {"features": layout.arms[arm]}
    if "pairs" in metric.columns:
        paired = layout.requests.paired(layout.baseline, arm)[:, None]
        columns["pairs"] = np.where(paired, layout.arms[layout.baseline], np.nan)
    if "texts" in metric.columns:
        texts = layout.embeddings.texts
        if not texts:
            return None
        nothing = np.full(layout.arms[arm].shape[1], np.nan)
        by_prompt = np.stack([texts.get(name, nothing) for name in layout.requests.prompts])
        columns["texts"] = by_prompt[layout.requests.prompt]
    return np.asarray(metric.function(*(columns[name] for name in metric.columns)), float)


def mean_of(layout: Layout, values: Floats, arm: str) -> Estimate:
    """Return the mean of values [R] of an arm, with the interval of the design."""
    return mean_interval(
        values,
        prompts=layout.requests.prompt,
        seeds=layout.requests.noise(arm),
        design=layout.design,
        level=layout.level,
    )


def usable(features: Features) -> Features:
    """Return the rows [n, D] of images that there are."""
    return features[there(features)]


def there(features: Features) -> npt.NDArray[np.bool_]:
    """Return [R] which images there are."""
    return np.asarray(~np.isnan(features).any(axis=1))


def _mean_of_usable(layout: Layout, arm: str, values: Floats) -> Estimate:
    """Return the mean of values [n] of the usable images of an arm."""
    known = there(layout.arms[arm])
    every = np.full(len(known), np.nan)
    every[known] = values
    return mean_of(layout, every, arm)


def _units(layout: Layout, arm: str) -> tuple[Codes, ...]:
    """Return in which ways the usable images of an arm go together: a code [n] of each way."""
    known, requests = there(layout.arms[arm]), layout.requests
    return units(layout.design, requests.prompt[known], requests.noise(arm)[known])


def _bounds(found: Estimate) -> Bounds | None:
    if not np.isfinite(found.se):
        return None

    def bounds(level: float) -> tuple[float, float]:
        one = t_interval(found.value, found.se, found.df, found.n, 2 * level - 1)
        return one.low, one.high

    return bounds
