"""Any diffusers pipeline draws through one class, and its hookpoints tell the truth."""

import json
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.features.evidence import grid
from audit.types import Model, Request, State
from models.diffusion import diffusion

PROMPTS = ("a doctor", "a nurse", "a cook")


def requests(n, steps=3, guidance=3.0):
    return [
        Request(f"p{i % 3}", PROMPTS[i % 3], i, 7561501971119465061 + i, steps, guidance)
        for i in range(n)
    ]


@pytest.fixture(scope="module", params=["ddpm", "ldm", "sd"])
def model(request, pipelines):
    return diffusion(pipeline=str(pipelines[request.param]))


@pytest.fixture(scope="module")
def sd(pipelines):
    return diffusion(pipeline=str(pipelines["sd"]))


def test_satisfies_the_protocol(model):
    assert isinstance(model, Model)
    assert next(iter(model.hookpoints.items())) == ("mid_block", 16)
    assert model.hookpoints["down_blocks.0"] == model.hookpoints["up_blocks.1"] == 8


@pytest.mark.parametrize("size", [1, 3, 4, 16])
def test_an_image_does_not_depend_on_its_batch(model, size):
    wanted = requests(16)
    whole = model.generate(wanted).images
    parts = [model.generate(wanted[i : i + size]).images for i in range(0, 16, size)]
    assert np.abs(np.concatenate(parts).astype(int) - whole).max() <= 1
    assert (np.concatenate(parts) == whole).mean() > 0.999
    assert len({image.tobytes() for image in whole}) == 16


def test_an_image_does_not_depend_on_order_or_on_global_random_state(model):
    wanted = requests(4)
    forward = model.generate(wanted).images
    torch.manual_seed(99)
    before = torch.get_rng_state()
    backward = model.generate(wanted[::-1]).images[::-1]
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(forward, backward)


def test_stochastic_schedulers_draw_from_the_images_own_generators(pipelines):
    model = diffusion(pipeline=str(pipelines["ldm"]), scheduler="EulerAncestralDiscreteScheduler")
    wanted = requests(4)
    alone = np.concatenate([model.generate([one]).images for one in wanted])
    np.testing.assert_array_equal(model.generate(wanted).images, alone)


def test_requests_of_several_lengths_keep_their_order(sd):
    wanted = [*requests(2, steps=2), *requests(2, steps=3, guidance=1.0)]
    drawn = sd.generate(wanted)
    np.testing.assert_array_equal(drawn.images[2:], sd.generate(wanted[2:]).images)
    assert drawn.states == (State.OK,) * 4


@pytest.mark.parametrize("edit", [lambda x, moment: x, lambda x, moment: x.clone()])
@pytest.mark.parametrize("hookpoint", ["mid_block", "up_blocks.0", "down_blocks.1.attentions.0"])
def test_an_edit_that_changes_nothing_draws_the_same_pixels(model, edit, hookpoint):
    plain = model.generate(requests(3)).images
    with model.hooked(hookpoint, edit):
        edited = model.generate(requests(3)).images
    np.testing.assert_array_equal(edited, plain)


def test_an_edit_that_changes_something_changes_the_pixels_until_the_block_ends(model):
    plain = model.generate(requests(2)).images
    with model.hooked("mid_block", lambda x, moment: x + 50):
        assert (model.generate(requests(2)).images != plain).any()
    np.testing.assert_array_equal(model.generate(requests(2)).images, plain)


def test_an_edit_that_raises_leaves_no_hook_behind(model):
    def fail(x, moment):
        raise KeyError

    plain = model.generate(requests(2)).images
    with pytest.raises(KeyError), model.hooked("mid_block", fail):
        model.generate(requests(2))
    np.testing.assert_array_equal(model.generate(requests(2)).images, plain)


def test_edits_apply_in_the_order_they_were_hooked(model):
    seen = []

    def double(x, moment):
        return x * 2

    def record(x, moment):
        seen.append(x.clone())
        return x

    with (
        model.hooked("mid_block", record),
        model.hooked("mid_block", double),
        model.hooked("mid_block", record),
    ):
        model.generate(requests(1, steps=1))
    torch.testing.assert_close(seen[1], seen[0] * 2)


def test_an_edit_is_handed_the_conditional_rows_only(sd):
    rows = {}
    for guidance in (1.0, 5.0):

        def record(x, moment, key=guidance):
            rows.setdefault(key, x.clone())
            assert [r.prompt for r in moment.requests] == ["a doctor", "a nurse"]
            return x

        with sd.hooked("mid_block", record):
            sd.generate(requests(2, guidance=guidance))
    # At the first step the latents are the same noise, so the conditional rows must agree.
    torch.testing.assert_close(rows[1.0], rows[5.0])


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        (None, [0, 1, 2, 3]),
        ("HeunDiscreteScheduler", [0, 1, 1, 2, 2, 3, 3]),  # second order: two calls a step
        ("EulerDiscreteScheduler", [0, 1, 2, 3]),  # timesteps that are no integers
    ],
)
def test_calls_at_one_timestep_are_one_step(pipelines, scheduler, steps):
    model = diffusion(pipeline=str(pipelines["sd"]), scheduler=scheduler)
    for _ in range(2):
        moments = []

        def record(x, moment, kept=moments):
            kept.append(moment)
            return x

        with model.hooked("mid_block", record):
            model.generate(requests(1, steps=4))
        assert [moment.step for moment in moments] == steps
        assert {moment.steps for moment in moments} == {4}
        times = [moment.timestep for moment in moments]
        assert times == sorted(times, reverse=True)


