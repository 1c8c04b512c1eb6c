"""DiffLens' arithmetic against independent formulas, written here with autograd and convolutions.

Where the released code deviates from the paper, the option that repeats the deviation is checked
too. None of its lines is used.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import STEPS, random_sae, requests
from torch.nn import functional

from audit.errors import SpecError
from audit.features import h_classifier
from audit.features.codes import SparseCodes, StepCodes
from audit.features.latent_edit import LatentEdit
from audit.features.sae import SAE, fvu
from audit.images.assignment import Assignment
from audit.rankings.integrated_gradients import attributions, integrated_gradients
from audit.types import Moment

N, LATENTS, K = 16, 64, 6


def dense(x, sae, *, kernel=1):
    """Encode [B, C, H, W] with a convolution, top-k over its channels, zeros written out."""
    weight = sae.encoder.reshape(LATENTS, -1, kernel, kernel)
    if sae.config["pre_bias"]:
        shift = sae.bias.reshape(-1, kernel, kernel) if kernel > 1 else sae.bias[:, None, None]
        x = x - shift
    before = functional.conv2d(x, weight, sae.encoder_bias).relu()
    top = before.topk(K, dim=1)
    return torch.zeros_like(before).scatter(1, top.indices, top.values)


@pytest.mark.parametrize("pre_bias", [False, True])
def test_1_2_encoding_is_a_convolution_with_and_without_the_decoders_bias(pre_bias):
    sae = random_sae(N, LATENTS, K, pre_bias=pre_bias)
    x = torch.randn(2, N, 8, 8)
    ours = sae.encode(sae.tokens(x)).transpose(1, 2).reshape(2, LATENTS, 8, 8)
    assert torch.allclose(ours, dense(x, sae), atol=3e-6)
    other = random_sae(N, LATENTS, K, pre_bias=not pre_bias)
    assert not torch.allclose(other.encode(sae.tokens(x)), sae.encode(sae.tokens(x)), atol=1e-2)


def test_3_decoding_is_a_matrix_product_for_positions_and_for_whole_maps():
    for layout, kernel in (("positions", 1), ("map", 4)):
        sae = random_sae(N * kernel**2, LATENTS, K, layout=layout)
        x = torch.randn(3, N, 4, 4)
        z = dense(x, sae, kernel=kernel)
        weight = sae.decoder.reshape(LATENTS, N, kernel, kernel)
        shift = sae.bias.reshape(N, kernel, kernel) if kernel > 1 else sae.bias[:, None, None]
        theirs = functional.conv_transpose2d(z, weight) + shift
        ours = sae.activation(sae(sae.tokens(x)), like=x)
        assert torch.allclose(ours, theirs, atol=1e-5), layout


def test_4_fvu_is_residual_energy_over_the_energy_around_the_channels_means():
    x, y = torch.randn(200, N) * 3 + 1, torch.randn(200, N)
    a, b = x.numpy().astype(float), y.numpy().astype(float)
    expected = ((a - b) ** 2).sum() / ((a - a.mean(axis=0)) ** 2).sum()
    assert float(fvu(x, y)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("width", [N, N * 16])
def test_5_6_rows_of_the_decoder_stay_of_unit_length(width):
    sae = SAE(width, LATENTS, K).requires_grad_(True)
    with torch.no_grad():
        sae.decoder.mul_(torch.rand(LATENTS, 1) + 0.5)
    sae.unit_norm()
    assert torch.allclose(sae.decoder.norm(dim=1), torch.ones(LATENTS), atol=1e-6)
    sae.double()
    sae.unit_norm()
    sae(torch.randn(40, width, dtype=torch.float64)).square().sum().backward()
    before = (sae.decoder.grad * sae.decoder).sum(1).abs().max()
    sae.project_gradient()
    after = (sae.decoder.grad * sae.decoder).sum(1).abs().max()
    assert before > 1e-2
    assert after < 1e-8


def toy(classes, latents=30, positions=4, seed=0):
    """Codes, directions and offsets of one step, and a function from a code to P(class)."""
    rng = np.random.default_rng(seed)
    shape = (5, positions, latents)
    z = (rng.exponential(1.0, shape) * (rng.random(shape) < 0.3)).astype(np.float32)
    codes = StepCodes(
        step=0,
        latents=SparseCodes.of(z),
        baseline=SparseCodes.zeros(shape),
        labels=rng.integers(0, classes, 5),
        directions=rng.standard_normal((classes, positions, latents)).astype(np.float32) * 0.5,
        offsets=rng.standard_normal(classes).astype(np.float32),
    )

    def probability(code, label, temperature=1.0):
        logits = torch.einsum("pl,kpl->k", code, torch.from_numpy(codes.directions).double())
        logits = (logits + torch.from_numpy(codes.offsets).double()) / temperature
        return logits.softmax(0)[label]

    return codes, probability


def by_autograd(codes, probability, points, temperature=1.0, absolute=False):
    """The loop over points of the released code, with autograd."""
    total = np.zeros((len(codes.directions), codes.latents.shape[2]))
    ends, starts = codes.latents.dense(), codes.baseline.dense()
    for code, start, label in zip(ends, starts, codes.labels, strict=True):
        z, origin = torch.from_numpy(code).double(), torch.from_numpy(start).double()
        gradient = torch.zeros_like(z)
        for j in range(points):
            at = (origin + j / points * (z - origin)).requires_grad_(True)
            (step,) = torch.autograd.grad(probability(at, label, temperature), at)
            gradient += step
        change = (z - origin).abs() if absolute else z - origin
        total[label] += (gradient * change / points).sum(0).numpy()
    return total


@pytest.mark.parametrize(("classes", "temperature"), [(2, 8.0), (3, 1.0), (4, 1.0)])
def test_7_the_closed_form_is_the_ten_point_rule(classes, temperature):
    codes, probability = toy(classes)
    theirs = by_autograd(codes, probability, 10, temperature)
    ours = attributions(codes, points=10, temperature=temperature)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert (np.argsort(-ours[0])[:10] == np.argsort(-theirs[0])[:10]).all()


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_8_the_exact_integral_is_complete_and_the_ten_point_rule_is_not(classes):
    codes, probability = toy(classes, seed=3)
    gained = [
        probability(torch.from_numpy(z).double(), label).item()
        - probability(torch.zeros_like(torch.from_numpy(z)).double(), label).item()
        for z, label in zip(codes.latents.dense(), codes.labels, strict=True)
    ]
    assert attributions(codes).sum() == pytest.approx(sum(gained), abs=1e-5)
    assert abs(attributions(codes, points=10).sum() - sum(gained)) > 1e-3


def test_8_a_ranking_averages_over_the_images_of_a_class():
    codes, _ = toy(3)
    effects = integrated_gradients()(iter([codes, replace(codes, step=1)]))
    counts = np.maximum(np.bincount(codes.labels, minlength=3), 1)
    assert effects == pytest.approx(attributions(codes) / counts[:, None], abs=1e-9)


@pytest.mark.parametrize("absolute", [False, True])
def test_9_the_path_may_start_at_a_sample_of_another_class(absolute):
    codes, probability = toy(3)
    codes = replace(codes, baseline=SparseCodes.of(codes.latents.dense()[::-1]))
    theirs = by_autograd(codes, probability, 10, 1000.0, absolute)
    weight = "absolute" if absolute else "signed"
    ours = attributions(codes, points=10, weight=weight, temperature=1000.0)
    assert ours == pytest.approx(theirs, abs=1e-6)


def edit_of(sae, factors, amounts, **options):
    return LatentEdit(
        sae, range(5), torch.tensor(factors), torch.tensor(amounts),
        class_of=lambda request: request.index, **options,
    )  # fmt: skip


def edited(sae, x, factors, amounts, **options):
    edit = edit_of(sae, factors, amounts, **options)
    return edit(x, Moment(1, STEPS, 1.0, requests(len(x))))


@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(
    ("factor", "amount"),
    [(1.43, 0.0), (1.0, 30.0), (0.0, 50.0)],
    ids=["multiply", "add", "assign"],
)
def test_10_an_edit_adds_the_decoded_change(factor, amount, leak):
    """Image 0 is of a class whose ratio is 1: with the leak it still gets the decoder's bias."""
    sae = random_sae(N, LATENTS, K)
    x = torch.randn(2, N, 4, 4)
    ours = edited(
        sae, x, [[1.0] * 5, [factor] * 5], [[0.0] * 5, [amount] * 5], leak=leak
    )  # fmt: skip
    z = dense(x, sae)
    y = z.clone()
    y[1, :5] = factor * z[1, :5] + amount
    theirs = x + torch.einsum("nlyx,lc->ncyx", y - z, sae.decoder)
    theirs = theirs + sae.bias[:, None, None] if leak else theirs
    assert torch.allclose(ours, theirs, atol=2e-5)


