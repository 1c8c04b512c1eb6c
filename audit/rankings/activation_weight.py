"""Activation times weight: integrated gradients without the factor of the image."""

from collections.abc import Iterator

import numpy as np

from audit.errors import SpecError
from audit.types import Floats, Ranking, StepCodes


def activation_weight() -> Ranking:
    """Rank latents by what they add to the logit of a class: Σ (z_i - z'_i) G_{c,i}.

    A mean over images and steps, and a sum over positions. An ablation: for two classes it
    differs from integrated gradients by one factor an image.
    """
    return _rank


def _rank(codes: Iterator[StepCodes]) -> Floats:
    total, count = None, 0
    for batch in codes:
        change = (batch.latents - batch.baseline).sum(axis=0)
        added = (change * batch.directions).sum(axis=1, dtype=np.float64)
        total = added if total is None else total + added
        count += len(batch.labels)
    if total is None:
        raise SpecError("activation-weight: there are no codes to rank")
    return np.asarray(total / max(count, 1))
