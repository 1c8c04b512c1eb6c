"""Steer images to the target shares by the SAE latents that carry an attribute.

Source: DiffLens, Shi et al. 2025 (arXiv:2503.20483). Here the class is drawn per image, and what
is added is what the latents typically show more of in images of that class than in the others:
multiplying acts only on latents that already fire, which are few in an image of another class.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor

from audit.errors import SpecError, unknown
from audit.features.asyrp import HOOKPOINT, split
from audit.features.calibration import LIMIT, Calibration, calibrate
from audit.features.dissection import Dissection
from audit.features.latent_edit import LatentEdit, check_extent
from audit.images.assignment import Assignment
from audit.mitigations.activation_edit import ActivationEdit, drawn
from audit.storage.weights import fingerprint
from audit.types import FeatureSet, Model

MODES = ("multiply", "add", "assign")
_DOSED = ("add", None, None, None, 0, 1, False, False)
"""What a dose-response is of: the options of `steer`, in the order in which `check` has them."""
_LEAST = 1e-9
"""Keeps a ratio finite where a latent never fires."""
_ONLY_ALL = (
    "steer: `scale: auto` is calibrated for mode add of all latents at all positions and steps,"
    " without asyrp or `others`; give a number"
)


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
        calibration: Calibration | None = None,
    ) -> None:
        made_of = fingerprint(
            "latents", features.hookpoint, edit.fingerprint, assignment.fingerprint, asyrp
        )
        super().__init__(features, edit, made_of, attribute=features.attribute)
        self.asyrp = asyrp
        self.calibration = calibration

    def hooked(self, model: Model) -> AbstractContextManager[None]:
        """Hook the edit into a model, or split its steps in the manner of Asyrp."""
        return split(model, self.edit) if self.asyrp else super().hooked(model)


def steer(
    *,
    features: Dissection,
    target: Mapping[str, Mapping[str, float]],
    scale: float | Literal["auto"] | Mapping[str, float] = "auto",
    limit: float = LIMIT,
    mode: Literal["add", "multiply", "assign"] = "add",
    others: float | None = None,
    start: float = 0.0,
    stop: float = 1.0,
    positions: Sequence[int] | None = None,
    draw: Literal["image", "batch"] = "image",
    top: int | None = None,
    asyrp: bool = False,
    leak_decoder_bias: bool = False,
    seed: int = 0,
) -> LatentSteering:
    """Scale the latents of the class that each image is steered to.

    Args:
        features: The feature set.
        target: By attribute: the share wanted of each class.
        scale: One for all classes, or one for each by name. For `multiply` 1 changes nothing. For
            `add` 1 takes each latent at each position from what it typically shows in images of
            the other classes to what it shows in images of the class. `auto` takes the smallest
            scale that is expected to bring the debiased FD within `limit`, by a curve through the
            dose-response on held-out seeds, and steers to each class as often as the response
            there asks for.
        limit: On the debiased FD, for `auto`.
        mode: `add`; `multiply`, the default form of DiffLens; `assign` sets latents to the scale,
            which is what DiffLens' code for Stable Diffusion calls adding.
        others: Factor of the latents of all other classes: 1 leaves and 0 removes them. If not
            given, `add` weakens them as far as images of the class show less of them, and the
            other modes leave them.
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
    check(found, scale, mode, others, top, positions, start, stop, asyrp, leak_decoder_bias)
    assignment = drawn(found, target, seed, draw)
    calibration: Calibration | None = None
    if scale == "auto":
        calibration = calibrate(features.doses, found.classes, assignment.shares, limit)
        scale = calibration.chosen.scale
        assignment = drawn(found, {found.attribute: calibration.shares}, seed, draw)
    change = _change(features, _by_class(scale, found.classes), mode, others, top)
    edit = LatentEdit(
        features.sae, *change, class_of=assignment, window=(start, stop), positions=positions,
        leak=leak_decoder_bias,
    )  # fmt: skip
    return LatentSteering(found, edit, assignment, asyrp=asyrp, calibration=calibration)


def check(
    found: FeatureSet,
    scale: float | str | Mapping[str, float],
    mode: str = "add",
    others: float | None = None,
    top: int | None = None,
    positions: Sequence[int] | None = None,
    start: float = 0.0,
    stop: float = 1.0,
    asyrp: bool = False,
    leak_decoder_bias: bool = False,
) -> None:
    """Refuse options of `steer` that are wrong whatever latents are found: none is looked at.

    Raises:
        SpecError: an option is out of range, or does not go with another or with the hookpoint.
    """
    if mode not in MODES:
        raise SpecError(f"steer: {unknown('mode', mode, MODES)}")
    check_extent((start, stop), positions)
    if scale != "auto":
        _by_class(scale, found.classes)
    elif (mode, others, top, positions, start, stop, asyrp, leak_decoder_bias) != _DOSED:
        raise SpecError(_ONLY_ALL)
    if asyrp and found.hookpoint != HOOKPOINT:
        raise SpecError(f"asyrp edits {HOOKPOINT}, and the feature set is of {found.hookpoint}")


def _by_class(
    scale: float | str | Mapping[str, float], classes: Sequence[str]
) -> dict[str, float]:
    """Return the scale of every class."""
    given: Mapping[str, Any] = (
        scale if isinstance(scale, Mapping) else dict.fromkeys(classes, scale)
    )
    for name, number in given.items():
        if name not in classes:
            raise SpecError(f"steer: scale: {unknown('class', str(name), classes)}")
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise SpecError(
                f"steer: scale must be a number, auto, or a number by class, not {number!r}"
            )
    if lacking := [name for name in classes if name not in given]:
        raise SpecError(f"steer: scale: give a number for every class: {lacking[0]!r} has none")
    return {name: float(given[name]) for name in classes}


def _change(
    features: Dissection,
    scales: Mapping[str, float],
    mode: str,
    others: float | None,
    top: int | None,
) -> tuple[list[int], Tensor, Tensor]:
    """Return the F latents of all classes, and what each class makes of them.

    Returns:
        Ids, factors [K, F] and amounts [K, P, F], as `LatentEdit` takes them.
    """
    found = features.features
    latents = sorted({latent for ids in found.latents.values() for latent in ids[:top]})
    typical = features.typical[..., latents]
    factors = torch.ones(len(found.classes), len(latents))
    amounts = torch.zeros_like(typical)
    for row, (name, scale) in enumerate(scales.items()):
        own = [latents.index(latent) for latent in found.latents[name][:top]]
        elsewhere = torch.cat([typical[:row], typical[row + 1 :]]).mean(dim=0)
        if others is not None:
            factors[row] = others
        elif mode == "add":
            less = 1 - typical[row].mean(dim=0) / elsewhere.mean(dim=0).clamp(min=_LEAST)
            factors[row] = (1 - scale * less.clamp(min=0)).clamp(min=0)
        factors[row, own] = {"multiply": scale, "add": 1.0, "assign": 0.0}[mode]
        if mode == "add":
            amounts[row, :, own] = scale * (typical[row] - elsewhere).clamp(min=0)[:, own]
        elif mode == "assign":
            amounts[row, :, own] = scale
    return latents, factors, amounts
