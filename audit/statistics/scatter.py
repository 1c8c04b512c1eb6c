"""How an estimate of shares would scatter, were given shares the true ones.

The variance of a share changes with the share: it ends at 0 and at 1. An interval that takes the
variance at the estimate for that at every place is empty at total collapse and too narrow beside
it; so the covariance is carried from the estimate to each place that is asked about.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from audit.statistics.intervals import group_df
from audit.statistics.shares import Shares
from audit.types import Floats

DRAWS = 512


@dataclass(frozen=True)
class Scatter:
    """Laws of the estimates of G groups; leading dimensions made one."""

    p: Floats
    """[G, K] the estimates."""
    form: Floats
    """[G, K, K]: for hard votes the matrix of design effects, a multinomial of n images having
    I / n; for soft ones the root of their covariance."""
    n_effective: Floats
    """[G]."""
    trace: Floats
    """[G] of the covariance."""
    df: Floats
    """[G] degrees of freedom of the covariance; infinite where it is known in form."""
    hard: bool

    def __getitem__(self, part: npt.NDArray[np.int64]) -> "Scatter":
        """Return some of the groups."""
        names = ("p", "form", "n_effective", "trace", "df")
        return Scatter(**{name: getattr(self, name)[part] for name in names}, hard=self.hard)

    def root(self, places: Floats) -> Floats:
        """Return R of the covariance R Rᵀ at places [G, P, K]: [G, P, K, K], or P = 1 if alike."""
        if self.hard:
            return _multinomial_root(places) @ _root(self.form)[:, None]
        return self.form[:, None]

    def errors(self, places: Floats, root: Floats) -> Floats:
        """Return errors of estimation [G, P, DRAWS, K] at places of which the first is the target.

        They follow Student's law. Far from the target what counts is the error towards it; at the
        target the length of the error, whose square takes its variance from all directions
        together, and so has more degrees of freedom (Box 1954). Between them the part of the one
        in the variance of the squared distance, 4δ²σ² of 4δ²σ² + 2 tr Σ², weighs the two.
        """
        target = places[0, 0]
        # Draws follow the rank of a class, not its column: renaming classes changes nothing.
        order = np.lexsort((np.broadcast_to(target, self.p.shape), self.p), axis=-1)
        draws, chance = _draws(len(target))
        ranked = draws[:, order.argsort(axis=-1)].swapaxes(0, 1)
        noise: Floats = ranked[:, None] @ root.swapaxes(-1, -2)
        if np.isinf(self.df).all():
            return noise
        cov = root @ root.swapaxes(-1, -2)
        away = places - target
        ahead = 2 * ((away[:, :, None] @ root) ** 2).sum((-2, -1))
        around = (cov**2).sum((-2, -1))
        weight = ahead / np.where(ahead + around > 0, ahead + around, 1)
        one, every = (
            _student(df, chance)[:, None] for df in (self.df, self.df * spheres(cov[:, 0]))
        )
        stretch = every + weight[..., None] * (one - every)
        return np.asarray(noise * stretch[..., None])


def scatter(shares: Shares) -> Scatter:
    """Return the law of an estimate, of any design, with any leading dimensions."""
    k = shares.p.shape[-1]
    p, cov = shares.p.reshape(-1, k), shares.interval_cov.reshape(-1, k, k)
    n, df = np.ravel(shares.n_effective), np.ravel(group_df(shares))
    known = np.isfinite(cov).all((1, 2))
    form = np.full_like(cov, np.nan)
    some = p[known], cov[known], n[known], df[known]
    form[known] = _design_effects(*some) if shares.hard else _root(some[1])
    trace = np.maximum(np.trace(cov, axis1=-2, axis2=-1), 0)
    return Scatter(p, form, n, trace, df, shares.hard)


def spheres(cov: Floats) -> Floats:
    """Return [...] in how many directions errors scatter alike: (tr Σ)² / tr Σ², 1 … K - 1."""
    square = (cov**2).sum((-2, -1))
    trace = np.trace(cov, axis1=-2, axis2=-1)
    return np.where(square > 0, trace**2 / np.where(square > 0, square, 1), 1.0)


def _design_effects(p: Floats, cov: Floats, n: Floats, df: Floats) -> Floats:
    """Return the matrices D [G, K, K] with Σ = B D Bᵀ, B Bᵀ the covariance of a multinomial at p.

    Rao and Scott 1981, JASA 76: clustered votes scatter as so many times fewer images, in each
    direction another number of times. Directions of which the estimate tells nothing (a class that
    was not drawn) take the mean; and since few units say little of the others, all are drawn
    towards the mean by as much as their differences would come from chance (Ledoit and Wolf 2004).
    """
    k = p.shape[-1]
    root = np.sqrt(p)
    with np.errstate(divide="ignore"):
        inverse = np.where(root > 0, 1 / root, 0)
    across = root[:, :, None] * root[:, None, :]
    back = (np.eye(k) - across) * inverse[:, None, :]
    seen = back @ cov @ back.swapaxes(1, 2) * (1 - 1 / n)[:, None, None]
    mean = (1 / n)[:, None, None]
    blank = across + np.eye(k) * (p <= 0)[:, :, None]
    found = seen + mean * blank
    off = found - mean * np.eye(k)
    trace, square = np.trace(seen, axis1=1, axis2=2), (seen**2).sum((1, 2))
    apart = (off**2).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.where(apart > 0, (square + trace**2) / df / apart, 1.0)
    return np.asarray(mean * np.eye(k) + (1 - np.minimum(chance, 1))[:, None, None] * off)


def _multinomial_root(p: Floats) -> Floats:
    """Return B [..., K, K] with B Bᵀ the covariance of one vote at shares p [..., K]."""
    root = np.sqrt(np.clip(p, 0, 1))
    eye = np.eye(p.shape[-1])
    return np.asarray(root[..., :, None] * (eye - root[..., :, None] * root[..., None, :]))


def _root(matrix: Floats) -> Floats:
    """Return the symmetric root of symmetric matrices [G, K, K]; negative directions have none."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(
        vectors * np.sqrt(np.maximum(values, 0))[:, None, :] @ vectors.swapaxes(1, 2)
    )


def _student(df: Floats, chance: Floats) -> Floats:
    """Return by what factor [G, DRAWS] Student's law stretches normal errors."""
    with np.errstate(invalid="ignore"):
        stretch = np.sqrt(df[:, None] / special.chdtri(df[:, None], chance))
    return np.tile(np.where(np.isinf(df)[:, None], 1.0, stretch), 2)


@cache
def _draws(k: int) -> tuple[Floats, Floats]:
    """Return evenly spread standard normal vectors [DRAWS, k], each with its opposite.

    And an evenly spread probability [DRAWS / 2] for each pair.
    """
    seed = np.random.Generator(np.random.PCG64DXSM(k))
    half = special.ndtri(stats.qmc.Sobol(k, rng=seed).random(DRAWS // 2))
    chance = (seed.permutation(DRAWS // 2) + 0.5) / (DRAWS // 2)
    return np.concatenate([half, -half]), chance
