"""Foreign image files, decoded with care: no bombs, no half images, no guessed conversions."""

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from audit.errors import InputError

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffixes that are looked at, with the formats that they stand for; nothing else is decoded."""
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
_TRANSPARENT = {"LA", "PA", "RGBA"}


@dataclass(frozen=True)
class Picture:
    """A decoded image file."""

    pixels: npt.NDArray[np.uint8]
    """[H, W, 3], upright, in RGB."""
    sha256: str
    """Of the file."""
    mislabelled: bool
    """Whether the file holds another format than its suffix says."""


def decode(path: Path) -> Picture:
    """Decode an image file; see `decode_bytes`.

    Raises:
        InputError: the file cannot be read, is too large, or is no image that is decoded.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path.name}: larger than {MAX_BYTES // 2**20} MB")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name}: damaged: {error}") from error
    return decode_bytes(content, path.name)


def decode_bytes(content: bytes, name: str) -> Picture:
    """Decode the bytes of an image file called `name`.

    Grey becomes RGB, a palette is looked up and transparency is laid on white. 16-bit, CMYK and
    float images are refused, since Pillow converts them wrongly; so are animations, of which it
    would show one frame. Half a file is an error, never half an image.

    Raises:
        InputError: the file is no image of an allowed format, or is damaged, too large or of a
            kind that is refused.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of tags
            with Image.open(io.BytesIO(content), formats=sorted(set(FORMATS.values()))) as image:
                _check(name, image)
                pixels = _upright(image)
                mislabelled = image.format != FORMATS.get(Path(name).suffix.lower())
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too many pixels: {error}") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name}: not a PNG, JPEG or WebP image") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{name}: damaged: {error}") from error
    return Picture(pixels, hashlib.sha256(content).hexdigest(), mislabelled)


def held_bytes(cell: object, name: str) -> bytes:
    """Return the encoded image in a cell of a table: bytes, or a struct `{bytes, path}` of them.

    Raises:
        InputError: the cell called `name` holds none.
    """
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise InputError(f"{name}: holds no image, expected bytes or a struct with `bytes`")
    return content


def _check(name: str, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: too many pixels: {width} by {height}")
    if getattr(image, "n_frames", 1) > 1:
        raise InputError(f"{name}: an animation; save the frame that is meant")
    if image.mode not in _MODES:
        raise InputError(f"{name}: mode {image.mode} is not converted; save it as 8-bit RGB")


def _upright(image: Image.Image) -> npt.NDArray[np.uint8]:
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _TRANSPARENT or "transparency" in turned.info:
        white = Image.new("RGBA", turned.size, "white")
        turned = Image.alpha_composite(white, turned.convert("RGBA"))
    return np.asarray(turned.convert("RGB"))
