import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax

from audit.errors import SpecError
from audit.features.codes import SparseCodes, StepCodes
from audit.rankings.activation_weight import activation_weight
from audit.rankings.contrast import contrast
from audit.rankings.integrated_gradients import attributions, integrated_gradients
from audit.rankings.random import random
from audit.registry import build
from audit.testing.functions import check_ranking, step_codes


@pytest.mark.parametrize(
    "name", ["integrated-gradients", "activation-weight", "contrast", "random"]
)
def test_rankings_keep_their_contract(name):
    check_ranking(build("rankings", name), classes=2)
    check_ranking(build("rankings", name), classes=4, latents=40)


@pytest.mark.parametrize("weight", ["signed", "absolute"])
def test_contract_of_options(weight):
    check_ranking(integrated_gradients(points=10, weight=weight, temperature=8.0), classes=3)
    with pytest.raises(SpecError, match="did you mean 'signed'"):
        integrated_gradients(weight="sigend")
    with pytest.raises(SpecError, match="must be positive"):
        integrated_gradients(points=0)


def test_two_classes_give_one_factor_an_image():
    """For a binary attribute IG is z (G_1 - G_0) times one number for each image."""
    code = step_codes(count=1, classes=2)[0]
    one = replace(code, labels=np.array([1]))
    effects = attributions(one)[1]
    plain = (one.latents.dense()[0] * (one.directions[1] - one.directions[0])).sum(0)
    ratio = effects[plain != 0] / plain[plain != 0]
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0]), rel=1e-4)


def written_out(codes, points):
    """The closed form over all latents, as matrix products in double precision."""
    change = codes.latents.dense().astype(float) - codes.baseline.dense()
    heads = codes.directions.astype(float)
    start = np.einsum("npl,kpl->nk", codes.baseline.dense(), heads) + codes.offsets
    slope = np.einsum("npl,kpl->nk", change, heads)
    own = np.eye(len(heads))[codes.labels]
    factors = np.zeros(slope.shape)
    for a in np.arange(points) / points:
        p = softmax(start + a * slope, axis=1)
        factors += (p * own).sum(1, keepdims=True) * (own - p) / points
    return np.einsum("nc,npl,nk,kpl->cl", own, change, factors, heads)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_what_entries_are_given_is_what_the_dense_closed_form_gives(classes, paired):
    codes, _ = step_codes(count=9, positions=5, latents=60, classes=classes)
    if paired:
        codes = replace(codes, baseline=SparseCodes.of(codes.latents.dense()[::-1]))
    dense = written_out(codes, 10)
    assert attributions(codes, points=10) == pytest.approx(dense, abs=1e-6)
    assert np.abs(dense).max() > 0.05
    change = codes.latents.dense() - codes.baseline.dense()
    added = [(change[codes.labels == c] * codes.directions[c]).sum((0, 1)) for c in range(classes)]
    counts = np.bincount(codes.labels)[:, None]
    found = activation_weight()(iter([codes]))
    assert found == pytest.approx(np.array(added) / counts, abs=1e-6)


def test_a_difference_has_each_place_once():
    z = np.zeros((1, 2, 3), np.float32)
    other = z.copy()
    z[0, 0, 1], z[0, 1, 2], other[0, 0, 1], other[0, 0, 0] = 3, 5, 1, 4
    change = SparseCodes.of(z) - SparseCodes.of(other)
    assert len(change.value) == 3
    assert change.dense().tolist() == [[[-4, 2, 0], [0, 0, 5]]]
    assert change.sums(change.value, change.position, 2).tolist() == [[-4, 2, 0], [0, 0, 5]]
    assert (SparseCodes.zeros(z.shape) - SparseCodes.of(z)).dense().tolist() == (-z).tolist()


@pytest.mark.parametrize("paired", [False, True])
def test_no_ranking_writes_the_zeros_of_a_code_out(paired):
    """Of 30,000 latents four fire at a position: as an array the codes would take 61 MB."""
    shape, k = (8, 64, 30_000), 4
    rng = np.random.default_rng(0)
    image, position = np.divmod(np.repeat(np.arange(shape[0] * shape[1]), k), shape[1])
    latent = rng.integers(0, shape[2] // k, image.shape) * k + np.arange(len(image)) % k
    z = SparseCodes(shape, image, position, latent, np.ones(image.shape, np.float32))
    codes = StepCodes(
        0, z, replace(z, image=image[::-1]) if paired else SparseCodes.zeros(shape),
        np.arange(8) % 2, rng.standard_normal((2, *shape[1:]), np.float32),
        np.zeros(2, np.float32),
    )  # fmt: skip
    for name in ("integrated-gradients", "activation-weight", "contrast", "random"):
        rank = build("rankings", name)
        tracemalloc.start()
        rank(iter([codes]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20e6, name


def test_activation_weight_by_hand():
    code = step_codes(count=2, steps=1)[0]
    latents = np.zeros(code.latents.shape, np.float32)
    latents[0, 1, 3], latents[1, 2, 3] = 2.0, 4.0
    directions = np.zeros_like(code.directions)
    directions[1, 1, 3], directions[1, 2, 3] = 0.5, 0.25
    shown = replace(code, latents=SparseCodes.of(latents), directions=directions)
    both = activation_weight()(iter([replace(shown, labels=np.array([1, 1]))]))
    assert both[1, 3] == pytest.approx((2 * 0.5 + 4 * 0.25) / 2)
    assert np.count_nonzero(both) == 1
    second = activation_weight()(iter([replace(shown, labels=np.array([0, 1]))]))
    assert second[1, 3] == pytest.approx(4 * 0.25), "of the images of the class alone"


def test_contrast_by_hand():
    code = step_codes(count=4, steps=1, positions=1, latents=2)[0]
    latents = np.array([[[1, 5]], [[3, 5]], [[1, 5]], [[3, 5]]], np.float32)
    shown = replace(code, latents=SparseCodes.of(latents), labels=np.array([0, 1, 0, 1]))
    effects = contrast()(iter([shown]))
    # Mean 3 against 1, standard deviation 1; latent 1 is the same everywhere.
    assert effects == pytest.approx(np.array([[-2, 0], [2, 0]]))


def test_random_keeps_the_mass_and_not_the_latents():
    (code,) = step_codes(count=40, latents=400, positions=2, steps=1)
    fired = code.latents.dense() * np.linspace(0.1, 4, 400, dtype=np.float32)
    codes = [replace(code, latents=SparseCodes.of(fired))]
    real = integrated_gradients()(iter(codes))
    found, drawn = (np.argsort(-effects[1])[:30] for effects in (real, random()(iter(codes))))
    mass = fired.sum((0, 1))
    assert len(set(found) & set(drawn)) < 10
    assert mass[drawn].sum() == pytest.approx(mass[found].sum(), rel=0.15)
    assert not np.array_equal(random(seed=1)(iter(codes)), random(seed=2)(iter(codes)))


def test_a_planted_latent_comes_first():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    latents = rng.random((60, 4, 12), np.float32) * (rng.random((60, 4, 12)) < 0.3)
    latents[labels == 1, :, 5] += 1
    directions = rng.standard_normal((2, 4, 12)).astype(np.float32) * 0.05
    directions[1, :, 5] += 1
    code = step_codes(steps=1, classes=2)[0]
    planted = replace(
        code, latents=SparseCodes.of(latents), labels=labels, directions=directions,
        baseline=SparseCodes.zeros(latents.shape),
    )  # fmt: skip
    for rank in (integrated_gradients(), activation_weight(), contrast()):
        assert rank(iter([planted]))[1].argmax() == 5
