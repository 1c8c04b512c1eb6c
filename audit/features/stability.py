"""How far two SAEs that differ in their seed alone agree on the latents of an attribute.

Latents are matched by the cosine of their decoder rows. Source of the matching and of the bound:
Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different Features"
(arXiv:2501.16615).

Two sets without a common latent may still do the same, for one SAE splits among several latents
what another has in one. So the sets are compared as wholes too, by how they fire. Source of
comparing SAEs by the correlation of activations: Bricken et al. 2023, "Towards Monosemanticity";
Lan et al. 2024 (arXiv:2410.06981).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.nn.functional import normalize

from audit.features.sae import SAE
from audit.statistics.correlation import spearman, spearman_interval
from audit.statistics.intervals import mean_interval, wilson
from audit.types import FeatureSet, Floats

TOP = 30
"""Latents of a class that are compared."""
COSINE = 0.7
"""From where on two decoder rows are taken for the same latent."""
DRAWS = 200
_NEAR = 16
"""Chance draws from so many latents on either side in activation mass."""


@dataclass(frozen=True)
class Found:
    """What was found with one seed."""

    features: FeatureSet
    sae: SAE
    fired: Floats
    """[N, L] mean activation of every latent in each image that no SAE was trained on."""


def agreement(first: Found, second: Found, labels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return by class how far two seeds agree: latent by latent, and in how their sets fire.

    Args:
        first: With one seed.
        second: With another seed, found in the same way, and measured on the same images.
        labels: [N] class of each of these images.
    """
    matched = overlaps(first.features, first.sae, second.features, second.sae)
    for name, one in matched["classes"].items():
        one |= _correlated(first, second, name, labels)
    return {**matched, "images": len(first.fired)}


def _correlated(
    first: Found, second: Found, name: str, labels: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Return how alike the two sets of a class fire, over images and over those of one class.

    That is the rank correlation of the summed activation of one's strongest latents with that of
    the other's. All that fires has something in common, so chance is the same with sets of the
    other SAE drawn at random, that fire as much. These were not chosen for telling the class, and
    for that alone the two sets would agree: hence the correlation within classes as well.
    """
    ours = first.fired[:, first.features.latents[name][:TOP]].sum(axis=1)
    theirs = second.features.latents[name][:TOP]
    drawn = _alike(theirs, _mass(second.sae), np.random.default_rng(0))
    sums = second.fired[:, np.array([theirs, *drawn])].sum(axis=2)
    told: dict[str, float] = {}
    for key, groups in (("correlation", np.zeros_like(labels)), ("within", labels)):
        found, *chance = spearman(ours, sums, groups)
        if np.isnan(found) or np.isnan(chance).all():
            continue
        low, high = spearman_interval(float(found), len(ours) - len(np.unique(groups)) + 1)
        told |= {
            key: float(found),
            f"{key}_low": low,
            f"{key}_high": high,
            f"{key}_chance": float(np.nanmean(chance)),
            f"{key}_chance_high": float(np.nanquantile(chance, 0.975)),
        }
    return told


def overlaps(first: FeatureSet, sae: SAE, second: FeatureSet, other: SAE) -> dict[str, Any]:
    """Return for each class how many of its latents the other SAE found too.

    A latent is found again where one of the other's strongest latents of the same class has a
    decoder row with a cosine of at least `COSINE`. After a short training hardly any two rows are
    that near, so the mean of the cosines is given as well. Chance is the same with latents of the
    other SAE drawn at random from those that fire as much.

    Args:
        first: Latents of `sae`.
        sae: With one seed.
        second: Latents of `other`, found in the same way.
        other: With another seed.
    """
    generator = np.random.default_rng(0)
    rows = normalize(sae.decoder, dim=1).cpu().double().numpy()
    columns = normalize(other.decoder, dim=1).cpu().double().numpy().T
    mass = _mass(other)
    classes: dict[str, Any] = {}
    for name in first.classes:
        ours, theirs = first.latents[name][:TOP], second.latents[name][:TOP]
        if not ours or not theirs:
            continue
        cosines = rows[list(ours)] @ columns
        best = cosines[:, list(theirs)].max(axis=1)
        found = int((best >= COSINE).sum())
        interval = wilson(found / len(ours), len(ours))
        drawn = _alike(theirs, mass, generator)
        by_chance = cosines[:, drawn].max(axis=2)
        chance = (by_chance >= COSINE).mean(axis=0)
        nearness = by_chance.mean(axis=0)
        mean = mean_interval(best)
        low, high = (mean.low, mean.high) if len(best) > 1 else (None, None)
        classes[name] = {
            "found": found,
            "n": len(ours),
            "share": found / len(ours),
            "low": float(interval.low),
            "high": float(interval.high),
            "chance": float(chance.mean()),
            "chance_high": float(np.quantile(chance, 0.975)),
            "cosine": float(best.mean()),
            "cosine_low": low,
            "cosine_high": high,
            "cosine_chance": float(nearness.mean()),
            "cosine_chance_high": float(np.quantile(nearness, 0.975)),
        }
    return {"top": TOP, "threshold": COSINE, "classes": classes}


def _mass(sae: SAE) -> Floats:
    return np.asarray(sae.mean_activation.cpu().double().numpy())


def _alike(latents: tuple[int, ...], mass: Floats, generator: np.random.Generator) -> Any:
    """Return [DRAWS, n] latents that fire as much as those given and are none of them."""
    live = np.flatnonzero(mass > 0)
    order = live[np.argsort(mass[live], kind="stable")]
    order = order[~np.isin(order, latents)]
    if not len(order):
        return np.tile(latents, (DRAWS, 1))
    places = np.searchsorted(mass[order], mass[list(latents)])
    offsets = generator.integers(-_NEAR, _NEAR + 1, (DRAWS, len(latents)))
    return order[np.clip(places + offsets, 0, len(order) - 1)]
