"""Integrated gradients of the class probability along a straight path of codes, in closed form.

Decoder and h-classifier are linear, so along z(a) = z' + a (z - z') the logits are affine in a:
l(a) = p + a q. No gradient has to be computed:

    IG_i = (z_i - z'_i) Σ_c' J_c' G_{c',i},   J_c' = mean over a of P_c(a) ([c = c'] - P_c'(a))

Source: Sundararajan et al. 2017 (arXiv:1703.01365); the use on SAE latents is DiffLens', Shi et
al. 2025 (arXiv:2503.20483), whose 10-point left rule is an option here.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError, unknown
from audit.rankings.averaging import mean_by_class
from audit.types import Floats, Ranking, StepCodes

WEIGHTINGS = ("signed", "absolute")
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Gauss-Legendre: exact to rounding, for P is smooth in a."""


def integrated_gradients(
    *, points: int | None = None, weight: str = "signed", temperature: float = 1.0
) -> Ranking:
    """Rank latents by their share in the change of the class probability.

    Effects are means over the images of a class and their steps, and sums over positions.

    Args:
        points: None for the exact integral; a number for the left Riemann sum with so many
            points, 10 in DiffLens' code.
        weight: `signed`, or `absolute` for DiffLens' variant on Stable Diffusion, which multiplies
            by |z - z'| and for which completeness does not hold. With a baseline of zero the
            two are one: codes are never negative.
        temperature: Logits are divided by it.

    Raises:
        SpecError: an option is out of range.
    """
    if weight not in WEIGHTINGS:
        raise SpecError(f"integrated-gradients: {unknown('weight', weight, WEIGHTINGS)}")
    if temperature <= 0 or (points is not None and points < 1):
        raise SpecError("integrated-gradients: points and temperature must be positive")

    def rank(codes: Iterator[StepCodes]) -> Floats:
        def attributed(batch: StepCodes) -> Floats:
            return attributions(batch, points, weight, temperature)

        return mean_by_class(codes, attributed, "integrated-gradients")

    return rank


def attributions(
    codes: StepCodes, points: int | None = None, weight: str = "signed", temperature: float = 1.0
) -> Floats:
    """Return [K, L]: for each class the attributions summed over its images and positions."""
    k = len(codes.directions)
    change = codes.latents - codes.baseline
    factors = _factors(codes, change, points, temperature)
    if weight == "absolute":
        change = np.abs(change)
    result = np.zeros((k, change.shape[2]))
    flat = change.reshape(len(change), -1)
    for c in range(k):
        of_class = codes.labels == c
        # Σ over images first: [K, N] @ [N, P L], then the directions, then positions.
        moved = factors[of_class].T.astype(np.float32) @ flat[of_class]
        moved = moved.reshape(k, *change.shape[1:])
        result[c] = (moved * codes.directions).sum(axis=(0, 1), dtype=np.float64) / temperature
    return result


def _factors(
    codes: StepCodes, change: npt.NDArray[np.float32], points: int | None, temperature: float
) -> Floats:
    """Return J, [N, K]: the mean over the path of P_c ([c = c'] - P_c')."""
    heads = codes.directions.reshape(len(codes.directions), -1).T
    start = np.broadcast_to(codes.baseline, change.shape).reshape(len(change), -1) @ heads
    start = (start + codes.offsets) / temperature
    slope = change.reshape(len(change), -1) @ heads / temperature
    if points is None:
        nodes, weights = (_NODES + 1) / 2, _NODE_WEIGHTS / 2
    else:
        nodes, weights = np.arange(points) / points, np.full(points, 1 / points)
    rows = np.arange(len(change))
    factors = np.zeros(slope.shape)
    for a, w in zip(nodes, weights, strict=True):
        p = _softmax(start + a * slope)
        own = p[rows, codes.labels]
        factors -= w * own[:, None] * p
        factors[rows, codes.labels] += w * own
    return factors


def _softmax(logits: npt.NDArray[np.floating]) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
