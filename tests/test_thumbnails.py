"""Small pictures show what the images show: nothing is stretched."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from reports.thumbnails import COLUMNS, TILE, Thumbnails


def wall(store, *sizes):
    """Return where [H, W] the wall of white images of these sizes is white."""
    for i, size in enumerate(sizes):
        Image.new("RGB", size, "white").save(store / f"{i}.png")
    source = Thumbnails(store, 100_000).wall([f"{i}.png" for i in range(len(sizes))])
    content = base64.b64decode(source.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 192


@pytest.mark.parametrize(
    ("size", "tile"),
    [((64, 64), (48, 48)), ((96, 64), (48, 32)), ((30, 60), (24, 48)), ((500, 1), (48, 1))],
)
def test_tiles_of_a_wall_have_the_shape_of_the_images(tmp_path, size, tile):
    white = wall(tmp_path, *[size] * (2 * COLUMNS))
    width, height = tile
    assert white.shape == (2 * height, COLUMNS * width)
    assert white.all()


def test_images_of_several_shapes_stand_in_the_middle_of_their_tiles(tmp_path):
    white = wall(tmp_path, (96, 48), (48, 96))
    wide = np.zeros((TILE, TILE), bool)
    wide[TILE // 4 : -TILE // 4] = True
    assert (white == np.hstack([wide, wide.T])).mean() > 0.99
