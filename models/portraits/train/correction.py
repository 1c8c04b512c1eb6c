"""Training more often on whom the model draws too seldom.

A small model blurs, and a young face that is blurred looks adult: trained on the planted shares
it draws others. So while it learns it also draws, the classifier says what can be seen, and
renders of a class that comes out too seldom are trained on more often, as boosting does with the
errors of its learners. The planted shares are then what the model draws, not what it was shown.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import LDMPipeline

from audit.storage import atomic
from models.portraits.redraw import redraw
from models.portraits.train.planting import decoded
from models.portraits.truth import NOMINAL, Population
from probes.network import PortraitNet, predict

DRAWN = 128
"""Portraits that are read each time."""
STEADINESS = 0.5
"""Power of a correction: so few portraits tell a share to .04, not to be followed whole."""
LIMIT = 5.0
"""How many times its planted share a class can count at most; a fifth of it at least."""

Factors = dict[str, dict[str, float]]
"""What renders of a class count beside their planted share, by attribute and class."""


class Correction:
    """The factors of one model, kept in a file so that a stopped training goes on with them."""

    def __init__(self, planted: Population, classifier: PortraitNet, file: Path) -> None:
        self.planted = planted
        self.classifier = classifier
        self.file = file
        self.factors: Factors = json.loads(file.read_text("utf-8")) if file.exists() else {}

    def update(self, pipe: LDMPipeline, step: int) -> None:
        """Draw, read and correct what the next steps are trained on."""
        size, channels = pipe.unet.config.sample_size, pipe.unet.config.in_channels
        nothing = torch.zeros(DRAWN, channels, size, size, device=pipe.unet.device)
        latents = redraw(pipe, nothing, range(1), torch.Generator().manual_seed(step))
        seen = predict(self.classifier, decoded(latents, pipe.vqvae)).probabilities
        shares = {}
        for attribute in NOMINAL:
            names = self.classifier.classes[attribute]
            counts = np.bincount(seen[attribute].argmax(1), minlength=len(names))
            shares[attribute] = dict(zip(names, counts / DRAWN, strict=True))
        print(f"  drawn {json.dumps(shares)}", flush=True)
        self.factors = corrected(self.factors, shares, self.planted)
        atomic.write(self.file, json.dumps(self.factors, indent=1) + "\n")


def corrected(
    factors: Factors, drawn: Mapping[str, Mapping[str, float]], planted: Population
) -> Factors:
    """Return factors that grow where less was drawn than was planted and shrink where more was.

    Args:
        factors: The ones in force; a class that is not named counts 1.
        drawn: Shares that were read, by attribute and class.
        planted: The shares wanted.
    """
    result: Factors = {}
    for attribute, shares in drawn.items():
        wanted, old = planted.shares(attribute), factors.get(attribute, {})
        result[attribute] = {}
        for name, share in shares.items():
            missed = wanted[name] / max(share, 0.5 / DRAWN)
            factor = old.get(name, 1.0) * missed**STEADINESS
            result[attribute][name] = min(max(factor, 1 / LIMIT), LIMIT)
    return result
