"""What a ranking of latents is fed: the codes of an SAE, as arrays with few entries.

Rankings import this module and no torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from audit.types import Floats


@dataclass(frozen=True)
class SparseCodes:
    """SAE codes of N images at P positions: their E entries, in any order; the rest is zero."""

    shape: tuple[int, int, int]
    """N, P and L."""
    image: npt.NDArray[np.int64]
    """[E], below N; with the next two the place of an entry. No place is listed twice."""
    position: npt.NDArray[np.int64]
    """[E], below P."""
    latent: npt.NDArray[np.int64]
    """[E], below L."""
    value: npt.NDArray[np.float32]
    """[E]."""

    @classmethod
    def of(cls, dense: npt.NDArray[np.floating]) -> Self:
        """Return the codes that an array [N, P, L] holds."""
        n, positions, width = dense.shape
        image, position, latent = np.nonzero(dense)
        value = np.asarray(dense[image, position, latent], np.float32)
        return cls((n, positions, width), image, position, latent, value)

    @classmethod
    def zeros(cls, shape: tuple[int, int, int]) -> Self:
        """Return codes without an entry."""
        nowhere = np.zeros(0, np.int64)
        return cls(shape, nowhere, nowhere, nowhere, np.zeros(0, np.float32))

    def dense(self) -> npt.NDArray[np.float32]:
        """Return the codes written out, [N, P, L]: for small ones, there are L zeros for k."""
        written = np.zeros(self.shape, np.float32)
        written[self.image, self.position, self.latent] = self.value
        return written

    def sums(self, amounts: npt.NDArray[Any], rows: npt.NDArray[np.int64], count: int) -> Floats:
        """Return [count, L]: what there is of each latent in each row.

        Args:
            amounts: [E], one for each entry; `value`, say.
            rows: [E], below `count`: where each entry belongs; `image`, say.
            count: Number of rows.
        """
        width = self.shape[2]
        summed = np.bincount(rows * width + self.latent, amounts, count * width)
        return np.asarray(summed.reshape(count, width))

    def __sub__(self, other: "SparseCodes") -> "SparseCodes":
        """Return the difference of codes of the same shape, with an entry where either has one."""
        if not len(other.value):
            return self
        both = [
            np.concatenate([getattr(self, axis), getattr(other, axis)])
            for axis in ("image", "position", "latent")
        ]
        places, entry = np.unique(np.ravel_multi_index(both, self.shape), return_inverse=True)
        value = np.bincount(entry, np.concatenate([self.value, -other.value]))
        image, position, latent = np.unravel_index(places, self.shape)
        return SparseCodes(self.shape, image, position, latent, np.asarray(value, np.float32))


@dataclass(frozen=True)
class StepCodes:
    """SAE codes of one sampling step for one batch: what a ranking is fed."""

    step: int
    latents: SparseCodes
    """Of N images at P positions."""
    baseline: SparseCodes
    """Of the same shape: without an entry, or the codes of counter-class samples."""
    labels: npt.NDArray[np.int64]
    """[N] class of each image."""
    directions: npt.NDArray[np.float32]
    """[K, P, L]: the SAE decoder folded with the linear h-classifier of this step."""
    offsets: npt.NDArray[np.float32]
    """[K] logits of the h-classifier where every latent is zero."""


class Ranking(Protocol):
    """A rule that orders latents by their effect on each class; a pure function."""

    def __call__(self, codes: Iterator[StepCodes]) -> Floats:
        """Return effects [K, L]; larger means more of that class."""
        ...
