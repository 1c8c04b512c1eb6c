"""What all contract tests ask for: promises, equality, purity, identity."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.types import Images

Other = Callable[[], Any]
"""Builds the same plugin with other options."""


def noise(count: int = 5, side: int = 48) -> Images:
    """Return images [count, side, side, 3] of seeded noise."""
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def require(kept: bool, promise: str) -> None:
    """Raise `AssertionError` with the promise unless it was kept."""
    if not kept:
        raise AssertionError(promise)


def close(one: npt.ArrayLike, two: npt.ArrayLike, tolerance: float, promise: str) -> None:
    """Require equal shapes, NaN in the same places, and no difference above the tolerance."""
    first, second = np.asarray(one, np.float64), np.asarray(two, np.float64)
    require(first.shape == second.shape, f"{promise}: {first.shape} against {second.shape}")
    require(np.array_equal(np.isnan(first), np.isnan(second)), promise)
    apart = float(np.nanmax(np.abs(first - second), initial=0.0))
    require(apart <= tolerance, f"{promise}: {apart:g} apart")


def identity(build: Callable[[], Any], others: Sequence[Other]) -> None:
    """Require a fingerprint that every build repeats and that other options change."""
    fingerprint = build().fingerprint
    require(bool(fingerprint) and isinstance(fingerprint, str), "a fingerprint is a string")
    require(build().fingerprint == fingerprint, "a fingerprint is the same in every build")
    prints = [fingerprint, *(other().fingerprint for other in others)]
    require(len(set(prints)) == len(prints), "other options have another fingerprint")


@contextmanager
def pure(images: Images | None = None) -> Iterator[None]:
    """Require that the block changes neither the images nor a global random stream."""
    copy = None if images is None else images.copy()
    before = _streams()
    yield
    require(before == _streams(), "no global random stream is drawn from")
    unchanged = copy is None or images is None or np.array_equal(copy, images)
    require(unchanged, "the images are not changed")


def _streams() -> list[object]:
    torch = sys.modules.get("torch")
    stream = np.random.get_state(legacy=True)  # noqa: NPY002 - watched here, never drawn from
    return [
        random.getstate(),
        [part.tobytes() if isinstance(part, np.ndarray) else part for part in stream],
        None if torch is None else torch.get_rng_state().numpy().tobytes(),
    ]
