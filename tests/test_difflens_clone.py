"""The numeric checks against DiffLens' released code, where the user has a clone of it.

    BIAS_AUDIT_DIFFLENS=~/DiffLens pytest tests/test_difflens_clone.py

The code has no licence, so none of it is here: definitions are taken out of the clone's files by
name and run, without what else those files import. The same checks against formulas of our own are
in `test_method_checks.py` and `test_asyrp.py`. Checks 14, 16 and 17 are of scripts that need their
weights or data to be imported; the formulas they compare with are tested there and with the
metrics.
"""

import __future__

import ast
import os
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from planted import STEPS, random_sae, requests
from torch import nn

from audit.features.asyrp import amplification
from audit.features.codes import SparseCodes, StepCodes
from audit.features.h_classifier import HClassifier
from audit.features.latent_edit import LatentEdit
from audit.features.sae import fvu
from audit.images.assignment import Assignment
from audit.rankings.integrated_gradients import attributions
from audit.types import Moment

CLONE = os.environ.get("BIAS_AUDIT_DIFFLENS")
pytestmark = pytest.mark.skipif(
    CLONE is None, reason="BIAS_AUDIT_DIFFLENS names no clone of DiffLens' code"
)
N, LATENTS, K, SIDE = 16, 64, 6, 4
P2 = "bias_mitigation/P2"
SD = "bias_mitigation/stable_diffusion"
SAES = {
    "train": "dissecting/train_sae/sae.py",
    "P2": f"{P2}/guided_diffusion/sae.py",
    "SD": f"{SD}/SD_model/sae.py",
}


def einsum(left, right, pattern):
    """Words for letters, as einops has it, so that it need not be installed."""
    words = dict.fromkeys(pattern.replace(",", " ").replace("->", " ").split())
    for word, letter in zip(words, "abcdefgh", strict=False):
        words[word] = letter
    short = "".join(words.get(part, part) for part in pattern.replace(",", " , ").split())
    return torch.einsum(short, left, right)


def defined(path, *names, **given):
    """Return definitions of a file of the clone, run alone; annotations are not evaluated."""
    source = Path(CLONE).expanduser() / "difflens" / path
    nodes = [
        node for node in ast.parse(source.read_text("utf-8")).body
        if getattr(node, "name", None) in names
    ]  # fmt: skip
    space = {"torch": torch, "th": torch, "nn": nn, "np": np, "NamedTuple": NamedTuple,
             "einops": SimpleNamespace(einsum=einsum), **given}  # fmt: skip
    flags = __future__.annotations.compiler_flag
    exec(compile(ast.Module(nodes, []), str(source), "exec", flags=flags), space)
    return [space[name] for name in names]


def official(copy, kernel=1):
    """An SAE of the clone with random weights, and ours with the same."""
    kind, *_ = defined(SAES[copy], "Sae", "EncoderOutput", "ForwardOutput", Tensor=torch.Tensor)
    config = SimpleNamespace(num_latents=LATENTS, k=K, normalize_decoder=True, multi_topk=False)
    torch.manual_seed(0)
    theirs = kind(N, config, kernel_size=kernel)
    ours = random_sae(
        N * kernel**2, LATENTS, K, pre_bias=copy == "SD",
        layout="map" if kernel > 1 else "positions",
    )  # fmt: skip
    decoder = theirs.decoder.weight
    rows = decoder.flatten(1) if kernel > 1 else decoder[:, :, 0, 0].T
    ours.encoder.copy_(theirs.encoder.weight.detach().flatten(1))
    ours.encoder_bias.copy_(theirs.encoder.bias.detach())
    ours.decoder.copy_(rows.detach())
    ours.bias.copy_(theirs.decoder.bias.detach().repeat_interleave(kernel**2))
    return theirs, ours


def dense(values, indices):
    shape = (len(values), LATENTS, *values.shape[2:])
    return torch.zeros(shape).scatter(1, indices, values.float())


@pytest.mark.parametrize("kernel", [1, SIDE])
@pytest.mark.parametrize("copy", SAES)
def test_1_2_3_codes_and_reconstructions(copy, kernel):
    theirs, ours = official(copy, kernel)
    x = torch.randn(2, N, SIDE, SIDE)
    code = dense(*theirs.encode(x))
    z = ours.encode(ours.tokens(x)).transpose(1, 2).reshape(code.shape)
    assert torch.allclose(z, code, atol=3e-6)
    decoded = ours.activation(ours(ours.tokens(x)), like=x)
    assert torch.allclose(decoded, theirs.decode(*theirs.encode(x)), atol=5e-6)


