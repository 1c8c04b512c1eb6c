"""Renders as the unconditional model draws them: noised up to a step, then drawn to the end.

    python -m models.portraits.redraw RENDERS WORK

What a render shows is kept, and how it is drawn is the model's (SDEdit, Meng et al. 2022,
arXiv:2108.01073). So there are images with known labels that look like generated ones: the readers
of portraits learn from them too, and the error cards of probes are measured on them.
"""

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DiffusionPipeline, DPMSolverMultistepScheduler
from torch import Tensor

from models.portraits.dataset import load
from models.portraits.train.planting import encode

ROOT = "root"
"""Folder, in WORK, of the unconditional model that the others start from."""
STEPS = 20
"""Sampling steps of a whole drawing."""
FIRST = range(11, 17)
"""Where drawing begins, at random: from step 11, when a third of the signal is left, to 16."""
BATCH = 64


def redraw(
    pipe: DiffusionPipeline, latents: Tensor, first: range, generator: torch.Generator
) -> Tensor:
    """Return latents [N, C, H, W] redrawn in batches, each from a step of `first` by chance."""
    parts = []
    for some in torch.split(latents, BATCH):
        at = int(torch.randint(first.start, first.stop, (1,), generator=generator))
        parts.append(redraw_from(pipe, some, at, generator))
    return torch.cat(parts)


@torch.inference_mode()
def redraw_from(
    pipe: DiffusionPipeline, latents: Tensor, first: int, generator: torch.Generator
) -> Tensor:
    """Return latents [N, C, H, W] noised to step `first` of `STEPS` and drawn from there on."""
    scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    scheduler.set_timesteps(STEPS)
    scheduler.set_begin_index(first)
    times = scheduler.timesteps[first:]
    noise = torch.randn(latents.shape, generator=generator).to(latents.device)
    drawn = scheduler.add_noise(latents, noise, times[:1].expand(len(latents)))
    for time in times:
        drawn = scheduler.step(pipe.unet(drawn, time).sample, time, drawn).prev_sample
    found: Tensor = drawn
    return found


def name_of(renders: Path) -> str:
    """Return the name of the file that holds what was redrawn of a folder of renders."""
    return f"redrawn-{renders.name}.pt"


def main() -> None:
    """Redraw some renders and keep rows and latents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("renders", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--images", type=int, default=4000)
    options = parser.parse_args()
    pipe = DiffusionPipeline.from_pretrained(options.work / ROOT / "pipeline")
    pipe = pipe.to(torch.float32)
    renders = load(options.renders)
    vae = AutoencoderTiny.from_pretrained(options.work / "autoencoder")
    latents = encode(renders, vae, options.work)[0]
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(renders), generator=generator)[: options.images]
    drawn = redraw(pipe, latents[rows].float(), FIRST, generator).half()
    torch.save({"rows": rows, "latents": drawn}, options.work / name_of(options.renders))


if __name__ == "__main__":
    main()
