"""Activation times weight: integrated gradients without the factor of the image."""

from collections.abc import Iterator

from audit.features.codes import Ranking, StepCodes
from audit.rankings.averaging import mean_by_class
from audit.types import Floats


def activation_weight() -> Ranking:
    """Rank latents by what they add to the logit of a class: Σ (z_i - z'_i) G_{c,i}.

    A mean over the images of the class and their steps, and a sum over positions. An ablation: it
    is integrated gradients without the factors J of an image.
    """
    return _rank


def _rank(codes: Iterator[StepCodes]) -> Floats:
    return mean_by_class(codes, _added, "activation-weight")


def _added(codes: StepCodes) -> Floats:
    change = codes.latents - codes.baseline
    classes = codes.labels[change.image]
    toward = codes.directions[classes, change.position, change.latent]
    return change.sums(change.value * toward, classes, len(codes.directions))
