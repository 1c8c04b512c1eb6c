"""What the diffusion models learn: the velocity, most of all when and where faces are drawn.

Velocity: Salimans and Ho 2022, arXiv:2202.00512. Weight: the cap of min-SNR, Hang et al. 2023,
arXiv:2303.09556.
"""

import torch
from torch import Tensor, nn

from models.portraits.train import architectures
from models.portraits.train.perception import Perception

SNR_CAP = 5.0
FACES = (0.2, 0.65)
"""The part of the steps in which a composition becomes a face."""
OFTEN = 0.6
"""Share of the draws that go there; the others are spread evenly over all steps."""
FACE = slice(3, 12), slice(4, 12)
"""Rows and columns of the latents in which faces lie."""
EMPHASIS = 4.0
"""How much more an error counts there than elsewhere."""
LOOKS = 3.0
"""What a difference in looks counts beside the error of the velocity."""


def weight(snr: Tensor) -> Tensor:
    """Return the weight of a velocity error at a signal-to-noise ratio, both of any shape.

    Min-SNR takes the weight off the steps where little noise is left. Where all is noise it would
    take it away as well; there shares are decided and captions matter most, so there it stays 1.
    """
    return (SNR_CAP / (snr + 1)).clamp(max=1)


def levels(u: Tensor) -> Tensor:
    """Spread numbers in [0, 1) over the steps, 0 the cleanest and 1 all noise, as `FACES` says.

    How often a step is drawn changes what is learned first, not what would be learned in the end.
    """
    low, high = FACES
    faces = low + (high - low) * u / OFTEN
    return torch.where(u < OFTEN, faces, (u - OFTEN) / (1 - OFTEN))


def emphasis(height: int, width: int) -> Tensor:
    """Return the weight of each place of a latent, [height, width] with mean one.

    Dress and background vary more than faces and would have most of the gradient. A weight of
    places changes what is learned first, not what would be learned in the end.
    """
    weights = torch.ones(height, width)
    weights[FACE] = EMPHASIS
    return weights / weights.mean()


class Velocity(nn.Module):
    """A U-Net, with its text encoder where there is one, trained to predict the velocity.

    With a `perception` the portrait that the velocity implies shall also look like the true one.
    It counts by the share of signal: where all is noise the best guess is an average of many
    people, which looks like nobody and should.
    """

    def __init__(
        self,
        unet: nn.Module,
        text_encoder: nn.Module | None = None,
        perception: Perception | None = None,
    ) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        self.looks = perception.difference if perception is not None else None
        self.alphas = architectures.scheduler().alphas_cumprod

    def forward(
        self, latents: Tensor, tokens: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Return the weighted loss of a batch of clean latents [N, C, H, W]."""
        n = len(latents)
        # Stratified over the batch: the loss varies far more between steps than between images.
        u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
        steps = (levels(u) * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        a = self.alphas[steps].to(latents.device).view(-1, 1, 1, 1)
        noisy = a.sqrt() * latents + (1 - a).sqrt() * noise
        velocity = a.sqrt() * noise - (1 - a).sqrt() * latents
        context = {}
        if tokens is not None and self.text_encoder is not None:
            context["encoder_hidden_states"] = self.text_encoder(tokens)[0]
        drawn = self.unet(noisy, steps.to(latents.device), **context).sample
        places = emphasis(*latents.shape[-2:]).to(latents.device)
        loss: Tensor = (weight(a / (1 - a)) * places * (drawn - velocity).square()).mean()
        if self.looks is not None:
            portrait = a.sqrt() * noisy - (1 - a).sqrt() * drawn
            loss = loss + LOOKS * (a.flatten() * self.looks(portrait, latents)).mean()
        return loss
