"""Pipelines of transformers: edited where it is known how, else drawn with and not edited."""

import diffusers
import numpy as np
import pytest
import torch
from conftest import autoencoder as tiny_autoencoder

from audit.errors import SpecError
from audit.types import Request
from models.hookpoints import hookpoints
from models.pipeline import PipelineModel

TEXT, TOKENS, PIXELS, WIDTH = 32, 12, 32, 32
"""Channels and tokens of a prompt, side of an image, and channels of every denoiser."""
JOINT = {"joint_attention_dim": TEXT, "pooled_projection_dim": TEXT}
"""How the transformers that run on image and text together are told of the prompt."""
SHAPE = {
    "sample_size": PIXELS // 2,
    "in_channels": 4,
    "num_layers": 2,
    "attention_head_dim": 8,
    "num_attention_heads": WIDTH // 8,
}


def requests(n, guidance=3.0):
    return [Request("p", "a cook", i, i, 2, guidance) for i in range(n)]


def autoencoder():
    return diffusers.AutoencoderKL(
        block_out_channels=[8, 8],
        latent_channels=4,
        norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        sample_size=16,
        shift_factor=0.0,
        scaling_factor=1.0,
    )


class Flux(diffusers.FluxPipeline):
    """Flux without text encoders: every prompt is embedded alike."""

    def encode_prompt(self, prompt, **_):
        embedded = torch.ones(len(prompt), TOKENS, TEXT)
        return embedded, torch.zeros(len(prompt), TEXT), torch.zeros(TOKENS, 3)


def flux(**config):
    torch.manual_seed(0)
    denoiser = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=2,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=WIDTH // 16,
        axes_dims_rope=[4, 4, 8],
        **JOINT,
        **config,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = Flux(scheduler, autoencoder(), None, None, None, None, denoiser)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def said(prompt, **_):
    """Return embedded prompts, and embedded negative prompts, which are others."""
    embedded = torch.ones(len(prompt), TOKENS, TEXT)
    return embedded, -embedded


class SD3(diffusers.StableDiffusion3Pipeline):
    def encode_prompt(self, prompt, **_):
        pooled = torch.ones(len(prompt), TEXT)
        return (*said(prompt), pooled, -pooled)


class Masked:
    """What PixArt and Sana share; drawn in the size asked for, not in one they were trained on."""

    def encode_prompt(self, prompt, *_, **__):
        embedded, negative = said(prompt)
        mask = torch.ones(len(prompt), TOKENS)
        return embedded, mask, negative, mask

    def __call__(self, prompt=None, guidance_scale=1.0, height=None, width=None, **given):
        given |= {"guidance_scale": guidance_scale, "height": height, "width": width}
        return super().__call__(prompt, use_resolution_binning=False, **given)


class PixArt(Masked, diffusers.PixArtAlphaPipeline):
    pass


class Sana(Masked, diffusers.SanaPipeline):
    pass


def sd3():
    denoiser = diffusers.SD3Transformer2DModel(
        **SHAPE,
        **JOINT,
        out_channels=4,
        caption_projection_dim=WIDTH,
        pos_embed_max_size=PIXELS // 2,
    )
    encoders = [f"{kind}{i}" for kind in ("text_encoder", "tokenizer") for i in ("", "_2", "_3")]
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return SD3(denoiser, scheduler, autoencoder(), **dict.fromkeys(encoders))


def pixart():
    denoiser = diffusers.PixArtTransformer2DModel(
        **SHAPE,
        out_channels=8,
        cross_attention_dim=WIDTH,
        caption_channels=TEXT,
        use_additional_conditions=False,
    )
    return PixArt(None, None, autoencoder(), denoiser, diffusers.DDIMScheduler(steps_offset=1))