def test_11_ratios_of_one_change_not_a_bit_and_with_the_leak_add_the_bias():
    sae = random_sae(N, LATENTS, K)
    x = torch.randn(2, N, 4, 4)
    ones, zeros = [[1.0] * 5] * 2, [[0.0] * 5] * 2
    assert edited(sae, x, ones, zeros) is x
    leaked = edited(sae, x, ones, zeros, leak=True)
    assert torch.allclose(leaked, x + sae.bias[:, None, None], atol=1e-6)


def test_only_the_positions_asked_for_are_edited():
    sae = random_sae(N, LATENTS, K)
    x = torch.randn(1, N, 4, 4)
    change = [[0.0] * 5], [[3.0] * 5]
    everywhere = edited(sae, x, *change).flatten(2)
    for positions in ([], [0], [3, 15]):
        ours = edited(sae, x, *change, positions=positions).flatten(2)
        expected = x.flatten(2).clone()
        expected[..., positions] = everywhere[..., positions]
        assert torch.equal(ours, expected), positions
    made = {edit_of(sae, *change, positions=p).fingerprint for p in (None, [], [0], [3, 15])}
    assert len(made) == 4
    with pytest.raises(SpecError, match="position 16: there are 16, counted from 0"):
        edited(sae, x, *change, positions=[0, 16])
    with pytest.raises(SpecError, match="position -1: positions are counted from 0"):
        edited(sae, x, *change, positions=[-1])


