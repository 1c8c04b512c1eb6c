"""Agreement of two seeds, on sets whose agreement is known."""

import numpy as np
import pytest
from planted import random_sae

from audit.features.stability import Found, agreement
from audit.statistics.correlation import spearman, spearman_interval
from audit.types import FeatureSet

LATENTS, IMAGES = 60, 80
LABELS = np.arange(IMAGES) % 2


def found(latents, fired):
    sae = random_sae(latents=LATENTS)
    sae.mean_activation.copy_(sae.mean_activation.new_tensor(fired.mean(axis=0)))
    listed = {"a": tuple(latents)}
    features = FeatureSet(
        "x", ("a",), "block", "m", "s", "r", listed, {"a": (1.0,) * len(latents)}
    )
    return Found(features, sae, fired)


def test_sets_that_split_the_same_differently_agree_as_wholes_and_not_latent_by_latent():
    """What one seed has in three latents, the other has in two others: the sums are the same."""
    generator = np.random.default_rng(0)
    one, other = generator.random((2, IMAGES, LATENTS))
    other[:, 10] = one[:, :3].sum(axis=1) - other[:, 11]
    both = agreement(found((0, 1, 2), one), found((10, 11), other), LABELS)
    assert both["images"] == IMAGES
    whole = both["classes"]["a"]
    assert whole["found"] == 0
    assert whole["correlation"] == pytest.approx(1)
    assert whole["within"] == pytest.approx(1)
    assert whole["correlation_low"] > 0.99
    assert whole["correlation_high"] == 1
    assert abs(whole["correlation_chance"]) < 0.1
    assert 0.1 < whole["correlation_chance_high"] < 0.4


def test_sets_that_have_nothing_in_common_but_the_image_are_told_by_chance():
    """Every latent fires more in some images: the sets correlate, and so do those of chance."""
    generator = np.random.default_rng(1)
    bright = generator.random((IMAGES, 1))
    one, other = generator.random((2, IMAGES, LATENTS)) + 2 * bright
    whole = agreement(found(range(5), one), found(range(20, 25), other), LABELS)["classes"]["a"]
    assert whole["correlation"] > 0.8
    assert whole["correlation"] < whole["correlation_chance_high"]


def test_sets_that_agree_on_the_class_alone_do_not_agree_within_it():
    """Both fire more in images of class 1, and each for reasons of its own besides."""
    generator = np.random.default_rng(2)
    one, other = generator.random((2, IMAGES, LATENTS))
    one[:, :5] += LABELS[:, None]
    other[:, 20:25] += LABELS[:, None]
    whole = agreement(found(range(5), one), found(range(20, 25), other), LABELS)["classes"]["a"]
    assert whole["correlation"] > 0.7 > whole["correlation_chance_high"]
    assert whole["within_low"] < 0 < whole["within_high"]


def test_latents_that_never_fire_have_no_correlation():
    one, other = np.random.default_rng(0).random((2, IMAGES, LATENTS))
    one[:, :3] = 0
    assert (
        "correlation"
        not in agreement(found(range(3), one), found(range(3), other), LABELS)["classes"]["a"]
    )


def test_a_rank_correlation_is_the_one_worked_by_hand():
    """Ranks 1234 and 2143: 1 - 6 (1 + 1 + 1 + 1) / (4 * 15) = 0.6; turned round, -0.6."""
    x, y = np.array([1.0, 2.0, 3.0, 50.0]), np.array([0.2, 0.1, 9.0, 3.0])
    assert spearman(x, np.stack([y, -y, x], axis=1)).tolist() == pytest.approx([0.6, -0.6, 1.0])
    assert np.isnan(spearman(x, np.ones(4)))


@pytest.mark.parametrize("r", [0.0, 0.6, 0.95])
def test_the_interval_of_a_rank_correlation_covers(r):
    """Of two normal readings with correlation r it is 6 / pi asin(r / 2) in the long run."""
    generator = np.random.default_rng(0)
    truth, held, trials = 6 / np.pi * np.arcsin(r / 2), 0, 1000
    for _ in range(trials):
        x, noise = generator.standard_normal((2, 64))
        rho = float(spearman(np.exp(x), r * x + (1 - r**2) ** 0.5 * noise))
        low, high = spearman_interval(rho, 64)
        held += low <= truth <= high
    assert held / trials > 0.93
    assert spearman_interval(1.0, 64)[0] > 0.99
    assert spearman_interval(1.0, 3) == (-1, 1)
