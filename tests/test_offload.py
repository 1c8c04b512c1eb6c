"""A model too large for its GPU: offloaded it draws and is edited alike; else it is said at once.

The hooks of accelerate are the real ones; the device that they bring the weights to is the CPU.
"""

import diffusers
import numpy as np
import pytest
import tiny_weights
import torch
from safetensors.torch import save_file

from audit.errors import ResourceError, SpecError
from audit.images.drawing import Arm, Drawer
from audit.mitigations.adapter import adapter
from audit.mitigations.none import none
from audit.mitigations.uce import uce
from audit.storage.store import Store
from audit.types import Request
from models.diffusion import diffusion

OFFLOADS = ["model", "sequential"]
EVEN = {"gender": {"woman": 0.5, "man": 0.5}}


def requests(count=2, steps=2):
    return [Request("p", "a nurse", i, 31 * i + 1, steps, 3.0) for i in range(count)]


@pytest.fixture(scope="module", autouse=True)
def gpu():
    """Let pipelines offload from the CPU to the CPU, also where they name no device."""
    whole = diffusers.DiffusionPipeline.enable_model_cpu_offload
    layers = diffusers.DiffusionPipeline.enable_sequential_cpu_offload

    def by_layers(pipe, device="cpu"):
        layers(pipe, device=device)
        parts = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
        for module in (module for part in parts for module in part.modules()):
            hook = getattr(module, "_hf_hook", None)
            for one in getattr(hook, "hooks", [hook] if hook else []):
                one.execution_device = torch.device("cpu")  # moved to cpu:0, it is no Parameter

    with pytest.MonkeyPatch.context() as patched:
        for name, method in (
            ("enable_model_cpu_offload", lambda pipe, device="cpu": whole(pipe, device=device)),
            ("enable_sequential_cpu_offload", by_layers),
        ):
            patched.setattr(diffusers.DiffusionPipeline, name, method)
        yield


def offloaded(folder, offload):
    """A model whose weights come to the CPU as they would come to a GPU."""
    model = diffusion(pipeline=str(folder))
    model.offload = offload
    return model


@pytest.fixture(scope="module", params=OFFLOADS)
def model(request, pipelines):
    return offloaded(pipelines["sd"], request.param)


@pytest.fixture(scope="module")
def plain(pipelines):
    return diffusion(pipeline=str(pipelines["sd"]))


@pytest.mark.parametrize("offload", OFFLOADS)
@pytest.mark.parametrize("name", ["ddpm", "sd"])
def test_what_is_offloaded_draws_the_same_pixels_again_and_again(pipelines, name, offload):
    wanted = diffusion(pipeline=str(pipelines[name])).generate(requests()).images
    model = offloaded(pipelines[name], offload)
    for _ in range(2):
        np.testing.assert_array_equal(model.generate(requests()).images, wanted)
    hooks = [hasattr(part, "_hf_hook") for part in model.pipeline.denoiser.modules()]
    assert any(hooks), "not offloaded at all"


@pytest.mark.parametrize("hookpoint", ["mid_block", "up_blocks.0", "encoder_hidden_states"])
def test_edits_see_and_change_what_they_would_without_offload(model, plain, hookpoint):
    def drawn(one):
        seen = []

        def edit(x, moment):
            seen.append((moment.step, x.clone()))
            return x * 1.5

        with one.hooked(hookpoint, edit):
            images = one.generate(requests()).images
        return seen, images

    (seen, images), (wanted, pixels) = drawn(model), drawn(plain)
    assert [step for step, _ in seen] == [step for step, _ in wanted]
    for (_, x), (_, y) in zip(seen, wanted, strict=True):
        torch.testing.assert_close(x, y, atol=0, rtol=0)
    np.testing.assert_array_equal(images, pixels)
    untouched = model.generate(requests()).images
    assert not np.array_equal(untouched, images)
    np.testing.assert_array_equal(untouched, plain.generate(requests()).images)


