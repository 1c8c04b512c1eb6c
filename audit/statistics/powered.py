"""Shares by prediction-powered inference: all readings, set right by labels of people on some.

Nothing is assumed of the errors of the probe, only that people saw a random sample of the images
(Angelopoulos et al. 2023, arXiv 2301.09633; the weight of the readings: 2311.01453). The estimate
is a mean over images of what each one says, so `shares` finds its covariance under every design,
and knows that the labelled images are some of those that were read.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from audit.statistics.designs import Design
from audit.statistics.shares import Shares, multinomial_cov, shares, smoothed
from audit.types import Floats


def prediction_powered(
    read: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    *,
    prompts: npt.NDArray[np.int64] | None = None,
    seeds: npt.NDArray[np.int64] | None = None,
    design: Design = "iid",
) -> Shares:
    """Estimate shares from all readings and a random sample of them labelled by people.

    A reading of class b is worth the mean label of the images that were read so, drawn towards
    the mean of all labels: θ = Σ_b q_b ((1 - ω) Ȳ + ω Ȳ_b), ω = 1 / (1 + n / N). For two classes
    that is λ q + mean(truth - λ read) with the λ of the smallest variance; for more, every class
    has its own, and shares can neither be negative nor fail to add up to 1.

    Args:
        read: [N, K] whole votes of the probe; NaN rows are missing.
        truth: [N, K] whole votes of people; NaN rows were not labelled.
        prompts: [N], as for `shares`.
        seeds: [N], as for `shares`.
        design: as for `shares`.

    Returns:
        Shares without leading dimensions. Errors that were not seen in few labels are not ruled
        out: intervals take each class of readings to hold one more label, of any class alike.

    Raises:
        ValueError: K labels or fewer of images that were read; there is no spread left to see.
    """
    weights, both = _weights(read, prompts, design), labelled(read, truth)
    n, k = int(both.sum()), read.shape[1]
    if n <= k:
        raise ValueError(f"{n} labels of {k} classes; {k + 1} are needed")
    votes, labels, own = read[both], truth[both], weights[both]
    mean = own @ labels / own.sum()
    seen = votes.sum(axis=0)
    by_reading = np.tile(mean, (k, 1))
    known = seen > 0
    weighed = own[:, None] * votes
    by_reading[known] = (weighed.T @ labels)[known] / weighed.sum(axis=0)[known, None]
    part = 1 / (1 + own.sum())
    worth = (1 - part) * mean + part * by_reading
    fitted = int(known.sum()) - 1
    found = rectified(
        read, truth, worth, fitted=fitted, prompts=prompts, seeds=seeds, design=design
    )
    q = weights[weights > 0] @ read[weights > 0]
    likely = smoothed(by_reading, seen[:, None], np.full(k, 1 / k))
    more = multinomial_cov(likely) - multinomial_cov(by_reading) * known[:, None, None]
    unseen = np.einsum("b,bij->ij", q**2 / np.maximum(seen, 1), more)
    return replace(found, cautious=found.cov + unseen)


def rectified(
    read: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    worth: Floats,
    *,
    fitted: int = 0,
    prompts: npt.NDArray[np.int64] | None = None,
    seeds: npt.NDArray[np.int64] | None = None,
    design: Design = "iid",
) -> Shares:
    """Estimate shares as what readings are worth, and the mean error of that where people looked.

    Args:
        read: as for `prediction_powered`.
        truth: likewise.
        worth: [K, K]: row b is what a reading of class b counts for; the identity takes readings
            at their word, which is prediction-powered inference as first proposed. Shares may
            then be negative.
        fitted: how many numbers of each column of `worth` come from the labels: as many fewer
            show how labels scatter about it.
        prompts: as for `shares`.
        seeds: likewise.
        design: likewise.
    """
    there, both = _known(read), labelled(read, truth)
    n, own = int(both.sum()), _weights(read, prompts, design)[both]
    left = n - 1 - fitted
    said = np.full(read.shape, np.nan)
    said[there] = read[there] @ worth
    error = truth[both] - said[both]
    mean = own @ error / own.sum()
    said += mean
    # The whole error of the sample stands for that of all images; its scatter about the mean
    # adds up to nothing, and is stretched by what the mean and `worth` took out of it.
    said[both] += (error - mean) / own.sum() * (n / left) ** 0.5
    found = shares(said, prompts=prompts, seeds=seeds, design=design)
    units, df = np.minimum(found.units, n), np.minimum(found.df, float(left))
    return replace(found, units=units, df=df, hard=False)


def labelled(
    read: npt.NDArray[np.floating], truth: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Return [N] whether both the probe and people said what an image shows.

    Args:
        read: [N, K] as for `prediction_powered`.
        truth: [N, K] likewise.
    """
    return _known(read) & _known(truth)


def _known(votes: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(votes).any(axis=1))


def _weights(
    read: npt.NDArray[np.floating], prompts: npt.NDArray[np.int64] | None, design: Design
) -> Floats:
    """Return what each image [N] counts in shares of a design; 0 where it was not read."""
    there = _known(read)
    if design == "iid" or prompts is None:
        return np.asarray(there / max(int(there.sum()), 1))
    _, code = np.unique(prompts, return_inverse=True)
    each = np.bincount(code[there], minlength=int(code.max(initial=0)) + 1)
    alike = np.maximum(each, 1)[code] * max(int((each > 0).sum()), 1)
    return np.asarray(np.where(there, 1 / alike, 0.0))
