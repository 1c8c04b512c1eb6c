"""Distances between two sets of images, from their embeddings: FID, KID, CMMD.

In float64 throughout. A value means something only together with its encoder and with the number
of images on both sides: the id of a metric ends in `@<encoder>`, and n stands beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import linalg

from audit.statistics.designs import Codes
from audit.statistics.intervals import Estimate, mean_interval, t_interval
from audit.types import Floats, Metric

Features = npt.NDArray[np.floating]
Kernel = Callable[[Floats], Floats]
"""Of inner products, elementwise."""
Mean = Callable[[Floats], Estimate]
"""Of values of the images [N]: their mean, with its error under the design of the run."""

BLOCK = 1024
FOLDS = 10
FEWEST_IMAGES = 100
FEWEST_UNITS = FOLDS


@dataclass(frozen=True)
class Moments:
    """Mergeable sufficient statistics of embeddings."""

    n: int
    mean: Floats
    """[D]"""
    scatter: Floats
    """[D, D] sum of outer products about the mean."""

    @classmethod
    def of(cls, features: Features) -> "Moments":
        """Return the moments of embeddings [N, D], taken block by block."""
        parts = [features[i : i + BLOCK] for i in range(0, len(features), BLOCK)]
        total = cls._block(parts[0])
        for part in parts[1:]:
            total = total.merge(cls._block(part))
        return total

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both sets together (Chan et al. 1979); order sets the last bit."""
        n = self.n + other.n
        apart = other.mean - self.mean
        between = np.outer(apart, apart) * (self.n * other.n / n)
        mean = self.mean + apart * (other.n / n)
        return Moments(n, mean, self.scatter + other.scatter + between)

    @property
    def cov(self) -> Floats:
        """[D, D], with n - 1."""
        return self.scatter / (self.n - 1)

    @classmethod
    def _block(cls, features: Features) -> "Moments":
        x = np.asarray(features, float)
        mean = x.mean(axis=0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)


def frechet(first: Moments, second: Moments) -> float:
    """Return the Fréchet distance of the normal laws with these moments.

    ‖μ₁ - μ₂‖² + tr Σ₁ + tr Σ₂ - 2 Σ √λ(Σ₁^½ Σ₂ Σ₁^½), by symmetric solvers: real throughout.
    With a finite sample it is biased upwards by about const / n on either side.

    Source: Heusel et al. 2017, arXiv 1706.08500.
    """
    values, vectors = linalg.eigh(first.cov)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    cross = np.sqrt(np.maximum(linalg.eigvalsh(root @ second.cov @ root), 0)).sum()
    apart = first.mean - second.mean
    return float(apart @ apart + np.trace(first.cov) + np.trace(second.cov) - 2 * cross)


def fid(features: Features, reference: Features) -> float:
    """Return the Fréchet distance of two sets of embeddings [N, D], [M, D].

    With fewer images than dimensions by way of the N × M matrix of inner products, which is
    exact and free of the noise of roots of eigenvalues that are 0. NaN below two images.
    """
    x, y = np.asarray(features, float), np.asarray(reference, float)
    if min(len(x), len(y)) < 2:
        return float("nan")
    if max(len(x), len(y)) > x.shape[1]:
        return frechet(Moments.of(x), Moments.of(y))
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    n, m = len(x) - 1, len(y) - 1
    cross = linalg.svdvals(a @ b.T).sum() / (n * m) ** 0.5
    apart = x.mean(axis=0) - y.mean(axis=0)
    return float(apart @ apart + (a**2).sum() / n + (b**2).sum() / m - 2 * cross)


