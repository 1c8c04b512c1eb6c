"""How unfairness over many prompts splits into imbalance of the whole and stereotype.

Mean over prompts of ‖p_j - t‖² = ‖p̄ - t‖² + mean over prompts of ‖p_j - p̄‖². Every prompt's square
is debiased by its own images; that of the whole hangs on what the prompts have in common, as do
the errors of all three.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from audit.statistics.designs import CLUSTERED, Design
from audit.statistics.discrepancy import squared_discrepancy
from audit.statistics.intervals import Estimate, mean_interval
from audit.statistics.shares import Shares, multinomial_cov, shares, smoothed
from audit.types import Floats


@dataclass(frozen=True)
class Decomposition:
    """Mean over prompts of ‖p_j - t‖², split; debiased, so a term may be slightly negative."""

    macro: float
    """Mean over prompts."""
    pooled: float
    """‖p̄ - t‖²: imbalance of the whole."""
    spread: float
    """Mean over prompts of ‖p_j - p̄‖²: stereotype."""
    macro_se: float
    """Of whole votes never 0: a prompt that drew one class only is not taken for certain."""
    df: float
    """Degrees of freedom of `macro_se`."""
    worst: int
    """The prompt with the largest debiased square."""


def decompose(
    by_prompt: Shares,
    target: npt.NDArray[np.floating],
    whole: Shares | None = None,
    macro: Estimate | None = None,
) -> Decomposition:
    """Split the mean squared discrepancy of J prompts into pooled imbalance and spread.

    Macro = pooled + spread holds exactly. Prompts without two readings are left out; where none
    is left every number is NaN and `worst` is -1.

    Args:
        by_prompt: shares with one leading dimension [J].
        target: [K].
        whole: shares over all prompts, whose covariance knows what prompts have in common; those
            of a fixed list of independent prompts if not given.
        macro: the mean of the prompts' squares, whose error knows the same.
    """
    target = np.asarray(target, float)
    usable = np.flatnonzero(by_prompt.n >= 2)
    if len(usable) == 0:
        return Decomposition(np.nan, np.nan, np.nan, np.nan, np.nan, -1)
    p, cov = by_prompt.p[usable], by_prompt.cov[usable]
    each = squared_discrepancy(by_prompt[usable], target)
    mean, mean_cov = p.mean(axis=0), cov.mean(axis=0) / len(usable)
    if whole is not None:
        mean, mean_cov = whole.p, whole.cov
    pooled = float(((mean - target) ** 2).sum() - np.trace(mean_cov))
    if by_prompt.hard:
        n = by_prompt.n[usable, None]
        likely = smoothed(p, n, np.full_like(target, 1 / len(target)))
        cov = multinomial_cov(likely) / (n[..., None] - 1)
    se = float(squared_variance(p - target, cov).sum()) ** 0.5 / len(usable)
    df = np.inf
    if macro is not None:
        # What prompts have in common adds to the noise of each, and cannot take from it.
        se, df = max(se, macro.se) if np.isfinite(macro.se) else np.nan, macro.df
    value, worst = float(each.mean()), int(usable[each.argmax()])
    return Decomposition(value, pooled, value - pooled, se, df, worst)


def decompose_votes(
    votes: npt.NDArray[np.floating],
    by_prompt: Shares,
    target: npt.NDArray[np.floating],
    *,
    prompts: npt.NDArray[np.int64],
    seeds: npt.NDArray[np.int64],
    design: Design,
) -> Decomposition:
    """Split the mean squared discrepancy of prompts, under a design.

    Args:
        votes: [N, K], whole or soft; NaN rows are missing.
        by_prompt: the shares of the same votes, [J].
        target: [K].
        prompts: [N] which prompt, 0 … J - 1.
        seeds: [N], as for `shares`.
        design: as for `shares`.
    """
    if design not in CLUSTERED:
        return decompose(by_prompt, target)
    usable = (by_prompt.n >= 2)[prompts]
    votes = np.where(usable[:, None], np.asarray(votes, float), np.nan)
    whole = shares(votes, prompts=prompts, seeds=seeds, design=design)
    each = contributions(votes, by_prompt, target, prompts)
    macro = mean_interval(each, prompts=prompts, seeds=seeds, design=design)
    return decompose(by_prompt, target, whole, macro)


def contributions(
    votes: npt.NDArray[np.floating],
    by_prompt: Shares,
    target: npt.NDArray[np.floating],
    prompts: npt.NDArray[np.int64],
) -> Floats:
    """Return [N] the square of each image's prompt, and by how much the image moves it.

    Their mean over all prompts is that of the squares, and its error follows from the design like
    that of any other reading.
    """
    away = by_prompt.p[prompts] - np.asarray(target, float)
    moved = ((votes - by_prompt.p[prompts]) * away).sum(axis=1)
    square = squared_discrepancy(by_prompt, np.asarray(target, float))
    return np.asarray(square[prompts] + 2 * moved)


def squared_variance(deviation: Floats, cov: Floats) -> Floats:
    """Estimate the variance [...] of the debiased square of a deviation [..., K].

    Var = 4 dᵀΣd + 2 tr Σ²; the plug-in of the first term is too large by 4 tr Σ² on average.
    """
    linear = np.einsum("...a,...ab,...b->...", deviation, cov, deviation)
    noise = np.einsum("...ab,...ba->...", cov, cov)
    return np.asarray(np.maximum(4 * linear - 2 * noise, 2 * noise))
