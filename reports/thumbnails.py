"""Small pictures inside the page: bounded in size, and in number by a budget of bytes."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from audit.errors import InputError
from audit.storage.pictures import decode

EDGE = 96
"""Longest edge of a thumbnail in pixels; a smaller image keeps its own size."""
TILE = 48
"""Longer edge of a tile of a wall in pixels."""
COLUMNS = 16
"""Tiles in a row of a wall."""


class Thumbnails:
    """Makes data URIs of the images of one store until a budget of bytes is spent."""

    def __init__(self, store: Path | None, budget: int) -> None:
        self.store = store.resolve() if store else None
        self.left = budget
        self.refused = 0
        """Pictures left out because the budget was spent."""
        self.lost = 0
        """Pictures that have a name and could not be found or read."""

    def small(self, path: str | None) -> str | None:
        """Return one image as a WebP data URI; None where it cannot be shown."""
        image = self._open(path)
        if image is None:
            return None
        image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
        return self._uri(image)

    def heated(self, path: str | None, heat: NDArray[np.float64] | None) -> str | None:
        """Return one image with a grid of activations laid over it, from clear to orange.

        Args:
            path: of the image, inside the store.
            heat: [H, W] activations, the weakest clear and the strongest nearly opaque; None for
                the image alone.
        """
        image = self._open(path)
        if image is None:
            return None
        image.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
        if heat is None:
            return self._uri(image)
        above = heat - heat.min()
        grid = Image.fromarray((above / (above.max() or 1.0) * 170).astype(np.uint8))
        mask = grid.resize(image.size, Image.Resampling.BICUBIC)
        image.paste((255, 120, 0), mask=mask)
        return self._uri(image)

    def wall(self, paths: Sequence[str | None]) -> str | None:
        """Return many images as one picture, `COLUMNS` tiles in a row, each in its proportions.

        All have room for the widest and the highest; where an image leaves room, it is grey.
        """
        tiles = [_tile(image) if (image := self._open(path)) else None for path in paths]
        there = [tile for tile in tiles if tile]
        if not there:
            return None
        width, height = max(tile.width for tile in there), max(tile.height for tile in there)
        rows, columns = math.ceil(len(tiles) / COLUMNS), min(COLUMNS, len(tiles))
        sheet = Image.new("RGB", (columns * width, rows * height), (128, 128, 128))
        for i, tile in enumerate(tiles):
            if tile is not None:
                left = i % COLUMNS * width + (width - tile.width) // 2
                top = i // COLUMNS * height + (height - tile.height) // 2
                sheet.paste(tile, (left, top))
        return self._uri(sheet)

    def _open(self, path: str | None) -> Image.Image | None:
        """Open an image of the store; None where it lies outside, is gone or is broken."""
        if not path:
            return None
        found = self._inside(path)
        self.lost += found is None
        return found

    def _inside(self, path: str) -> Image.Image | None:
        if self.store is None:
            return None
        file = (self.store / path).resolve()
        if not file.is_relative_to(self.store):
            return None
        try:
            return Image.fromarray(decode(file).pixels)
        except InputError:
            return None

    def _uri(self, image: Image.Image) -> str | None:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=82, method=4)
        text = base64.b64encode(buffer.getvalue()).decode("ascii")
        if len(text) > self.left:
            self.refused += 1
            return None
        self.left -= len(text)
        return f"data:image/webp;base64,{text}"


def _tile(image: Image.Image) -> Image.Image:
    scale = TILE / max(image.size)
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
