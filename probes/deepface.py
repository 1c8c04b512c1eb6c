"""Perceived gender, age and race by deepface, through its ONNX engine; no network, ever.

Serengil and Özpınar's library; its trunks are VGG-16, so expect seconds an image on a CPU.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.errors import InputError, ResourceError, SpecError, unknown
from audit.storage.weights import fingerprint, locate
from audit.types import Images, Probabilities, Readings
from probes import groups
from probes.faces import FaceFinder, shared_finder, spread
from probes.outcomes import settle

FILES: Mapping[str, str] = {
    "gender": "gender_model_weights.onnx",
    "age": "age_model_weights.onnx",
    "race": "race_model_single_batch.onnx",
}
GENDERS = ("Woman", "Man")
RACES = ("asian", "indian", "black", "white", "middle eastern", "latino hispanic")
TO_GENDER: Mapping[str, str] = {"Woman": "woman", "Man": "man"}
TO_RACE: Mapping[str, str] = {
    "asian": "Asian",
    "indian": "Indian",
    "black": "Black",
    "white": "White",
}
"""Middle eastern and latino hispanic have no group of ours: dropped, or `other`."""


class DeepFaceProbe:
    """Read the largest face of an image, found and aligned by our own finder.

    deepface's own detectors fetch their files from the web and, told not to insist, take the
    whole image for a face; so it gets crops and is told to skip detection. Age is its expected
    age cut down to whole years, so an age class is one-hot.
    """

    name = "deepface"

    def __init__(
        self,
        weights: Path,
        digests: Mapping[str, str],
        finder: FaceFinder,
        races: tuple[str, ...],
        abstain: float,
        device: str,
    ) -> None:
        self.weights = weights
        self.device = device
        self.finder = finder
        self.abstain = abstain
        ours = {"gender": groups.GENDER, "age": groups.AGE, "race": races}
        self.classes = {attribute: ours[attribute] for attribute in digests}
        self._key = fingerprint(sorted(digests.items()), device)
        self.fingerprint = fingerprint(
            "deepface", sorted(digests.items()), finder.fingerprint, races, abstain
        )

    @cached_property
    def _deepface(self) -> Any:
        return _library(self.weights, tuple(self.classes), self._key, self.device)

    def read(self, images: Images) -> Readings:
        """Find, align and read a face in every image."""
        crops, states, faces = self.finder.crops(images, 224, 0.25)
        found = [self._analyze(crop) for crop in crops]
        shares: dict[str, Probabilities] = {}
        values: dict[str, npt.NDArray[np.float32]] = {}
        for attribute, classes in self.classes.items():
            if attribute == "age":
                years = np.array([face["age"] for face in found], np.float32)
                values["age"] = spread(years, states)
                shares["age"] = groups.age_shares(values["age"])
                continue
            theirs, mapping = (GENDERS, TO_GENDER) if attribute == "gender" else (RACES, TO_RACE)
            percents = [[face[attribute][name] for name in theirs] for face in found]
            rows = np.array(percents, np.float32).reshape(-1, len(theirs)) / np.float32(100)
            shares[attribute] = spread(groups.merge(rows, theirs, mapping, classes), states)
        return settle(shares, states, faces, values=values, abstain=self.abstain)

    def _analyze(self, crop: npt.NDArray[np.uint8]) -> Mapping[str, Any]:
        (face,) = self._deepface.analyze(
            np.ascontiguousarray(crop[:, :, ::-1]),  # it takes BGR
            actions=list(self.classes),
            detector_backend="skip",
            enforce_detection=False,
            align=False,
            silent=True,
        )
        result: Mapping[str, Any] = face
        return result


_loaded: dict[str, Any] = {}
"""By digest of the weights, the library: it holds one set of networks a process."""


def _library(weights: Path, attributes: Sequence[str], key: str, device: str) -> Any:
    """Import deepface with its engine and folder set, and load its networks from `weights`.

    It reads environment variables at import and builds networks on first use, fetching what it
    lacks; so both happen here, with all files in place, and the environment is put back.
    """
    if key in _loaded:
        return _loaded[key]
    if _loaded:
        raise ResourceError(
            "deepface keeps one set of weights a process and another is loaded; use one at a time"
        )
    with TemporaryDirectory() as home, warnings.catch_warnings():
        (Path(home) / ".deepface").mkdir()
        (Path(home) / ".deepface" / "weights").symlink_to(weights.resolve())
        settings = {
            "DEEPFACE_HOME": home,
            "DEEPFACE_BACKEND_ENGINE": "onnx",  # it would prefer torch and its pickled weights
            "DEEPFACE_ONNX_PROVIDERS": "cpu" if device == "cpu" else "cuda,cpu",
            "DEEPFACE_LOG_LEVEL": "40",  # it prints on standard output
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            from deepface import DeepFace
            from deepface.commons import backend_utils

            if not backend_utils.is_onnx():
                raise ResourceError(
                    "deepface was imported before with another engine; "
                    "set DEEPFACE_BACKEND_ENGINE=onnx"
                )
            for attribute in attributes:
                DeepFace.build_model(attribute.capitalize(), task="facial_attribute")
        except ValueError as fault:
            raise InputError(f"{weights}: deepface cannot load these networks: {fault}") from fault
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    _loaded[key] = DeepFace
    return DeepFace


def deepface(
    *,
    weights: str,
    attributes: Sequence[str] = ("gender", "age", "race"),
    sha256: Mapping[str, str] | None = None,
    other: str = "drop",
    abstain: float = 0.0,
    device: str = "cpu",
) -> DeepFaceProbe:
    """Gender, age and race by the networks of DeepFace, from weights that you have.

    Args:
        weights: Folder with the ONNX files of deepface; nothing is downloaded.
        attributes: What to read, of gender, age and race; only their files are needed.
        sha256: By attribute, what its file must hash to; empty accepts any and records it.
        other: What happens to the two races without a group of ours: `drop` them, so that the
            rest add up to 1, or keep them as the `class` other.
        abstain: Below this largest probability the probe declines; 0 reads every face.
        device: `cpu`, or `cuda` with the GPU build of onnxruntime.
    """
    folder, digests = Path(weights).expanduser(), {}
    for attribute in attributes:
        if attribute not in FILES:
            raise SpecError(f"deepface: {unknown('attribute', attribute, FILES)}")
        remedy = (
            f"fetch {FILES[attribute]} from the release v1.0 of "
            "github.com/serengil/deepface_models into the folder that `weights` names"
        )
        _, digests[attribute] = locate(
            folder / FILES[attribute],
            formats={".onnx"},
            remedy=remedy,
            sha256=(sha256 or {}).get(attribute, ""),
        )
    return DeepFaceProbe(folder, digests, shared_finder(), groups.races(other), abstain, device)
