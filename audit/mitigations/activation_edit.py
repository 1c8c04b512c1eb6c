"""What the edits of activations share: the model they belong to, the hook, the class drawn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.dissection import Dissection
from audit.images.assignment import Assignment
from audit.storage import weights
from audit.types import Edit, FeatureSet, Model, Moment

Push = Callable[[Tensor, Sequence[int], int], Tensor]
"""Given tokens [N, P, D], the class wanted of each image and the recorded step, what to add."""


class ActivationEdit:
    """Edits one hookpoint of the model that a feature set was found in."""

    def __init__(
        self, features: FeatureSet, edit: Edit, fingerprint: str, *, attribute: str | None = None
    ) -> None:
        """Make a mitigation.

        Args:
            features: Says which model and hookpoint.
            edit: Of the activations there.
            fingerprint: Of all that it does.
            attribute: What it changes by what the discovery's probe read; None for a control
                that knows no attribute.
        """
        self.features = features
        self.edit = edit
        self.fingerprint = fingerprint
        self.attribute = attribute

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Edit the activations of `model` while the block runs.

        Raises:
            SpecError: the feature set was found in another model.
        """
        if model.fingerprint != self.features.model:
            raise SpecError("the feature set was found in another model: discover it in this one")
        with self.hooked(model):
            yield model

    def hooked(self, model: Model) -> AbstractContextManager[None]:
        """Hook the edit into a model."""
        return model.hooked(self.features.hookpoint, self.edit)


def pushed(
    name: str,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    push: Push,
    *,
    strength: float,
    seed: int,
) -> ActivationEdit:
    """Return the edit that pushes each image to a class drawn in the shares of the target.

    Args:
        name: Of the mitigation.
        features: Whose heads and directions push; no code of the SAE is used.
        target: By attribute: the share wanted of each class.
        push: Gives what a strength of 1 adds, in as many numbers as the tokens have.
        strength: 0 changes nothing.
        seed: Of the draw.
    """
    found, heads, sae = features.features, features.heads, features.sae
    assignment = drawn(found, target, seed)

    @torch.no_grad()
    def edit(x: Tensor, moment: Moment) -> Tensor:
        if strength == 0:
            return x
        tokens = sae.tokens(x).float()
        rows = [assignment(request) for request in moment.requests]
        added = push(tokens, rows, nearest(moment, len(heads.weights))).reshape(tokens.shape)
        return x + sae.activation(strength * added, like=x)

    made_of = weights.fingerprint(
        name, found.sae, heads.fingerprint, assignment.fingerprint, strength
    )
    return ActivationEdit(found, edit, made_of, attribute=found.attribute)


def drawn(
    features: FeatureSet,
    target: Mapping[str, Mapping[str, float]],
    seed: int,
    draw: str = "image",
) -> Assignment:
    """Return the draw of a feature set's classes: in the shares of the target, or even ones."""
    even = dict.fromkeys(features.classes, 1 / len(features.classes))
    shares = target.get(features.attribute) or even
    return Assignment(features.classes, shares, seed=seed, draw=draw)


def nearest(moment: Moment, count: int) -> int:
    """Return which of so many recorded steps is the one of a moment.

    A run with another number of steps uses what was learned at the nearest place.

    >>> [nearest(Moment(step, 5, 0.0, ()), 9) for step in range(5)]
    [0, 2, 4, 6, 8]
    """
    return round(moment.step * (count - 1) / max(moment.steps - 1, 1))