def test_4_fraction_of_variance_unexplained():
    theirs, ours = official("train")
    x = torch.randn(3, N, SIDE, SIDE)
    tokens = ours.tokens(x).flatten(0, 1)
    assert float(theirs(x).fvu.detach()) == pytest.approx(
        float(fvu(tokens, ours(tokens))), rel=1e-5
    )


@pytest.mark.parametrize("kernel", [1, SIDE])
def test_5_unit_norm(kernel):
    theirs, ours = official("train", kernel)
    theirs.set_decoder_norm_to_unit_norm()
    ours.unit_norm()
    weight = theirs.decoder.weight
    rows = weight.flatten(1) if kernel > 1 else weight[:, :, 0, 0].T
    assert torch.allclose(ours.decoder, rows, atol=1e-6)


def test_6_gradient_along_the_rows_is_removed():
    theirs, ours = official("train")
    theirs.set_decoder_norm_to_unit_norm()
    ours.unit_norm()
    gradient = torch.randn(LATENTS, N)
    theirs.decoder.weight.grad = gradient.T.reshape(N, LATENTS, 1, 1).clone()
    ours.requires_grad_(True).decoder.grad = gradient.clone()
    theirs.remove_gradient_parallel_to_decoder_directions()
    ours.project_gradient()
    assert torch.allclose(ours.decoder.grad, theirs.decoder.weight.grad[:, :, 0, 0].T, atol=1e-5)


@pytest.mark.parametrize(("classes", "temperature"), [(2, 8.0), (3, 1.0), (4, 1.0)])
def test_7_18_attributions_of_the_head_of_a_step(classes, temperature):
    scaled_input, heads_of = defined(
        "locate/locate_main/locate_main_P2.py", "scaled_input", "HiddenLinear"
    )
    theirs, ours = official("P2")
    head, step = heads_of(N * SIDE**2, classes), 7
    x = torch.randn(1, N, SIDE, SIDE)
    code = dense(*theirs.encode(x)).detach()
    label = int(head(x, step).argmax())
    total = torch.zeros_like(code)
    points, width = scaled_input(code, batch_size=1, num_batch=10)
    for point in points:
        at = point.clone().requires_grad_(True)
        logits = head(theirs.decoder(at), step) / temperature
        total += torch.autograd.grad(logits.softmax(1)[0, label], at)[0]
    expected = (total * width).sum(dim=(0, 2, 3))
    weights = torch.stack([linear.weight.detach() for linear in head.linears])
    by_token = weights.view(len(weights), classes, N, -1).transpose(2, 3).flatten(2)
    biases = torch.stack([linear.bias.detach() for linear in head.linears])
    heads = HClassifier(tuple("abcd"[:classes]), by_token, biases, (), by_token)
    directions, offsets = heads.fold(step, ours)
    latents = SparseCodes.of(code.flatten(2).transpose(1, 2).numpy())
    codes = StepCodes(
        step, latents, SparseCodes.zeros(latents.shape),
        np.array([label]), directions.numpy(), offsets.numpy(),
    )  # fmt: skip
    found = attributions(codes, points=10, temperature=temperature)[label]
    assert found == pytest.approx(expected.numpy(), abs=1e-6)


def test_9_the_path_starts_at_the_code_of_the_other_class():
    (pair,) = defined("locate/locate_main/locate_main_SD.py", "scaled_input_pair_baseline")
    rows = torch.randn(4, LATENTS, 1, 1)
    points, width = pair(rows, batch_size=1, num_batch=10)
    change = rows[2] - rows[3]
    assert torch.allclose(width[0], change / 10, atol=1e-6)
    assert torch.allclose(points[4, 0], rows[3] + 0.4 * change, atol=1e-6)


def our_edit(sae, x, factor, amount, *, leak):
    factors, amounts = torch.full((1, 5), factor), torch.full((1, 5), amount)
    edit = LatentEdit(sae, range(5), factors, amounts, class_of=lambda request: 0, leak=leak)
    return edit(x, Moment(1, STEPS, 1.0, requests(len(x))))


