"""Integrated gradients of the class probability along a straight path of codes, in closed form.

Decoder and h-classifier are linear, so along z(a) = z' + a (z - z') the logits are affine in a:
l(a) = p + a q. No gradient has to be computed:

    IG_i = (z_i - z'_i) Σ_c' J_c' G_{c',i},   J_c' = mean over a of P_c(a) ([c = c'] - P_c'(a))

It is zero where z = z', so a position costs as much as it has latents that fire.

Source: Sundararajan et al. 2017 (arXiv:1703.01365); the use on SAE latents is DiffLens', Shi et
al. 2025 (arXiv:2503.20483), whose 10-point left rule is an option here.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError, unknown
from audit.features.codes import Ranking, SparseCodes, StepCodes
from audit.rankings.averaging import mean_by_class
from audit.types import Floats

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
    change = codes.latents - codes.baseline
    toward = _toward(codes, change)
    factors = _factors(codes, change, toward, points, temperature)
    moved = np.abs(change.value) if weight == "absolute" else change.value
    pulled = np.einsum("ek,ke->e", factors[change.image], toward) / temperature
    return change.sums(moved * pulled, codes.labels[change.image], len(codes.directions))


def _toward(codes: StepCodes, of: SparseCodes) -> npt.NDArray[np.float32]:
    """Return [K, E]: what a unit of each entry adds to the logit of each class."""
    places = of.position * of.shape[2] + of.latent
    # Taken by one number each: by two it takes three times as long.
    return codes.directions.reshape(len(codes.directions), -1).take(places, axis=1)


def _factors(
    codes: StepCodes,
    change: SparseCodes,
    toward: npt.NDArray[np.float32],
    points: int | None,
    temperature: float,
) -> Floats:
    """Return J, [N, K]: the mean over the path of P_c ([c = c'] - P_c')."""
    start = _logits(codes.baseline, _toward(codes, codes.baseline))
    start = (start + codes.offsets) / temperature
    slope = _logits(change, toward) / temperature
    if points is None:
        nodes, weights = (_NODES + 1) / 2, _NODE_WEIGHTS / 2
    else:
        nodes, weights = np.arange(points) / points, np.full(points, 1 / points)
    rows = np.arange(len(slope))
    factors = np.zeros(slope.shape)
    for a, w in zip(nodes, weights, strict=True):
        p = _softmax(start + a * slope)
        own = p[rows, codes.labels]
        factors -= w * own[:, None] * p
        factors[rows, codes.labels] += w * own
    return factors


def _logits(of: SparseCodes, toward: npt.NDArray[np.float32]) -> Floats:
    """Return [N, K]: what the entries of each image add to the logits."""
    added = [np.bincount(of.image, of.value * weights, of.shape[0]) for weights in toward]
    return np.stack(added, axis=1)


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
