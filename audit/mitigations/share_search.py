"""Reading the shares that an edit of concepts follows: draw each concept, and let a probe look."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.features.reading import read
from audit.images.memory import fitting
from audit.images.rewriting import with_article
from audit.statistics.intervals import wilson
from audit.storage import atomic
from audit.types import Floats, Model, Probe, Request

BATCH = 16
"""Images drawn at a time while shares are measured; fewer where they do not fit into memory."""


@dataclass(frozen=True)
class ShareSearch:
    """How an edit is found: draw each concept, read the shares, push towards the target."""

    probe: Probe
    attribute: str
    target: Mapping[str, float]
    images: int
    rounds: int
    rate: float
    tolerance: float
    steps: int
    guidance_scale: float
    seed: int

    def counts(self, model: Model, concept: str) -> npt.NDArray[np.int64]:
        """Return how many images of a concept are read as each class."""
        prompt = f"a photo of {with_article(concept)}"
        counts = np.zeros(len(self.target), np.int64)
        own = self.probe.classes[self.attribute]
        columns = [own.index(name) for name in self.target]
        asked = [self._request(concept, prompt, i) for i in range(self.images)]
        for _, drawn in fitting(model, asked, BATCH):
            shown = read(self.probe, drawn).probabilities[self.attribute][:, columns]
            seen = shown[~np.isnan(shown).any(axis=1)].argmax(axis=1)
            counts += np.bincount(seen, minlength=len(counts))
        return counts

    def lacking(self, counts: npt.NDArray[np.int64]) -> Floats:
        """Return the share that each class lacks of the target; 0 where nothing was read."""
        wanted = np.array(list(self.target.values()))
        return wanted - counts / counts.sum() if counts.any() else np.zeros(len(wanted))

    def settled(self, counts: npt.NDArray[np.int64]) -> bool:
        """Whether the intervals, and not just the shares, lie within the tolerance."""
        n = int(counts.sum())
        shares = counts / max(n, 1)
        wanted = np.array(list(self.target.values()))
        interval = wilson(shares, n)
        off = np.maximum(abs(interval.low - wanted), abs(interval.high - wanted))
        return bool(n and off.max() <= self.tolerance)

    def _request(self, concept: str, prompt: str, i: int) -> Request:
        digest = hashlib.sha256(f"uce/{self.seed}/{concept}/{i}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") >> 1  # of no image that an audit draws
        return Request(f"uce-{concept}", prompt, i, seed, self.steps, self.guidance_scale)


class Noted:
    """What a search read, in its order, in a file: the same search does not read it again."""

    def __init__(self, path: Path) -> None:
        """Go on from a file, which need not exist."""
        self.path = path
        self._counts = json.loads(path.read_text("utf-8")) if path.is_file() else []
        self._told = 0

    def next(self, read: Callable[[], npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """Return the next counts: those in the file, or what `read` returns, then in it too."""
        if self._told == len(self._counts):
            self._counts.append(read().tolist())
            atomic.write(self.path, json.dumps(self._counts) + "\n")
        self._told += 1
        return np.array(self._counts[self._told - 1], np.int64)
