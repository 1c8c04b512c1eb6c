"""A model that draws at once: the class of each image is planted, and faults are ordered."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audit.errors import SpecError
from audit.types import Drawing, Moment, State
from probes.constant import constant

WOMEN = 0.25
"""Planted share of class 0, which the `constant` probe reads from the first pixel."""

POISON = "poison"
"""What a drawing that fails says, before the index of its image."""


class Glyph:
    """Noise from the seed, with the planted class in the red of the first pixel."""

    hookpoints = {"middle": 3}
    text_to_image = False

    def __init__(self, size, log, faults):
        self.size = size
        self.log = Path(log) if log else None
        self.faults = faults
        self.edits = []
        self.fingerprint = f"glyph-{size}"

    def generate(self, requests):
        self._misbehave(requests)
        images, states = [], []
        for request in requests:
            random = np.random.default_rng(request.seed)
            image = random.integers(0, 256, (self.size, self.size, 3), np.uint8)
            image[0, 0, 0] = 2 * int(random.integers(100)) + int(random.random() >= WOMEN)
            images.append(image)
            states.append(State(self.faults.get("states", {}).get(str(request.index), "ok")))
        if self.log:
            with self.log.open("a") as file:
                file.writelines(f"{request.prompt_id} {request.index}\n" for request in requests)
        return Drawing(self._edited(np.stack(images), requests), tuple(states))

    @contextmanager
    def hooked(self, hookpoint, edit):
        self.edits.append(edit)
        try:
            yield
        finally:
            self.edits.remove(edit)

    def _edited(self, images, requests):
        for edit in self.edits:
            images = edit(images, Moment(0, 1, 0.0, requests))
        return images

    def _misbehave(self, requests):
        time.sleep(self.faults.get("sleep", 0) * len(requests))
        if len(requests) > self.faults.get("oom_above", len(requests)):
            raise MemoryError
        for request in requests:
            if request.index in self.faults.get("fail_on", ()):
                raise ValueError(f"{POISON} {request.index}")
            if request.index in self.faults.get("die_on", ()):
                os.kill(os.getpid(), signal.SIGKILL)


def glyph(*, size=8, log=None, faults=None):
    return Glyph(size, log, faults or {})


class Brighter:
    """Makes every image a little brighter, by an edit at the hookpoint."""

    fingerprint = "brighter"

    @contextmanager
    def applied(self, model):
        with model.hooked("middle", lambda images, moment: np.maximum(images, 1)):
            yield model


def brighter():
    return Brighter()


class Trained(Brighter):
    """Makes images as bright as a file says: weights that are trained again in place."""

    def __init__(self, path, scale):
        if scale < 0:
            raise SpecError(f"trained: scale must be at least 0, not {scale}")
        self.light = int(Path(path).read_text())
        self.fingerprint = f"trained-{self.light}"

    @contextmanager
    def applied(self, model):
        with model.hooked("middle", lambda images, moment: np.maximum(images, self.light)):
            yield model


def trained(*, path, scale=1):
    return Trained(path, scale)


class Guided(Brighter):
    """Follows, as it says, what the `constant` probe reads."""

    fingerprint = "guided"
    attribute = "gender"

    def __init__(self):
        self.probe = constant()


def guided():
    return Guided()


class Misnamed:
    """An encoder that calls itself like a metric."""

    name = "fid"
    fingerprint = "misnamed"


def misnamed():
    return Misnamed()


def stranger(*, answer: str = "pixel"):
    """A probe that is not the `constant` one."""
    probe = constant(answer=answer)
    probe.name = "stranger"
    return probe
