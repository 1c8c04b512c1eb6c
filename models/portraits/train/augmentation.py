"""What the readers of portraits see while they learn: renders, redrawn, mirrored, shifted, noised.

Half of each batch went through the autoencoder with a little noise in latent space, and half of
these were redrawn by the unconditional model first, so that the classifier and the CLIP read
generated images as well as they read renders.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn

from models.portraits.dataset import load
from models.portraits.redraw import name_of
from models.portraits.train.planting import encode

LATENT_NOISE = 0.15
"""Largest deviation of the noise added to latents, whose own deviation is 1."""
SHIFT = 3
"""Largest shift in pixels, either way."""


class Views:
    """Renders, and how the readers see them; the last ones are held out to watch progress on.

    Args:
        renders: Folder of rendered shards.
        work: Folder with the autoencoder, with what the unconditional model redrew, and with the
            latents once they are computed.
        held_out: How many are held out.
        device: Where images are wanted.
    """

    def __init__(self, renders: Path, work: Path, held_out: int, device: str) -> None:
        self.renders = load(renders)
        self.vae = AutoencoderTiny.from_pretrained(work / "autoencoder")
        self.latents = encode(self.renders, self.vae, work)[0]
        self.images = torch.from_numpy(self.renders.images).permute(0, 3, 1, 2)
        self.count = len(self.renders) - held_out
        kept = torch.load(work / name_of(renders), weights_only=True)
        learnt = kept["rows"] < self.count
        self.redrawn = kept["rows"][learnt], kept["latents"][learnt]
        self.device = device

    def draw(self, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rows [N] of renders, and how they are seen, [N, 3, H, W] in [-1, 1]."""
        rows = torch.randint(self.count, (size - size // 4,), generator=generator)
        known, latents = self.redrawn
        chosen = torch.randint(len(known), (size // 4,), generator=generator)
        half = size // 2
        through = torch.cat([self.latents[rows[half:]], latents[chosen]]).float()
        seen = torch.cat([self._plain(rows[:half]), decode(self.vae, through, generator)])
        return torch.cat([rows, known[chosen]]), augment(seen, generator).to(self.device)

    def held(self) -> Tensor:
        """Return the renders held out, [M, 3, H, W] in [-1, 1], as they are."""
        return self._plain(torch.arange(self.count, len(self.images))).to(self.device)

    def _plain(self, rows: Tensor) -> Tensor:
        return self.images[rows].float() / 127.5 - 1


def decode(vae: AutoencoderTiny, latents: Tensor, generator: torch.Generator) -> Tensor:
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
