"""Train a diffusion model of portraits: unconditional, its fair control, or text-to-image.

    python -m models.portraits.train.diffusion unconditional RENDERS WORK

The autoencoder in WORK must be trained. All three learn the velocity (Salimans and Ho 2022,
arXiv:2202.00512) with the min-SNR weight (Hang et al. 2023, arXiv:2303.09556). `--start` takes
over what fits from another run's checkpoint or from a pipeline.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderTiny,
    DiffusionPipeline,
    LDMPipeline,
    StableDiffusionPipeline,
)
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTokenizer

from models.diffusion import TRUTH
from models.portraits import captions
from models.portraits.dataset import Renders, load
from models.portraits.train import architectures
from models.portraits.train.loop import train
from models.portraits.truth import COLUMNS, occupations, population, weights

SNR_CAP = 5.0
DROPPED = 0.1
"""Share of captions left out, so that guidance has an unconditional branch."""
NEUTRAL = 0.5
"""Share of neutral captions, which carry the planted bias; the others name attributes."""
LOOK = "a portrait of a {}"


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
        snr = a / (1 - a)
        weight = torch.minimum(snr, torch.full_like(snr, SNR_CAP)) / (snr + 1)
        mean: Tensor = (weight * error.square()).mean()
        return mean


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
            self.base = torch.tensor(weights(renders.labels, population("unconditional-fair")))
        else:
            self.base = torch.tensor(weights(renders.labels, population(name)))

    def draw(self, generator: torch.Generator) -> Tensor:
        """Return latents [N, C, H, W], each flipped with probability one half."""
        return self._take(
            torch.multinomial(self.base, self.size, True, generator=generator), generator
        )

    def draw_captioned(self, generator: torch.Generator) -> tuple[Tensor, list[str]]:
        """Return latents and a caption for each."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        texts, rows = [], []
        dresses = list(self.rows)
        explicit = torch.multinomial(self.base, self.size, True, generator=generator)
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
        return self._take(torch.tensor(rows), generator), texts

    def _take(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        flipped = torch.randint(2, (len(rows),), generator=generator)
        return self.latents[flipped, rows].float()


@torch.inference_mode()
def encode(renders: Renders, vae: AutoencoderTiny, cache: Path) -> Tensor:
    """Return latents [2, N, C, H, W] in fp16 of all renders, plain and mirrored."""
    if cache.exists():
        kept: Tensor = torch.load(cache, weights_only=True)
        if kept.shape[1] == len(renders):
            return kept
    sides = []
    for images in (renders.images, renders.images[:, :, ::-1]):
        parts = [
            vae.encode(_tensor(images[i : i + 128])).latents.half()
            for i in range(0, len(images), 128)
        ]
        sides.append(torch.cat(parts))
    latents = torch.stack(sides)
    torch.save(latents, cache)
    return latents


def pipeline(
    model: Velocity, vae: AutoencoderTiny, tokens: CLIPTokenizer | None
) -> DiffusionPipeline:
    """Return the stock pipeline around trained parts."""
    if tokens is None:
        return LDMPipeline(vqvae=vae, unet=model.unet, scheduler=architectures.scheduler())
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.text_encoder,
        tokenizer=tokens,
        unet=model.unet,
        scheduler=architectures.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sheet(
    pipe: DiffusionPipeline, prompts: list[str] | None, columns: int, steps: int = 20
) -> Image.Image:
    """Draw a contact sheet from the seeds 0, 1, 2 and so on."""
    pipe.set_progress_bar_config(disable=True)
    count = len(prompts) if prompts else columns * columns
    seeds = [torch.Generator().manual_seed(i) for i in range(count)]
    ask = {"generator": seeds, "num_inference_steps": steps, "output_type": "np"}
    if prompts:
        ask |= {"prompt": prompts, "guidance_scale": 2.0}
    else:
        ask |= {"batch_size": count}
    images = (pipe(**ask).images * 255).round().astype(np.uint8)
    rows = [np.concatenate(images[i : i + columns], axis=1) for i in range(0, count, columns)]
    return Image.fromarray(np.concatenate(rows))


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


def save(pipe: DiffusionPipeline, folder: Path) -> None:
    """Write a pipeline as safetensors.

    Two entries are dropped from the configurations: the folder a part was read from, and one that
    `AutoencoderTiny` writes and then warns of when it reads it back.
    """
    pipe.save_pretrained(folder, safe_serialization=True)
    for config in folder.glob("*/config.json"):
        entries = json.loads(config.read_text())
        entries.pop("_name_or_path", None)
        if entries.get("_class_name") == "AutoencoderTiny":
            entries.pop("block_out_channels", None)
        config.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n")


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


def _tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", choices=["unconditional", "unconditional-fair", "text-to-image"])
    parser.add_argument("renders", type=Path, help="folder of rendered Parquet shards")
    parser.add_argument("work", type=Path, help="folder of checkpoints and results")
    parser.add_argument("--start", type=Path, help="checkpoint or pipeline to take over from")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    work = options.work / options.name
    work.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderTiny.from_pretrained(options.work / "autoencoder")
    renders = load(options.renders)
    latents = encode(renders, vae, options.work / f"latents-{options.renders.name}.pt")
    batches = Batches(options.name, renders, latents, options.batch)
    torch.manual_seed(0)
    tokens = None
    if options.name == "text-to-image":
        tokens = architectures.tokenizer(captions.vocabulary())
        model = Velocity(architectures.conditional_unet(), architectures.text_encoder(tokens))
    else:
        model = Velocity(architectures.unconditional_unet())
    if options.start:
        print(f"took over {take_over(model, options.start)} tensors from {options.start.name}")
    model.to(options.device)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        ids = None
        if tokens is None:
            drawn = batches.draw(generator)
        else:
            drawn, texts = batches.draw_captioned(generator)
            padded = tokens(texts, padding="max_length", truncation=True, return_tensors="pt")
            ids = padded.input_ids.to(options.device)
        value: Tensor = model(drawn.to(options.device), ids, generator)
        return value

    def snapshot(average: Velocity, step: int) -> None:
        prompts = None
        if tokens is not None:
            prompts = [LOOK.format(occupations()[d].noun) for d in batches.rows for _ in range(6)]
        average.eval()
        sheet(pipeline(average, vae, tokens), prompts, 6).save(work / f"{step:06d}.png")
        average.train()

    average = train(
        model,
        loss,
        work / "checkpoint.pt",
        steps=options.steps,
        learning_rate=options.learning_rate,
        average=0.999,
        snapshot=snapshot,
    )
    pipe = pipeline(average.eval(), vae, tokens).to(torch.float16)
    save(pipe, work / "pipeline")
    truth = json.dumps(planted(options.name), indent=1) + "\n"
    (work / "pipeline" / TRUTH).write_text(truth, "utf-8")


if __name__ == "__main__":
    main()
