"""Drawing in batches that fit into memory: one that does not is halved, and all after it."""

import gc
import logging
import sys
from collections.abc import Iterator, Sequence

from audit.errors import ResourceError
from audit.types import Drawing, Model, Request

log = logging.getLogger(__name__)


def fitting(
    model: Model, requests: Sequence[Request], batch_size: int
) -> Iterator[tuple[Sequence[Request], Drawing]]:
    """Yield requests in batches, and what the model draws of them.

    Raises:
        ResourceError: a single image does not fit into memory.
    """
    at = 0
    while at < len(requests):
        batch = requests[at : at + batch_size]
        try:
            drawing = model.generate(batch)
        except Exception as error:  # a plugin may raise anything
            if not out_of_memory(error):
                raise
            batch_size = halved(len(batch), error)
            continue
        yield batch, drawing
        at += len(batch)


def halved(size: int, error: Exception) -> int:
    """Return half the size of a batch that did not fit, and free what can be freed.

    Raises:
        ResourceError: it was a single image.
    """
    if size == 1:
        raise ResourceError(
            "one image does not fit into memory; draw smaller images, in half precision, with"
            " `offload`, or on another device"
        ) from error
    gc.collect()
    if "torch" in sys.modules and (cuda := sys.modules["torch"].cuda).is_available():
        cuda.empty_cache()
    log.warning("out of memory: going on with batches of %d", size // 2)
    return size // 2


def out_of_memory(error: Exception) -> bool:
    """Whether an error is lack of memory; torch has a class for it and several other texts."""
    said = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in said
        or "can't allocate memory" in said
        or "CUBLAS_STATUS_ALLOC_FAILED" in said
    )


def device_lost(error: Exception) -> bool:
    """Whether an error, not of memory, leaves the process with no device that could go on."""
    return any(f"{kind} error" in str(error) for kind in ("CUDA", "HIP"))