def test_12_half_precision_keeps_its_type_and_rounds_no_more_than_it_must():
    sae = random_sae(N, LATENTS, K)
    x = torch.randn(2, N, 4, 4)
    factors, amounts = [[1.0] * 5, [3.0] * 5], [[0.0] * 5] * 2
    half = edited(sae, x.half(), factors, amounts)
    assert half.dtype == torch.float16
    assert torch.allclose(half.float(), edited(sae, x, factors, amounts), atol=2e-2)


def test_13_a_draw_by_batch_repeats_the_released_sequence():
    classes = ("child", "adult", "old")
    draw = Assignment(classes, dict.fromkeys(classes, 1 / 3), draw="batch")
    drawn = [draw(request) for request in requests(512)]
    assert np.bincount(drawn).tolist() == [192, 192, 128]


def test_18_the_head_of_a_step_reads_that_step_and_no_other():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(80) % 2
    tokens = 0.2 * torch.randn(6, 80, 1, 6, generator=generator)
    for step in range(6):
        tokens[step, :, 0, step] += 2 * labels - 1
    heads = h_classifier.fit(
        lambda step: [tokens[step].flatten(1)],
        6,
        labels,
        ("a", "b"),
        held_out=torch.arange(80) % 3 == 0,
    )
    right = torch.tensor(
        [
            [
                (heads.logits(head, tokens[step]).argmax(1) == labels).float().mean()
                for step in range(6)
            ]
            for head in range(6)
        ]
    )
    assert right.diagonal().min() > 0.98
    assert (right - torch.eye(6) * right).max() < 0.85
