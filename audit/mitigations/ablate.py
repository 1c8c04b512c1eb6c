"""Remove what carries an attribute: set its SAE latents to zero, for every image."""

import torch

from audit.features.dissection import Dissection
from audit.features.latent_edit import LatentEdit, check_extent
from audit.images.assignment import Assignment
from audit.mitigations.steer import LatentSteering


def ablate(
    *,
    features: Dissection,
    scale: float = 0.0,
    top: int | None = None,
    start: float = 0.0,
    stop: float = 1.0,
) -> LatentSteering:
    """Scale the latents of all classes alike.

    Nothing is drawn and no class is favoured: the model is left to decide without them. A negative
    scale turns them round, as SAeUron does to unlearn a concept.

    Args:
        features: The feature set.
        scale: What the latents are multiplied by; 0 removes them.
        top: Latents used of each class; all that were found if not given.
        start: Where in sampling it starts; 0 is the noisiest step.
        stop: Where it ends; 1 is the last step.

    Raises:
        SpecError: the steps are none.
    """
    check_extent((start, stop))
    found = features.features
    latents = sorted({latent for ids in found.latents.values() for latent in ids[:top]})
    factors = torch.full((1, len(latents)), float(scale))
    everyone = Assignment(("all",), {"all": 1.0})
    edit = LatentEdit(
        features.sae,
        latents,
        factors,
        torch.zeros_like(factors),
        class_of=everyone,
        window=(start, stop),
    )
    return LatentSteering(found, edit, everyone)
