"""Perceived gender, age and race by FairFace's ResNet-34; the weights are brought along.

Kärkkäinen and Joo, "FairFace", WACV 2021. Faces are aligned as its authors do: dlib's chip of 300
pixels with a quarter of padding, resized to 224.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.errors import InputError, SpecError
from audit.images.batches import in_batches
from audit.storage.weights import fingerprint, locate
from audit.types import Images, Readings
from probes import groups
from probes.faces import FaceFinder, shared_finder, spread
from probes.outcomes import settle, softmax

RACES = (
    *("White", "Black", "Latino_Hispanic", "East Asian", "Southeast Asian", "Indian"),
    "Middle Eastern",
)
"""Outputs 0 to 6."""
GENDERS = ("Male", "Female")
"""Outputs 7 and 8."""
AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
"""Outputs 9 to 17, in years."""

TO_GENDER: Mapping[str, str] = {"Male": "man", "Female": "woman"}
TO_AGE: Mapping[str, str] = {
    **dict.fromkeys(("0-2", "3-9", "10-19", "20-29"), "young"),
    **dict.fromkeys(("30-39", "40-49", "50-59"), "adult"),
    **dict.fromkeys(("60-69", "70+"), "old"),
}
"""Its bins cannot be cut at 35: here young ends at 30, five years before our other probes."""
TO_RACE: Mapping[str, str] = {
    "White": "White",
    "Black": "Black",
    "East Asian": "Asian",
    "Southeast Asian": "Asian",
    "Indian": "Indian",
}
"""Latino_Hispanic and Middle Eastern have no group of ours: dropped, or `other`."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
BATCH = 4
REMEDY = (
    "fetch res34_fair_align_multi_7_20190809.pt as github.com/dchen236/FairFace says, convert it "
    "once by `safetensors.torch.save_file(torch.load(pt, weights_only=True), out)` and set "
    "`weights` to the safetensors file"
)


class FairFaceProbe:
    """Read the largest face of an image; no face, or no clearly largest one, is an outcome."""

    name = "fairface"

    def __init__(
        self,
        weights: Path,
        digest: str,
        finder: FaceFinder,
        races: tuple[str, ...],
        abstain: float,
        device: str,
    ) -> None:
        self.weights = weights
        self.finder = finder
        self.abstain = abstain
        self.device = device
        self.classes = {"gender": groups.GENDER, "age": groups.AGE, "race": races}
        self.fingerprint = fingerprint("fairface", digest, finder.fingerprint, races, abstain)

    @cached_property
    def _network(self) -> Any:
        import torch
        from safetensors.torch import load_file
        from torchvision.models import resnet34

        with torch.device("meta"):  # nothing is drawn at random, only to be overwritten
            network = resnet34(num_classes=len(RACES) + len(GENDERS) + len(AGES))
        try:
            network.load_state_dict(load_file(self.weights), assign=True)
        except RuntimeError as fault:
            raise InputError(
                f"{self.weights}: not a ResNet-34 with 18 outputs; {REMEDY}"
            ) from fault
        return network.to(self.device, memory_format=torch.channels_last).eval()

    def read(self, images: Images) -> Readings:
        """Find, align and read a face in every image."""
        crops, states, faces = self.finder.crops(images, 300, 0.25)
        logits = spread(in_batches(self._logits, _resized(crops), BATCH), states)
        race, gender, age = np.split(logits, [len(RACES), len(RACES) + len(GENDERS)], axis=1)
        seven = softmax(race)
        own = self.classes["race"] == RACES
        return settle(
            {
                "gender": groups.merge(softmax(gender), GENDERS, TO_GENDER, groups.GENDER),
                "age": groups.merge(softmax(age), AGES, TO_AGE, groups.AGE),
                "race": seven
                if own
                else groups.merge(seven, RACES, TO_RACE, self.classes["race"]),
            },
            states,
            faces,
            abstain=self.abstain,
        )

    def _logits(self, crops: Images) -> npt.NDArray[np.float32]:
        import torch

        pixels = (crops.astype(np.float32) / 255 - MEAN) / STD
        with torch.inference_mode():
            logits = self._network(torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device))
        rows: npt.NDArray[np.float32] = logits.cpu().numpy()
        return rows


def _resized(crops: Images) -> Images:
    out = np.empty((len(crops), 224, 224, 3), np.uint8)
    for row, crop in enumerate(crops):
        out[row] = np.asarray(Image.fromarray(crop).resize((224, 224), Image.Resampling.BILINEAR))
    return out


def fairface(
    *,
    weights: str,
    sha256: str = "",
    races: int = 4,
    other: str = "drop",
    abstain: float = 0.0,
    device: str = "cpu",
) -> FairFaceProbe:
    """Gender, age and race by the FairFace network, from weights that you have.

    Args:
        weights: The safetensors file; nothing is downloaded and no pickle is read.
        sha256: What the file must hash to; empty accepts any and records what it found.
        races: 7, as it was trained, or 4: Black, Asian, White, Indian.
        other: Of 4, what happens to the two races without a group: `drop` them, so that the rest
            add up to 1, or keep them as the `class` other.
        abstain: Below this largest probability the probe declines; 0 reads every face.
        device: Where the network runs.
    """
    if races not in (4, 7):
        raise SpecError(f"fairface: races must be 4 or 7, got {races}")
    chosen = RACES if races == 7 else groups.races(other)
    path, digest = locate(weights, formats={".safetensors"}, remedy=REMEDY, sha256=sha256)
    return FairFaceProbe(path, digest, shared_finder(), chosen, abstain, device)
