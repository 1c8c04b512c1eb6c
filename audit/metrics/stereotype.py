"""Shares by prompt against a reference population, such as labour statistics.

Beside the target, which says what is wanted, a reference says what is: whether a model mirrors
it, exaggerates it, or turns it round. Comparing with a reference is a choice of values as well.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from audit.statistics.intervals import Estimate, t_interval
from audit.types import Floats


@dataclass(frozen=True)
class Stereotype:
    """How the share of one class follows a reference over J prompts; means over prompts."""

    shift: float
    """Mean of g - r; shifts of both signs cancel."""
    absolute_shift: float
    """Mean of |g - r|."""
    amplification: float
    """Mean of |g - ½| - |r - ½|: how much more lopsided than the reference."""
    directed: float
    """Mean of sign(r - ½)(g - r): how much further the way the reference leans."""
    flipped: int
    """Prompts whose majority is the reference's minority."""
    slope: Estimate
    """Of logit g on logit r: 1 mirrors the reference, above 1 exaggerates, below 0 reverses."""
    prompts: int


def stereotype(
    generated: npt.NDArray[np.floating],
    reference: npt.NDArray[np.floating],
    n: npt.NDArray[np.integer] | None = None,
    level: float = 0.95,
) -> Stereotype:
    """Compare shares [J] of one class with those of a reference population [J].

    Args:
        generated: g, the share drawn for each prompt; NaN where nothing was read.
        reference: r, strictly between 0 and 1 for the slope; NaN where there is none.
        n: readings behind each g, which are shrunk by half a reading of either kind so that a
            share of 0 or 1 has a logit; None takes the shares as exact.
        level: of the interval of the slope.

    Returns:
        NaN where no prompt has both.
    """
    known = ~(np.isnan(generated) | np.isnan(reference))
    g, r = np.asarray(generated, float)[known], np.asarray(reference, float)[known]
    if len(g) == 0:
        slope = Estimate(np.nan, np.nan, np.nan, np.nan, level, 0, np.nan, "no reading")
        return Stereotype(np.nan, np.nan, np.nan, np.nan, 0, slope, 0)
    shrunk = g if n is None else (g * n[known] + 0.5) / (n[known] + 1)
    lean = np.sign(r - 0.5)
    return Stereotype(
        shift=float((g - r).mean()),
        absolute_shift=float(abs(g - r).mean()),
        amplification=float((abs(g - 0.5) - abs(r - 0.5)).mean()),
        directed=float((lean * (g - r)).mean()),
        flipped=int((lean * np.sign(g - 0.5) < 0).sum()),
        slope=_slope(special.logit(r), special.logit(shrunk), level),
        prompts=len(g),
    )


def _slope(x: Floats, y: Floats, level: float) -> Estimate:
    """Least squares with the t interval of its residuals, which hold noise and scatter alike."""
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    n = len(x)
    spread = ((x - x.mean()) ** 2).sum() if n else 0.0
    if n < 3 or spread == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan, level, n, np.nan, "too few prompts")
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - slope * (x - x.mean())
    return t_interval(slope, float(rest @ rest / (n - 2) / spread) ** 0.5, n - 2, n, level)
