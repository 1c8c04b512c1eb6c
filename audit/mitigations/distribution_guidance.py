"""Guide activations to be read as a class by the h-classifier, up its gradient.

Source: Balancing Act, Parihar et al. 2024 (arXiv:2402.18206), in the form that draws a class for
each image: a step on the gradient of log P(class), which is closed for a linear head,
Σ_k ([k = class] - P_k) W_k. Their other form, on the shares of a batch, would make an image depend
on its neighbours.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from audit.features.dissection import Dissection
from audit.mitigations.activation_edit import ActivationEdit, pushed


def distribution_guidance(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    strength: float = 2.0,
    seed: int = 0,
) -> ActivationEdit:
    """Guide every image to a class drawn in the shares of the target.

    Args:
        features: The feature set, whose h-classifier guides; no SAE is used.
        target: By attribute: the share wanted of each class.
        strength: About the logits by which one step moves an image that is wholly wrong towards
            its class, and away from the other of two; 0 changes nothing.
        seed: Of the draw.
    """
    heads = features.heads

    def uphill(tokens: Tensor, classes: Sequence[int], step: int) -> Tensor:
        weight = heads.weights[step].to(tokens.device)
        wanted = one_hot(torch.tensor(classes), len(weight)).to(tokens.device)
        lacking = wanted - heads.logits(step, tokens).softmax(1)
        # Scaled so that a strength of 1 moves the logits of a wholly wrong image by about one.
        return lacking @ weight / weight.square().sum(1).mean()

    return pushed("distribution-guidance", features, target, uphill, strength=strength, seed=seed)
