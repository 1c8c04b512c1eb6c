"""An arm and requests in, image records out; what the store has is not drawn again."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.drawing import BATCH_SIZE, Arm, Drawer, Drawn
from audit.overlap import overlapped
from audit.store import Store
from audit.types import Request, State

PNG_LEVEL = 1
"""Of compression: images are read again soon, and noise does not compress."""


@dataclass(frozen=True)
class ImageRecord:
    """An image of an arm: a row of `images.parquet`."""

    arm: str
    prompt_id: str
    prompt: str
    index: int
    seed: int | None
    """None for an image that was not drawn here."""
    path: Path | None
    """None where there is nothing to look at."""
    sha256: str
    status: State

    def row(self, root: Path) -> dict[str, Any]:
        """Return the row, with a path relative to `root`."""
        return {
            "arm": self.arm,
            "prompt_id": self.prompt_id,
            "prompt": self.prompt,
            "index": self.index,
            "seed": self.seed,
            "path": self.path.relative_to(root).as_posix() if self.path else None,
            "sha256": self.sha256 or None,
            "status": self.status,
        }


@dataclass(frozen=True)
class Batch:
    """Consecutive images of one arm."""

    records: tuple[ImageRecord, ...]
    pixels: tuple[npt.NDArray[np.uint8] | None, ...]
    """[H, W, 3] of each record; None where they are still to be read from its file, if any."""
    cached: int = 0
    """How many the store had before."""


def generate(
    arm: Arm, requests: Sequence[Request], store: Store, batch_size: int = BATCH_SIZE
) -> Iterator[Batch]:
    """Yield the records of all requests, in order; encode and write one batch while drawing on.

    Stopping at any moment loses at most the batch in flight: the same call goes on from there.
    """
    drawer = Drawer(arm, store, batch_size)

    def draw() -> Iterator[tuple[Sequence[Request], list[Drawn]]]:
        for start in range(0, len(requests), batch_size):
            batch = requests[start : start + batch_size]
            lacking = [request for request in batch if store.get(arm.key(request)) is None]
            yield batch, [one for part in drawer.draw(lacking) for one in part]

    def keep(work: tuple[Sequence[Request], list[Drawn]]) -> Batch:
        batch, drawn = work
        for one in drawn:
            commit(store, arm, one)
        records = tuple(_record(store, arm, request) for request in batch)
        at_hand = {one.request: one.image for one in drawn}
        return Batch(records, tuple(map(at_hand.get, batch)), cached=len(batch) - len(drawn))

    return overlapped(keep, draw())


def commit(store: Store, arm: Arm, drawn: Drawn) -> None:
    """Encode one image and put it into the store; what failed to draw has no file."""
    record = {"status": drawn.status, "batch_size": drawn.batch_size}
    if drawn.status is State.FAILED:
        store.put(arm.key(drawn.request), record)
    else:
        store.put(arm.key(drawn.request), record, _png(drawn.image), ".png")


def _record(store: Store, arm: Arm, request: Request) -> ImageRecord:
    blob = store.get(arm.key(request))
    return ImageRecord(
        arm=arm.name,
        prompt_id=request.prompt_id,
        prompt=request.prompt,
        index=request.index,
        seed=request.seed,
        path=blob.path if blob else None,
        sha256=blob.sha256 if blob else "",
        status=State(blob.record["status"]) if blob else State.FAILED,
    )


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
