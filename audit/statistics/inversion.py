"""Intervals of a distance from a target, by inverting tests along one ray.

A bootstrap of a distance never reaches 0, because noise only ever adds to it; a fair model is then
called biased every time. Here the question is put the other way round. Walk from the target
through the estimate; at each place ask how far an estimate would scatter if that place were true;
keep the places from which the observed value is not surprising. The result contains 0 exactly
where a fair model is not rejected, and is the score interval of Wilson when K = 2.

The same walk serves every metric that grows along the ray: L2, total variation, gap, KL, entropy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from audit.statistics.intervals import quantile
from audit.statistics.scatter import Scatter, scatter
from audit.statistics.shares import Shares, nearest
from audit.types import Floats

Distance = Callable[[Floats, Floats], Floats]
"""(p [..., K], target [K]) -> [...]: 0 at the target, growing along every ray from it."""

PLACES = 33
REACH = 3.5
CHUNK = 4


@dataclass(frozen=True)
class Inverted:
    """A distance with all that the law of its estimate says; every array is [...]."""

    value: Floats
    low: Floats
    high: Floats
    lower: Floats
    upper: Floats
    null_mean: Floats
    null_low: Floats
    null_high: Floats
    """The range in which a model exactly on the target stays with probability `level`."""
    p_null: Floats
    method: str

    def mirrored(self) -> "Inverted":
        """Return the same for the negative of the distance."""
        return Inverted(
            -self.value,
            -self.high,
            -self.low,
            -self.upper,
            -self.lower,
            -self.null_mean,
            -self.null_high,
            -self.null_low,
            self.p_null,
            self.method,
        )


def invert(
    distance: Distance,
    shares: Shares,
    target: npt.NDArray[np.floating],
    level: float = 0.95,
) -> Inverted:
    """Find the two-sided interval and the one-sided bounds of a distance from a target.

    Args:
        distance: the metric; see `Distance`.
        shares: of any design, with any leading dimensions.
        target: [K].
        level: coverage of the interval, and of each one-sided bound alone.

    Returns:
        NaN throughout where nothing was read.
    """
    wanted: Floats = np.asarray(target, float)
    lead = shares.p.shape[:-1]
    law = scatter(shares)
    n, exact = np.ravel(shares.n), np.ravel(np.isinf(shares.df)) & shares.hard
    out = np.full((9, len(law.p)), np.nan)
    out[0] = distance(law.p, wanted)
    known = np.flatnonzero(np.isfinite(law.form).all((1, 2)))
    for start in range(0, len(known), CHUNK):
        part = known[start : start + CHUNK]
        out[1:, part] = _bounds(distance, law[part], wanted, level)
    for i in known[exact[known]]:
        _exact_null(distance, int(n[i]), wanted, level, out[:, i])
    value, low, high, lower, upper, mean, *null, p = (row.reshape(lead) for row in out)
    return Inverted(value, low, high, lower, upper, mean, null[0], null[1], p, "ray-inversion")


def _bounds(distance: Distance, law: Scatter, target: Floats, level: float) -> Floats:
    """Return low, high, lower, upper, null mean, null range and p, [8, G]."""
    alpha = 1 - level
    along, unit = _walk(law, target, level)
    places = nearest(target + along[..., None] * unit[:, None, :])
    places[:, 0] = target
    root = law.root(places)
    scattered = distance(places[..., None, :] + law.errors(places, root), target)
    truth, seen = distance(places, target), distance(law.p, target)[:, None]
    off = np.abs(scattered - truth[..., None])
    surprise = (off >= np.abs(seen - truth)[..., None] - 1e-12).mean(-1)
    above = (scattered >= seen[..., None] - 1e-12).mean(-1)
    # Noise across the ray only lengthens, so shortness is judged along it, where 0 is no wall.
    reached = ((law.p - target) * unit).sum(-1)[:, None]
    error = np.sqrt(((unit[:, None, None, :] @ root)[:, :, 0] ** 2).sum(-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        below = stats.t.cdf((reached - along) / error, law.df[:, None])
    below = np.where(error > 0, below, along <= reached)
    null = scattered[:, 0]
    return np.stack(
        [
            _crossing(truth, surprise, alpha),
            _crossing(truth[:, ::-1], surprise[:, ::-1], alpha),
            _crossing(truth, above, alpha),
            np.maximum(_crossing(truth[:, ::-1], below[:, ::-1], alpha), seen[:, 0]),
            null.mean(-1),
            np.broadcast_to(distance(target, target), len(null)),
            np.quantile(null, level, axis=-1),
            # None of finitely many is no proof that none ever would.
            np.maximum(above[:, 0], 1 / (1 + null.shape[-1])),
        ]
    )


def _walk(law: Scatter, target: Floats, level: float) -> tuple[Floats, Floats]:
    """Return lengths [G, 1 + PLACES], 0 then around the estimate, and unit vectors [G, K]."""
    away = law.p - target
    length = np.sqrt((away**2).sum(-1, keepdims=True))
    rarest = np.eye(len(target))[target.argmin()] - target
    away = np.where(length > 0, away, rarest)
    unit = away / np.sqrt((away**2).sum(-1, keepdims=True))
    wider = quantile(level, law.df) / quantile(level)
    reach = (REACH * wider * (np.sqrt(law.trace) + 2 / law.n_effective))[:, None]
    first, last = np.maximum(length - reach, 0), length + reach
    along = first + (last - first) * np.linspace(0, 1, PLACES)
    return np.concatenate([np.zeros_like(first), along], axis=1), unit


def _crossing(truth: Floats, chance: Floats, alpha: float) -> Floats:
    """Return where `chance` [G, P] first exceeds alpha, walking from the first place."""
    inside = chance > alpha
    first = inside.argmax(-1)[:, None]
    before = np.maximum(first - 1, 0)
    c0, c1 = (np.take_along_axis(chance, i, -1) for i in (before, first))
    t0, t1 = (np.take_along_axis(truth, i, -1) for i in (before, first))
    part = np.where(c1 > c0, (alpha - c0) / np.where(c1 > c0, c1 - c0, 1), 1.0)
    return np.asarray((t0 + np.clip(part, 0, 1) * (t1 - t0))[:, 0])


def _exact_null(distance: Distance, n: int, target: Floats, level: float, row: Floats) -> None:
    """Put the exact law of a fair model into a column of results, where votes are independent.

    The interval then contains 0 wherever the exact test does not reject.
    """
    drawn, weights = _fair(n, tuple(target))
    values = distance(drawn, target)
    order = values.argsort()
    values, weights = values[order], weights[order]
    row[5] = values @ weights
    last = int(np.searchsorted(weights.cumsum(), level - 1e-12))
    row[7] = values[min(last, len(values) - 1)]
    reached = values >= row[0] - 1e-9
    # What is only drawn has the observed value as one draw more (Phipson and Smyth 2010,
    # arXiv:1603.05766): no p-value is 0.
    drawn_p = (reached.sum() + 1) / (len(reached) + 1)
    row[8] = p = float(weights[reached].sum() if len(target) == 2 else drawn_p)
    if p > 1 - level:
        row[1] = row[3] = distance(target, target)


@lru_cache(maxsize=64)
def _fair(n: int, target: tuple[float, ...]) -> tuple[Floats, Floats]:
    """Return shares [M, K] that a model on the target may draw, with their probabilities [M]."""
    t = np.asarray(target)
    if len(t) == 2:
        k = np.arange(n + 1)
        return np.stack([k, n - k], 1) / n, stats.binom.pmf(k, n, t[0])
    seed = np.random.Generator(np.random.PCG64DXSM(n))
    return seed.multinomial(n, t, 8192) / n, np.full(8192, 1 / 8192)
