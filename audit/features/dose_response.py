"""Dose-response: what a probe reads from images steered with rising scales, on held-out seeds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from audit.errors import SpecError
from audit.features.calibration import fit
from audit.features.dissection import Dissection, Dose
from audit.features.reading import decided, read
from audit.images.assignment import Assignment
from audit.images.batches import Array
from audit.images.memory import fitting
from audit.registry import build
from audit.types import Floats, Model, Probe, Request

CURVE = 21
"""Points of the fitted curve that evidence holds."""


@dataclass(frozen=True)
class Response:
    """One dose with what it did to the attributes that were not meant."""

    dose: Dose
    shares: Mapping[str, Mapping[str, float]]
    """Of every attribute that the probe reads, over all images of this dose."""

    def plain(self) -> dict[str, Any]:
        """Return it as evidence holds it."""
        return {"scale": self.dose.scale, "counts": self.dose.counts, "shares": self.shares}


def with_doses(
    model: Model,
    probe: Probe,
    found: Dissection,
    doses: Mapping[float, Sequence[Request]],
    batch_size: int,
) -> Dissection:
    """Return a dissection with its dose-response, and that of random latents as a control.

    Every class is steered to equally often, whatever the target of an audit will be: the response
    of each class is what a target is later reached with. Each scale has requests of its own, so
    that the doses are independent and a curve through them can tell how sure it is. Random latents
    are drawn for the largest scale alone, and not where too few others fire.

    Args:
        model: That was dissected.
        probe: Reads the images.
        found: The dissection.
        doses: By scale, rising: what is drawn with it.
        batch_size: Images drawn at a time.
    """
    responses = list(_respond(model, probe, "steer", found, doses, batch_size))
    largest = dict(list(doses.items())[-1:])
    try:
        control = list(_respond(model, probe, "random-features", found, largest, batch_size))
    except SpecError:
        control = []
    measured = tuple(response.dose for response in responses)
    evidence = {
        **found.evidence,
        "dosed": {"mode": "add", "scales": list(map(float, doses))},
        "doses": [response.plain() for response in responses],
        "control_doses": [response.plain() for response in control],
        "response": _fitted(measured, found.features.classes),
    }
    return replace(found, doses=measured, evidence=evidence)


def _fitted(doses: Sequence[Dose], classes: Sequence[str]) -> dict[str, Any]:
    """Return the curve through the doses: for each class the share of images that followed."""
    response = fit(doses)
    scales = np.linspace(doses[0].scale, doses[-1].scale, CURVE)
    own = np.array([np.diagonal(response.at(s), axis1=1, axis2=2) for s in scales])
    sides = {"share": own.mean(axis=1), "low": np.quantile(own, 0.025, axis=1),
             "high": np.quantile(own, 0.975, axis=1)}  # fmt: skip
    curves = {
        name: {side: values[:, k].tolist() for side, values in sides.items()}
        for k, name in enumerate(classes)
    }
    return {"scales": scales.tolist(), "classes": curves}


def _respond(
    model: Model,
    probe: Probe,
    mitigation: str,
    found: Dissection,
    doses: Mapping[float, Sequence[Request]],
    batch_size: int,
) -> Iterator[Response]:
    """Yield the response to each scale of a mitigation, drawn with its requests."""
    attribute, classes = found.features.attribute, found.features.classes
    even = dict.fromkeys(classes, 1 / len(classes))
    # The assignment that the mitigation makes of the same shares.
    assignment = Assignment(classes, even)
    for scale, requests in doses.items():
        wanted = np.array([assignment(request) for request in requests])
        steering = build("mitigations", mitigation, features=found, target={}, scale=float(scale))
        with steering.applied(model) as steered:
            drawn = fitting(steered, requests, batch_size)
            readings = [read(probe, drawing) for _, drawing in drawn]
        labels = {
            name: np.concatenate([decided(part, name) for part in readings])
            for name in probe.classes
        }
        own = labels[attribute]
        counts = np.zeros((len(classes), len(classes)), int)
        np.add.at(counts, (wanted[own >= 0], own[own >= 0]), 1)
        shares = {name: _shares(labels[name], probe.classes[name]) for name in probe.classes}
        yield Response(Dose(float(scale), tuple(map(tuple, counts.tolist()))), shares)


def _shares(labels: Array, classes: Sequence[str]) -> dict[str, float]:
    counts: Floats = np.bincount(labels[labels >= 0], minlength=len(classes)).astype(float)
    return dict(zip(classes, (counts / max(counts.sum(), 1)).tolist(), strict=True))
