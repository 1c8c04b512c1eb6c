"""Train the image autoencoder: 64 px portraits to 16 x 16 latents with unit variance, and back.

When the latents are settled the decoder alone learns on: from latents with noise, as a diffusion
model leaves it, and with an eye for the lines of a face.
"""

from pathlib import Path

import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch import Tensor, nn

from models.portraits.dataset import load
from models.portraits.train.arguments import recipe
from models.portraits.train.loop import take_over, train
from models.portraits.train.objective import emphasis

CHANNELS = 8
CROP = 32
NOISE = 0.05
DECODER_STEPS = 10_000
DECODER_BATCH = 8
DECODER_NOISE = 0.2
"""Deviation of the noise that the decoder alone learns with, at most."""
LINES = 0.25
"""What its error in lines counts beside `distance`."""
GREY = (0.299, 0.587, 0.114)
FAINT = 1e-3
"""Mean square of differences, in [-1, 1], below which a place counts as even."""


class Standardised(nn.Module):
    """An autoencoder whose latents are batch-normalised while it trains.

    Diffusion wants latents of zero mean and unit variance in every channel. A stock pipeline knows
    one scalar only, so the statistics are learned here and folded into the encoder's last layer.
    """

    def __init__(self, vae: AutoencoderTiny) -> None:
        super().__init__()
        self.vae = vae
        self.norm = nn.BatchNorm2d(CHANNELS, affine=False, momentum=0.05)

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        """Reconstruct `images` [N, 3, H, W] in [-1, 1]; `noise` keeps the decoder robust."""
        latents = self.norm(self.vae.encode(images).latents)
        redrawn: Tensor = self.vae.decode(latents + noise).sample
        return redrawn

    def folded(self) -> AutoencoderTiny:
        """Return the autoencoder with the statistics folded into its encoder."""
        last = self.vae.encoder.layers[-1]
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None, "batch norms track their statistics by default"
        scale = torch.rsqrt(self.norm.running_var + self.norm.eps)
        with torch.no_grad():
            last.weight.mul_(scale[:, None, None, None])
            last.bias.sub_(self.norm.running_mean).mul_(scale)
        return self.vae


def build() -> AutoencoderTiny:
    """Return the untrained autoencoder: 0.4 M parameters, most of them at low resolution."""
    return AutoencoderTiny(
        encoder_block_out_channels=(32, 32, 32),
        decoder_block_out_channels=(32, 32, 32),
        num_encoder_blocks=(0, 1, 3),
        num_decoder_blocks=(4, 2, 0),
        latent_channels=CHANNELS,
        upsampling_scaling_factor=2,
        scaling_factor=1.0,
    )


def distance(a: Tensor, b: Tensor) -> Tensor:
    """L1 distance of images, of their colours at a quarter of the size, and of their differences.

    Edges carry the face; without the coarse term flat backgrounds and shirts fade to grey.
    """
    error = a - b
    flat = error.abs().mean()
    coarse = nn.functional.avg_pool2d(error, 4).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    return flat + 2 * coarse + 0.5 * (down + across)


def lines(a: Tensor, b: Tensor) -> Tensor:
    """Error of `a` in the lines of `b`, both [N, 3, H, W], in units of their strength around.

    A faint eye in shadow counts like one in full light, and faces count most: so do those who
    look for a face by the directions of its lines.
    """
    drawn, true = _slopes(a), _slopes(b)
    strength = nn.functional.avg_pool2d(
        true.square().sum(1, keepdim=True), 9, 1, 4, count_include_pad=False
    )
    places = nn.functional.interpolate(emphasis(16, 16)[None, None], a.shape[-2:])[..., 1:, 1:]
    return ((drawn - true).abs() / (strength + FAINT).sqrt() * places.to(a.device)).mean()


def _slopes(images: Tensor) -> Tensor:
    """Return how much greys [N, 2, H - 1, W - 1] differ downwards and to the right."""
    grey = torch.einsum("nchw,c->nhw", images, images.new_tensor(GREY))
    corner = grey[:, :-1, :-1]
    return torch.stack([grey[:, 1:, :-1] - corner, grey[:, :-1, 1:] - corner], 1)


