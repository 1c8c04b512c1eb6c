"""Drawing in batches, whatever goes wrong: memory runs out, a request fails, a request kills."""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from audit.errors import AuditError, ResourceError
from audit.images.memory import device_lost, halved, out_of_memory
from audit.storage.store import MAX_ATTEMPTS, Store, key
from audit.types import Mitigation, Model, Request, State

BATCH_SIZE = 16
"""To begin with; halved when a batch does not fit into memory."""
MAX_LOST = 4
"""Requests that may fail one after another; where more do, the requests are not what is wrong."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arm:
    """A model under one mitigation."""

    name: str
    model: Model
    mitigation: Mitigation

    def key(self, request: Request) -> str:
        """Return the key of an image: model, mitigation and request, and nothing else."""
        return key(
            kind="image",
            model=self.model.fingerprint,
            mitigation=self.mitigation.fingerprint,
            # What a prompt asks for is told only where it does: keys are to last.
            request={k: v for k, v in asdict(request).items() if k != "asks" or v},
        )


@dataclass(frozen=True)
class Drawn:
    """An image that is not in the store yet."""

    request: Request
    image: npt.NDArray[np.uint8]
    status: State
    batch_size: int
    seconds: float
    """That drawing took, an equal part of its batch's time."""


class Drawer:
    """Draws requests of one arm; keeps nothing but the size of batch that memory allows."""

    def __init__(self, arm: Arm, store: Store, batch_size: int = BATCH_SIZE) -> None:
        self.arm = arm
        self.store = store
        self.batch_size = batch_size
        self._failures = Counter[Request]()
        self._lost = 0
        """Requests given up since the last that was drawn."""

    def draw(self, requests: Sequence[Request]) -> Iterator[list[Drawn]]:
        """Yield drawn batches of requests that the store lacks.

        Attempts are counted before they begin. A request that failed, or was begun twice and not
        finished, is drawn alone, so that one that kills the process takes no other with it; after
        three attempts it is left out. The store remembers attempts that killed the process; one
        that raised is tried again by the next run, which may have a healthy device. A batch too
        large for memory is drawn in halves, and so are all after it.

        Raises:
            ResourceError: a single image does not fit into memory, the device is lost, or so many
                requests fail in a row that the model or the device must be at fault.
            AuditError: the model or the mitigation says what is wrong.
        """
        together = [request for request in requests if self._attempts(request) < 2]
        alone = [request for request in requests if self._attempts(request) >= 2]
        waiting = [*self._split(together), *([request] for request in alone)]
        while waiting:
            batch = waiting.pop(0)
            if self._attempts(batch[0]) >= MAX_ATTEMPTS:
                log.warning("%s: gave up after %d attempts", batch[0], MAX_ATTEMPTS)
                continue
            try:
                for request in batch:
                    self.store.note_attempt(self.arm.key(request))
                drawn = self._generate(batch)
            except AuditError:
                self._forgive(batch)
                raise
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything
                self._forgive(batch)
                if out_of_memory(error):
                    self.batch_size = halved(len(batch), error)
                    waiting = [*self._split(batch), *waiting]
                else:
                    waiting = [*([request] for request in self._left(batch, error)), *waiting]
                continue
            except BaseException:
                self._forgive(batch)  # interrupted: no request is at fault
                raise
            self._lost = 0
            yield drawn

    def _left(self, batch: Sequence[Request], error: Exception) -> list[Request]:
        """Return what of a batch that raised is to be drawn again, one by one."""
        reason = f"{type(error).__name__}: {error}"
        log.warning("drawing failed: %s", reason)
        self._failures.update(batch)
        left = [request for request in batch if self._failures[request] < MAX_ATTEMPTS]
        self._lost += len(batch) - len(left)
        if device_lost(error):
            raise ResourceError(f"the device is lost: {reason}; run again to go on") from error
        if self._lost > MAX_LOST:
            raise ResourceError(
                f"drawing fails for one image after another: {reason}; see to the model or the"
                " device, then run again to go on"
            ) from error
        return left

    def _generate(self, batch: Sequence[Request]) -> list[Drawn]:
        # A model may load itself when it is first asked anything; that is no part of drawing.
        self.arm.model.hookpoints  # noqa: B018
        # Applied for this one call, never across a yield: arms may share a model.
        with self.arm.mitigation.applied(self.arm.model) as model:
            start = time.perf_counter()
            drawing = model.generate(batch)
            seconds = (time.perf_counter() - start) / len(batch)
        return [
            Drawn(request, image, state, len(batch), seconds)
            for request, image, state in zip(batch, drawing.images, drawing.states, strict=True)
        ]

    def _split(self, requests: Sequence[Request]) -> list[list[Request]]:
        size = self.batch_size
        return [list(requests[i : i + size]) for i in range(0, len(requests), size)]

    def _attempts(self, request: Request) -> int:
        return self.store.attempts(self.arm.key(request))

    def _forgive(self, batch: Sequence[Request]) -> None:
        for request in batch:
            self.store.forget_attempts(self.arm.key(request))
