"""Guide activations to be read as a class by the h-classifier, up its gradient.

Source: Balancing Act, Parihar et al. 2024 (arXiv:2402.18206), in the form that draws a class for
each image: a step on the gradient of log P(class), which is closed for a linear head,
Σ_k ([k = class] - P_k) W_k. Their other form, on the shares of a batch, would make an image depend
on its neighbours.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from audit.features.dissection import Dissection
from audit.mitigations.activation_edit import ActivationEdit, drawn, nearest
from audit.storage.weights import fingerprint
from audit.types import Moment


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
    found, heads, sae = features.features, features.heads, features.sae
    assignment = drawn(found, target, seed)

    @torch.no_grad()
    def edit(x: Tensor, moment: Moment) -> Tensor:
        if strength == 0:
            return x
        step = nearest(moment, len(heads.weights))
        weight, bias = (part[step].to(x.device) for part in (heads.weights, heads.biases))
        tokens = sae.tokens(x).float()
        logits = tokens.flatten(1) @ weight.T + bias
        rows = torch.tensor([assignment(request) for request in moment.requests])
        wanted = one_hot(rows, weight.shape[0]).to(x.device)
        # Scaled so that a strength of 1 moves the logits of a wholly wrong image by about one.
        gradient = (wanted - logits.softmax(1)) @ weight / weight.square().sum(1).mean()
        return x + sae.activation(strength * gradient.reshape(tokens.shape), like=x)

    made_of = fingerprint(
        "distribution-guidance", found.sae, heads.fingerprint, assignment.fingerprint, strength
    )
    return ActivationEdit(found, edit, made_of, attribute=found.attribute)
