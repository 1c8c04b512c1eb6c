"""Foreign images are converted as documented, or refused; golden pixels."""

import numpy as np
import pytest
from PIL import Image

from audit.errors import InputError
from audit.storage.pictures import decode


def saved(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_grey_and_palette_become_rgb(tmp_path):
    grey = Image.fromarray(np.array([[0, 200]], np.uint8))
    assert decode(saved(tmp_path, grey)).pixels.tolist() == [[[0] * 3, [200] * 3]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([10, 20, 30])
    assert decode(saved(tmp_path, palette)).pixels.tolist() == [[[10, 20, 30]]]


def test_transparency_is_laid_on_white(tmp_path):
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (255, 0, 0, 0))
    image.putpixel((1, 0), (255, 0, 0, 255))
    assert decode(saved(tmp_path, image)).pixels.tolist() == [[[255, 255, 255], [255, 0, 0]]]


def test_rotation_in_the_tags_is_applied(tmp_path):
    image = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    pixels = decode(saved(tmp_path, image, exif=exif)).pixels
    assert pixels.shape == (16, 8, 3)
    assert pixels[0, 7].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("image", "name", "says"),
    [
        (Image.fromarray(np.full((4, 4), 40_000, np.uint16)), "deep.png", "mode I;16"),
        (Image.new("CMYK", (4, 4)), "print.jpg", "mode CMYK"),
    ],
)
def test_what_pillow_converts_wrongly_is_refused(tmp_path, image, name, says):
    with pytest.raises(InputError, match=rf"{name}: {says} is not converted"):
        decode(saved(tmp_path, image, name))


def test_an_animation_is_refused(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    path = saved(tmp_path, frames[0], "moving.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="an animation"):
        decode(path)


def test_a_file_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(InputError, match="larger than 64 MB"):
        decode(path)
