"""Guide activations to be read as a class by the h-classifier, up its gradient.

Source: Balancing Act, Parihar et al. 2024 (arXiv:2402.18206), in the form that draws a class for
each image: a step on the gradient of log P(class), which is closed for a linear head,
Σ_k ([k = class] - P_k) W_k. Their other form, on the shares of a batch, would make an image depend
on its neighbours.
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


class DistributionGuidance:
    """Moves each image's activations towards its class, until the head is sure of it."""

    def __init__(self, found: Dissection, assignment: Assignment, strength: float) -> None:
        self.found = found
        self.assignment = assignment
        self.strength = strength
        self.fingerprint = fingerprint(
            "distribution-guidance",
            found.features.sae,
            found.heads.fingerprint,
            assignment.fingerprint,
            strength,
        )

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Guide `model` while the block runs.

        Raises:
            SpecError: the heads are of another model.
        """
        if model.fingerprint != self.found.features.model:
            raise SpecError("the h-classifier is of another model: discover it in this one")
        with model.hooked(self.found.features.hookpoint, self.edit):
            yield model

    @torch.no_grad()
    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Take one step up the gradient of log P(class)."""
        if self.strength == 0:
            return x
        heads, sae = self.found.heads, self.found.sae
        step = round(moment.step * (len(heads.weights) - 1) / max(moment.steps - 1, 1))
        weight = heads.weights[step].to(x.device)
        tokens = sae.tokens(x).float()
        logits = tokens.flatten(1) @ weight.T + heads.biases[step].to(x.device)
        rows = torch.tensor([self.assignment(request) for request in moment.requests])
        wanted = torch.nn.functional.one_hot(rows, weight.shape[0]).to(x.device)
        # Scaled so that a strength of 1 moves a wholly wrong image by about one logit.
        gradient = (wanted - logits.softmax(1)) @ weight / weight.square().sum(1).mean()
        change = self.strength * gradient.reshape(tokens.shape)
        return x + sae.activation(change, like=x)


def distribution_guidance(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    strength: float = 2.0,
    seed: int = 0,
) -> DistributionGuidance:
    """Guide every image to a class drawn in the shares of the target.

    Args:
        features: The feature set, whose h-classifier guides; no SAE is used.
        target: By attribute: the share wanted of each class.
        strength: Logits by which one step moves an image that is wholly wrong; 0 changes nothing.
        seed: Of the draw.
    """
    found = features.features
    even = dict.fromkeys(found.classes, 1 / len(found.classes))
    shares = target.get(found.attribute) or even
    return DistributionGuidance(features, Assignment(found.classes, shares, seed=seed), strength)
