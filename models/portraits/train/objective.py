"""What the diffusion models learn: the velocity, at all noise levels of the schedule.

Velocity: Salimans and Ho 2022, arXiv:2202.00512. Weight: min-SNR, Hang et al. 2023,
arXiv:2303.09556, lifted where all is noise.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.portraits.train import architectures

SNR_CAP = 5.0
SNR_FLOOR = 0.3
"""Keeps the weight from vanishing where all is noise. There shares are decided and captions matter
most; without it the first step of the sampler would be all but untrained."""


def weight(snr: Tensor) -> Tensor:
    """Return the weight of a velocity error at a signal-to-noise ratio, both of any shape."""
    return (snr + SNR_FLOOR).clamp(max=SNR_CAP) / (snr + 1)


class Velocity(nn.Module):
    """A U-Net, with its text encoder where there is one, trained to predict the velocity."""

    def __init__(self, unet: nn.Module, text_encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder
        self.alphas = architectures.scheduler().alphas_cumprod

    def forward(
        self, latents: Tensor, tokens: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        """Return the weighted loss of a batch of clean latents [N, C, H, W]."""
        n = len(latents)
        # Stratified over the batch: the loss varies far more between steps than between images.
        u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
        steps = (u * len(self.alphas)).long()
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        a = self.alphas[steps].to(latents.device).view(-1, 1, 1, 1)
        noisy = a.sqrt() * latents + (1 - a).sqrt() * noise
        velocity = a.sqrt() * noise - (1 - a).sqrt() * latents
        context = {}
        if tokens is not None and self.text_encoder is not None:
            context["encoder_hidden_states"] = self.text_encoder(tokens)[0]
        error = self.unet(noisy, steps.to(latents.device), **context).sample - velocity
        mean: Tensor = (weight(a / (1 - a)) * error.square()).mean()
        return mean


def take_over(model: nn.Module, start: Path) -> int:
    """Load what fits by name and shape from another model; return how many tensors.

    Args:
        model: what takes over, in place.
        start: checkpoint of another run, of which the moving average counts, or a pipeline.
    """
    state: Mapping[str, Tensor]
    if start.is_dir():
        unet = load_file(start / "unet" / "diffusion_pytorch_model.safetensors")
        state = {f"unet.{name}": value.float() for name, value in unet.items()}
    else:
        state = torch.load(start, map_location="cpu", weights_only=True)["averaged"]
    own = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return len(fitting)
