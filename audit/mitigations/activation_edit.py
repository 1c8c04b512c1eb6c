"""What the edits of activations share: the model they belong to, the hook, the class drawn."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from audit.errors import SpecError
from audit.images.assignment import Assignment
from audit.types import Edit, FeatureSet, Model, Moment


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


def drawn(
    features: FeatureSet, target: Mapping[str, Mapping[str, float]], seed: int
) -> Assignment:
    """Return the draw of a feature set's classes: in the shares of the target, or even ones."""
    even = dict.fromkeys(features.classes, 1 / len(features.classes))
    return Assignment(features.classes, target.get(features.attribute) or even, seed=seed)


def nearest(moment: Moment, count: int) -> int:
    """Return which of so many recorded steps is the one of a moment.

    A run with another number of steps uses what was learned at the nearest place.

    >>> [nearest(Moment(step, 5, 0.0, ()), 9) for step in range(5)]
    [0, 2, 4, 6, 8]
    """
    return round(moment.step * (count - 1) / max(moment.steps - 1, 1))
