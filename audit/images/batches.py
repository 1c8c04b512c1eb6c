"""Batches of one shape, so that no result depends on how a caller batched."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def in_batches(
    function: Callable[[Array], npt.NDArray[np.float32]], items: Array, size: int
) -> npt.NDArray[np.float32]:
    """Apply `function` to `items` [N, …] in batches of exactly `size`; return its N rows.

    Convolutions and matrix products pick their order of summation by the shape of a batch, so a
    lone image and the same image among sixteen differ in the last bits. The last batch is
    therefore filled up with zeros, whose rows are dropped.
    """
    rows = []
    for start in range(0, max(len(items), 1), size):
        part = items[start : start + size]
        batch = np.zeros((size, *items.shape[1:]), items.dtype)
        batch[: len(part)] = part
        rows.append(np.asarray(function(batch), np.float32)[: len(part)])
    return np.concatenate(rows)
