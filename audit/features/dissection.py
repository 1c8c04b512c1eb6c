"""What discovery leaves behind for one attribute of one model: latents, SAE, heads, doses."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from audit.errors import InputError
from audit.features import h_classifier
from audit.features import sae as autoencoder
from audit.features.h_classifier import HClassifier
from audit.features.sae import SAE
from audit.types import FeatureSet

FILE = "features.json"
TYPICAL = "typical.safetensors"


@dataclass(frozen=True)
class Dose:
    """How the probe read images that were steered with one scale."""

    scale: float
    counts: tuple[tuple[int, ...], ...]
    """[K, K]: images steered to the class of the row and read as the class of the column."""


@dataclass(frozen=True)
class Dissection:
    """What discovery found; everything that steering needs."""

    features: FeatureSet
    sae: SAE
    heads: HClassifier
    typical: Tensor
    """[K, P, L] mean activation of every latent at each position, by the class of the image."""
    doses: tuple[Dose, ...] = ()
    """By rising scale, on seeds that neither the discovery nor an audit draws."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for `results.json`."""
    folder: Path | None = None
    """Where it was saved; its `images` are what evidence refers to by number."""

    def save(self, folder: Path) -> None:
        """Write all parts into a folder; `features.json` comes last and commits them."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        self.sae.save(folder)
        self.heads.save(folder)
        save_file({"typical": self.typical.contiguous()}, folder / TYPICAL)
        document = {
            "features": asdict(self.features),
            "doses": [asdict(dose) for dose in self.doses],
            "evidence": self.evidence,
        }
        (folder / FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")


def load(folder: Path) -> Dissection:
    """Read what `Dissection.save` wrote.

    Raises:
        InputError: a part is missing or damaged, or the parts do not belong together.
    """
    try:
        document = json.loads((folder / FILE).read_text("utf-8"))
        found = document["features"]
        lists = {
            key: {c: tuple(v) for c, v in found[key].items()} for key in ("latents", "effects")
        }
        features = FeatureSet(**{**found, "classes": tuple(found["classes"]), **lists})
        doses = tuple(
            Dose(dose["scale"], tuple(map(tuple, dose["counts"]))) for dose in document["doses"]
        )
        evidence = document["evidence"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / FILE}: not a feature set of this suite: {error}") from error
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        typical = load_file(folder / TYPICAL)["typical"]
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(f"{folder / TYPICAL}: missing or damaged: {error}") from error
    sae = autoencoder.load(folder)
    if sae.fingerprint != features.sae:
        raise InputError(f"{folder}: the SAE is not the one that the feature set was found in")
    return Dissection(features, sae, h_classifier.load(folder), typical, doses, evidence, folder)
