"""Trained parts as a stock pipeline of diffusers, its contact sheet and its folder."""

import json
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
from transformers import CLIPTokenizer

from models.portraits.train import architectures
from models.portraits.train.objective import Velocity


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
