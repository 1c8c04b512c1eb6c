"""Imbalance of the whole and stereotype, where prompts have seeds in common or are a sample."""

import numpy as np
import pytest
from scipy import special
from tables import benchmark, one, tables
from test_coverage import acceptable

from audit.measuring.measurement import measure
from audit.statistics.decomposition import decompose, decompose_votes
from audit.statistics.intervals import quantile
from audit.statistics.shares import one_hot, shares_by

AUDITS, EVEN = 200, np.array([0.5, 0.5])
PROMPT, SEED = np.indices((20, 20)).reshape(2, -1)


def audits(design, sd=1.5):
    """Yield decompositions of fair models that scatter by prompt or by seed, and votes."""
    rng = np.random.default_rng(0)
    for _ in range(AUDITS):
        effects = rng.standard_normal((20, 1) if design == "prompts" else (1, 20))
        women = rng.random((20, 20)) < special.expit(sd * effects)
        votes = one_hot((~women).astype(int).ravel(), 2)
        each = shares_by(votes, PROMPT, 20)
        given = {"prompts": PROMPT, "seeds": SEED, "design": design}
        yield decompose_votes(votes, each, EVEN, **given), decompose(each, EVEN)


def test_seeds_that_prompts_share_are_no_imbalance_of_the_whole():
    """What a seed draws it draws for every prompt: the error of the whole is not 1 / J of theirs.

    The truth is 0, in the whole and between prompts, which are all alike.
    """
    known, blind = zip(*audits("seeds"), strict=True)
    pooled = np.array([found.pooled for found in known])
    assert abs(pooled.mean()) < 4 * pooled.std() / AUDITS**0.5
    assert np.mean([found.pooled for found in blind]) > 0.004
    spread = np.array([found.spread for found in known])
    assert abs(spread.mean()) < 4 * spread.std() / AUDITS**0.5
    assert known[0].macro == pytest.approx(known[0].pooled + known[0].spread)
    assert known[0].macro == blind[0].macro


@pytest.mark.parametrize("design", ["prompts", "seeds"])
def test_the_mean_over_prompts_keeps_an_interval(design):
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    varies = weights @ (special.expit(1.5 * nodes) - 0.5) ** 2 / weights.sum()
    truth = 2 * varies if design == "prompts" else 0.0
    held = np.mean([[covers(found, truth) for found in both] for both in audits(design)], axis=0)
    assert held[0] >= acceptable(AUDITS)[0]
    if design == "prompts":  # a list of prompts would be known too well
        assert held[1] < acceptable(AUDITS)[0]


def covers(found, truth):
    return abs(found.macro - truth) <= quantile(0.95, found.df) * found.macro_se


def test_a_sample_of_prompts_says_less_than_a_list():
    rows = {f"p{j}": ["woman"] * (2 + 4 * j) + ["man"] * (18 - 4 * j) for j in range(5)}
    images, labels = tables({"none": rows}, seeds=False)
    some = benchmark(statistics={"inference": "prompt_population"})
    found = {
        name: one(measure(images, labels, spec), "fd2_debiased_macro")
        for name, spec in (("list", benchmark()), ("sample", some))
    }
    assert found["list"].value == found["sample"].value
    assert found["list"].method == "normal, of the mean of debiased squares of 5 prompts"
    assert found["sample"].method == "t, of the mean of debiased squares of 5 prompts"
    assert found["sample"].ci_high > found["list"].ci_high
