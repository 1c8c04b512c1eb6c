"""Contrast: how much more a latent fires on images of one class than on the others."""

from collections.abc import Iterator

import numpy as np

from audit.errors import SpecError
from audit.features.codes import Ranking, StepCodes
from audit.types import Floats


def contrast() -> Ranking:
    """Rank latents by the standardised difference of mean activation, class against the rest.

    An ablation that needs no h-classifier. An image's activation is its mean over positions, and
    the difference is taken over steps pooled.
    """
    return _rank


def _rank(codes: Iterator[StepCodes]) -> Floats:
    count = first = second = np.zeros(0)
    for batch in codes:
        n, positions, _ = batch.latents.shape
        mean = batch.latents.sums(batch.latents.value, batch.latents.image, n) / positions
        one_hot = np.eye(len(batch.directions))[batch.labels].T
        if not count.size:
            count = np.zeros(len(one_hot))
            first = np.zeros((len(one_hot), mean.shape[1]))
            second = np.zeros_like(first)
        count += one_hot.sum(axis=1)
        first += one_hot @ mean
        second += one_hot @ mean**2
    if not count.size:
        raise SpecError("contrast: there are no codes to rank")
    own, rest = count[:, None], count.sum() - count[:, None]
    inside = first / np.maximum(own, 1)
    outside = (first.sum(axis=0) - first) / np.maximum(rest, 1)
    within = second.sum(axis=0) / count.sum() - (first.sum(axis=0) / count.sum()) ** 2
    spread = np.sqrt(np.maximum(within, 0))
    live = (spread > 0) & (own > 0) & (rest > 0)
    return np.where(live, (inside - outside) / np.where(spread > 0, spread, 1), 0.0)
