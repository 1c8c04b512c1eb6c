"""How far the shares drawn are from the shares wanted: every published form of it.

All are functions of shares p [..., K] and a target t [K], so one table of labels gives all of
them; for two classes most are rescalings of |p - t|. Each is a definition of its own, named and
versioned, because numbers under unlike definitions cannot be compared. NaN shares (nothing was
read) give NaN; a class that was never drawn counts with a share of 0.
"""

import numpy as np
from scipy import special

from audit.statistics.discrepancy import distance
from audit.types import Floats, Metric

LARGEST = 2**0.5
CHOI = "Choi et al. 2020, Fair Generative Modeling via Weak Supervision, arXiv 1910.12008"


def fd_debiased(p: Floats, cov: Floats, target: Floats) -> Floats:
    """Return the root of the debiased square, 0 where that is negative."""
    return np.asarray(np.sqrt(np.maximum(fd2_debiased(p, cov, target), 0)))


def fd2_debiased(p: Floats, cov: Floats, target: Floats) -> Floats:
    """Return the unbiased estimate of ‖p - t‖²: the plug-in minus the trace of its covariance."""
    return np.asarray(distance(p, target) ** 2 - np.trace(cov, axis1=-2, axis2=-1))


def parity_gap(p: Floats, target: Floats) -> Floats:
    """Return max(p - t) - min(p - t); with a uniform target the largest minus the smallest share."""
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


def bias_intensity(p: Floats, target: Floats) -> Floats:  # noqa: ARG001
    """Return 1 - H(p) / ln K, whatever the target."""
    return np.asarray(1 - entropy(p))


def deviation_ratio(p: Floats, target: Floats) -> Floats:
    """Return max_k |p_k - t_k| as a part of the largest possible; 2|p - ½| for two equal classes."""
    return np.asarray(np.abs(p - target).max(-1) / np.maximum(1 - target, target).max())


def mean_absolute_deviation(p: Floats, target: Floats) -> Floats:
    """Return the mean over classes of |p_k - t_k|; |p - ½| for two equal classes."""
    return np.asarray(np.abs(p - target).mean(-1))


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