def sana():
    denoiser = diffusers.SanaTransformer2DModel(
        **SHAPE,
        out_channels=4,
        patch_size=1,
        num_cross_attention_heads=SHAPE["num_attention_heads"],
        cross_attention_head_dim=SHAPE["attention_head_dim"],
        cross_attention_dim=WIDTH,
        caption_channels=TEXT,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return Sana(None, None, tiny_autoencoder(), denoiser, scheduler)


@pytest.mark.parametrize(("make", "tokens"), [(sd3, 64), (pixart, 64), (sana, 256)])
def test_the_conditional_rows_of_the_image_stream_are_handed_over(make, tokens):
    torch.manual_seed(0)
    pipe = make()
    pipe.set_progress_bar_config(disable=True)
    model = PipelineModel(pipe, size=PIXELS)
    assert next(iter(model.hookpoints)) == "transformer_blocks.1"
    for hookpoint in model.hookpoints:
        rows = {}
        for guidance in (1.0, 5.0):

            def record(x, moment, key=guidance, kept=rows):
                kept.setdefault(key, x.clone())
                return x

            with model.hooked(hookpoint, record):
                model.generate(requests(2, guidance=guidance))
        seen = TOKENS if hookpoint == "encoder_hidden_states" else tokens
        assert rows[1.0].shape == (2, seen, WIDTH)
        # At the first step the latents are the same noise, so the conditional rows must agree.
        torch.testing.assert_close(rows[1.0], rows[5.0])


def test_the_image_stream_of_flux_is_edited():
    model = PipelineModel(flux(guidance_embeds=True), size=PIXELS)
    assert set(model.hookpoints.values()) == {WIDTH}
    plain = model.generate(requests(2)).images
    for hookpoint in model.hookpoints:
        tokens = TOKENS if hookpoint == "encoder_hidden_states" else (PIXELS // 4) ** 2
        shapes = []

        def push(x, moment, shapes=shapes):
            shapes.append((moment.step, tuple(x.shape)))
            return x + torch.arange(x.shape[-1])  # a norm would take off what is even

        with model.hooked(hookpoint, push):
            pushed = model.generate(requests(2)).images
        assert shapes == [(0, (2, tokens, WIDTH)), (1, (2, tokens, WIDTH))]
        assert (pushed != plain).any()


def test_steps_whose_timesteps_bfloat16_rounds_to_the_same_are_told_apart():
    """Flux rounds and divides them in bfloat16, whose numbers below 1000 are 4 apart."""

    class Half(Flux):
        def encode_prompt(self, prompt, **_):
            return tuple(part.bfloat16() for part in super().encode_prompt(prompt))

    pipe = flux(guidance_embeds=True).to("cpu", torch.bfloat16)
    pipe.__class__ = Half
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=12.0)
    model, moments = PipelineModel(pipe, size=PIXELS), []

    def note(x, moment):
        moments.append(moment)
        return x

    with model.hooked("transformer_blocks.1", note):
        for _ in range(2):  # each batch is counted anew
            model.generate([Request("p", "a cook", 0, 0, 50, 3.0)])
    times = pipe.scheduler.timesteps
    assert len(times.bfloat16().unique()) < 50
    assert [moment.step for moment in moments] == [*range(50)] * 2
    assert [moment.timestep for moment in moments] == times.tolist() * 2


def test_what_has_no_effect_is_refused():
    with pytest.raises(SpecError, match="Flux heeds it under true_cfg_scale alone"):
        PipelineModel(flux(), negative_prompt="blurry")
    distilled = PipelineModel(flux(guidance_embeds=False), size=PIXELS)
    assert distilled.generate(requests(1, guidance=1.0)).images.shape == (1, PIXELS, PIXELS, 3)
    with pytest.raises(SpecError, match="takes none; say `guidance_scale: 1`"):
        distilled.generate(requests(1))


def test_a_pipeline_that_guides_in_two_calls_is_not_edited():
    pipe = flux(guidance_embeds=True)

    class Twice(type(pipe.transformer)):
        def __call__(self, *args, **kwargs):
            super().__call__(*args, **kwargs)
            return super().__call__(*args, **kwargs)

    model = PipelineModel(pipe, size=PIXELS)
    plain = model.generate(requests(1)).images
    pipe.transformer.__class__ = Twice
    np.testing.assert_array_equal(model.generate(requests(1)).images, plain)
    with (
        pytest.raises(SpecError, match="calls its denoiser more than once a step"),
        model.hooked("transformer_blocks.1", lambda x, moment: x),
    ):
        model.generate(requests(1))


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "ZImageTransformer2DModel",  # has no num_attention_heads
            {"dim": 32, "n_layers": 1, "n_refiner_layers": 1, "n_heads": 2, "n_kv_heads": 2,
             "cap_feat_dim": 16, "axes_dims": [8, 4, 4], "axes_lens": [16, 16, 16]},
        ),
        (
            "CogView4Transformer2DModel",  # returns (image, text), and guides in two calls
            {"num_layers": 1, "attention_head_dim": 4, "num_attention_heads": 4,
             "text_embed_dim": 32, "time_embed_dim": 8, "condition_dim": 4},
        ),
    ],
)  # fmt: skip
def test_a_transformer_that_is_not_known_is_drawn_with_and_not_edited(name, config):
    with torch.device("meta"):
        denoiser = getattr(diffusers, name)(**config)
    assert hookpoints(denoiser) == {}
    pipe = flux()
    pipe.register_modules(transformer=denoiser)
    model = PipelineModel(pipe)
    assert model.hookpoints == {}
    with (
        pytest.raises(SpecError, match=f"{name} is drawn with and not edited"),
        model.hooked("transformer_blocks.0", lambda x, moment: x),
    ):
        pass


def test_a_pipeline_without_a_denoiser_is_refused():
    pipe = flux()
    pipe.register_modules(transformer=None)
    with pytest.raises(SpecError, match="has neither a U-Net nor a transformer"):
        PipelineModel(pipe)
