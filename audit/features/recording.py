"""Recording of activations while a model draws: to disk in float16, and back in mixed batches.

A tensor goes to the device that learns from it when it is handed out, in float16: half the way.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audit.errors import InputError
from audit.storage import atomic
from audit.types import Moment, Request

COLUMNS = 16_384
"""Numbers of each image that are in memory at a time, where a step is gone through in parts."""
_POOL = 8
"""Batches in the mixing pool; a half of it is served before it is filled up again."""


class Recording:
    """Activations of one hookpoint: [steps, images, ...] in a file, never as a whole in memory.

    Each image has its row whatever the order or the size of batches, so a recording of a model
    that draws reproducibly is reproducible.
    """

    def __init__(
        self,
        path: Path,
        requests: Sequence[Request] = (),
        *,
        begun: bool = False,
        device: torch.device | str = "cpu",
        kept: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Record the drawing of `requests` into the file `path`, made at the first activation.

        Without requests the file is one that was recorded before.

        Args:
            path: Of the file.
            requests: In the order of its rows.
            begun: Whether the file is there already, with some of them.
            device: Of the tensors that are handed out.
            kept: [images] that are learnt from; all if not given.
        """
        self.path = path
        self.device = torch.device(device)
        self._kept = kept
        self.broken: set[int] = set()
        """Rows of images whose activations are not finite in float16; zeros stand for those."""
        self._rows = {request: row for row, request in enumerate(requests)}
        self._file: np.memmap[Any, np.dtype[np.float16]] | None = None
        if begun or not requests:
            self._file = np.load(path, "r+" if requests else "r")

    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Note an activation [N, ...] and return it: an edit that changes nothing.

        Raises:
            ResourceError: the disk has no room for the activations of all requests.
        """
        if self._file is None:
            shape = (moment.steps, len(self._rows), *x.shape[1:])
            self._file = mapped(self.path, np.float16, shape)
        half = x.detach().to("cpu", torch.float16).numpy()
        rows = np.array([self._rows[request] for request in moment.requests])
        self._file[moment.step, rows] = half
        broken = rows[~np.isfinite(half).reshape(len(half), -1).all(axis=1)]
        self._file[moment.step, broken] = 0
        self.broken.update(broken.tolist())
        return x

    def flush(self) -> None:
        """Wait until what was noted has reached the disk."""
        if self._file is not None:
            self._file.flush()

    @property
    def file(self) -> npt.NDArray[np.float16]:
        """What was recorded, [steps, images, ...], mapped from disk.

        Raises:
            InputError: the hookpoint did not run.
        """
        if self._file is None:
            raise InputError("nothing was recorded: the hookpoint never ran")
        return self._file

    @property
    def kept(self) -> npt.NDArray[np.bool_]:
        """[images] that are learnt from: the others did not come out."""
        return np.ones(self.file.shape[1], bool) if self._kept is None else self._kept

    @property
    def steps(self) -> int:
        """Number of sampling steps."""
        return len(self.file)

    def at(self, step: int, images: npt.NDArray[np.int64] | slice = slice(None)) -> Tensor:
        """Return the activations of a step, float32 [N, ...]."""
        return self._tensor(self.file[step, images])

    def columns(self, step: int, images: npt.NDArray[np.int64]) -> Iterator[Tensor]:
        """Yield the activations of a step in parts of their numbers, float32 [N, any]."""
        rows = self.file[step].reshape(self.file.shape[1], -1)
        for start in range(0, rows.shape[1], COLUMNS):
            yield self._tensor(rows[images, start : start + COLUMNS])

    def maps(self, images: npt.NDArray[np.int64], *, seed: int) -> Iterator[Tensor]:
        """Yield activations without end, 64 at a time, in random order of images and steps."""
        draw = np.random.default_rng(seed)
        while True:
            order = draw.permutation(self.steps * len(images))
            for some in np.array_split(order, max(1, len(order) // 64)):
                step, image = np.divmod(np.sort(some), len(images))
                yield self._tensor(self.file[step, images[image]])

    def _tensor(self, half: npt.NDArray[np.float16]) -> Tensor:
        # A copy: what the slice of a file that is mapped read-only gives may not be written to.
        return torch.from_numpy(np.array(half)).to(self.device).float()


def mapped(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Any:
    """Make a file of an array, and map it; the room that it needs is taken at once.

    A file that only grows as it is filled lets a full disk kill the process, without a word.

    Raises:
        ResourceError: the disk has not that room.
    """
    with atomic.explained(path):
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def mixed(tokens: Iterator[Tensor], *, size: int, count: int, seed: int) -> Iterator[Tensor]:
    """Yield `count` batches of `size` tokens, mixed through a pool that is kept half full.

    Args:
        tokens: Endless, [any, D].
        size: Tokens in a batch.
        count: Number of batches.
        seed: Of the mixing.
    """
    generator = torch.Generator().manual_seed(seed)
    pool = next(tokens)[:0]
    while count > 0:
        fresh = [pool]
        held = len(pool)
        while held < _POOL * size:
            fresh.append(next(tokens))
            held += len(fresh[-1])
        pool = torch.cat(fresh)
        pool = pool[torch.randperm(len(pool), generator=generator)]
        for _ in range(min(count, len(pool) // size // 2)):
            yield pool[:size]
            pool = pool[size:]
            count -= 1
