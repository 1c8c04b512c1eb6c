"""Readings that are missing: how many, and what they could hide at worst."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.types import Floats, State


def count_states(states: npt.NDArray[np.str_]) -> dict[State, int]:
    """Count every state, those that do not occur included.

    Raises:
        ValueError: a value is no known state.
    """
    known = dict.fromkeys(State, 0)
    for value, count in zip(*np.unique(np.asarray(states, str), return_counts=True), strict=True):
        known[State(str(value))] = int(count)
    return known


@dataclass(frozen=True)
class Bounds:
    """What shares and their distance from a target may be, whatever the missing images show."""

    low: Floats
    """[K] smallest share of each class."""
    high: Floats
    """[K] largest."""
    distance_low: float
    distance_high: float
    """Smallest and largest ‖p - t‖."""


def worst_case(
    counts: npt.NDArray[np.integer], missing: int, target: npt.NDArray[np.floating]
) -> Bounds:
    """Bound shares and discrepancy over all classes that the missing images may have (Manski).

    Args:
        counts: [K] readings by class.
        missing: images without a reading.
        target: [K].

    Returns:
        Shares of all images, read or not; NaN where there is no image at all.
    """
    c, t = np.asarray(counts, float), np.asarray(target, float)
    total = c.sum() + missing
    if total == 0:
        nothing = np.full(len(c), np.nan)
        return Bounds(nothing, nothing, np.nan, np.nan)
    vertices = (c + missing * np.eye(len(c))) / total
    farthest = float(np.linalg.norm(vertices - t, axis=1).max())
    nearest = float(np.linalg.norm(_nearest(c / total, missing / total, t) - t))
    return Bounds(c / total, (c + missing) / total, nearest, farthest)


def _nearest(floor: Floats, free: float, target: Floats) -> Floats:
    """Return the shares nearest to the target that keep `floor` and hand out `free` more.

    Water-filling: every class that gets some ends equally far below its target.
    """
    lack = target - floor
    order = np.sort(lack)[::-1]
    level = (np.cumsum(order) - free) / np.arange(1, len(lack) + 1)
    last = np.flatnonzero(order > level)
    if free == 0 or len(last) == 0:
        return floor
    return np.asarray(floor + np.maximum(lack - level[last[-1]], 0))
