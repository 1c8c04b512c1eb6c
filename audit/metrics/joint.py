"""Several attributes at once: fair one by one can still be unfair together."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.types import Floats

FEWEST_EXPECTED = 5.0


def joint_votes(votes: Sequence[npt.NDArray[np.floating]]) -> Floats:
    """Return votes [N, ΠK] for every combination of classes, the last attribute fastest.

    A row is NaN where one attribute at least was not read. Soft votes are multiplied, which takes
    the probes' doubts for independent; hard votes need no such assumption.
    """
    together = np.asarray(votes[0], float)
    for other in votes[1:]:
        together = (together[:, :, None] * other[:, None, :]).reshape(len(together), -1)
    return together


def joint_target(targets: Sequence[npt.NDArray[np.floating]]) -> Floats:
    """Return the target [ΠK] under which attributes are independent, in the same order."""
    together = np.asarray(targets[0], float)
    for other in targets[1:]:
        together = np.outer(together, other).ravel()
    return together


def small_cells(
    n: float, target: npt.NDArray[np.floating], fewest: float = FEWEST_EXPECTED
) -> npt.NDArray[np.bool_]:
    """Say which cells [K] n readings cannot speak about: fewer than `fewest` expected there."""
    return np.asarray(n * np.asarray(target) < fewest)


def pool(values: npt.NDArray[np.floating], small: npt.NDArray[np.bool_]) -> Floats:
    """Put the small cells of votes or targets [..., K] into one last cell for the rest.

    Nothing is left out: shares still add up to 1. Without small cells values stay as they are.
    """
    cells: Floats = np.asarray(values, float)
    if not small.any():
        return cells
    rest = cells[..., small].sum(-1, keepdims=True)
    return np.asarray(np.concatenate([cells[..., ~small], rest], -1))


def mutual_information(shares: npt.NDArray[np.floating]) -> float:
    """Return the mutual information of two attributes in nats, from joint shares [Ka, Kb].

    0 means independent. Plug-in: with n readings of independent attributes it is about
    (Ka - 1)(Kb - 1) / 2n.
    """
    apart = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    return float(special.rel_entr(shares, apart).sum())
