"""From raw probabilities to readings: every image ends in exactly one state an attribute."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from audit.types import Probabilities, Readings, State


def settle(
    probabilities: Mapping[str, Probabilities],
    states: Sequence[State],
    faces: npt.ArrayLike,
    *,
    values: Mapping[str, npt.ArrayLike] | None = None,
    abstain: float = 0.0,
) -> Readings:
    """Give every image its state by attribute, and blank what was not read.

    Args:
        probabilities: By attribute, [N, K]; rows of images that were not read are ignored.
        states: What became of each image before any attribute: OK, NO_FACE or MULTI_FACE.
        faces: [N] faces found; -1 where nobody looked.
        values: By attribute, [N] continuous readings.
        abstain: Below this largest probability the probe declines to name a class.
    """
    settled, outcomes = {}, {}
    for attribute, raw in probabilities.items():
        rows = np.array(raw, np.float32)
        outcome = tuple(_state(s, row, abstain) for s, row in zip(states, rows, strict=True))
        rows[[state is not State.OK for state in outcome]] = np.nan
        settled[attribute], outcomes[attribute] = rows, outcome
    continuous = {}
    for attribute, reading in (values or {}).items():
        value = np.array(reading, np.float32)
        value[[state is not State.OK for state in outcomes[attribute]]] = np.nan
        continuous[attribute] = value
    return Readings(settled, outcomes, np.asarray(faces, np.int16), continuous)


def softmax(logits: npt.NDArray[np.floating]) -> Probabilities:
    """Return [N, K] that add up to 1 by row; NaN where the logits are."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _state(state: State, row: Probabilities, abstain: float) -> State:
    if state is not State.OK:
        return state
    if not np.isfinite(row).all():
        return State.FAILED
    return State.ABSTAIN if row.max() < abstain else State.OK
