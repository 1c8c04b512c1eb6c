"""A model whose mechanism is known, and the probe that reads it: ground truth for discovery.

The state of an image is `noise + lean` [8, 4, 4], a quarter of it shown. At each step a block
writes the positive and the negative parts of its eight channels as sixteen directions, rotated so
that no channel of the activation shows one alone; the state is what is read back from them.
Channel 0 is the class: the image is bright where its mean is positive.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from audit.errors import SpecError
from audit.features.sae import SAE
from audit.types import Drawing, Edit, Moment, Readings, Request, State

STEPS = 4
CHANNELS, SIDE = 8, 4


class PlantedModel:
    fingerprint = "planted"
    hookpoints = {"block": 2 * CHANNELS}
    text_to_image = False

    def __init__(self, lean: float = -0.3) -> None:
        """Draw images of which few are bright if `lean` is negative."""
        generator = torch.Generator().manual_seed(1)
        square = torch.randn(2 * CHANNELS, 2 * CHANNELS, generator=generator)
        self.rotation = torch.linalg.qr(square).Q
        """Columns 0 and 8 are the directions of the bright and of the dark class."""
        self.lean = lean
        self.edits: list[Edit] = []

    def generate(self, requests: Sequence[Request]) -> Drawing:
        noises = []
        for request in requests:
            generator = torch.Generator().manual_seed(request.seed)
            # One number for the image and one a position, so that classes differ and overlap.
            whole = torch.randn(CHANNELS, 1, 1, generator=generator)
            each = torch.randn(CHANNELS, SIDE, SIDE, generator=generator)
            shown = torch.rand(CHANNELS, SIDE, SIDE, generator=generator) < 0.25
            lean = torch.tensor([self.lean] + [0.0] * (CHANNELS - 1))[:, None, None]
            noises.append((0.3 * whole + each + lean) * shown)
        state = torch.stack(noises)
        for step in range(STEPS):
            parts = torch.cat([state.relu(), (-state).relu()], dim=1)
            h = torch.einsum("ij,njyx->niyx", self.rotation, parts)
            for edit in self.edits:
                h = edit(h, Moment(step, STEPS, float(STEPS - step), requests))
            parts = torch.einsum("ij,niyx->njyx", self.rotation, h)
            state = parts[:, :CHANNELS] - parts[:, CHANNELS:]
        light = (state[:, 0].mean((1, 2)) * 9).sigmoid().numpy()
        pixels = np.round(light * 255).astype(np.uint8)
        images = np.broadcast_to(pixels[:, None, None, None], (len(pixels), 8, 8, 3)).copy()
        return Drawing(images, (State.OK,) * len(images))

    @contextmanager
    def hooked(self, hookpoint: str, edit: Edit) -> Iterator[None]:
        if hookpoint not in self.hookpoints:
            raise SpecError(f"unknown hookpoint {hookpoint!r}")
        self.edits.append(edit)
        try:
            yield
        finally:
            self.edits.remove(edit)


class Filtered(PlantedModel):
    """A safety checker makes a third of the images black, which the probe reads as dark."""

    fingerprint = "planted-filtered"

    def generate(self, requests: Sequence[Request]) -> Drawing:
        images = super().generate(requests).images
        stopped = np.array([not self.passes(request) for request in requests])
        images[stopped] = 0
        return Drawing(images, tuple(State.FILTERED if s else State.OK for s in stopped))

    @staticmethod
    def passes(request: Request) -> bool:
        return request.seed % 3 != 0


class PlantedProbe:
    name = "planted"
    fingerprint = "planted-probe"
    classes = {"light": ("dark", "bright")}

    def read(self, images: np.ndarray) -> Readings:
        bright = images.mean(axis=(1, 2, 3)) / 255
        probabilities = np.stack([1 - bright, bright], axis=1).astype(np.float32)
        return Readings(
            {"light": probabilities},
            {"light": (State.OK,) * len(images)},
            np.full(len(images), -1, np.int16),
        )


def planted_model():
    return PlantedModel()


def planted_probe():
    return PlantedProbe()


def requests(count: int, *, first: int = 0) -> list[Request]:
    return [Request("-", "", i, 7919 * (first + i) + 1, STEPS, 1.0) for i in range(count)]


def random_sae(width=12, latents=40, k=5, **options):
    torch.manual_seed(0)
    sae = SAE(width, latents, k, **options)
    with torch.no_grad():
        sae.encoder.normal_()
        sae.encoder_bias.normal_(std=0.1)
        sae.bias.normal_()
    return sae.eval().requires_grad_(False)


def sparse_tokens(count, seed=0, width=16, latents=24, active=3):
    """Tokens that are sums of a few directions, away from the origin and not scaled."""
    torch.manual_seed(7)
    directions = torch.nn.functional.normalize(torch.randn(latents, width), dim=1)
    generator = torch.Generator().manual_seed(seed)
    on = torch.rand(count, latents, generator=generator).topk(active).indices
    codes = torch.zeros(count, latents).scatter(
        1, on, 1 + torch.rand(count, active, generator=generator)
    )
    return 5 * (codes @ directions) + 3, directions
