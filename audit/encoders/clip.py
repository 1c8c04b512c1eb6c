"""CLIP embeddings of images and texts: the embedded model, or any open_clip model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audit.images.image_text import EMBEDDED, ImageText, resolve
from audit.types import Images


class ClipEncoder:
    """Unit vectors of an open_clip model; cosines of images and texts are their products."""

    def __init__(self, name: str, model: ImageText) -> None:
        self.name = name
        self.model = model
        self.fingerprint = model.source.fingerprint

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return self.model.dimensions

    @property
    def extractor(self) -> str:
        """How images are embedded."""
        height, width = self.model.size
        return (
            f"{self.name}: projected image embedding, {height}x{width}, "
            f"resize=pil-bicubic-aa-uint8, float32, weights {self.fingerprint}"
        )

    def encode_images(self, images: Images) -> npt.NDArray[np.float32]:
        """Return unit vectors [N, D]."""
        return self.model.images(images)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return unit vectors [N, D]; words beyond the context of the model are cut off."""
        return self.model.texts(texts)


def clip(
    *, model: str, weights: str = "", revision: str = "", name: str = "", device: str = "cpu"
) -> ClipEncoder:
    """Build an encoder from any open_clip model.

    Args:
        model: A folder in open_clip's local form, a hub id, or an architecture with `weights`.
        weights: A safetensors file for an architecture.
        revision: Branch, tag or commit of a hub id.
        name: What metric ids call it; empty takes the last part of `model`.
        device: Where the model runs.
    """
    given = name or model.rstrip("/").rsplit("/", 1)[-1].lower()
    return ClipEncoder(given, ImageText(resolve(model, weights, revision), device))


def portraits_clip(*, device: str = "cpu") -> ClipEncoder:
    """Build the encoder from the CLIP of the embedded world; it knows nothing but portraits."""
    return ClipEncoder("portraits-clip", ImageText(resolve(EMBEDDED), device))
