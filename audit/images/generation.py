"""An arm and requests in, image records out; what the store has is not drawn again."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.images.drawing import BATCH_SIZE, Arm, Drawer, Drawn
from audit.images.overlap import overlapped
from audit.storage.store import Blob, Store
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
    seconds: float | None = None
    """That drawing took, now or when the store got it; no part of the table, which is the same
    whenever and wherever it is made."""
    drawn_with: str = ""
    """Device and libraries; "" where it is not known. No part of the table either."""
    contested: bool = False
    """Whether it came out otherwise here than in the process that kept it. No part either."""

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

    def draw() -> Iterator[tuple[Sequence[Request], dict[Request, Blob], list[Drawn]]]:
        for start in range(0, len(requests), batch_size):
            batch = requests[start : start + batch_size]
            found = {request: store.get(arm.key(request)) for request in batch}
            kept = {request: blob for request, blob in found.items() if blob is not None}
            drawn: list[Drawn] = []
            for part in drawer.draw([request for request in batch if request not in kept]):
                if store.attempts(arm.key(part[0].request)) > 1:
                    # Begun before and not finished: it is kept before another may kill us.
                    kept |= {one.request: commit(store, arm, one) for one in part}
                drawn += part
            yield batch, kept, drawn

    def keep(work: tuple[Sequence[Request], dict[Request, Blob], list[Drawn]]) -> Batch:
        batch, kept, drawn = work
        kept |= {one.request: commit(store, arm, one) for one in drawn if one.request not in kept}
        # What another process kept is read from its file, whatever was drawn here.
        at_hand = {one.request: one.image for one in drawn if not kept[one.request].contested}
        records = tuple(_record(arm, request, kept.get(request)) for request in batch)
        return Batch(records, tuple(map(at_hand.get, batch)), cached=len(batch) - len(drawn))

    return overlapped(keep, draw())


def commit(store: Store, arm: Arm, drawn: Drawn) -> Blob:
    """Encode one image and put it into the store; what failed to draw has no file."""
    record = {
        "status": drawn.status,
        "batch_size": drawn.batch_size,
        "seconds": round(drawn.seconds, 6),
        "drawn_with": _drawn_with(arm),
    }
    if drawn.status is State.FAILED:
        return store.put(arm.key(drawn.request), record)
    return store.put(arm.key(drawn.request), record, _png(drawn.image), ".png")


def _record(arm: Arm, request: Request, blob: Blob | None) -> ImageRecord:
    return ImageRecord(
        arm=arm.name,
        prompt_id=request.prompt_id,
        prompt=request.prompt,
        index=request.index,
        seed=request.seed,
        path=blob.path if blob else None,
        sha256=blob.sha256 if blob else "",
        status=State(blob.record["status"]) if blob else State.FAILED,
        seconds=blob.record.get("seconds") if blob else None,
        drawn_with=blob.record.get("drawn_with", "") if blob else "",
        contested=blob.contested if blob else False,
    )


def _drawn_with(arm: Arm) -> str:
    """Return what pixels hang on besides their key: the kind of device, and two libraries."""
    device = str(getattr(arm.model, "device", "")).partition(":")[0]
    return ", ".join(filter(None, (device, *_libraries())))


@cache
def _libraries() -> tuple[str, ...]:
    """Return two libraries with their versions, which take a file each to find out."""
    return tuple(f"{name} {version(name)}" for name in ("torch", "diffusers"))


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