@pytest.mark.parametrize(
    ("method", "ratio", "factor", "amount"),
    [("multiply_all", 1.43, 1.43, 0.0), ("multiply_all_probability", 3.0, 3.0, 0.0),
     ("add_all", 2.0, 1.0, 2.0), ("multiply_all", 1.0, 1.0, 0.0)],
)  # fmt: skip
def test_10_11_the_unconditional_edit_adds_the_decoders_bias(method, ratio, factor, amount):
    (network,) = defined(
        f"{P2}/guided_diffusion/unet.py", "UNetModel", timestep_embedding=lambda t, width: t
    )
    theirs, ours = official("P2")
    x = torch.randn(2, N, SIDE, SIDE)
    net = SimpleNamespace(
        num_classes=None, time_embed=lambda t: t, model_channels=1, dtype=torch.float32,
        input_blocks=[], middle_block=lambda h, emb: h, output_blocks=[], out=lambda h: h,
    )  # fmt: skip
    with torch.no_grad():
        expected = network.forward(
            net, x, torch.tensor([1]), sae_model=theirs, use_sae=True,
            features=[torch.arange(5)], edit_ratios=[ratio], edit_method=method,
        )  # fmt: skip
    assert torch.allclose(our_edit(ours, x, factor, amount, leak=True), expected, atol=1e-5)
    clean = our_edit(ours, x, factor, amount, leak=False)
    assert torch.allclose(expected - clean, ours.bias[:, None, None].expand_as(x), atol=1e-5)


@pytest.mark.parametrize("kernel", [1, SIDE])
@pytest.mark.parametrize(
    ("method", "factor", "amount"),
    [("multiply_all", 3.0, 0.0), ("multiply_all_probability", 3.0, 0.0),
     ("add_all", 0.0, 3.0), ("add_all_probability", 1.0, 3.0)],
)  # fmt: skip
def test_12_the_guided_edit_is_of_the_conditional_rows(method, factor, amount, kernel):
    (forward,) = defined(
        f"{SD}/SD_model/unet.py", "unet_forward", USE_PEFT_BACKEND=False,
        UNet2DConditionOutput=lambda sample: sample,
    )  # fmt: skip
    theirs, ours = official("SD", kernel)
    theirs.half()
    for name in ("encoder", "encoder_bias", "decoder", "bias"):
        getattr(ours, name).copy_(getattr(ours, name).half().float())
    nothing = SimpleNamespace(
        num_upsamplers=0, config=SimpleNamespace(center_input_sample=False),
        get_time_embed=lambda **given: None, time_embedding=lambda *given: torch.zeros(1),
        get_class_embed=lambda **given: None, get_aug_embed=lambda **given: None,
        time_embed_act=None, process_encoder_hidden_states=lambda **given: None,
        conv_in=lambda x: x, down_blocks=[], mid_block=lambda x, emb: x, up_blocks=[],
        conv_norm_out=None, conv_out=lambda x: x,
    )  # fmt: skip
    nothing.config.class_embeddings_concat, nothing.config.addition_embed_type = False, None
    x = torch.randn(4, N, SIDE, SIDE).half()
    with torch.no_grad():
        (found,) = forward(
            nothing, x.clone(), 1, None, return_dict=False, sae_model=theirs, use_sae=True,
            edit_features=[torch.arange(5)], edit_ratios=[3.0], edit_method=method,
        )  # fmt: skip
    assert torch.equal(found[:2], x[:2])
    expected = our_edit(ours, x[2:].float(), factor, amount, leak=False)
    assert torch.allclose(found[2:].float(), expected, atol=1e-2)


def test_13_the_draw_of_a_batch():
    (draw,) = defined(f"{P2}/P2_generate.py", "sample_and_ones_others")
    np.random.seed(0)  # noqa: NPY002
    theirs = [int(np.argmax(draw([2.0, 2.0, 2.0]))) for _ in range(32)]
    third = dict.fromkeys("abc", 1 / 3)
    ours = [Assignment("abc", third, draw="batch")(r) for r in requests(512)][::16]
    assert ours == theirs


def test_15_asyrp_is_one_step_with_a_mixed_output():
    from diffusers import DDIMScheduler as Stock
    from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput

    (edited_kind,) = defined(
        f"{SD}/SD_model/ddim.py", "DDIMScheduler", SchedulerMixin=type("A", (), {}),
        ConfigMixin=type("B", (), {}), KarrasDiffusionSchedulers=(),
        register_to_config=lambda function: function, DDIMSchedulerOutput=DDIMSchedulerOutput,
    )  # fmt: skip
    scheduler = Stock(clip_sample=False, steps_offset=1)
    scheduler.set_timesteps(10)
    x, plain, edited = torch.randn(3, 1, 4, 8, 8)
    for t in scheduler.timesteps.tolist():
        theirs = edited_kind.step(scheduler, plain, t, x, eta=0.0, model_output_edit=edited)
        mixed = plain + amplification(scheduler, t) * (edited - plain)
        ours = scheduler.step(mixed, t, x, eta=0.0)
        assert torch.allclose(ours.prev_sample, theirs.prev_sample, atol=1e-5)