def test_an_edit_of_another_shape_is_an_error(model):
    with model.hooked("mid_block", lambda x, moment: x[:, :1]), pytest.raises(InputError):
        model.generate(requests(1))


def test_nan_is_failed_and_a_flat_image_is_blank(sd):
    with sd.hooked("up_blocks.1", lambda x, moment: x * float("nan")):
        assert sd.generate(requests(1)).states == (State.FAILED,)

    decode = sd.pipeline.pipe.vae.decode
    sd.pipeline.pipe.vae.decode = lambda *args, **kwargs: (decode(*args, **kwargs)[0] * 0,)
    try:
        assert sd.generate(requests(1)).states == (State.BLANK,)
    finally:
        del sd.pipeline.pipe.vae.decode


def test_what_a_safety_checker_replaced_is_filtered(sd):
    run_safety_checker = sd.pipeline.pipe.run_safety_checker
    sd.pipeline.pipe.run_safety_checker = lambda image, *_: (image * 0 - 1, [True] * len(image))
    try:
        assert sd.generate(requests(2)).states == (State.FILTERED,) * 2
    finally:
        sd.pipeline.pipe.run_safety_checker = run_safety_checker


def test_the_fingerprint_follows_what_changes_pixels(pipelines, tmp_path):
    one = diffusion(pipeline=str(pipelines["ldm"]))
    moved = shutil.copytree(pipelines["ldm"], tmp_path / "moved")
    assert diffusion(pipeline=str(moved)).fingerprint == one.fingerprint
    other = diffusion(pipeline=str(moved), scheduler="DDIMScheduler")
    assert other.fingerprint != one.fingerprint
    shutil.copy(
        pipelines["ldm"] / "unet/diffusion_pytorch_model.safetensors",
        moved / "unet/diffusion_pytorch_model.safetensors",
    )
    from safetensors.torch import load_file, save_file

    weights = moved / "unet/diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_in.bias"] += 1
    save_file(tensors, weights, metadata={"format": "pt"})
    assert diffusion(pipeline=str(moved)).fingerprint != one.fingerprint


def test_the_fingerprint_ignores_what_lies_beside_the_weights(pipelines, tmp_path):
    folder = shutil.copytree(pipelines["ldm"], tmp_path / "model")
    unet = folder / "unet"
    weights = (unet / "diffusion_pytorch_model.safetensors").read_bytes()

    def fingerprint(variant=None):
        return diffusion(pipeline=str(folder), variant=variant).fingerprint

    plain, half = fingerprint(), fingerprint("fp16")
    (unet / "diffusion_pytorch_model.non_ema.safetensors").write_bytes(weights)
    (folder / "whole.safetensors").write_bytes(weights)
    (folder / "truth.json").write_text("{}")
    assert (fingerprint(), fingerprint("fp16")) == (plain, half)
    for shard in ("fp16-00001-of-00002", "fp16-00002-of-00002"):
        (unet / f"diffusion_pytorch_model.{shard}.safetensors").write_bytes(weights)
    (unet / "diffusion_pytorch_model.safetensors.index.fp16.json").write_text("{}")
    assert fingerprint() == plain
    sharded = fingerprint("fp16")
    assert sharded != half, "the variant is now there, and is taken"
    (unet / "diffusion_pytorch_model.fp16-00003-of-00003.safetensors").write_bytes(weights)
    assert fingerprint("fp16") != sharded


def test_size_and_negative_prompt_reach_the_pipeline(pipelines):
    given = {"pipeline": str(pipelines["sd"]), "size": 24, "negative_prompt": "a cook"}
    model = diffusion(**given)
    assert model.generate(requests(2)).images.shape == (2, 24, 24, 3)
    assert model.fingerprint != diffusion(pipeline=given["pipeline"], size=24).fingerprint


def test_an_image_may_be_a_rectangle(pipelines):
    model = diffusion(pipeline=str(pipelines["sd"]), size=[16, 24])
    shapes = []
    with model.hooked("mid_block", lambda x, moment: shapes.append(tuple(x.shape[2:])) or x):
        assert model.generate(requests(2)).images.shape == (2, 16, 24, 3)
    assert len(set(shapes)) == 1
    assert grid((16, *shapes[0]), (16, 24)) == list(shapes[0])
    prints = [
        diffusion(pipeline=str(pipelines["sd"]), size=size).fingerprint
        for size in ([16, 24], [24, 16], [24, 24], 24, None)
    ]
    assert prints[2] == prints[3], "a square is a square"
    assert len(set(prints)) == 4


