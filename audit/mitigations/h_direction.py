"""Push along the plain direction of a class in h-space, without an SAE.

The direction of a class is the mean activation of its images less the mean of all classes, at the
same sampling step. It is the control for what sparse latents add. Sources: Asyrp, Kwon et al. 2022
(arXiv:2210.10960); the learned form is Li et al. 2023 (arXiv:2311.17216).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.dissection import Dissection
from audit.images.assignment import Assignment
from audit.storage.weights import fingerprint
from audit.types import Model, Moment


class HDirection:
    """Adds the direction of each image's class to its activations."""

    def __init__(self, found: Dissection, assignment: Assignment, scale: float) -> None:
        self.found = found
        self.assignment = assignment
        self.scale = scale
        self.fingerprint = fingerprint(
            "h-direction",
            found.features.sae,
            found.heads.fingerprint,
            assignment.fingerprint,
            scale,
        )

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Steer `model` while the block runs.

        Raises:
            SpecError: the directions are of another model.
        """
        if model.fingerprint != self.found.features.model:
            raise SpecError(
                "the directions were found in another model: discover them in this one"
            )
        with model.hooked(self.found.features.hookpoint, self.edit):
            yield model

    @torch.no_grad()
    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Add the directions of this step."""
        if self.scale == 0:
            return x
        heads, sae = self.found.heads, self.found.sae
        # A run with other numbers of steps uses the directions of the nearest moment.
        step = round(moment.step * (len(heads.directions) - 1) / max(moment.steps - 1, 1))
        rows = [self.assignment(request) for request in moment.requests]
        tokens = sae.tokens(x)
        change = self.scale * heads.directions[step][rows].to(x.device).reshape(tokens.shape)
        return x + sae.activation(change, like=x)


def h_direction(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    scale: float = 1.0,
    seed: int = 0,
) -> HDirection:
    """Add the class's direction at every step; the class is drawn per image.

    Args:
        features: The feature set, whose recording the directions are from.
        target: By attribute: the share wanted of each class.
        scale: 1 moves an average image to the mean of the class; 0 changes nothing.
        seed: Of the draw.
    """
    found = features.features
    even = dict.fromkeys(found.classes, 1 / len(found.classes))
    shares = target.get(found.attribute) or even
    return HDirection(features, Assignment(found.classes, shares, seed=seed), scale)
