from dataclasses import replace

import numpy as np
import pytest

from audit.errors import SpecError
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
    plain = (one.latents[0] * (one.directions[1] - one.directions[0])).sum(0)
    ratio = effects[plain != 0] / plain[plain != 0]
    assert ratio == pytest.approx(np.full_like(ratio, ratio[0]), rel=1e-4)


def test_activation_weight_by_hand():
    code = step_codes(count=2, steps=1)[0]
    latents = np.zeros_like(code.latents)
    latents[0, 1, 3], latents[1, 2, 3] = 2.0, 4.0
    directions = np.zeros_like(code.directions)
    directions[1, 1, 3], directions[1, 2, 3] = 0.5, 0.25
    shown = replace(code, latents=latents, directions=directions)
    both = activation_weight()(iter([replace(shown, labels=np.array([1, 1]))]))
    assert both[1, 3] == pytest.approx((2 * 0.5 + 4 * 0.25) / 2)
    assert np.count_nonzero(both) == 1
    second = activation_weight()(iter([replace(shown, labels=np.array([0, 1]))]))
    assert second[1, 3] == pytest.approx(4 * 0.25), "of the images of the class alone"


def test_contrast_by_hand():
    code = step_codes(count=4, steps=1, positions=1, latents=2)[0]
    latents = np.array([[[1, 5]], [[3, 5]], [[1, 5]], [[3, 5]]], np.float32)
    effects = contrast()(iter([replace(code, latents=latents, labels=np.array([0, 1, 0, 1]))]))
    # Mean 3 against 1, standard deviation 1; latent 1 is the same everywhere.
    assert effects == pytest.approx(np.array([[-2, 0], [2, 0]]))


def test_random_keeps_the_mass_and_not_the_latents():
    codes = step_codes(count=40, latents=400, positions=2, steps=1)
    codes[0].latents[:] *= np.linspace(0.1, 4, 400, dtype=np.float32)
    real = integrated_gradients()(iter(codes))
    found, drawn = (np.argsort(-effects[1])[:30] for effects in (real, random()(iter(codes))))
    mass = codes[0].latents.sum((0, 1))
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
        code, latents=latents.astype(np.float32), labels=labels, directions=directions,
        baseline=np.zeros((1, 1, 1), np.float32),
    )  # fmt: skip
    for rank in (integrated_gradients(), activation_weight(), contrast()):
        assert rank(iter([planted]))[1].argmax() == 5
