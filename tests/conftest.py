"""Tiny random pipelines of diffusers, built from configuration: nothing is downloaded."""

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

WIDTHS = (8, 16)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three pipelines that draw 16 px: `ddpm`, `ldm` and `sd`."""
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipelines")
    for name, make in (("ddpm", ddpm), ("ldm", ldm), ("sd", stable_diffusion)):
        make().save_pretrained(folder / name, safe_serialization=True)
    return {name: folder / name for name in ("ddpm", "ldm", "sd")}


def unet(channels, size):
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8,
    )


def autoencoder():
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        latent_channels=4,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )


def ddpm():
    from diffusers import DDPMPipeline, DDPMScheduler

    return DDPMPipeline(unet=unet(3, 16), scheduler=DDPMScheduler())


def ldm():
    from diffusers import DPMSolverMultistepScheduler, LDMPipeline

    return LDMPipeline(
        vqvae=autoencoder(), unet=unet(4, 8), scheduler=DPMSolverMultistepScheduler()
    )


def stable_diffusion():
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = [*"abcdefghijklmnopqrstuvwxyz", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {word: i for i, word in enumerate(["<|startoftext|>", "<|endoftext|>", *words])}
    tokens = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    denoiser = UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=WIDTHS,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
    )
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder,
        tokenizer=tokens,
        unet=denoiser,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
