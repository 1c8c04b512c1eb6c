"""Draw again until a probe reads the class that was wanted: best of n.

It touches nothing in the model, and costs the more drawing the rarer the class is. The probe that
selects must not be the one that judges: whatever it misreads is selected for.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from audit.errors import SpecError
from audit.features.reading import read
from audit.images.assignment import Assignment
from audit.mitigations.guide import guide
from audit.storage.weights import fingerprint
from audit.types import Drawing, Edit, Model, Probe, Request, State


class RejectingModel:
    """A model that draws each request from up to so many seeds, and keeps the best image."""

    def __init__(
        self, model: Model, probe: Probe, attribute: str, wanted: Assignment, attempts: int
    ) -> None:
        self.model = model
        self.probe = probe
        self.attribute = attribute
        self.wanted = wanted
        self.attempts = attempts
        self.fingerprint = model.fingerprint
        self.hookpoints = model.hookpoints
        self.text_to_image = model.text_to_image

    def generate(self, requests: Sequence[Request]) -> Drawing:
        """Draw each request until it is read as its class; if it never is, keep the likeliest."""
        pending = list(range(len(requests)))
        best = np.full(len(requests), -np.inf)
        states = [State.FAILED] * len(requests)
        images = None
        for attempt in range(self.attempts):
            batch = [_again(requests[i], attempt) for i in pending]
            drawn = self.model.generate(batch)
            images = drawn.images.copy() if images is None else images
            shown = read(self.probe, drawn).probabilities[self.attribute]
            rows = np.arange(len(pending))
            wanted = np.array([self.wanted(requests[i]) for i in pending])
            score = np.nan_to_num(shown[rows, wanted], nan=-1.0)
            for row in np.flatnonzero(score > best[pending]):
                images[pending[row]] = drawn.images[row]
                states[pending[row]] = drawn.states[row]
            best[pending] = np.maximum(best[pending], score)
            accepted = np.nan_to_num(shown, nan=-2.0).argmax(axis=1) == wanted
            done = accepted & (score >= 0)
            pending = [i for i, fine in zip(pending, done, strict=True) if not fine]
            if not pending:
                break
        assert images is not None
        return Drawing(images, tuple(states))

    def hooked(self, hookpoint: str, edit: Edit) -> AbstractContextManager[None]:
        """Hook the model below."""
        return self.model.hooked(hookpoint, edit)


class Rejection:
    """Replaces single draws by the best of several."""

    def __init__(self, probe: Probe, attribute: str, wanted: Assignment, attempts: int) -> None:
        self.probe = probe
        self.attribute = attribute
        self.wanted = wanted
        self.attempts = attempts
        self.fingerprint = fingerprint(
            "rejection", 2, probe.fingerprint, attribute, wanted.fingerprint, attempts
        )

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Yield a model that draws again where it must."""
        yield RejectingModel(model, self.probe, self.attribute, self.wanted, self.attempts)


def rejection(
    *,
    target: Mapping[str, Mapping[str, float]],
    attribute: str = "gender",
    probe: str | Mapping[str, Any] = "dlib",
    attempts: int = 8,
    device: str = "cpu",
    seed: int = 0,
) -> Rejection:
    """Draw a class for every image, and images until the probe reads it.

    Args:
        target: By attribute: the share wanted of each class.
        attribute: The one that is selected for.
        probe: Plugin that reads the candidates, by its name or with options; should not judge the
            result.
        attempts: Images drawn of a request at most.
        device: Of the probe.
        seed: Of the draw of classes.

    Raises:
        SpecError: the probe does not read the attribute, or there are no attempts.
    """
    if attempts < 1:
        raise SpecError(f"rejection: attempts must be at least 1, not {attempts}")
    reader = guide("rejection", probe, attribute, device)
    classes = reader.classes[attribute]
    shares = target.get(attribute) or dict.fromkeys(classes, 1 / len(classes))
    return Rejection(reader, attribute, Assignment(classes, shares, seed=seed), attempts)


def _again(request: Request, attempt: int) -> Request:
    """Return the request of an attempt; the first is the request itself."""
    if attempt == 0:
        return request
    digest = hashlib.sha256(f"rejection/{request.seed}/{attempt}".encode()).digest()
    return replace(request, seed=int.from_bytes(digest[:8], "big") >> 1)
