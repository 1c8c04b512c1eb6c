"""Reading the shares that an edit of concepts follows: draw each concept, and let a probe look."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from audit.features.reading import read
from audit.images.memory import fitting
from audit.images.rewriting import with_article
from audit.statistics.intervals import wilson
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

    def shares(self, model: Model, concept: str) -> tuple[Floats, int]:
        """Return the share of each class that is read for a concept, and from how many images."""
        prompt = f"a photo of {with_article(concept)}"
        counts = np.zeros(len(self.target))
        own = self.probe.classes[self.attribute]
        columns = [own.index(name) for name in self.target]
        asked = [self._request(concept, prompt, i) for i in range(self.images)]
        for _, drawn in fitting(model, asked, BATCH):
            shown = read(self.probe, drawn).probabilities[self.attribute][:, columns]
            seen = shown[~np.isnan(shown).any(axis=1)].argmax(axis=1)
            counts += np.bincount(seen, minlength=len(counts))
        return counts / max(counts.sum(), 1), int(counts.sum())

    def settled(self, shares: Floats, n: int) -> bool:
        """Whether the intervals, and not just the shares, lie within the tolerance."""
        wanted = np.array(list(self.target.values()))
        interval = wilson(shares, n)
        off = np.maximum(abs(interval.low - wanted), abs(interval.high - wanted))
        return bool(n and off.max() <= self.tolerance)

    def _request(self, concept: str, prompt: str, i: int) -> Request:
        digest = hashlib.sha256(f"uce/{self.seed}/{concept}/{i}".encode()).digest()
        seed = int.from_bytes(digest[:8], "big") >> 1  # of no image that an audit draws
        return Request(f"uce-{concept}", prompt, i, seed, self.steps, self.guidance_scale)
