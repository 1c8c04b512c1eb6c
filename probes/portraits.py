"""Perceived gender, age, race and occupation, from the classifier of the embedded world.

It was trained on renders like those that the embedded models learned from, so it reads them well
and photographs badly.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.storage.weights import embedded, fingerprint, locate
from audit.types import Images, Readings, State
from probes.outcomes import settle


class PortraitsProbe:
    """Read the whole image: the embedded world holds one face an image, so none is looked for."""

    name = "portraits"

    def __init__(self, folder: Path, abstain: float, device: str) -> None:
        self.folder = folder
        self.abstain = abstain
        self.device = device
        weights, digest = locate(
            folder / "model.safetensors",
            formats={".safetensors"},
            remedy="reinstall bias-audit, which ships it, or train it by models/portraits/train",
        )
        try:
            text = (weights.parent / "config.json").read_text()
            self.classes = {a: tuple(names) for a, names in json.loads(text)["classes"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as fault:
            raise InputError(
                f"{folder}/config.json does not describe a classifier: {fault}"
            ) from fault
        self.fingerprint = fingerprint("portraits", digest, text, abstain)

    @cached_property
    def _network(self) -> Any:
        from probes.network import load

        return load(self.folder).to(self.device)

    def read(self, images: Images) -> Readings:
        """Read every image."""
        from probes.network import predict

        outputs = predict(self._network, images, self.device)
        return settle(
            outputs.probabilities,
            [State.OK] * len(images),
            [-1] * len(images),
            values=outputs.values,
            abstain=self.abstain,
        )


def portraits(*, abstain: float = 0.0, weights: str = "", device: str = "cpu") -> PortraitsProbe:
    """Gender, age, race and occupation of rendered portraits, by the embedded classifier.

    Args:
        abstain: Below this largest probability the probe declines; 0 reads every image.
        weights: Folder of another classifier in the same format; empty is the embedded one.
        device: Where the network runs.
    """
    folder = Path(weights).expanduser() if weights else embedded("portraits/classifier")
    return PortraitsProbe(folder, abstain, device)
