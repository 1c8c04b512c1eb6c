"""Asyrp in one pass against two full passes and the published update (check 15).

That is at eta 0, the only one that a pipeline is drawn with here; check 14 is of eta 1.
"""

import numpy as np
import pytest
import torch
from conftest import ldm, stable_diffusion
from planted import PlantedModel

from audit.errors import SpecError
from audit.features.asyrp import split
from audit.types import Request
from models.diffusion import diffusion

STEPS, GUIDANCE = 5, 3.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of an unconditional and of a guided pipeline, with DDIM that does not clip."""
    from diffusers import DDIMScheduler

    torch.manual_seed(0)
    home = tmp_path_factory.mktemp("ddim")
    for name, pipe in (("ldm", ldm()), ("sd", stable_diffusion())):
        with torch.no_grad():  # so that what an untrained network says shows in the pixels
            pipe.unet.conv_out.weight.mul_(20)
        pipe.scheduler = DDIMScheduler(clip_sample=False, steps_offset=1)
        pipe.save_pretrained(home / name)
    return home


def asked(count=2):
    return [Request("p", "ab", i, i + 1, STEPS, GUIDANCE) for i in range(count)]


def push(x, moment):
    """Skips the first step, so that edited and plain steps are mixed."""
    return x if moment.step == 0 else 0.1 - 2 * x


def by_two_passes(model, requests):
    """Draw by the published update, with the whole U-Net run twice at every step."""
    scheduler = model.pipeline.pipe.scheduler
    original = type(scheduler).step
    called = {}

    def note(module, args, kwargs):
        called.setdefault("arguments", (args, kwargs))

    @torch.no_grad()
    def output(changed):
        """Run the U-Net once more with the arguments of this step, and guide."""
        args, kwargs = called["arguments"]
        n = len(requests)

        def edit(module, inputs, x):
            return torch.cat([x[:-n], 0.1 - 2 * x[-n:]]) if changed else x

        hook = model.pipeline.denoiser.mid_block.register_forward_hook(edit)
        out = model.pipeline.denoiser(*args, **{**kwargs, "return_dict": False})[0]
        hook.remove()
        if not model.text_to_image:
            return out
        free, conditional = out.chunk(2)
        return free + GUIDANCE * (conditional - free)

    def update(self, first, t, x, *args, return_dict=True, **kwargs):
        noise, changed = output(False), output(int(t) != int(scheduler.timesteps[0]))
        called.clear()
        before = int(t) - scheduler.config.num_train_timesteps // STEPS
        now = scheduler.alphas_cumprod[int(t)]
        then = scheduler.alphas_cumprod[before] if before >= 0 else scheduler.final_alpha_cumprod
        image = (x - (1 - now).sqrt() * changed) / now.sqrt()
        following = then.sqrt() * image + (1 - then).sqrt() * noise
        result = original(self, first, t, x, *args, return_dict=True, **kwargs)
        result.prev_sample = following
        return result if return_dict else (following,)

    handle = model.pipeline.denoiser.register_forward_pre_hook(note, with_kwargs=True)
    type(scheduler).step = update
    try:
        return model.generate(requests).images
    finally:
        type(scheduler).step = original
        handle.remove()


@pytest.mark.parametrize("name", ["ldm", "sd"])
def test_15_one_pass_is_two_passes(folders, name):
    model = diffusion(pipeline=str(folders / name))
    plain = model.generate(asked()).images
    with split(model, push):
        ours = model.generate(asked()).images
    theirs = by_two_passes(model, asked())
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
    with model.hooked("mid_block", push):
        direct = model.generate(asked()).images
    assert np.abs(ours.astype(int) - direct.astype(int)).max() > 3, "it is not the direct edit"
    assert np.array_equal(model.generate(asked()).images, plain), "no hook is left"
    with split(model, lambda x, moment: x):
        assert np.array_equal(model.generate(asked()).images, plain)


@pytest.mark.parametrize(("name", "images"), [("ldm", 2), ("sd", 4)])
def test_the_first_half_runs_once_and_the_unconditional_rows_once(folders, name, images):
    """Of 2 images 4 rows under guidance; from the middle on the 2 edited ones in addition.

    Every block is called once a step: what runs twice does so as rows of one call.
    """
    model = diffusion(pipeline=str(folders / name))
    unet = model.pipeline.denoiser
    rows = {}

    def counted(block):
        def count(module, args, kwargs):
            given = args[0] if args else kwargs["hidden_states"]
            rows.setdefault(block, []).append(len(given))

        return count

    first = ["conv_in", *(f"down_blocks.{i}" for i in range(len(unet.down_blocks))), "mid_block"]
    second = [*(f"up_blocks.{i}" for i in range(len(unet.up_blocks))), "conv_out"]
    handles = [
        unet.get_submodule(block).register_forward_pre_hook(counted(block), with_kwargs=True)
        for block in first + second
    ]
    with split(model, push):
        model.generate(asked())
    for handle in handles:
        handle.remove()
    assert {tuple(rows[block]) for block in first} == {(images,) * STEPS}
    assert {tuple(rows[block]) for block in second} == {(images, *[images + 2] * (STEPS - 1))}


def test_what_cannot_be_split_is_said(folders, pipelines):
    for model, reason in (
        (PlantedModel(), "needs a pipeline of diffusers"),
        (diffusion(pipeline=str(pipelines["ldm"])), "DDIMScheduler, not DPMSolver"),
        (diffusion(pipeline=str(pipelines["ldm"]), scheduler="DDIMScheduler"), "does not clip"),
    ):
        with pytest.raises(SpecError, match=reason), split(model, push):
            pass
