"""Push along the plain direction of a class in h-space, without an SAE.

The direction of a class is the mean activation of its images less the mean of all classes, at the
same sampling step. It is the control for what sparse latents add. Sources: Asyrp, Kwon et al. 2022
(arXiv:2210.10960); the learned form is Li et al. 2023 (arXiv:2311.17216).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from audit.features.dissection import Dissection
from audit.mitigations.activation_edit import ActivationEdit, pushed


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
    directions = features.heads.directions

    def along(tokens: Tensor, classes: Sequence[int], step: int) -> Tensor:
        return directions[step][list(classes)].to(tokens.device)

    return pushed("h-direction", features, target, along, strength=scale, seed=seed)