def fid_infinity(
    features: Features,
    reference: Features,
    level: float = 0.95,
    *,
    sizes: int = 10,
    units: Sequence[Codes] = (),
) -> Estimate:
    """Extrapolate FID to infinitely many images on both sides, with a jackknife interval.

    FID is regressed on 1/n over `sizes` nested subsets of both sides alike (Chong and Forsyth
    2020, arXiv 1911.07023, who extrapolate one side); the interval leaves out one of ten disjoint
    folds at a time. Subsets and folds are drawn at random, always alike: images come sorted by
    prompt, and the first of them would be of the first prompts.

    Images that go together stay together in both: more images of the same prompts leave FID as
    far off as those prompts put it, and only fewer prompts show how far that is.

    Args:
        features: [N, D]; NaN below `FEWEST_IMAGES` a side.
        reference: [M, D], likewise; independent of each other.
        level: of the interval.
        sizes: how many subsets.
        units: ways in which the images audited go together, in each a code [N] that is the same
            for images of one prompt, or of one seed. What two ways say is added up, less what
            single images say, which is in both. With fewer than `FEWEST_UNITS` of one, single
            images are extrapolated, and there is no interval.
    """
    n, nan = min(len(features), len(reference)), float("nan")
    if n < FEWEST_IMAGES:
        few = f"fewer than {FEWEST_IMAGES} images a side"
        return Estimate(nan, nan, nan, nan, level, n, nan, few)
    draw = np.random.Generator(np.random.PCG64DXSM(n))
    rows, others = (draw.permutation(len(side))[:n] for side in (features, reference))
    x, y = np.asarray(features[rows], float), np.asarray(reference[others], float)
    together = [np.unique(unit[rows], return_inverse=True)[1] for unit in units]
    ranks = [draw.permutation(code.max() + 1)[code] for code in together]
    fewest = min((int(rank.max()) + 1 for rank in ranks), default=n)
    if fewest < FEWEST_UNITS:
        few = f"no interval: {fewest} prompts or seeds, {FEWEST_UNITS} are needed"
        return Estimate(_intercept(x, y, np.arange(n), sizes), nan, nan, nan, level, n, nan, few)
    found = [_extrapolated(x, y, rank, sizes) for rank in ranks or [np.arange(n)]]
    (value, variance), *more = found
    for other, scatter in more:
        single, known = _extrapolated(x, y, np.arange(n), sizes)
        value += other - single
        variance = max(variance + scatter - known, variance, scatter)
    return t_interval(value, variance**0.5, FOLDS - 1, n, level)


def kid(
    features: Features, reference: Features, level: float = 0.95, mean: Mean = mean_interval
) -> Estimate:
    """Return the squared maximum mean discrepancy with (x·y/D + 1)³, unbiased.

    No subsets; may be negative, then the sets cannot be told apart. The interval is a
    leave-one-out jackknife over both sides, in closed form, and not the spread over random
    subsets that is often printed as ±. Of the images audited it takes the mean of the jackknife's
    pseudo-values, so that images of one prompt or seed are not taken for independent.

    Source: Bińkowski et al. 2018, arXiv 1801.01401.

    Args:
        features: [N, D]; NaN below 2, no interval below 3.
        reference: [M, D], likewise; independent of each other.
        level: of the interval.
        mean: of values of the images audited; independent of each other if not given.
    """
    x, y = np.asarray(features, float), np.asarray(reference, float)
    return _mmd(x, y, lambda dot: (dot / x.shape[1] + 1) ** 3, level, mean)


def cmmd(features: Features, reference: Features) -> float:
    """Return CMMD: 1000 · biased MMD² of unit embeddings under a Gaussian kernel, σ = 10.

    Source: Jayasumana et al. 2024, arXiv 2401.09603, whose reference code has the V-statistic.
    """
    x, y = _unit(features), _unit(reference)
    parts = [
        _row_sums(a, b, _gauss).sum() / (len(a) * len(b)) for a, b in ((x, x), (y, y), (x, y))
    ]
    return float(1000 * (parts[0] + parts[1] - 2 * parts[2]))


def cmmd_unbiased(
    features: Features, reference: Features, level: float = 0.95, mean: Mean = mean_interval
) -> Estimate:
    """Return 1000 · unbiased MMD² as in `cmmd`, with the interval of `kid`.

    Below 1,000 images prefer it.
    """
    found = _mmd(_unit(features), _unit(reference), _gauss, level, mean)
    return t_interval(1000 * found.value, 1000 * found.se, found.df, found.n, level)


