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
    counts: npt.NDArray[np.integer],
    missing: int | npt.NDArray[np.integer],
    target: npt.NDArray[np.floating],
) -> Bounds:
    """Bound shares and discrepancy over all classes that the missing images may have (Manski).

    Args:
        counts: [K] readings by class; or [J, K], of prompts, each of which weighs the same.
        missing: images without a reading; [J] of prompts.
        target: [K].

    Returns:
        Shares of all images, read or not; NaN where there is no image at all.
    """
    c, t = np.atleast_2d(np.asarray(counts, float)), np.asarray(target, float)
    lost = np.atleast_1d(np.asarray(missing, float))
    total = c.sum(axis=1) + lost
    if not total.any():
        nothing = np.full(len(t), np.nan)
        return Bounds(nothing, nothing, np.nan, np.nan)
    there = total > 0
    floor = (c[there] / total[there, None]).mean(axis=0)
    free = float((lost[there] / total[there]).mean())
    vertices = floor + free * np.eye(len(t))
    farthest = float(np.linalg.norm(vertices - t, axis=1).max())
    nearest = float(np.linalg.norm(_nearest(floor, free, t) - t))
    return Bounds(floor, floor + free, nearest, farthest)


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
