"""Dose-response: what a probe reads from images steered with rising scales, on held-out seeds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audit.assignment import Assignment
from audit.batches import Array
from audit.dissection import Dose
from audit.types import Floats, Mitigation, Model, Probe, Readings, Request, State


@dataclass(frozen=True)
class Response:
    """One dose with what it did to the attributes that were not meant."""

    dose: Dose
    shares: Mapping[str, Mapping[str, float]]
    """Of every attribute that the probe reads, over all images of this dose."""


def respond(
    model: Model,
    probe: Probe,
    steering: Callable[[float], Mitigation],
    assignment: Assignment,
    requests: Sequence[Request],
    scales: Sequence[float],
    *,
    attribute: str,
    batch_size: int,
) -> Iterator[Response]:
    """Yield the response to each scale, drawing the same requests each time.

    Args:
        model: To steer.
        probe: Reads the images.
        steering: Makes the mitigation of a scale.
        assignment: The one that the mitigations use: which class each image is steered to.
        requests: To draw.
        scales: In rising order.
        attribute: The one that is steered.
        batch_size: Images drawn at a time.
    """
    classes = probe.classes[attribute]
    wanted = np.array([assignment(request) for request in requests])
    for scale in scales:
        with steering(scale).applied(model) as steered:
            readings = list(read(steered, probe, requests, batch_size))
        labels = np.concatenate([decided(r, attribute) for r in readings])
        counts = np.zeros((len(classes), len(classes)), int)
        np.add.at(counts, (wanted[labels >= 0], labels[labels >= 0]), 1)
        shares = {
            name: _shares(
                np.concatenate([decided(r, name) for r in readings]), probe.classes[name]
            )
            for name in probe.classes
        }
        yield Response(Dose(float(scale), tuple(map(tuple, counts.tolist()))), shares)


def read(
    model: Model, probe: Probe, requests: Sequence[Request], batch_size: int
) -> Iterator[Readings]:
    """Draw requests in batches and yield what the probe reads."""
    for start in range(0, len(requests), batch_size):
        yield probe.read(model.generate(requests[start : start + batch_size]).images)


def decided(readings: Readings, attribute: str) -> Array:
    """Return [N] the class read from each image, -1 where there is none."""
    fine = np.array([state is State.OK for state in readings.states[attribute]], bool)
    filled = np.nan_to_num(readings.probabilities[attribute], nan=-1.0)
    return np.where(fine, filled.argmax(axis=1), -1)


def _shares(labels: Array, classes: Sequence[str]) -> dict[str, float]:
    counts: Floats = np.bincount(labels[labels >= 0], minlength=len(classes)).astype(float)
    return dict(zip(classes, (counts / max(counts.sum(), 1)).tolist(), strict=True))
