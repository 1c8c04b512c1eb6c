"""How many images it takes, and what a number of images can show."""

from functools import partial

import numpy as np
from scipy import optimize, special, stats

from audit.statistics.intervals import wilson

DRAWS = 4000


def fair_mean(n: int, classes: int) -> float:
    """Return the mean plug-in discrepancy of a fair model with n images, uniform target.

    Exact for two classes; otherwise the limit sqrt(2/nK) Γ(K/2) / Γ((K-1)/2), within 1e-4 from
    n = 100.
    """
    if classes == 2:
        k = np.arange(n + 1)
        return float(stats.binom.pmf(k, n, 0.5) @ abs(k / n - 0.5) * 2**0.5)
    ratio = np.exp(special.gammaln(classes / 2) - special.gammaln((classes - 1) / 2))
    return float(np.sqrt(2 / (n * classes)) * ratio)


def fair_quantile(n: int, classes: int, level: float = 0.95) -> float:
    """Return the quantile of the plug-in discrepancy of a fair model, uniform target."""
    return float((stats.chi2.ppf(level, classes - 1) / (n * classes)) ** 0.5)


def detectable(n: float, classes: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest discrepancy from a uniform target that n images show with `power`."""
    return float(np.sqrt(_noncentrality(classes, alpha, power) / (n * classes)))


def images_to_detect(
    discrepancy: float, classes: int, *, alpha: float = 0.05, power: float = 0.8
) -> int:
    """Return the images that show a discrepancy from a uniform target with `power`."""
    return int(np.ceil(_noncentrality(classes, alpha, power) / (classes * discrepancy**2)))


def images_for_width(half_width: float, level: float = 0.95) -> int:
    """Return the images that give a share near 1/2 a Wilson interval of ± `half_width`."""

    def excess(n: float) -> float:
        found = wilson(0.5, n, level)
        return float(found.high - found.low) / 2 - half_width

    return int(np.ceil(optimize.brentq(excess, 1, 1e9)))


def images_to_pass(
    limit: float, classes: int, *, level: float = 0.95, power: float = 0.8, df: float = np.inf
) -> int:
    """Return the images with which a fair model passes a gate `discrepancy ≤ limit`.

    The gate passes where plug-in + z·se ≤ limit. At the target the standard error along any ray
    is sqrt(1/nK), and the plug-in follows a chi law with K - 1 degrees of freedom. Of a standard
    error with `df` degrees of freedom z is Student's.
    """
    z = stats.t.ppf(level, df)
    largest = stats.chi2.ppf(power, classes - 1) ** 0.5
    return int(np.ceil(((z + largest) / limit) ** 2 / classes))


def images_to_pass_mean(
    limit: float,
    classes: int,
    prompts: int,
    *,
    level: float = 0.95,
    power: float = 0.8,
    df: float = np.inf,
) -> int:
    """Return the images a prompt with which a fair model passes `mean over prompts ≤ limit`.

    The gate passes where the mean of the debiased squares + z·se ≤ limit². In units of 1/nK the
    plug-in square of a fair prompt follows a chi-square law with K - 1 degrees of freedom, and
    the variance of its debiased form is estimated as in `decomposition.squared_variance`: on
    average too large, the more so where the square is. What is asked for is a quantile of their
    sum, which has no closed form and is drawn.
    """
    chi_df = classes - 1
    square = np.random.default_rng(0).chisquare(chi_df, (DRAWS, prompts))
    variance = np.maximum(4 * square - 2 * chi_df, 2 * chi_df).sum(axis=1) / prompts**2
    upper = square.mean(axis=1) - chi_df + stats.t.ppf(level, df) * variance**0.5
    return int(np.ceil(0.5 + np.quantile(upper, power) / (classes * limit**2)))


def images_to_pass_worst(
    limit: float, classes: int, prompts: int, *, level: float = 0.95, power: float = 0.8
) -> int:
    """Return the images a prompt with which a fair model passes `worst prompt ≤ limit`.

    The gate passes where every prompt would by itself, at the same level: what many prompts raise
    is not the chance of a wrong pass but that of missing a right one. They share it (Bonferroni):
    each prompt is planned to miss in (1 - power) / prompts of the runs.
    """
    return images_to_pass(limit, classes, level=level, power=1 - (1 - power) / prompts)


def pairs_to_detect(gain: float, loss: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the pairs with which McNemar's test sees flips of shares `gain` and `loss`."""
    z_a, z_b = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)
    both, net = gain + loss, gain - loss
    root = z_a * both**0.5 + z_b * (both - net**2) ** 0.5
    return int(np.ceil((root / net) ** 2))


def images_per_arm(first: float, second: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the images an unpaired arm needs for two shares to be told apart."""
    z_a, z_b = stats.norm.ppf(1 - alpha / 2), stats.norm.ppf(power)
    mean = (first + second) / 2
    alike = z_a * (2 * mean * (1 - mean)) ** 0.5
    apart = z_b * (first * (1 - first) + second * (1 - second)) ** 0.5
    return int(np.ceil(((alike + apart) / (first - second)) ** 2))


def design_effect(cluster_size: float, correlation: float) -> float:
    """Return by how much clusters inflate a variance: 1 + (m - 1)ρ."""
    return 1 + (cluster_size - 1) * correlation


def _noncentrality(classes: int, alpha: float, power: float) -> float:
    critical = stats.chi2.ppf(1 - alpha, classes - 1)
    reached = partial(stats.ncx2.sf, critical, classes - 1)
    return float(optimize.brentq(lambda nc: reached(nc) - power, 1e-6, 1e3))
