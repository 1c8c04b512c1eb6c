"""Inception-v3 features, the ones that the name FID is known for; the weights are brought along.

The network is torch-fidelity's port of the TensorFlow graph of 2015; the resize is Pillow's.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.errors import InputError, ResourceError, SpecError
from audit.images.batches import in_batches
from audit.storage.weights import fingerprint, locate
from audit.types import Images

SIZE = 299
BATCH = 4
REMEDY = (
    "fetch weights-inception-2015-12-05-6726825d.pth from the releases of toshas/torch-fidelity, "
    "convert it once by `safetensors.torch.save_file(torch.load(pth, weights_only=True), out)` "
    "and set `weights` to the safetensors file"
)
LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2", "Mixed_5b", "Mixed_5c", "Mixed_5d"),
    *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)
"""From the input to the 2,048 pooled features, in order."""


class InceptionEncoder:
    """Pooled features [N, 2048] of Inception-v3.

    Images are resized by Pillow's antialiased bicubic filter on float channels, without rounding
    to bytes: rounding and aliased resizing each move FID by more than many reported gains.
    """

    name = "inception-v3"
    dimensions = 2048

    def __init__(self, weights: Path, digest: str, device: str) -> None:
        self.weights = weights
        self.device = device
        self.fingerprint = fingerprint("inception-v3-pool3", digest)
        self.extractor = (
            f"inception-v3: pool3, {SIZE}x{SIZE}, resize=pil-bicubic-aa-float, float32, "
            f"weights {digest}"
        )

    @cached_property
    def _network(self) -> Any:
        import torch
        from safetensors.torch import load_file

        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError as missing:
            raise ResourceError(
                "encoder 'inception' needs torch-fidelity: pip install torch-fidelity"
            ) from missing
        # Its constructor reads weights by torch.load alone, so it gets a file written just now.
        # It draws weights at random first, which is kept from the global stream.
        with TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
            file = Path(folder) / "weights.pth"
            torch.save(load_file(self.weights), file)
            try:
                extractor = FeatureExtractorInceptionV3(
                    "inception-v3", ["2048"], feature_extractor_weights_path=str(file)
                )
            except RuntimeError as fault:
                raise InputError(
                    f"{self.weights}: not the weights of Inception-v3: {fault}"
                ) from fault
        return torch.nn.Sequential(*(getattr(extractor, n) for n in LAYERS)).to(self.device).eval()

    def encode_images(self, images: Images) -> npt.NDArray[np.float32]:
        """Return [N, 2048] from images [N, H, W, 3] of any size."""
        import torch

        @torch.inference_mode()
        def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            features = self._network(torch.from_numpy(batch).to(self.device))
            rows: npt.NDArray[np.float32] = features.flatten(1).cpu().numpy()
            return rows

        # Batch by batch: floats of 299 x 299 take 17 times the memory of 64 x 64 bytes.
        return in_batches(lambda batch: run(resized(batch)), images, BATCH)

    def encode_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Refuse: Inception has no text side."""
        raise SpecError("encoder 'inception' embeds images only; a CLIP encoder embeds texts too")


def resized(images: Images) -> npt.NDArray[np.float32]:
    """Return images as floats [N, 3, 299, 299] in [-1, 1], by the scale of the network."""
    out = np.empty((len(images), 3, SIZE, SIZE), np.float32)
    for row, image in enumerate(images):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            out[row, channel] = np.asarray(plane.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return np.asarray((out.clip(0, 255) - 128) / 128, np.float32)


def inception(*, weights: str, sha256: str = "", device: str = "cpu") -> InceptionEncoder:
    """Build the encoder of FID proper.

    Args:
        weights: The safetensors file; nothing is downloaded.
        sha256: What the file must hash to; empty accepts any and records what it found.
        device: Where the network runs.
    """
    path, digest = locate(weights, formats={".safetensors"}, remedy=REMEDY, sha256=sha256)
    return InceptionEncoder(path, digest, device)