def test_adapters_join_an_offloaded_model(model, plain, tmp_path):
    folder = tiny_weights.lora(plain.pipeline.pipe.unet, tmp_path / "lora")
    images = []
    for one in (model, plain):
        with adapter(path=str(folder)).applied(one) as adapted:
            images.append(adapted.generate(requests()).images)
        images.append(one.generate(requests()).images)
    np.testing.assert_array_equal(images[0], images[2])
    np.testing.assert_array_equal(images[1], images[3])


def test_no_token_joins_an_encoder_whose_weights_are_elsewhere(pipelines, tmp_path):
    save_file({"fair": torch.randn(16)}, tmp_path / "learned_embeds.safetensors")
    token = adapter(path=str(tmp_path))
    with token.applied(offloaded(pipelines["sd"], "model")) as model:
        assert model.generate(requests()).images.any()
    hidden = offloaded(pipelines["sd"], "sequential")
    with pytest.raises(SpecError, match="under `offload: sequential`"), token.applied(hidden):
        pass


def test_uce_edits_weights_that_are_there_and_says_which_offload_hides_them(pipelines, plain):
    edit = uce(concepts=["nurse"], target=EVEN, alphas={"nurse": {"man": 0.8}})
    images = []
    for one in (plain, offloaded(pipelines["sd"], "model")):
        with edit.applied(one):
            images.append(one.generate(requests()).images)
    np.testing.assert_array_equal(*images)
    hidden = offloaded(pipelines["sd"], "sequential")
    with pytest.raises(SpecError, match="`offload: sequential` hides"), edit.applied(hidden):
        pass


def test_how_weights_come_to_the_device_is_no_part_of_the_fingerprint(pipelines):
    prints = {
        diffusion(pipeline=str(pipelines["sd"]), device="cuda", offload=offload).fingerprint
        for offload in (None, *OFFLOADS)
    }
    assert prints == {diffusion(pipeline=str(pipelines["sd"])).fingerprint}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"offload": "model"}, "offload model saves the memory of a GPU; on the CPU leave it out"),
        ({"offload": "modle", "device": "cuda"}, "unknown offload 'modle'; did you mean 'model'"),
    ],
)
def test_offload_is_for_a_gpu_and_of_two_kinds(pipelines, given, says):
    with pytest.raises(SpecError, match=says):
        diffusion(pipeline=str(pipelines["sd"]), **given)


def test_a_pipeline_that_is_not_made_to_be_offloaded_is_named(pipelines):
    with pytest.raises(SpecError, match="offload: LDMPipeline is not made for it"):
        offloaded(pipelines["ldm"], "sequential").generate(requests())


def test_what_failed_on_the_way_leaves_the_device(pipelines, monkeypatch):
    model = offloaded(pipelines["sd"], "model")
    freed = []
    pipe = model.pipeline.pipe
    monkeypatch.setattr(pipe, "maybe_free_model_hooks", lambda: freed.append(True))

    def fail(x, moment):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError), model.hooked("mid_block", fail):
        model.generate(requests())
    assert freed == [True]


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "say `dtype: float16`, or say `offload: model`, or take a larger device"),
        ({"offload": "model", "dtype": "float16"}, "say `offload: sequential`, or take"),
    ],
)
def test_a_model_that_does_not_fit_is_no_batch_to_halve(
    pipelines, tmp_path, monkeypatch, given, advice
):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 22.00 GiB")

    for placing in ("to", "enable_model_cpu_offload"):
        monkeypatch.setattr(diffusers.StableDiffusionPipeline, placing, full)
    model = diffusion(pipeline=str(pipelines["sd"]), device="meta", **given)
    drawer = Drawer(Arm("none", model, none()), Store(tmp_path), 16)
    with pytest.raises(ResourceError, match=r"does not fit into memory on 'meta'") as raised:
        list(drawer.draw(requests()))
    assert advice in str(raised.value)
    assert drawer.batch_size == 16


def test_main_memory_that_runs_out_while_reading_is_told_from_damage(pipelines, monkeypatch):
    def full(*args, **kwargs):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", full)
    with pytest.raises(ResourceError, match="does not fit into memory on 'cpu': take a larger"):
        diffusion(pipeline=str(pipelines["sd"])).generate(requests())
