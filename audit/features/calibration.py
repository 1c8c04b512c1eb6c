"""How strongly to steer: a curve through the dose-response, and the smallest scale that suffices.

The share of images read as class k when they are steered to class c with scale s is modelled as

    P(k | c, s) = softmax_k(a_ck + b_ck s)

a logistic curve for each class steered to, fitted to all doses at once. A dose alone has too few
images: the one that looks best among several does so by luck, and the weakest is asked first. What
is minimised and compared with the limit is the squared FD that new images can be expected to have
given all that the counts leave open, so that luck counts against a scale and not for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.special import log_softmax, softmax

from audit.errors import SpecError
from audit.features.dissection import Dose
from audit.types import Floats

LIMIT = 0.05
"""Debiased FD that `scale: auto` aims below."""
STEP = 0.05
"""Between the scales that are considered."""
SLACK = 0.01
"""FD that a stronger scale must gain to be worth it where none brings the FD within the limit."""
_PRIOR = 3.0
"""Standard deviation of intercepts and slopes: no share is certain before an image is drawn."""
_DRAWS = 400
_OFFERED = 20_000
"""Draws of the approximation, of which the posterior's are chosen."""
_NEWTON = 50


@dataclass(frozen=True)
class Response:
    """The logistic curves of all classes, with draws of what else the counts would allow."""

    draws: Floats
    """[R, K, K, 2]: intercept and slope by class steered to and class read."""

    def at(self, scale: float) -> Floats:
        """Return [R, K, K] shares: row = class steered to, column = class read."""
        return np.asarray(softmax(self.draws @ [1.0, scale], axis=-1))


@dataclass(frozen=True)
class Point:
    """What steering with one scale can be expected to reach."""

    scale: float
    shares: tuple[float, ...]
    """How often to steer to each class."""
    fd: float
    """Root of the expected squared FD of new images."""
    low: float
    high: float
    """The middle 95 % of what the FD may be."""


@dataclass(frozen=True)
class Calibration:
    """The scale chosen, and the curve it was chosen from."""

    classes: tuple[str, ...]
    target: tuple[float, ...]
    limit: float
    chosen: Point
    curve: tuple[Point, ...]

    @property
    def within(self) -> bool:
        """Whether the scale chosen is expected to bring the FD within the limit."""
        return self.chosen.fd <= self.limit

    @property
    def shares(self) -> Mapping[str, float]:
        """How often to steer to each class, by name."""
        return dict(zip(self.classes, self.chosen.shares, strict=True))

    def plain(self) -> dict[str, Any]:
        """Return it as results hold it."""
        return {**asdict(self), "within": self.within}


def fit(doses: Sequence[Dose]) -> Response:
    """Fit the curves to counts, and draw from what the counts leave open (the posterior).

    Drawn from Laplace's approximation and weighted by importance: where every image follows, the
    approximation alone would allow curves that fall, which the counts do not.

    Args:
        doses: With the same classes; a class that nothing was steered to is left wide open.
    """
    counts = np.array([dose.counts for dose in doses], float)
    design = np.array([[1.0, dose.scale] for dose in doses])
    generator = np.random.default_rng(0)
    rows = [_row(counts[:, c], design, generator) for c in range(counts.shape[1])]
    return Response(np.stack(rows, axis=1))


def _row(counts: Floats, design: Floats, generator: np.random.Generator) -> Floats:
    """Return draws [R, K, 2] of a multinomial logistic regression of counts [D, K]."""
    k, n = counts.shape[1], counts.sum(axis=1)
    theta = np.zeros(2 * k)
    precision = np.eye(2 * k) / _PRIOR**2
    for _ in range(_NEWTON):
        p = softmax(design @ theta.reshape(k, 2).T, axis=1)
        gradient = ((counts - n[:, None] * p).T @ design).ravel() - precision @ theta
        spread = n[:, None, None] * (p[:, :, None] * np.eye(k) - p[:, :, None] * p[:, None])
        hessian = np.einsum("dab,di,dj->aibj", spread, design, design)
        hessian = hessian.reshape(2 * k, 2 * k) + precision
        step = np.linalg.solve(hessian, gradient)
        # Shorter than Newton's where that would leave the region in which it can be trusted.
        theta = theta + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    root = np.linalg.cholesky(np.linalg.inv(hessian))
    noise = generator.standard_normal((_OFFERED, 2 * k))
    offered = theta + noise @ root.T
    curves = offered.reshape(-1, k, 2)
    told = log_softmax(np.einsum("di,rki->rdk", design, curves), axis=2)
    posterior = (told * counts).sum(axis=(1, 2)) - ((offered / _PRIOR) ** 2).sum(axis=1) / 2
    weights = softmax(posterior + (noise**2).sum(axis=1) / 2)
    return np.asarray(curves[generator.choice(_OFFERED, _DRAWS, p=weights)])


def reach(response: Response, scale: float, target: Floats) -> Point:
    """Return how near to a target steering with one scale can be expected to come.

    Steering is never perfect, and a model leans one way without it: drawing the class by the
    target itself would leave the difference. The shares minimise E |q R - t|² over the simplex.
    """
    r = response.at(scale)
    gram = np.einsum("rck,rdk->cd", r, r) / len(r)
    root = np.linalg.cholesky(gram + 1e-9 * np.eye(len(target))).T
    heavy = 1e3 * np.ones((1, len(target)))
    aim = np.linalg.solve(root.T, r.mean(axis=0) @ target)
    shares, _ = nnls(np.vstack([root, heavy]), np.append(aim, heavy[0, 0]))
    shares = shares / shares.sum()
    squared = ((shares @ r - target) ** 2).sum(axis=1)
    low, high = np.quantile(squared, [0.025, 0.975]) ** 0.5
    return Point(
        scale=round(float(scale), 6),
        shares=tuple(shares.tolist()),
        fd=float(squared.mean() ** 0.5),
        low=float(low),
        high=float(high),
    )


def calibrate(
    doses: Sequence[Dose],
    classes: Sequence[str],
    target: Mapping[str, float],
    limit: float = LIMIT,
) -> Calibration:
    """Return the smallest scale that can be expected to bring the debiased FD within a limit.

    Only scales between the smallest and the largest dose are considered. Where none suffices, the
    smallest is taken that comes as near as any, but for `SLACK`.

    Args:
        doses: Drawn from seeds that no audit draws.
        classes: Names of the rows and columns of the counts.
        target: Share wanted of each class; a class that is missing has none.
        limit: On the debiased FD.

    Raises:
        SpecError: there is no dose-response.
    """
    if not doses:
        raise SpecError("steer: `scale: auto` needs a dose-response: discover with doses")
    wanted = np.array([target.get(name, 0.0) for name in classes])
    response = fit(doses)
    ends = sorted({dose.scale for dose in doses})
    between = STEP * np.arange(np.ceil(ends[0] / STEP), np.floor(ends[-1] / STEP) + 1)
    scales = np.unique(np.round([*ends, *between], 6))
    curve = tuple(reach(response, scale, wanted) for scale in scales)
    nearest = min(point.fd for point in curve)
    bound = limit if nearest <= limit else nearest + SLACK
    chosen = next(point for point in curve if point.fd <= bound)
    return Calibration(tuple(classes), tuple(wanted.tolist()), limit, chosen, curve)
