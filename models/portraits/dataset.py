"""Rendered portraits as arrays: images at model resolution beside their labels."""

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from audit.types import Images

RESOLUTION = 64
"""Side in pixels of what the embedded models draw; renders are larger and box-filtered down."""


@dataclass(frozen=True)
class Renders:
    """Images `uint8 [N, S, S, 3]` and one row of labels for each, in the same order."""

    images: Images
    labels: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    def records(self) -> list[dict[str, Any]]:
        """Return the labels of each render, by name."""
        return [
            {str(name): value for name, value in row.items()}
            for row in self.labels.to_dict("records")
        ]

    def take(self, rows: npt.NDArray[np.int64]) -> "Renders":
        """Return the renders at `rows`, in that order; a row may occur more than once."""
        return Renders(self.images[rows], self.labels.iloc[rows].reset_index(drop=True))


def load(folder: Path, size: int = RESOLUTION) -> Renders:
    """Read every `*.parquet` below `folder`, in the order of their names.

    The decoded array is kept in `folder/.cache-<size>-<digest>.npy` where the folder can be
    written, because decoding takes longer than an epoch of the classifier.

    Raises:
        FileNotFoundError: there is no Parquet file in `folder`.
    """
    shards = sorted(folder.glob("*.parquet"))
    if not shards:
        raise FileNotFoundError(
            f"no *.parquet in {folder}; render some first (models/portraits/README.md)"
        )
    labels = pd.concat(
        [pd.read_parquet(shard, columns=None).drop(columns="image") for shard in shards],
        ignore_index=True,
    )
    digest = hashlib.sha256(
        "".join(f"{shard.name}:{shard.stat().st_size};" for shard in shards).encode()
    ).hexdigest()[:8]
    cache = folder / f".cache-{size}-{digest}.npy"
    if cache.exists():
        return Renders(np.load(cache), labels)
    images = np.concatenate([_decode(shard, size) for shard in shards])
    with suppress(OSError):  # a read-only folder is decoded again each time
        np.save(cache, images)
    return Renders(images, labels)


def _decode(shard: Path, size: int) -> Images:
    cells = pd.read_parquet(shard, columns=["image"])["image"]
    return np.stack([_shrink(Image.open(io.BytesIO(cell["bytes"])), size) for cell in cells])


def _shrink(image: Image.Image, size: int) -> Images:
    return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BOX))
