"""Mean activations of the classes at several hookpoints at once, and a push along them."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from audit.errors import InputError
from audit.features.study import Study
from audit.images.assignment import Assignment
from audit.images.memory import fitting
from audit.types import Moment, Request

_HELD = 8
"""Images whose activations are held in memory until they are read."""


class ClassMeans:
    """Sums of the activations of one hookpoint, by step and class."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self._held: dict[int, Tensor] = {}

    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Hold an activation until its images are read; an edit that changes nothing."""
        self._held[moment.step] = x.detach().float().cpu()
        return x

    def add(self, members: Tensor) -> None:
        """Add what is held to the sums, given [N, K] which image is of which class, if of any."""
        some = members.any(1)  # what did not come out may be NaN, which zeros do not silence
        for step, x in self._held.items():
            added = torch.einsum("nk,nd->kd", members[some], x[some].flatten(1))
            added = added.view(-1, *x.shape[1:])
            self.sums[step] = added + self.sums[step] if step in self.sums else added
        self._held = {}


class Push:
    """Adds the direction of the class that each image is pushed to."""

    def __init__(
        self, directions: dict[int, Tensor], assignment: Assignment, scale: float
    ) -> None:
        self.directions = directions
        self.assignment = assignment
        self.scale = scale

    def __call__(self, x: Tensor, moment: Moment) -> Tensor:
        """Edit an activation."""
        rows = [self.assignment(request) for request in moment.requests]
        return x + self.scale * self.directions[moment.step][rows].to(x)


def class_directions(
    study: Study, names: Sequence[str], requests: Sequence[Request]
) -> dict[str, dict[int, Tensor]]:
    """Return by hookpoint and step the mean of each class less the mean of all classes.

    Args:
        study: Draws the requests and reads them.
        names: The hookpoints, watched at once.
        requests: To draw.

    Raises:
        InputError: the images show fewer than two of a class.
    """
    means = {name: ClassMeans() for name in names}
    counts = torch.zeros(len(study.classes))
    with ExitStack() as hooks:
        for name, mean in means.items():
            hooks.enter_context(study.model.hooked(name, mean.edit))
        for _, drawing in fitting(study.model, requests, _HELD):
            read = torch.from_numpy(study.read(drawing))
            members = one_hot(read.clamp(min=0), len(counts)).float() * (read >= 0)[:, None]
            counts += members.sum(0)
            for mean in means.values():
                mean.add(members)
    if counts.amin() < 2:
        scarce = study.classes[int(counts.argmin())]
        raise InputError(
            f"hookpoint: auto: of {len(requests)} images {counts.amin():.0f} are read as"
            f" {scarce!r}, too few to know its mean: name a hookpoint"
        )
    found: dict[str, dict[int, Tensor]] = {}
    for name, mean in means.items():
        by_class = {
            step: total / counts.view(-1, *[1] * (total.ndim - 1))
            for step, total in mean.sums.items()
        }
        found[name] = {step: of - of.mean(0) for step, of in by_class.items()}
    return found
