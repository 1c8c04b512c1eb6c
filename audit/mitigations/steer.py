"""Steer images to the target shares by the SAE latents that carry an attribute.

Source: DiffLens, Shi et al. 2025 (arXiv:2503.20483). Here the class is drawn per image, and what
is added is what the latents typically show in images of that class: multiplying acts only on
latents that already fire, which are few in an image of another class.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch

from audit.errors import SpecError, unknown
from audit.features.asyrp import HOOKPOINT, split
from audit.features.dissection import Dissection, Dose
from audit.features.latent_edit import LatentEdit
from audit.images.assignment import Assignment
from audit.mitigations.activation_edit import ActivationEdit
from audit.storage.weights import fingerprint
from audit.types import FeatureSet, Floats, Model

MODES = ("multiply", "add", "assign")
LIMIT = 0.05
"""Debiased FD that `scale: auto` aims below."""


class LatentSteering(ActivationEdit):
    """Edits SAE latents at one hookpoint of the model that they were found in."""

    edit: LatentEdit

    def __init__(
        self,
        features: FeatureSet,
        edit: LatentEdit,
        assignment: Assignment,
        *,
        asyrp: bool = False,
    ) -> None:
        made_of = fingerprint(
            "latents", features.hookpoint, edit.fingerprint, assignment.fingerprint, asyrp
        )
        super().__init__(features, edit, made_of, attribute=features.attribute)
        self.asyrp = asyrp

    def hooked(self, model: Model) -> AbstractContextManager[None]:
        """Hook the edit into a model, or split its steps in the manner of Asyrp.

        Raises:
            SpecError: Asyrp is asked for at another hookpoint than its own.
        """
        if not self.asyrp:
            return super().hooked(model)
        hookpoint = self.features.hookpoint
        if hookpoint != HOOKPOINT:
            raise SpecError(f"asyrp edits {HOOKPOINT}, and the feature set is of {hookpoint}")
        return split(model, self.edit)


def steer(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    scale: float | str = "auto",
    mode: str = "add",
    others: float | None = None,
    start: float = 0.0,
    stop: float = 1.0,
    positions: Sequence[int] | None = None,
    draw: str = "image",
    top: int | None = None,
    asyrp: bool = False,
    leak_decoder_bias: bool = False,
    seed: int = 0,
) -> LatentSteering:
    """Scale the latents of the class that each image is steered to.

    Args:
        features: The feature set.
        target: By attribute: the share wanted of each class.
        scale: For `multiply` 1 changes nothing. For `add` it is in units of what each latent shows
            at each position in images of the class. `auto` takes the smallest scale that brought
            the debiased FD within .05 on the seeds of the dose-response, and steers to each class
            as often as the response there asks for.
        mode: `add`; `multiply`, the default form of DiffLens; `assign` sets latents to the scale,
            which is what DiffLens' code for Stable Diffusion calls adding.
        others: Factor of the latents of all other classes: 1 leaves and 0 removes them. If not
            given, `add` removes them and the other modes leave them.
        start: Where in sampling steering starts; 0 is the noisiest step.
        stop: Where it ends; 1 is the last step.
        positions: Positions edited, in reading order; all if not given.
        draw: `image`, or DiffLens' `batch` of 16 images that share a class.
        top: Latents used of each class; all that were found if not given.
        asyrp: Let the edit act on the predicted image alone, as DiffLens' code does; DDIM only.
        leak_decoder_bias: Repeat a mistake of DiffLens' code for unconditional models.
        seed: Of the draw.

    Raises:
        SpecError: an option is out of range, or `auto` lacks its dose-response.
    """
    found = features.features
    if mode not in MODES:
        raise SpecError(f"steer: {unknown('mode', mode, MODES)}")
    shares = dict(
        target.get(found.attribute) or dict.fromkeys(found.classes, 1 / len(found.classes))
    )
    if scale == "auto":
        if (mode, others) != ("add", None) or (top, positions, start, stop) != (None, None, 0, 1):
            raise SpecError(
                "steer: `scale: auto` is calibrated for mode add of all latents at all positions"
                " and steps; give a number"
            )
        wanted = np.array([shares.get(name, 0.0) for name in found.classes])
        dose, solved = calibrated(features.doses, wanted)
        scale, shares = dose.scale, dict(zip(found.classes, solved.tolist(), strict=True))
    if not isinstance(scale, int | float):
        raise SpecError(f"steer: scale must be a number or auto, not {scale!r}")
    assignment = Assignment(found.classes, shares, seed=seed, draw=draw)
    latents = sorted({latent for ids in found.latents.values() for latent in ids[:top]})
    factors = torch.ones(len(found.classes), len(latents))
    typical = features.typical[..., latents]
    amounts = torch.zeros_like(typical)
    left = others if others is not None else 0.0 if mode == "add" else 1.0
    for row, name in enumerate(found.classes):
        own = [latents.index(latent) for latent in found.latents[name][:top]]
        factors[row] = left
        factors[row, own] = {"multiply": float(scale), "add": 1.0, "assign": 0.0}[mode]
        if mode != "multiply":
            unit = typical[row, :, own] if mode == "add" else 1.0
            amounts[row, :, own] = float(scale) * unit
    edit = LatentEdit(
        features.sae, latents, factors, amounts, class_of=assignment, window=(start, stop),
        positions=positions, leak=leak_decoder_bias,
    )  # fmt: skip
    return LatentSteering(found, edit, assignment, asyrp=asyrp)


def calibrated(doses: Sequence[Dose], target: Floats, limit: float = LIMIT) -> tuple[Dose, Floats]:
    """Return the smallest dose that brings the debiased FD within a limit, and its shares.

    Where none does, the one that comes nearest.

    Raises:
        SpecError: there is no dose-response.
    """
    if not doses:
        raise SpecError("steer: `scale: auto` needs a dose-response: discover with doses")
    best: tuple[float, Dose, Floats] | None = None
    for dose in sorted(doses, key=lambda dose: dose.scale):
        shares = dose.shares_for(target)
        squared = dose.squared_discrepancy(shares, target)
        if squared <= limit**2:
            return dose, shares
        if best is None or squared < best[0]:
            best = (squared, dose, shares)
    assert best is not None
    return best[1], best[2]
