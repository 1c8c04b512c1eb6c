"""Which hookpoint to dissect: the one at which a plain push moves most what the probe reads.

The usual bottleneck is where h-space was described (Kwon et al. 2022, arXiv:2210.10960), but a
small model may carry little of an attribute there. So it is measured: at every candidate, images
are pushed along the plain difference of class means, without any autoencoder, and read.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.features import prompt_embeddings
from audit.features.class_means import Push, class_directions
from audit.features.study import Study
from audit.images.assignment import Assignment
from audit.images.batches import Array
from audit.statistics.intervals import wilson
from audit.storage import atomic

FILE = "hookpoints.json"
SCHEME = 3
STEPS = 10
"""Sampling steps at most: which candidate is strongest shows before the images are good."""
LEARNT, PUSHED = 64, 32
"""Images that the class means are of, and images pushed at each candidate."""
PUSH = 2.0
"""In units of a class's direction: of two classes, the mean of one becomes that of the other."""
MOST = 6
"""Candidates where the spec names none."""


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
    directions = class_directions(study, names, drawn[:LEARNT])
    pushed = drawn[LEARNT:]
    even = dict.fromkeys(study.classes, 1 / len(study.classes))
    assignment = Assignment(study.classes, even)
    wanted = np.array([assignment(request) for request in pushed])
    unpushed = float((study.draw(pushed) == wanted).mean())
    results = []
    for name in names:
        with study.model.hooked(name, Push(directions[name], assignment, PUSH)):
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

    Blocks inside other blocks are left out, and so is the text; so are the down blocks of a
    U-Net, which hand on more than is pushed, and the last block, at which a push would draw into
    the image what it should make the model draw.
    """
    if study.wanted.candidates:
        return study.wanted.candidates
    known = study.model.hookpoints
    default, *others = (
        name for name in known if not any(name.startswith(f"{outer}.") for outer in known)
    )
    blocks = (name for name in others if name != prompt_embeddings.HOOKPOINT)
    others = [name for name in blocks if not name.startswith("down_blocks")][:-1]
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