def refine(vae: AutoencoderTiny, images: Tensor, checkpoint: Path, *, steps: int) -> None:
    """Train the decoder alone, in place; latents stay what they are.

    Args:
        vae: Trained.
        images: [N, 3, H, W] bytes.
        checkpoint: To go on from and to write to.
        steps: In all.
    """
    device = vae.device

    def loss(step: int, generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(images), (DECODER_BATCH,), generator=generator)
        true = (images[rows].float() / 127.5 - 1).to(device)
        if torch.rand((), generator=generator) < 0.5:
            true = true.flip(3)
        with torch.no_grad():
            latents = vae.encode(true).latents
        strength = DECODER_NOISE * torch.rand(len(rows), 1, 1, 1, generator=generator)
        noise = strength * torch.randn(latents.shape, generator=generator)
        drawn = decoder(latents + noise.to(device))
        return distance(drawn, true) + LINES * lines(drawn, true)

    decoder = vae.decoder
    vae.decoder = train(
        decoder, loss, checkpoint, steps=steps, learning_rate=8e-4, weight_decay=0.0,
        warmup=50, average=0.99,
    ).eval()  # fmt: skip


def main() -> None:
    """Run the recipe."""
    options = recipe(__doc__, steps=9000, batch=32, learning_rate=1.5e-3).parse_args()
    renders = load(options.renders)
    images = torch.from_numpy(renders.images).permute(0, 3, 1, 2)
    torch.manual_seed(0)
    model = Standardised(build())
    if options.start:
        take_over(model, options.start, "vae.")
    model = model.to(options.device).to(memory_format=torch.channels_last)
    held = (images[-256:].float() / 127.5 - 1).to(options.device)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        """Return the distance on crops, and in the last tenth of the steps on whole images.

        Crops are cheap and show detail; what only a whole shows, such as the padding at its
        borders, is learnt at the end, from a quarter as many.
        """
        whole = step >= options.steps * 0.9
        n = options.batch // 4 if whole else options.batch
        rows = torch.randint(len(images) - 1024, (n,), generator=generator)
        batch = images[rows]
        if not whole:
            y, x = torch.randint(64 - CROP + 1, (2, n), generator=generator).tolist()
            crops = zip(batch, y, x, strict=True)
            batch = torch.stack([b[:, i : i + CROP, j : j + CROP] for b, i, j in crops])
        batch = (batch.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        side = batch.shape[-1] // 4
        noise = NOISE * torch.randn(n, CHANNELS, side, side, generator=generator)
        batch, noise = batch.to(options.device), noise.to(options.device)
        return distance(model(batch, noise), batch)

    def snapshot(average: Standardised, step: int) -> None:
        average.eval()
        with torch.inference_mode():
            out = average(held, held.new_zeros(1)).clamp(-1, 1)
        average.train()
        mse = ((out - held) / 2).square().mean(dim=(0, 1, 3))
        print(f"  psnr {(-10 * mse.log10()).mean():.2f} dB", flush=True)
        pair = torch.cat([held[:16], out[:16]])
        grid = pair.view(2, 16, 3, 64, 64).permute(0, 3, 1, 4, 2).reshape(128, 1024, 3)
        pixels = ((grid + 1) * 127.5).byte().cpu().numpy()
        Image.fromarray(pixels).save(options.work / "autoencoder.png")

    options.work.mkdir(parents=True, exist_ok=True)
    average = train(
        model,
        loss,
        options.work / "autoencoder.pt",
        steps=options.steps,
        learning_rate=options.learning_rate,
        snapshot=snapshot,
        weight_decay=0.0,
    )
    vae = average.eval().folded()
    refine(vae, images[:-1024], options.work / "decoder.pt", steps=DECODER_STEPS)
    vae.save_pretrained(options.work / "autoencoder")


if __name__ == "__main__":
    main()
