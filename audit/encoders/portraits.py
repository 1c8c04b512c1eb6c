"""Features of the embedded classifier: what its heads read, for distances between portraits."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError
from audit.storage.weights import embedded, fingerprint, locate
from audit.types import Images


class PortraitsEncoder:
    """Pooled features before the heads; trained on gender, age, race and occupation.

    A distance in this space weighs just those attributes: useful beside, not instead of, an
    encoder that was not trained on what is audited.
    """

    name = "portraits"

    def __init__(self, folder: Path, device: str) -> None:
        self.folder = folder
        self.device = device
        _, digest = locate(
            folder / "model.safetensors",
            formats={".safetensors"},
            remedy="reinstall bias-audit, which ships it, or train it by models/portraits/train",
        )
        self.fingerprint = fingerprint("portraits", digest)

    @cached_property
    def _network(self) -> Any:
        from probes.network import load

        return load(self.folder).to(self.device)

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self._network.widths[-1])

    @property
    def extractor(self) -> str:
        """How images are embedded."""
        size = self._network.size
        return (
            f"{self.name}: pooled features, {size}x{size}, resize=pil-box-or-bicubic-uint8, "
            f"float32, weights {self.fingerprint}"
        )

    def encode_images(self, images: Images) -> npt.NDArray[np.float32]:
        """Return [N, D]."""
        from probes.network import predict

        return predict(self._network, images, self.device).features

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Refuse: a classifier has no text side."""
        raise SpecError("encoder 'portraits' embeds images only; a CLIP encoder embeds texts too")


def portraits(*, weights: str = "", device: str = "cpu") -> PortraitsEncoder:
    """Build the encoder from the embedded classifier, or from a folder in the same format."""
    folder = Path(weights).expanduser() if weights else embedded("portraits/classifier")
    return PortraitsEncoder(folder, device)
