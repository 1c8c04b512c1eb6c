"""Activation times weight: integrated gradients without the factor of the image."""

from collections.abc import Iterator

import numpy as np

from audit.errors import SpecError
from audit.types import Floats, Ranking, StepCodes


def activation_weight() -> Ranking:
    """Rank latents by what they add to the logit of a class: Σ (z_i - z'_i) G_{c,i}.

    A mean over the images of the class and their steps, and a sum over positions. An ablation: it
    is integrated gradients without the factors J of an image.
    """
    return _rank


def _rank(codes: Iterator[StepCodes]) -> Floats:
    total, count = None, None
    for batch in codes:
        change = batch.latents - batch.baseline
        added = np.stack(
            [
                (change[batch.labels == c].sum(axis=0) * toward).sum(axis=0, dtype=np.float64)
                for c, toward in enumerate(batch.directions)
            ]
        )
        here = np.bincount(batch.labels, minlength=len(added))
        total = added if total is None else total + added
        count = here if count is None else count + here
    if total is None or count is None:
        raise SpecError("activation-weight: there are no codes to rank")
    return np.asarray(total / np.maximum(count, 1)[:, None])
