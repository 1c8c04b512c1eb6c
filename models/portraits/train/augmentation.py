"""What the readers of portraits see while they learn: renders, redrawn, mirrored, shifted, noised.

Half of each batch went through the autoencoder with a little noise in latent space, so that the
classifier and the CLIP read generated images as well as they read renders.
"""

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

LATENT_NOISE = 0.15
"""Largest deviation of the noise added to latents, whose own deviation is 1."""
SHIFT = 3
"""Largest shift in pixels, either way."""


def views(
    images: Tensor, latents: Tensor, vae: AutoencoderTiny, rows: Tensor, generator: torch.Generator
) -> Tensor:
    """Return a batch [N, 3, H, W] in [-1, 1] of the renders at `rows`, the second half redrawn.

    Args:
        images: [M, 3, H, W] uint8, all renders.
        latents: [M, C, h, w], of the same renders.
        vae: Redraws them.
        rows: [N] which renders.
        generator: Of the noise and of the augmentation.
    """
    half = len(rows) // 2
    plain = images[rows[:half]].float() / 127.5 - 1
    redrawn = redraw(vae, latents[rows[half:]].float(), generator)
    return augment(torch.cat([plain, redrawn]), generator)


def redraw(vae: AutoencoderTiny, latents: Tensor, generator: torch.Generator) -> Tensor:
    """Return images [N, 3, H, W] in [-1, 1] decoded from slightly noised latents [N, C, h, w]."""
    strength = LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
    noise = torch.randn(latents.shape, generator=generator)
    with torch.no_grad():
        images: Tensor = vae.decode(latents + strength * noise).sample.clamp(-1, 1)
    return images


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images [N, 3, H, W] in [-1, 1], mirrored, shifted, dimmed and noised at random."""
    mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    images = torch.where(mirrored, images.flip(-1), images)
    dy, dx = torch.randint(2 * SHIFT + 1, (2,), generator=generator).tolist()
    side = images.shape[-1]
    padded = nn.functional.pad(images, (SHIFT,) * 4, mode="replicate")
    images = padded[..., dy : dy + side, dx : dx + side]
    gain = 1 + 0.15 * torch.randn(len(images), 1, 1, 1, generator=generator)
    return (images * gain + 0.03 * torch.randn(images.shape, generator=generator)).clamp(-1, 1)
