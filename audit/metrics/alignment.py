"""Agreement of images with their prompts, and with the images of another arm.

From embeddings, row by row: every function returns one value for each image, so that means,
intervals and pairs are made in one place. A zero or NaN embedding gives NaN, a missing reading.
"""

from functools import partial

import numpy as np
import numpy.typing as npt

from audit.types import Floats, Metric


def cosine(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Floats:
    """Return the cosine [N] of embeddings [N, D] row by row.

    Raises:
        ValueError: the shapes differ; pairs are made by request, never by cutting to length.
    """
    if first.shape != second.shape:
        raise ValueError(f"embeddings of shapes {first.shape} and {second.shape} do not pair")
    return np.asarray((_unit(first) * _unit(second)).sum(axis=1))


def clipscore(images: npt.NDArray[np.floating], texts: npt.NDArray[np.floating]) -> Floats:
    """Return 2.5 · max(cos, 0) for each image [N], clamped before any mean."""
    return np.asarray(2.5 * np.maximum(cosine(images, texts), 0))


def clipscore_x100(images: npt.NDArray[np.floating], texts: npt.NDArray[np.floating]) -> Floats:
    """Return 100 · cos for each image [N]; torchmetrics clamps only the mean at 0."""
    return 100 * cosine(images, texts)


def affine(images: npt.NDArray[np.floating], pairs: npt.NDArray[np.floating]) -> Floats:
    """Return (cos + 1) / 2 [N], so that a cosine of .8 prints as .9."""
    return (cosine(images, pairs) + 1) / 2


def change(images: npt.NDArray[np.floating], pairs: npt.NDArray[np.floating]) -> Floats:
    """Return how far each image moved, in parts of the distance of two unrelated images, [N].

    (1 - cos of the pair) / mean (1 - cos of two images of the baseline): 0 is unchanged, 1 as
    different as another image altogether. The baseline is `pairs`.
    """
    moved = 1 - cosine(images, pairs)
    base = _unit(pairs[~np.isnan(_unit(pairs)).any(axis=1)])
    n = len(base)
    if n < 2:
        return np.full(len(moved), np.nan)
    total = base.sum(axis=0)
    unrelated = 1 - (total @ total - n) / (n * (n - 1))
    return np.asarray(moved / unrelated)


def _unit(x: npt.NDArray[np.floating]) -> Floats:
    x = np.asarray(x, float)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, np.nan))


of_images = partial(Metric, version=1, better="higher", interval="mean")
"""What most of them are: a likeness, of which the mean over images is measured."""

CLIP_T = of_images(
    "clip_t",
    function=cosine,
    columns=("features", "texts"),
    range=(-1.0, 1.0),
    source="Radford et al. 2021, CLIP, arXiv 2103.00020: mean cosine of image and prompt",
)
CLIPSCORE = of_images(
    "clipscore_w2.5",
    function=clipscore,
    columns=("features", "texts"),
    range=(0.0, 2.5),
    source="Hessel et al. 2021, CLIPScore, arXiv 2104.08718",
)
CLIPSCORE_X100 = of_images(
    "clipscore_x100_torchmetrics",
    function=clipscore_x100,
    columns=("features", "texts"),
    range=(0.0, 100.0),
    interval="clamped-mean",
    source="torchmetrics CLIPScore: 100 · max(mean cosine, 0)",
)
CLIP_I = of_images(
    "clip_i",
    function=cosine,
    columns=("features", "pairs"),
    range=(-1.0, 1.0),
    source="mean cosine of the images of one request in two arms",
)
CLIP_I_AFFINE = of_images(
    "clip_i_affine",
    function=affine,
    columns=("features", "pairs"),
    range=(0.0, 1.0),
    source="Shi et al. 2025, DiffLens, arXiv 2503.20483",
)
CHANGE = of_images(
    "change",
    function=change,
    columns=("features", "pairs"),
    better="lower",
    range=(0.0, float("inf")),
    source="cosine distance of a pair in parts of that of unrelated images",
)