def _mmd(x: Floats, y: Floats, kernel: Kernel, level: float, mean: Mean) -> Estimate:
    n, m = len(x), len(y)
    if min(n, m) < 2:
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, level, n, nan, "fewer than 2 images a side")
    within_x = _row_sums(x, x, kernel) - kernel((x * x).sum(axis=1))
    within_y = _row_sums(y, y, kernel) - kernel((y * y).sum(axis=1))
    across_x, across_y = _row_sums(x, y, kernel), _row_sums(y, x, kernel)
    xx, yy, xy = within_x.sum(), within_y.sum(), across_x.sum()
    value = xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m)
    if min(n, m) < 3:  # a value, and nothing to leave out
        nan = float("nan")
        return Estimate(float(value), nan, nan, nan, level, n, nan, "no interval below 3 images")
    without_x = (xx - 2 * within_x) / ((n - 1) * (n - 2)) - 2 * (xy - across_x) / ((n - 1) * m)
    without_y = (yy - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (xy - across_y) / (n * (m - 1))
    own = mean(n * value - (n - 1) * without_x)
    variance = own.se**2 + without_y.var() * (m - 1)
    return t_interval(float(value), float(variance**0.5), min(own.df, m - 1), n, level)


def _row_sums(x: Floats, y: Floats, kernel: Kernel) -> Floats:
    """Return Σ_j k(x_i, y_j) for each i, never holding more than BLOCK rows of the kernel."""
    blocks = range(0, len(x), BLOCK)
    return np.concatenate([kernel(x[i : i + BLOCK] @ y.T).sum(axis=1) for i in blocks])


def _gauss(dot: Floats) -> Floats:
    return np.asarray(np.exp((dot - 1) / 100))


def _unit(x: Features) -> Floats:
    x = np.asarray(x, float)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _extrapolated(x: Floats, y: Floats, rank: Codes, sizes: int) -> tuple[float, float]:
    """Return FID of infinitely many units, and the variance of that; rank [N] orders the units.

    Folds may hold unlike numbers of images (Busing et al. 1999, Statistics and Computing 9(1)).
    """
    order = rank.argsort(kind="stable")
    x, rank = x[order], rank[order]
    folds = rank % FOLDS
    whole = _intercept(x, y, rank, sizes)
    kept = [folds != fold for fold in range(FOLDS)]
    parts = np.array([_intercept(x[rows], y[rows], rank[rows], sizes) for rows in kept])
    worth = len(x) / np.bincount(folds)
    pseudo = worth * whole - (worth - 1) * parts
    return whole, float(((pseudo - pseudo.mean()) ** 2 / (worth - 1)).mean())


def _intercept(x: Floats, y: Floats, rank: Codes, sizes: int) -> float:
    """Regress FID on 1 / units, over subsets of the first units, of which `rank` is in order."""
    _, images = np.unique(rank, return_counts=True)
    ends = images.cumsum()
    counts = np.unique(np.linspace(max(len(ends) // 5, 2), len(ends), sizes).astype(int))
    values = [fid(x[: ends[c - 1]], y[: ends[c - 1]]) for c in counts]
    return float(np.polyfit(1 / counts, values, 1)[1])


of_sets = partial(Metric, version=1, columns=("features", "reference"), better="lower")
"""What all of them are: a distance of two sets of embeddings."""

FID = of_sets(
    "fid",
    function=fid,
    range=(0.0, float("inf")),
    interval="none",
    source="Heusel et al. 2017, arXiv 1706.08500",
)
FID_INFINITY = of_sets(
    "fid_infinity",
    version=3,
    function=fid_infinity,
    range=(0.0, float("inf")),
    interval="jackknife",
    source="Chong and Forsyth 2020, arXiv 1911.07023, both sides extrapolated",
)
KID = of_sets(
    "kid",
    function=kid,
    range=(-float("inf"), float("inf")),
    interval="jackknife",
    source="Bińkowski et al. 2018, arXiv 1801.01401, unbiased, all pairs",
)
CMMD = of_sets(
    "cmmd",
    function=cmmd,
    range=(0.0, 4000.0),
    interval="none",
    source="Jayasumana et al. 2024, arXiv 2401.09603, V-statistic",
)
CMMD_UNBIASED = of_sets(
    "cmmd_u",
    function=cmmd_unbiased,
    range=(-float("inf"), 4000.0),
    interval="jackknife",
    source="Jayasumana et al. 2024, arXiv 2401.09603, U-statistic",
)
