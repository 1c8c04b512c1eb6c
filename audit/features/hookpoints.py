"""Which hookpoint to dissect: the one at which a plain push moves most what the probe reads.

The usual bottleneck is where h-space was described (Kwon et al. 2022, arXiv:2210.10960), but a
small model may carry little of an attribute there. So it is measured: at every candidate, images
are pushed along the plain difference of class means, without any autoencoder, and read.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from audit.errors import InputError, SpecError, unknown
from audit.features.study import Study
from audit.images.assignment import Assignment
from audit.images.batches import Array
from audit.statistics.intervals import wilson
from audit.storage import atomic
from audit.types import Moment, Request

AUTO = "auto"
FILE = "hookpoints.json"
SCHEME = 1
STEPS = 10
"""Sampling steps at most: which candidate is strongest shows before the images are good."""
LEARNT, PUSHED = 64, 32
"""Images that the class means are of, and images pushed at each candidate."""
PUSH = 2.0
"""In units of a class's mean less the mean of all classes: of two, one becomes the other."""
MOST = 6
"""Candidates where the spec names none."""
_HELD = 8
"""Images whose activations are held in memory until they are read."""


@dataclass(frozen=True)
class Candidate:
    """A hookpoint and what pushing there did."""

    hookpoint: str
    followed: int
    """Images read as the class that they were pushed to."""
    n: int
    share: float
    low: float
    high: float
    """95 % interval of the share."""
    effect: float
    """The share less that of the same images unpushed."""


@dataclass(frozen=True)
class Choice:
    """The candidates, and the one with the largest effect."""

    chosen: str
    default: str
    """The model's own default: its bottleneck, or its middle block."""
    candidates: tuple[Candidate, ...]
    unpushed: float
    """Share of the same images, unpushed, that are read as that class anyway."""
    steps: int
    push: float = PUSH

    def plain(self) -> dict[str, Any]:
        """Return it as evidence holds it."""
        return asdict(self)


def choose(study: Study, folder: Path) -> Choice:
    """Measure the effect of a push at each candidate, or read what was measured before.

    Args:
        study: The feature set asked for names the candidates, or none.
        folder: Takes the file with the result.

    Raises:
        SpecError: a candidate is no hookpoint of the model.
        InputError: the images show too few of a class.
    """
    names = candidates(study)
    kept = folder / FILE
    if kept.is_file():
        found = json.loads(kept.read_text("utf-8"))
        of = tuple(Candidate(**one) for one in found.pop("candidates"))
        return Choice(**found, candidates=of)
    steps = min(study.steps, STEPS)
    drawn = study.requests("hookpoint", LEARNT + PUSHED, steps=steps)
    directions = _directions(study, names, drawn[:LEARNT])
    pushed = drawn[LEARNT:]
    even = dict.fromkeys(study.classes, 1 / len(study.classes))
    assignment = Assignment(study.classes, even)
    wanted = np.array([assignment(request) for request in pushed])
    unpushed = float((study.draw(pushed) == wanted).mean())
    results = []
    for name in names:
        with study.model.hooked(name, _Push(directions[name], assignment)):
            read = study.draw(pushed)
        results.append(_candidate(name, read, wanted, unpushed))
    # The first of equals: candidates begin with the default.
    best = max(results, key=lambda candidate: candidate.effect)
    choice = Choice(
        best.hookpoint, next(iter(study.model.hookpoints)), tuple(results), unpushed, steps
    )
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(kept, json.dumps(choice.plain(), indent=1) + "\n")
    return choice


def candidates(study: Study) -> tuple[str, ...]:
    """Return the candidates of the spec, or the default and others spread over the model.

    Blocks inside other blocks are left out; so are the down blocks of a U-Net, which hand on more
    than is pushed, and the last block, at which a push would draw into the image what it should
    make the model draw.

    Raises:
        SpecError: a candidate is no hookpoint of the model.
    """
    known = study.model.hookpoints
    for name in study.wanted.candidates:
        if name not in known:
            raise SpecError(f"candidates: {unknown('hookpoint', name, known)}")
    if study.wanted.candidates:
        return study.wanted.candidates
    default, *others = (
        name for name in known if not any(name.startswith(f"{outer}.") for outer in known)
    )
    others = [name for name in others if not name.startswith("down_blocks")][:-1]
    spread = np.linspace(0, len(others) - 1, min(MOST - 1, len(others))).round()
    return (default, *(others[int(i)] for i in spread))


def _candidate(name: str, read: Array, wanted: Array, unpushed: float) -> Candidate:
    followed, n = int((read == wanted).sum()), len(wanted)
    interval = wilson(followed / n, n)
    return Candidate(
        hookpoint=name,
        followed=followed,
        n=n,
        share=followed / n,
        low=float(interval.low),
        high=float(interval.high),
        effect=followed / n - unpushed,
    )


class _Means:
    """Sums of the activations of one hookpoint, by step and class."""

    def __init__(self) -> None:
        self.sums: dict[int, Tensor] = {}
        self._held: dict[int, Tensor] = {}

    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Hold an activation until its images are read; an edit that changes nothing."""
        self._held[moment.step] = x.detach().float().cpu()
        return x

    def add(self, members: Tensor) -> None:
        """Add what is held to the sums, given [N, K] which image is of which class."""
        for step, x in self._held.items():
            added = torch.einsum("nk,nd->kd", members, x.flatten(1)).view(-1, *x.shape[1:])
            self.sums[step] = added + self.sums[step] if step in self.sums else added
        self._held = {}


class _Push:
    """Adds the direction of the class that each image is pushed to."""

    def __init__(self, directions: dict[int, Tensor], assignment: Assignment) -> None:
        self.directions = directions
        self.assignment = assignment

    def __call__(self, x: Tensor, moment: Moment) -> Tensor:
        rows = [self.assignment(request) for request in moment.requests]
        return x + PUSH * self.directions[moment.step][rows].to(x)


def _directions(
    study: Study, names: Sequence[str], requests: Sequence[Request]
) -> dict[str, dict[int, Tensor]]:
    """Return by hookpoint and step the mean of each class less the mean of all classes."""
    means = {name: _Means() for name in names}
    counts = torch.zeros(len(study.classes))
    for start in range(0, len(requests), _HELD):
        with ExitStack() as hooks:
            for name, mean in means.items():
                hooks.enter_context(study.model.hooked(name, mean.edit))
            images = study.model.generate(requests[start : start + _HELD]).images
        read = torch.from_numpy(study.read(images))
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
