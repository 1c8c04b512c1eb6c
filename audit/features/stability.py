"""How far two SAEs that differ in their seed alone agree on the latents of an attribute.

Latents are matched by the cosine of their decoder rows. Source of the matching and of the bound:
Paulo and Belrose 2025, "Sparse Autoencoders Trained on the Same Data Learn Different Features"
(arXiv:2501.16615).
"""

from typing import Any

import numpy as np
from torch.nn.functional import normalize

from audit.features.sae import SAE
from audit.statistics.intervals import mean_interval, wilson
from audit.types import FeatureSet, Floats

TOP = 30
"""Latents of a class that are compared."""
COSINE = 0.7
"""From where on two decoder rows are taken for the same latent."""
DRAWS = 200
_NEAR = 16
"""Chance draws from so many latents on either side in activation mass."""


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
    mass = other.mean_activation.cpu().double().numpy()
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
