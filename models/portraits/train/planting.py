"""Training batches that follow the planted truth: latents of renders, and captions of them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderTiny
from torch import Tensor

from audit.storage import atomic
from audit.storage.weights import fingerprint
from audit.types import Images
from models.portraits import captions
from models.portraits.dataset import Renders
from models.portraits.truth import (
    COLUMNS,
    NOMINAL,
    groups_of_age,
    occupations,
    population,
    weights,
)

DROPPED = 0.1
"""Share of captions left out, so that guidance has an unconditional branch."""
BATCH = 128
"""Images that go through the autoencoder at a time."""
NEUTRAL = 0.5
"""Share of neutral captions, which carry the planted bias; the others name attributes."""


class Batches:
    """Draws latents, and captions where there are any, following the planted truth."""

    def __init__(self, name: str, renders: Renders, latents: Tensor, size: int) -> None:
        self.labels = renders.records()
        self.latents = latents
        self.size = size
        if name == "text-to-image":
            dress = renders.labels["occupation"].to_numpy()
            self.rows = {
                d: np.flatnonzero(dress == d) for d in occupations() if (dress == d).any()
            }
            self.weights = {
                d: torch.tensor(weights(renders.labels.iloc[rows], occupations()[d].population))
                for d, rows in self.rows.items()
            }
        even = "unconditional-fair" if name == "text-to-image" else name
        self.planted = torch.tensor(weights(renders.labels, population(even)))
        self.base = self.planted
        shown = {a: list(renders.labels[COLUMNS[a]]) for a in NOMINAL}
        self.shown = {**shown, "age": groups_of_age(renders.labels["age"].to_numpy())}

    def wanted(self) -> dict[str, dict[str, float]]:
        """Return the planted shares by attribute and class, of age by `groups_of_age`."""
        planted = pd.Series(self.planted.numpy())
        return {
            attribute: {str(k): float(v) for k, v in planted.groupby(names).sum().items()}
            for attribute, names in self.shown.items()
        }

    def correct(self, factors: Mapping[str, Mapping[str, float]]) -> None:
        """Let renders count `factors` times their planted share, as in `wanted`."""
        counts = torch.ones_like(self.planted)
        for attribute, by_class in factors.items():
            names = self.shown[attribute]
            counts *= torch.tensor([by_class[name] for name in names], dtype=counts.dtype)
        self.base = self.planted * counts

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return latents [N, C, H, W], each flipped with probability one half."""
        rows = torch.multinomial(self.base, self.size, True, generator=generator)
        return mirrored(self.latents, rows, generator)

    def draw_captioned(self, generator: torch.Generator) -> tuple[Tensor, list[str]]:
        """Return latents and a caption for each."""
        rows, texts = self.captioned(self.size, generator)
        return mirrored(self.latents, rows, generator), texts

    def captioned(self, count: int, generator: torch.Generator) -> tuple[Tensor, list[str]]:
        """Return `count` renders, as rows, and a caption for each."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        texts, rows = [], []
        dresses = list(self.rows)
        explicit = torch.multinomial(self.base, count, True, generator=generator)
        for row in explicit.tolist():
            if rng.random() < NEUTRAL:
                dress = dresses[rng.integers(len(dresses))]
                chosen = int(torch.multinomial(self.weights[dress], 1, generator=generator))
                row = int(self.rows[dress][chosen])
                text = captions.neutral(dress, rng)
            else:
                text = captions.explicit(self.labels[row], rng)
            rows.append(row)
            texts.append("" if rng.random() < DROPPED else text)
        return torch.tensor(rows), texts


def mirrored(latents: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Take rows [N] of latents [2, ...], plain and mirrored, either with probability one half."""
    flipped = torch.randint(2, (len(rows),), generator=generator)
    return latents[flipped, rows].float()


def planted(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return the planted shares: neutral caption, or "" without captions -> attribute -> class."""
    told = {"": population(name)} if name != "text-to-image" else captions.populations()
    return {
        prompt: {
            attribute: {c: round(share, 6) for c, share in people.shares(attribute).items()}
            for attribute in COLUMNS
        }
        for prompt, people in told.items()
    }


@torch.inference_mode()
def encode(renders: Renders, vae: AutoencoderTiny, work: Path) -> Tensor:
    """Return latents [2, N, C, H, W] in fp16 of all renders, plain and mirrored.

    They are kept in `work/latents-<digest>.pt`, of the pixels and of the encoder: renders made
    again under the same name, or an autoencoder trained anew, have latents of their own.
    """
    weights_of = (tensor.numpy().tobytes() for tensor in vae.encoder.state_dict().values())
    cache = work / f"latents-{fingerprint(renders.images.tobytes(), *weights_of)}.pt"
    if cache.exists():
        kept: Tensor = torch.load(cache, weights_only=True)
        return kept
    sides = (renders.images, renders.images[:, :, ::-1])
    latents = torch.stack([encoded(images, vae).half() for images in sides])
    with atomic.replacing(cache) as part:
        torch.save(latents, part)
    return latents


@torch.inference_mode()
def encoded(images: Images, vae: AutoencoderTiny) -> Tensor:
    """Return the latents [N, C, h, w] of images [N, H, W, 3]."""
    parts = []
    for start in range(0, len(images), BATCH):
        some = np.ascontiguousarray(images[start : start + BATCH])
        plain = torch.from_numpy(some).permute(0, 3, 1, 2).float()
        parts.append(vae.encode(plain / 127.5 - 1).latents)
    return torch.cat(parts)


@torch.inference_mode()
def decoded(latents: Tensor, vae: AutoencoderTiny) -> Images:
    """Return the images [N, H, W, 3] of latents [N, C, h, w]."""
    parts = []
    for some in torch.split(latents, BATCH):
        plain = vae.decode(some).sample.clamp(-1, 1).permute(0, 2, 3, 1)
        parts.append(((plain + 1) * 127.5).round().byte().cpu().numpy())
    return np.concatenate(parts)
