"""Training more often on whom the model draws too seldom.

A small model blurs, and a young face that is blurred looks adult: trained on the planted shares
it draws others. So while it learns it also draws, the classifier says what can be seen, and
renders of a class that comes out too seldom are trained on more often, as boosting does with the
errors of its learners. The planted shares are then what the model draws, not what it was shown.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from diffusers import LDMPipeline

from audit.storage import atomic
from audit.types import Images
from models.portraits.redraw import redraw
from models.portraits.train.planting import decoded
from models.portraits.truth import groups_of_age
from probes.network import PortraitNet, predict

DRAWN = 192
"""Portraits that are read each time."""
STEADINESS = 0.5
"""Power of a correction: so few portraits tell a share to .03, not to be followed whole."""
LIMIT = 5.0
"""How many times its planted share a class can count at most; a fifth of it at least."""

Factors = dict[str, dict[str, float]]
"""What renders of a class count beside their planted share, by attribute and class.

Age counts by `groups_of_age`: with its three classes alone a model that shuns the ends of life
would draw its young at thirty.
"""


class Correction:
    """The factors of one model, kept in a file so that a stopped training goes on with them."""

    def __init__(
        self, wanted: Mapping[str, Mapping[str, float]], classifier: PortraitNet, file: Path
    ) -> None:
        self.wanted = wanted
        self.classifier = classifier
        self.file = file
        self.factors: Factors = json.loads(file.read_text("utf-8")) if file.exists() else {}

    def update(self, pipe: LDMPipeline, step: int) -> None:
        """Draw, read and correct what the next steps are trained on."""
        size, channels = pipe.unet.config.sample_size, pipe.unet.config.in_channels
        nothing = torch.zeros(DRAWN, channels, size, size, device=pipe.unet.device)
        latents = redraw(pipe, nothing, range(1), torch.Generator().manual_seed(step))
        seen = self._read(decoded(latents, pipe.vqvae))
        shares = {a: _shares(seen[a], names) for a, names in self.wanted.items()}
        print(f"  drawn {json.dumps(shares)}", flush=True)
        self.factors = corrected(self.factors, shares, self.wanted)
        atomic.write(self.file, json.dumps(self.factors, indent=1) + "\n")

    def _read(self, portraits: Images) -> dict[str, list[str]]:
        """Return the class that each portrait shows, by attribute."""
        read = predict(self.classifier, portraits)
        seen = {
            attribute: [self.classifier.classes[attribute][k] for k in shown.argmax(1)]
            for attribute, shown in read.probabilities.items()
        }
        return {**seen, "age": groups_of_age(read.values["age"])}


def corrected(
    factors: Factors,
    drawn: Mapping[str, Mapping[str, float]],
    wanted: Mapping[str, Mapping[str, float]],
) -> Factors:
    """Return factors that grow where less was drawn than is wanted and shrink where more was.

    Args:
        factors: The ones in force; a class that is not named counts 1.
        drawn: Shares that were read, by attribute and class.
        wanted: The planted shares.
    """
    result: Factors = {}
    for attribute, shares in drawn.items():
        old = factors.get(attribute, {})
        result[attribute] = {}
        for name, share in shares.items():
            missed = wanted[attribute][name] / max(share, 0.5 / DRAWN)
            factor = old.get(name, 1.0) * missed**STEADINESS
            result[attribute][name] = min(max(factor, 1 / LIMIT), LIMIT)
    return result


def _shares(seen: list[str], names: Iterable[str]) -> dict[str, float]:
    """Return the share of each of `names` among what was `seen`."""
    return {name: seen.count(name) / len(seen) for name in names}
