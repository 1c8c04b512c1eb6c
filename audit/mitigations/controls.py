"""Controls of steering: what an SAE does that edits nothing, and random latents of equal mass."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.calibration import LIMIT
from audit.features.dissection import Dissection
from audit.features.sae import SAE
from audit.mitigations.activation_edit import ActivationEdit
from audit.mitigations.steer import LatentSteering, check, steer
from audit.storage.weights import fingerprint
from audit.types import Edit, Moment


def identity(*, features: Dissection) -> ActivationEdit:
    """Add the decoded change of a code that did not change: draws the baseline's very pixels."""
    sae = features.sae

    @torch.no_grad()
    def edit(x: Tensor, moment: Moment) -> Tensor:
        z = sae.to(x.device).encode(sae.tokens(x).float())
        return x + sae.activation((z - z) @ sae.decoder, like=x)

    return _spliced(features, edit, "identity")


def reconstruction(*, features: Dissection) -> ActivationEdit:
    """Replace activations by their reconstruction: what the SAE costs without any steering."""
    sae: SAE = features.sae

    @torch.no_grad()
    def edit(x: Tensor, moment: Moment) -> Tensor:
        return sae.activation(sae.to(x.device)(sae.tokens(x).float()), like=x)

    return _spliced(features, edit, "reconstruction")


def _spliced(features: Dissection, edit: Edit, name: str) -> ActivationEdit:
    found = features.features
    return ActivationEdit(found, edit, fingerprint(name, found.hookpoint, found.sae))


def random_features(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    scale: float | Literal["auto"] | Mapping[str, float] = "auto",
    limit: float = LIMIT,
    mode: Literal["add", "multiply", "assign"] = "add",
    others: float | None = None,
    draws: int = 0,
    seed: int = 0,
) -> LatentSteering:
    """Steer as `steer` does, by the same amounts, with random latents of the same activation mass.

    Its options are those of `steer` that a control has a use for, and mean the same.

    Args:
        features: The feature set; the latents drawn are none of its own.
        target: By attribute: the share wanted of each class.
        scale: As for `steer`.
        limit: As for `steer`.
        mode: As for `steer`.
        others: As for `steer`.
        draws: Which of many random sets to take.
        seed: Of the assignment, the same as for `steer`.

    Raises:
        SpecError: the SAE has too few other latents that fire.
    """
    check(features.features, scale, mode, others)
    control = _random_latents(features, np.random.default_rng(draws))
    return steer(
        features=control, target=target, scale=scale, limit=limit, mode=mode, others=others,
        seed=seed,
    )  # fmt: skip


def _random_latents(features: Dissection, generator: np.random.Generator) -> Dissection:
    """Return a feature set of other latents, each with about the mass of the one it replaces.

    Each is edited as the one it replaces would be: by its own difference between the classes it
    would hardly be edited at all, which would make a control that can only succeed.
    """
    found = features.features
    mass = features.sae.mean_activation.double().cpu().numpy()
    taken = {latent for ids in found.latents.values() for latent in ids}
    free = [latent for latent in np.argsort(mass) if mass[latent] > 0 and latent not in taken]
    needed = sum(map(len, found.latents.values()))
    if len(free) < needed:
        raise SpecError(
            f"random-features: needs {needed} latents that fire beside the feature set, and only"
            f" {len(free)} do: keep fewer, with `top`"
        )
    latents, typical = {}, features.typical.clone()
    for name, ids in found.latents.items():
        chosen = []
        for latent in ids:
            # One of the eight that are nearest in mass and not drawn yet.
            near = sorted(free, key=lambda other: abs(mass[other] - mass[latent]))[:8]
            chosen.append(int(generator.choice(near)))
            free.remove(chosen[-1])
        latents[name] = tuple(chosen)
        typical[..., chosen] = features.typical[..., list(ids)]
    control = replace(found, latents=latents, ranking="random")
    return replace(features, features=control, typical=typical)