@pytest.mark.parametrize("size", [[], [16], [16, 24, 3], [16, 0], 0])
def test_a_size_is_a_side_or_two(pipelines, size):
    with pytest.raises(SpecError, match=r"size: expected a side or \[height, width\]"):
        diffusion(pipeline=str(pipelines["sd"]), size=size)


@pytest.mark.parametrize(
    ("name", "options", "error", "says"),
    [
        ("ldm", {"size": 32}, SpecError, "LDMPipeline draws in one size only"),
        ("ldm", {"negative_prompt": "x"}, SpecError, "LDMPipeline takes none"),
        ("sd", {"scheduler": "DDIM"}, SpecError, "unknown scheduler 'DDIM'"),
        ("ddpm", {"scheduler": "HeunDiscreteScheduler"}, SpecError, "scales its input"),
        ("sd", {"dtype": "float8"}, SpecError, "unknown dtype 'float8'"),
        ("sd", {"dtype": "float16"}, SpecError, "dtype float16 needs a GPU"),
        ("sd", {"device": "cuda:99"}, ResourceError, "device 'cuda:99' cannot be used here"),
    ],
)
def test_options_that_do_not_fit_are_said_in_one_sentence(pipelines, name, options, error, says):
    with pytest.raises(error, match=says):
        diffusion(pipeline=str(pipelines[name]), **options).generate(requests(1))


def test_an_unknown_hookpoint_is_a_spec_error(model):
    says = "unknown hookpoint 'midblock'; did you mean 'mid_block'"
    with pytest.raises(SpecError, match=says), model.hooked("midblock", lambda x, moment: x):
        pass


@pytest.fixture
def copy(pipelines, tmp_path):
    return shutil.copytree(pipelines["ldm"], tmp_path / "copy")


def test_pickled_weights_are_refused_and_not_unpickled(copy):
    weights = copy / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(RefusedError, match="unet: pickled weights can run code"):
        diffusion(pipeline=str(copy))


@pytest.mark.parametrize("damage", ["truncated", "header"])
def test_damaged_weights_are_named(copy, damage):
    weights = copy / "vqvae/diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"\xff" * 64)
    with pytest.raises(InputError, match=r"vqvae/diffusion_pytorch_model\.safetensors: damaged"):
        diffusion(pipeline=str(copy))


def test_code_in_a_pipeline_folder_is_refused(copy):
    (copy / "pipeline.py").write_text("raise SystemExit")
    with pytest.raises(RefusedError, match="brings code of its own"):
        diffusion(pipeline=str(copy))


def test_a_custom_pipeline_class_is_refused(copy):
    index = json.loads((copy / "model_index.json").read_text())
    index["_class_name"] = ["pipeline", "Mine"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(RefusedError, match="brings code of its own"):
        diffusion(pipeline=str(copy))


def test_a_url_is_refused_and_nothing_connects(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    with pytest.raises(RefusedError, match="URLs are not read"):
        diffusion(pipeline="http://169.254.169.254/model")


def test_a_folder_without_an_index_is_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"it has no model_index\.json"):
        diffusion(pipeline=str(tmp_path))


def test_nothing_is_loaded_before_it_is_needed(pipelines):
    code = (
        "import sys; from models.diffusion import diffusion;"
        f"print(diffusion(pipeline={str(pipelines['sd'])!r}).fingerprint, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == [diffusion(pipeline=str(pipelines["sd"])).fingerprint, "False"]


def test_what_is_nowhere_is_a_spec_error():
    with pytest.raises(SpecError, match="no such folder, embedded pipeline or hub id"):
        diffusion(pipeline="no-such-thing")


def test_a_hub_id_that_is_not_cached_offline_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    with pytest.raises(ResourceError, match=r"some/model@abc is not in the cache.*`hf download"):
        diffusion(pipeline="some/model", revision="abc")


def test_a_planted_truth_travels_with_the_model(pipelines, tmp_path):
    folder = tmp_path / "planted"
    shutil.copytree(pipelines["ldm"], folder)
    assert diffusion(pipeline=str(folder)).truth({""}) == {}
    (folder / "truth.json").write_text('{"": {"gender": {"woman": 0.3, "man": 0.7}}}')
    assert diffusion(pipeline=str(folder)).truth({""}) == {"gender": {"woman": 0.3, "man": 0.7}}


def test_the_truth_of_several_prompts_is_their_mean_or_unknown(pipelines, tmp_path):
    folder = tmp_path / "planted"
    shutil.copytree(pipelines["ldm"], folder)
    shares = {"nurse": {"woman": 0.9, "man": 0.1}, "cook": {"woman": 0.3, "man": 0.7}}
    truth = {prompt: {"gender": planted} for prompt, planted in shares.items()}
    (folder / "truth.json").write_text(json.dumps(truth))
    model = diffusion(pipeline=str(folder))
    assert model.truth({"nurse", "cook"})["gender"] == pytest.approx({"woman": 0.6, "man": 0.4})
    assert model.truth({"nurse", "pilot"}) == {}
