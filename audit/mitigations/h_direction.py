"""Push along the plain direction of a class in h-space, without an SAE.

The direction of a class is the mean activation of its images less the mean of all classes, at the
same sampling step. It is the control for what sparse latents add. Sources: Asyrp, Kwon et al. 2022
(arXiv:2210.10960); the learned form is Li et al. 2023 (arXiv:2311.17216).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from audit.features.dissection import Dissection
from audit.mitigations.activation_edit import ActivationEdit, drawn, nearest
from audit.storage.weights import fingerprint
from audit.types import Moment


def h_direction(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    scale: float = 1.0,
    seed: int = 0,
) -> ActivationEdit:
    """Add the class's direction at every step; the class is drawn per image.

    Args:
        features: The feature set, whose recording the directions are from.
        target: By attribute: the share wanted of each class.
        scale: 1 moves an average image to the mean of the class; 0 changes nothing.
        seed: Of the draw.
    """
    found, heads, sae = features.features, features.heads, features.sae
    assignment = drawn(found, target, seed)

    @torch.no_grad()
    def edit(x: Tensor, moment: Moment) -> Tensor:
        if scale == 0:
            return x
        rows = [assignment(request) for request in moment.requests]
        directions = heads.directions[nearest(moment, len(heads.directions))][rows]
        change = scale * directions.to(x.device).reshape(sae.tokens(x).shape)
        return x + sae.activation(change, like=x)

    made_of = fingerprint(
        "h-direction", found.sae, heads.fingerprint, assignment.fingerprint, scale
    )
    return ActivationEdit(found, edit, made_of, attribute=found.attribute)
