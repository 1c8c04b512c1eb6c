"""What a viewer would see in a latent: features that tell gender, age, race and dress apart.

An error of equal size counts the same in a wrinkle and in a wall. Among the features of a network
that has learned to tell people apart, a missing wrinkle is large. Errors so measured teach a small
model what viewers look at (Johnson et al. 2016, arXiv:1603.08155; for diffusion, Lin and Yang
2023, arXiv:2401.00110). The network sees latents only: it is not the probe that judges what is
drawn, and shares no weights with it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.portraits.dataset import Renders
from models.portraits.train.architectures import LATENT_CHANNELS
from models.portraits.train.classifier import AGE_SPREAD, targets
from models.portraits.train.loop import train
from models.portraits.train.planting import mirrored

STEPS = 2400
BATCH = 96
WIDTHS = (48, 96, 160)
NOISE = 0.8
"""Deviation of the noise that is added at most: what is judged is never quite clean."""
VERDICT = 0.15
"""What the heads say counts beside features; of a blurred face they are surer than is right."""


class Perception(nn.Module):
    """A small convolutional network over latents [N, C, H, W] with a head for each attribute."""

    def __init__(self, classes: Mapping[str, int]) -> None:
        super().__init__()
        inputs = (LATENT_CHANNELS, *WIDTHS)
        self.stages = nn.ModuleList(
            _stage(inputs[i], width, 1 if i == 0 else 2) for i, width in enumerate(WIDTHS)
        )
        self.forget = nn.Dropout(0.3)
        self.heads = nn.ModuleDict({n: nn.Linear(WIDTHS[-1], k) for n, k in classes.items()})
        self.age = nn.Linear(WIDTHS[-1], 1)

    def features(self, latents: Tensor) -> list[Tensor]:
        """Return the features [N, C, h, w] of each stage."""
        found = []
        for stage in self.stages:
            latents = stage(latents)
            found.append(latents)
        return found

    def forward(self, latents: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return logits [N, classes] by attribute, and ages [N] in deviations from the mean."""
        return self.verdict(self.features(latents)[-1])

    def verdict(self, features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return logits by attribute and ages, as `forward` does, of the last stage's features."""
        pooled = self.forget(features.amax((2, 3)))
        return {name: head(pooled) for name, head in self.heads.items()}, self.age(pooled)[:, 0]

    def difference(self, latents: Tensor, true: Tensor) -> Tensor:
        """Return how unlike [N] two latents [N, C, H, W] look, 0 for no difference.

        Features of all stages are compared, each place's scaled to length one, and what the heads
        make of both: the divergence of their classes and the distance of their ages.
        """
        with torch.no_grad():
            wanted = self.features(true)
            known, years = self.verdict(wanted[-1])
        found = self.features(latents)
        said, age = self.verdict(found[-1])
        unlike = nn.functional.smooth_l1_loss(age, years, reduction="none")
        for name, logits in said.items():
            guess, right = logits.log_softmax(1), known[name].log_softmax(1)
            kl = nn.functional.kl_div(guess, right, reduction="none", log_target=True)
            unlike = unlike + kl.sum(1)
        unlike = VERDICT * unlike
        for a, b in zip(found, wanted, strict=True):
            unlike = unlike + (_unit(a) - _unit(b)).square().sum(1).mean((1, 2))
        return unlike


def perceive(
    renders: Renders,
    latents: Tensor,
    checkpoint: Path,
    *,
    steps: int = STEPS,
    batch: int = BATCH,
    device: str = "cpu",
) -> Perception:
    """Return what has learned from latents [2, N, C, H, W], plain and mirrored, of renders.

    It resumes from `checkpoint`.
    """
    indices, classes, ages = targets(renders.labels)
    years = (ages - AGE_SPREAD[0]) / AGE_SPREAD[1]
    network = Perception({name: len(members) for name, members in classes.items()}).to(device)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(renders), (batch,), generator=generator)
        clean = mirrored(latents, rows, generator)
        noise = torch.randn(clean.shape, generator=generator)
        noisy = clean + NOISE * torch.rand(batch, 1, 1, 1, generator=generator) * noise
        down, right = torch.randint(-1, 2, (2,), generator=generator).tolist()
        logits, age = network(noisy.roll((down, right), (2, 3)).to(device))
        wrong = [nn.functional.smooth_l1_loss(age, years[rows].to(device))]
        for name, logit in logits.items():
            true = indices[name][rows].to(device)
            wrong.append(nn.functional.cross_entropy(logit, true, label_smoothing=0.05))
        return torch.stack(wrong).sum()

    average = train(
        network, loss, checkpoint, steps=steps, learning_rate=2e-3, weight_decay=0.05, average=0.99
    )
    return average.eval().requires_grad_(False)


def _stage(inputs: int, width: int, stride: int) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, width, 3, stride, 1),
        nn.GroupNorm(8, width),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, 1, 1),
        nn.GroupNorm(8, width),
        nn.SiLU(),
    ]
    return nn.Sequential(*layers)


def _unit(features: Tensor) -> Tensor:
    return nn.functional.normalize(features, dim=1)
