"""Recording of activations while a model draws: to disk in 16 bits, and back in mixed batches.

What a model computes in bfloat16 is kept as it is: it can be too large for float16, in which all
else is kept. NumPy has no bfloat16, so the file holds its bits as uint16. A tensor goes to the
device that learns from it when it is handed out, in those 16 bits: half the way.
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
Halves = np.float16 | np.uint16
"""What a file holds: float16, or the bits of bfloat16."""
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
        """Rows of images whose activations are not finite as kept; zeros stand for those."""
        self.overflown: set[int] = set()
        """Those of them that float16 is too narrow for: what the model computed is finite."""
        self._seen: set[int] = set()
        """Steps of the batch that is being noted."""
        self._steps = 0
        self._rows = {request: row for row, request in enumerate(requests)}
        self._file: np.memmap[Any, np.dtype[Halves]] | None = None
        if begun or not requests:
            self._file = np.load(path, "r+" if requests else "r")

    def edit(self, x: Tensor, moment: Moment) -> Tensor:
        """Note an activation [N, ...] and return it: an edit that changes nothing.

        Raises:
            ResourceError: the disk has no room for the activations of all requests.
        """
        if self._file is None:
            shape = (moment.steps, len(self._rows), *x.shape[1:])
            bits = np.uint16 if x.dtype == torch.bfloat16 else np.float16
            self._file = mapped(self.path, bits, shape)
        half = x.detach().to("cpu", _dtype(self._file))
        rows = np.array([self._rows[request] for request in moment.requests])
        self._file[moment.step, rows] = half.view(torch.int16).numpy().view(self._file.dtype)
        if not (fine := _finite(half)).all():
            self._file[moment.step, rows[~fine]] = 0
            self.broken.update(rows[~fine].tolist())
            self.overflown.update(rows[~fine & _finite(x)].tolist())
        self._seen.add(moment.step)
        self._steps = moment.steps
        return x

    def flush(self) -> None:
        """End a batch: wait until what was noted has reached the disk.

        Raises:
            InputError: the hookpoint did not run at some sampling step, whose rows are empty.
        """
        if self._file is None:
            return
        if missed := [str(step) for step in range(self._steps) if step not in self._seen]:
            raise InputError(
                f"the hookpoint ran at {len(self._seen)} of {self._steps} sampling steps and not"
                f" at {', '.join(missed[:5])}{', …' if missed[5:] else ''} (counted from 0): what"
                " passes there is not known"
            )
        self._seen.clear()
        self._file.flush()

    @property
    def file(self) -> npt.NDArray[Halves]:
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

    def _tensor(self, half: npt.NDArray[Halves]) -> Tensor:
        # A copy: what the slice of a file that is mapped read-only gives may not be written to.
        bits = torch.from_numpy(np.array(half).view(np.int16))
        return bits.to(self.device).view(_dtype(half)).float()


def _dtype(half: npt.NDArray[Halves]) -> torch.dtype:
    """Return what the 16 bits of a file mean."""
    return torch.bfloat16 if half.dtype == np.uint16 else torch.float16


def _finite(x: Tensor) -> npt.NDArray[np.bool_]:
    """Return [N] whether all numbers of a row are finite."""
    found: npt.NDArray[np.bool_] = x.isfinite().flatten(1).all(1).cpu().numpy()
    return found


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
