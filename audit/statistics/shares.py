"""Shares of classes with their covariance, for every way in which images can be sampled.

All that is said about fairness follows from the shares `p` and the covariance of their estimate,
so the design (which images are independent of which) is dealt with here and nowhere else.
Arrays may carry leading dimensions: one `Shares` can hold those of every prompt of every arm.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audit.statistics.designs import Codes, Design
from audit.types import Floats

FEW = 4
"""Images of the whole that are added to all strata together; see `Shares.cautious`."""


@dataclass(frozen=True)
class Shares:
    """Estimated shares of K classes; `...` are leading dimensions, none for a single group."""

    p: Floats
    """[..., K]; NaN where nothing was read."""
    cov: Floats
    """[..., K, K] covariance of `p`, unbiased; NaN where fewer than two units were seen."""
    n: npt.NDArray[np.int64]
    """[...] readings used."""
    units: npt.NDArray[np.int64]
    """[...] independent units: images, prompts or seeds."""
    df: Floats
    """[...] degrees of freedom of `cov`; infinite where it is known up to the shares."""
    hard: bool
    """Whether votes were whole; the variance at other shares is then known in form."""
    cautious: Floats | None = None
    """[..., K, K] covariance for intervals where `cov`, though unbiased, is too often near 0.

    A prompt of which every image fell in one class adds nothing to `cov`, as if it always would.
    """

    @property
    def interval_cov(self) -> Floats:
        """[..., K, K] covariance that intervals take."""
        return self.cov if self.cautious is None else self.cautious

    @property
    def n_effective(self) -> Floats:
        """[...] How many independent hard readings would give this precision.

        The 1 makes up for the n - 1 in `cov`: independent hard readings give n exactly.
        """
        spread = 1 - (self.p**2).sum(-1)
        trace = np.trace(self.interval_cov, axis1=-2, axis2=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = spread / trace + 1
        return np.where(trace > 0, found, self.units.astype(float))

    def merged(self, groups: Floats) -> "Shares":
        """Return the shares [..., G] of classes put together as rows of 0 and 1 [G, K] say."""
        cov = groups @ self.cov @ groups.T
        cautious = None if self.cautious is None else groups @ self.cautious @ groups.T
        return replace(self, p=self.p @ groups.T, cov=cov, cautious=cautious)

    def __getitem__(self, index: int | slice | Codes) -> "Shares":
        """Return the shares of some of the groups along the first leading dimension."""
        names = ["p", "cov", "n", "units", "df"] + ["cautious"] * (self.cautious is not None)
        return replace(self, **{name: getattr(self, name)[index] for name in names})


def one_hot(labels: npt.NDArray[np.int64], classes: int) -> Floats:
    """Turn codes [N] into votes [N, K]; a negative code is a missing reading, a row of NaN.

    >>> one_hot(np.array([1, -1]), 2).tolist()
    [[0.0, 1.0], [nan, nan]]
    """
    votes = np.eye(classes)[np.maximum(labels, 0)]
    votes[np.asarray(labels) < 0] = np.nan
    return votes


def harden(probabilities: npt.NDArray[np.floating]) -> Floats:
    """Turn probabilities [N, K] into whole votes for the likeliest class; NaN rows stay NaN.

    A tie goes to the first class of those tied.
    """
    missing = np.isnan(probabilities).any(axis=1)
    labels = np.where(missing[:, None], 0.0, probabilities).argmax(axis=1)
    return one_hot(np.where(missing, -1, labels), probabilities.shape[1])


def shares(
    votes: npt.NDArray[np.floating],
    *,
    prompts: npt.NDArray[np.int64] | None = None,
    seeds: npt.NDArray[np.int64] | None = None,
    design: Design = "iid",
) -> Shares:
    """Estimate shares pooled over prompts, and their covariance under a design.

    Args:
        votes: [N, K], whole or soft; rows with NaN are missing readings and are left out.
            Differences of votes of two arms give differences of shares.
        prompts: [N] which prompt; needed by every design but `iid`.
        seeds: [N] which seed; needed by `seeds` and `crossed`.
        design: see `Design`.

    Returns:
        Shares without leading dimensions. A stratum of one image has no variance of its own:
        `stratified` then takes that of all images, which can only be too large.
    """
    votes = np.asarray(votes, float)
    seen = ~np.isnan(votes).any(axis=1)
    x = votes[seen]
    if len(x) == 0:
        return _nothing(votes.shape[1])
    hard = _whole(x)
    if design == "iid":
        one = shares_by(x, np.zeros(len(x), np.int64), 1)
        return one[0]
    if prompts is None:
        raise ValueError(f"design {design!r} needs to know the prompt of every image")
    prompt, count = _codes(prompts[seen])
    n_j = np.bincount(prompt, minlength=count).astype(float)
    means = _sums(x, prompt, count) / n_j[:, None]
    p = means.mean(axis=0)
    weights = 1 / (count * n_j[prompt])
    cautious = None
    if design == "stratified":
        cov, units, df = _stratified(x, prompt, n_j, means)
        if hard and n_j.min() >= 2:
            likely = smoothed(means, n_j[:, None], p, min(1, FEW / count))
            each = multinomial_cov(likely) / (n_j - 1)[:, None, None]
            cautious = each.sum(axis=0) / count**2
    elif design == "prompts":
        cov, units, df = _outer((means - p) / count), count, count - 1
    else:
        if seeds is None:
            raise ValueError(f"design {design!r} needs to know the seed of every image")
        seed, draws = _codes(seeds[seen])
        within = _outer(_sums(weights[:, None] * (x - means[prompt]), seed, draws))
        cov, units, df = within, draws, draws - 1
        if design == "crossed":
            between = _outer((means - p) / count)
            each = weights[:, None] * (x - means[prompt])
            cov = _largest(between + within - each.T @ each, between, within)
            units = min(count, draws)
            df = units - 1
    n = np.array(len(x))
    return Shares(p, cov, n, np.array(units), np.array(float(df)), hard, cautious)


def shares_by(
    votes: npt.NDArray[np.floating], groups: npt.NDArray[np.int64], count: int
) -> Shares:
    """Estimate the shares of every group of independent images at once.

    Args:
        votes: [N, K] as for `shares`.
        groups: [N] group of each image, 0 … count - 1.
        count: how many groups there are, empty ones included.

    Returns:
        Shares with one leading dimension [count].
    """
    votes = np.asarray(votes, float)
    seen = ~np.isnan(votes).any(axis=1)
    x, group = votes[seen], np.asarray(groups)[seen]
    hard = _whole(x)
    n = np.bincount(group, minlength=count)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = _sums(x, group, count) / n[:, None]
        cov = _scatter(x, p, group, n, hard) / (n * (n - 1.0))[:, None, None]
    df = np.where(hard, np.inf, np.maximum(n - 1.0, 1.0))
    return Shares(p, cov, n, n, np.broadcast_to(df, n.shape), hard)


def from_counts(counts: npt.NDArray[np.integer]) -> Shares:
    """Estimate shares from counts [..., K] of independent images, as tables give them."""
    c = np.asarray(counts, float)
    n = c.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = c / n[..., None]
        cov = multinomial_cov(p) / (n - 1)[..., None, None]
    units = n.astype(np.int64)
    return Shares(p, cov, units, units, np.full(n.shape, np.inf), hard=True)


def multinomial_cov(p: Floats) -> Floats:
    """Return diag(p) - p pᵀ, the covariance [..., K, K] of one hard vote."""
    return np.eye(p.shape[-1]) * p[..., None] - p[..., :, None] * p[..., None, :]


def smoothed(p: Floats, n: npt.NDArray[np.integer], prior: Floats, weight: float = 1.0) -> Floats:
    """Return the shares p [..., K] of n images as if `weight` more had been drawn from `prior`.

    Shares that are 0 by chance alone then still scatter. For two classes, an even prior and one
    image more these are the shares that Jeffreys expects.

    >>> smoothed(np.array([1.0, 0.0]), np.array([4]), np.array([0.5, 0.5])).tolist()
    [0.9, 0.1]
    """
    return np.asarray((n * p + weight * prior) / (n + weight))


def nearest(v: Floats) -> Floats:
    """Return the shares [..., K] nearest to v [..., K]: Euclidean projection on the simplex."""
    k = v.shape[-1]
    down = -np.sort(-v, axis=-1)
    level = (np.cumsum(down, axis=-1) - 1) / np.arange(1, k + 1)
    last = (down > level).sum(-1, keepdims=True) - 1
    return np.asarray(np.maximum(v - np.take_along_axis(level, last, -1), 0))


def kish(weights: npt.NDArray[np.floating]) -> float:
    """Return the number of equal weights that are worth these: (Σw)² / Σw².

    >>> round(kish(np.array([1, 1, 1, 5])), 6)
    2.285714
    """
    return float(np.sum(weights) ** 2 / np.sum(np.square(weights)))


def _nothing(k: int) -> Shares:
    none = np.array(0)
    return Shares(np.full(k, np.nan), np.full((k, k), np.nan), none, none, np.array(np.nan), True)


def _codes(values: npt.NDArray[np.int64]) -> tuple[Codes, int]:
    known, codes = np.unique(values, return_inverse=True)
    return codes, len(known)


def _whole(x: Floats) -> bool:
    return bool(((x == 0) | (x == 1)).all() and (x.sum(axis=1) == 1).all())


def _sums(x: Floats, group: Codes, count: int) -> Floats:
    return np.stack([np.bincount(group, column, count) for column in x.T], axis=1)


def _scatter(x: Floats, p: Floats, group: Codes, n: Codes, hard: bool) -> Floats:
    if hard:
        return multinomial_cov(p) * n[:, None, None]
    k = x.shape[1]
    d = x - p[group]
    scatter = np.empty((len(n), k, k))
    for a in range(k):
        for b in range(a, k):
            scatter[:, a, b] = scatter[:, b, a] = np.bincount(group, d[:, a] * d[:, b], len(n))
    return scatter


def _stratified(x: Floats, prompt: Codes, n_j: Floats, means: Floats) -> tuple[Floats, int, float]:
    d = x - means[prompt]
    if n_j.min() < 2:
        weights = 1 / (len(n_j) * n_j[prompt])
        each = weights[:, None] * (x - means.mean(axis=0))
        return _outer(each), len(x), len(x) - 1.0
    scale = 1 / (len(n_j) ** 2 * n_j * (n_j - 1))
    cov = (d * scale[prompt][:, None]).T @ d
    return cov, len(x), float((n_j - 1).sum())


def _outer(contributions: Floats) -> Floats:
    """Covariance of a sum of M independent contributions [M, K]."""
    m = len(contributions)
    if m < 2:
        return np.full((contributions.shape[1],) * 2, np.nan)
    return contributions.T @ contributions * (m / (m - 1))


def _largest(*candidates: Floats) -> Floats:
    return max(candidates, key=np.trace)
