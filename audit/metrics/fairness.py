"""How far the shares drawn are from the shares wanted: every published form of it.

All are functions of shares p [..., K] and a target t [K], so one table of labels gives all of
them; for two classes most are rescalings of |p - t|. Each is a definition of its own, named and
versioned, because numbers under unlike definitions cannot be compared. NaN shares (nothing was
read) give NaN; a class that was never drawn counts with a share of 0.
"""

from functools import partial

import numpy as np
from scipy import special

from audit.statistics.discrepancy import distance
from audit.types import Floats, Metric


def fd_debiased(p: Floats, cov: Floats, target: Floats) -> Floats:
    """Return the root of the debiased square, 0 where that is negative."""
    return np.asarray(np.sqrt(np.maximum(fd2_debiased(p, cov, target), 0)))


def fd2_debiased(p: Floats, cov: Floats, target: Floats) -> Floats:
    """Return the unbiased estimate of ‖p - t‖²: the plug-in minus the trace of its covariance."""
    return np.asarray(distance(p, target) ** 2 - np.trace(cov, axis1=-2, axis2=-1))


def parity_gap(p: Floats, target: Floats) -> Floats:
    """Return max(p - t) - min(p - t): largest minus smallest share where the target is even."""
    away = p - target
    return np.asarray(away.max(-1) - away.min(-1))


def total_variation(p: Floats, target: Floats) -> Floats:
    """Return ½ Σ|p - t|, the part of the images that would have to change class."""
    return np.asarray(np.abs(p - target).sum(-1) / 2)


def kl(p: Floats, target: Floats) -> Floats:
    """Return KL(p ‖ t) in nats; infinite where a class wanted with share 0 was drawn."""
    return np.asarray(special.rel_entr(np.maximum(p, 0), target).sum(-1))


def entropy(p: Floats) -> Floats:
    """Return the entropy of p in parts of its maximum, ln K: 1 is uniform, 0 one class only."""
    return np.asarray(special.entr(np.maximum(p, 0)).sum(-1) / np.log(p.shape[-1]))


def entropy_lost(p: Floats) -> Floats:
    """Return 1 - H(p) / ln K: 0 is uniform, 1 one class only."""
    return np.asarray(1 - entropy(p))


def deviation_ratio(p: Floats, target: Floats) -> Floats:
    """Return max_k |p_k - t_k| in parts of its maximum; 2|p - ½| for two classes wanted evenly."""
    return np.asarray(np.abs(p - target).max(-1) / np.maximum(1 - target, target).max())


def mean_deviation(p: Floats) -> Floats:
    """Return the mean over classes of |p_k - 1/K|; |p - ½| for two classes."""
    return np.asarray(np.abs(p - 1 / p.shape[-1]).mean(-1))


def wanted_deviation(p: Floats, target: Floats) -> Floats:
    """Return |t_k - p_k| / t_k of the first class, the one that is looked at."""
    return np.asarray(np.abs(target[0] - p[..., 0]) / target[0])


def balance(p: Floats, target: Floats) -> Floats:
    """Return 1 - TV / (largest TV): 1 is the target, 0 everything in the rarest wanted class."""
    return np.asarray(1 - total_variation(p, target) / (1 - target.min()))


def parity_ratio(p: Floats, target: Floats) -> Floats:
    """Return the smallest over the largest p_k / t_k: 1 is the target, 0 leaves a class out."""
    ratio = p / target
    return np.asarray(ratio.min(-1) / ratio.max(-1))


def ordinal(p: Floats, target: Floats) -> Floats:
    """Return the Wasserstein distance of ordered classes (age), in parts of the whole scale."""
    steps = np.abs(np.cumsum(p - target, axis=-1))[..., :-1]
    return np.asarray(steps.sum(-1) / (p.shape[-1] - 1))


of_shares = partial(
    Metric, version=1, columns=("shares", "target"), better="lower", interval="inversion"
)
"""What most of them are: a distance from the target, whose interval comes by `inversion`."""

FD = of_shares(
    "fd",
    function=distance,
    range=(0.0, 2**0.5),
    source="Choi et al. 2020, Fair Generative Modeling via Weak Supervision, arXiv 1910.12008",
)
FD_SOFT = of_shares(
    "fd_soft",
    function=distance,
    columns=("soft_shares", "target"),
    range=(0.0, 2**0.5),
    source="Shi et al. 2025, DiffLens, arXiv 2503.20483: the mean of probabilities",
)
FD_DEBIASED = of_shares(
    "fd_debiased",
    function=fd_debiased,
    columns=("shares", "cov", "target"),
    range=(0.0, 2**0.5),
    interval="debiased",
    source="the U-statistic of the square, then one root",
)
FD2_DEBIASED = of_shares(
    "fd2_debiased",
    function=fd2_debiased,
    columns=("shares", "cov", "target"),
    range=(-1.0, 2.0),
    interval="debiased",
    source="the U-statistic of the square",
)
PARITY_GAP = of_shares(
    "parity_gap",
    function=parity_gap,
    range=(0.0, 2.0),
    source="demographic parity difference; pairwise gap",
)
TV = of_shares("tv", function=total_variation, range=(0.0, 1.0), source="total variation distance")
KL = of_shares(
    "kl",
    function=kl,
    range=(0.0, float("inf")),
    source="Kullback and Leibler 1951, in nats, from the target to the shares",
)
ENTROPY = of_shares(
    "entropy",
    function=entropy,
    columns=("shares",),
    better="higher",
    range=(0.0, 1.0),
    source="Shannon entropy in parts of ln K; evenness, whatever the target",
)
DEVIATION_RATIO = of_shares(
    "deviation_ratio",
    function=deviation_ratio,
    range=(0.0, 1.0),
    source="Li et al. 2024, InterpretDiffusion, arXiv 2311.17216, the form with the maximum",
)
HEIM = of_shares(
    "heim",
    function=mean_deviation,
    columns=("shares",),
    range=(0.0, 0.5),
    source="Lee et al. 2023, HEIM, arXiv 2311.04287: mean |share - 1/K|",
)
OPENBIAS = of_shares(
    "openbias",
    function=entropy_lost,
    columns=("shares",),
    range=(0.0, 1.0),
    source="D'Incà et al. 2024, OpenBias, arXiv 2404.07990: 1 - normalised entropy",
)
UCE = of_shares(
    "uce",
    function=wanted_deviation,
    columns=("first_share", "target"),
    range=(0.0, float("inf")),
    source="Gandikota et al. 2024, UCE, arXiv 2308.14761, on the first class of the attribute",
)
FAIRIMAGEN = of_shares(
    "fairimagen",
    function=balance,
    better="higher",
    range=(0.0, 1.0),
    source="FairImagen 2025: 1 - TV in parts of its maximum",
)
PARITY_RATIO = of_shares(
    "parity_ratio",
    function=parity_ratio,
    better="higher",
    range=(0.0, 1.0),
    source="demographic parity ratio, of shares over target",
)
ORDINAL = of_shares(
    "ordinal",
    function=ordinal,
    range=(0.0, 1.0),
    source="Wasserstein-1 distance of ordered classes",
)
