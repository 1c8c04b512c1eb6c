"""What a probe reads from images drawn to learn from, as an audit would read them."""

from dataclasses import replace

import numpy as np

from audit.images.batches import Array
from audit.types import Drawing, Probe, Readings, State


def read(probe: Probe, drawing: Drawing) -> Readings:
    """Read drawn images; one that is not OK passes its own state on, and shows nobody.

    A safety checker's black image is a person to many a classifier.
    """
    readings = probe.read(drawing.images)
    fine = np.array([state is State.OK for state in drawing.states], bool)
    return replace(
        readings,
        probabilities={
            attribute: np.where(fine[:, None], shares, np.float32(np.nan))
            for attribute, shares in readings.probabilities.items()
        },
        states={
            attribute: tuple(
                of if drawn is State.OK else drawn
                for of, drawn in zip(states, drawing.states, strict=True)
            )
            for attribute, states in readings.states.items()
        },
        values={
            attribute: np.where(fine, values, np.float32(np.nan))
            for attribute, values in readings.values.items()
        },
    )


def decided(readings: Readings, attribute: str) -> Array:
    """Return [N] the class read from each image, -1 where there is none."""
    fine = np.array([state is State.OK for state in readings.states[attribute]], bool)
    filled = np.nan_to_num(readings.probabilities[attribute], nan=-1.0)
    return np.where(fine, filled.argmax(axis=1), -1)
