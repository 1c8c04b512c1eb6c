"""Evidence for a feature set: where, when and in which images its latents fire."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from audit.features.codes import SparseCodes, StepCodes
from audit.types import FeatureSet, Floats

PICTURED = 8
"""Latents of a class that are shown with images."""
IMAGES = 6
"""Images shown of a latent."""
_Z = 1.959964


class Tally:
    """Sums over the codes of all images, of which some pass by on their way to a ranking."""

    def __init__(
        self,
        labels: npt.NDArray[np.int64],
        classes: int,
        steps: int,
        weights: Floats,
    ) -> None:
        self.labels = labels
        self.weights = weights
        """[N] of the images within their class; their mean there is one."""
        self.counts = np.bincount(labels, minlength=classes)
        self.by_image = np.zeros((len(labels), 0))
        """[N, L] mean activation of a latent in an image."""
        self.by_step = np.zeros((steps, 0))
        """[T, L]."""
        self.by_class = np.zeros((classes, 0, 0))
        """[K, P, L] mean over steps and the images of a class as they are weighed."""

    def passing(
        self, codes: Iterator[StepCodes], images: npt.NDArray[np.int64]
    ) -> Iterator[StepCodes]:
        """Yield what comes, added up; each step brings the images [n] in this order."""
        seen: Counter[int] = Counter()
        for batch in codes:
            first, count = seen[batch.step], len(batch.labels)
            seen[batch.step] += count
            self.add(batch.step, images[first : first + count], batch.latents)
            yield batch

    def add(self, step: int, images: npt.NDArray[np.int64], z: SparseCodes) -> None:
        """Add the codes of images [n] at a step."""
        n, positions, width = z.shape
        if not self.by_image.shape[1]:
            self.by_image = np.zeros((len(self.by_image), width))
            self.by_step = np.zeros((len(self.by_step), width))
            self.by_class = np.zeros((len(self.by_class), positions, width))
        every, steps = len(self.by_image), len(self.by_step)
        over_positions = z.sums(z.value, z.image, n) / positions
        self.by_image[images] += over_positions / steps
        self.by_step[step] += over_positions.sum(axis=0) / every
        # In place: an array of all classes and positions for each batch would cost far more.
        classes, weights = self.labels[images][z.image], self.weights[images][z.image]
        places = np.ravel_multi_index((classes, z.position, z.latent), self.by_class.shape)
        shares = 1 / (np.maximum(self.counts, 1) * steps)
        np.add.at(self.by_class.reshape(-1), places, z.value * weights * shares[classes])

    @property
    def by_position(self) -> Floats:
        """[P, L] mean over steps and all images as they are weighed."""
        return np.asarray(np.tensordot(self.counts / self.counts.sum(), self.by_class, 1))


def describe(
    features: FeatureSet,
    tally: Tally,
    labels: npt.NDArray[np.int64],
    images: Sequence[int],
    held_out: npt.NDArray[np.bool_],
) -> list[dict[str, Any]]:
    """Return a plain description of every latent of a feature set.

    Args:
        features: The feature set.
        tally: Of the codes of all images.
        labels: [N] class of each image.
        images: [N] number of each image, as evidence refers to it.
        held_out: [N] images on which the AUC is measured; they had no part in the ranking.
    """
    described = []
    for row, name in enumerate(features.classes):
        pairs = zip(features.latents[name], features.effects[name], strict=True)
        for rank, (latent, effect) in enumerate(pairs):
            activation = tally.by_image[:, latent]
            entry: dict[str, Any] = {
                "class": name,
                "latent": latent,
                "effect": float(effect),
                "mean_activation": float(activation.mean()),
                "auc": auc(activation[held_out], labels[held_out] == row),
            }
            if rank < PICTURED:
                strongest = np.argsort(-activation, kind="stable")[:IMAGES]
                entry["steps"] = _rounded(tally.by_step[:, latent])
                entry["positions"] = _rounded(tally.by_position[:, latent])
                entry["images"] = [
                    {"image": int(images[i]), "activation": float(activation[i])}
                    for i in strongest
                ]
            described.append(entry)
    return described


def grid(activation: Sequence[int], image: Sequence[int]) -> list[int] | None:
    """Return height and width of the positions of an activation; None where they are no grid.

    A transformer hands on a row of positions, which are patches of the image in reading order.

    Args:
        activation: Shape of one, (C, H, W) or (P, C).
        image: Shape of the image that is drawn, (H, W, ...).

    >>> grid((64, 8, 12), (512, 768, 3)), grid((96, 64), (512, 768, 3)), grid((97, 64), (512, 768))
    ([8, 12], [8, 12], None)
    """
    if len(activation) == 3:
        return [int(side) for side in activation[1:]]
    height, width = image[:2]
    rows = max(1, round((activation[0] * height / width) ** 0.5))
    columns = activation[0] // rows
    square = rows * columns == activation[0] and rows * width == columns * height
    return [rows, columns] if square else None


def auc(scores: Floats, positive: npt.NDArray[np.bool_]) -> float | None:
    """Return P(a positive scores above a negative), ties counted half; None without both.

    >>> auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875
    """
    n = int(positive.sum())
    if n == 0 or n == len(positive):
        return None
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


def auc_interval(value: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the 95 % interval of an AUC; never empty, also at 0 and 1.

    All values that lie within 1.96 of their own standard errors, as Wilson's interval of a share:
    method 5 of Newcombe 2006 (Statistics in Medicine 25:559), with the variance of Hanley and
    McNeil 1982, in which the numbers of positives and negatives are replaced by their mean.

    >>> [round(float(end), 3) for end in auc_interval(0.8, 20, 20)]
    [0.626, 0.9]
    """
    truths = np.linspace(0, 1, 4001)
    near = (positives + negatives) / 2 - 1
    spread = 1 + near * (1 - truths) / (2 - truths) + near * truths / (1 + truths)
    variance = truths * (1 - truths) * spread / (positives * negatives)
    held = truths[(value - truths) ** 2 <= _Z**2 * variance + 1e-12]
    return float(min(held[0], value)), float(max(held[-1], value))


def best_latents(
    by_image: Floats,
    labels: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.bool_],
    classes: Sequence[str],
) -> list[dict[str, Any]]:
    """Return for each class how well the one latent that tells it best does so.

    The latent is chosen on images that are not held out and judged on those that are; chosen and
    judged on the same images the best of many would look good by chance alone.

    Args:
        by_image: [N, L] mean activation of every latent in each image.
        labels: [N] class of each image.
        held_out: [N] images to judge by.
        classes: Names of the classes.
    """
    found = []
    every = rankdata(by_image[~held_out], axis=0)
    for row, name in enumerate(classes):
        learnt, tested = labels[~held_out] == row, labels[held_out] == row
        ranks = every[learnt].sum(axis=0)
        latent = int(ranks.argmax())  # the AUC of a latent rises with the ranks of its positives
        value = auc(by_image[held_out, latent], tested)
        if value is None:
            continue
        positives = int(tested.sum())
        low, high = auc_interval(value, positives, len(tested) - positives)
        found.append(
            {"class": name, "latent": latent, "auc": value, "low": low, "high": high,
             "positives": positives, "negatives": len(tested) - positives}
        )  # fmt: skip
    return found


def _rounded(values: Floats) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
