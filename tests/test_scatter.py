"""How estimates from few clusters scatter: degrees of freedom and design effects."""

import numpy as np
import pytest
from scipy import stats

from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import beta_kurtosis, class_df, group_df, share_interval
from audit.statistics.scatter import scatter
from audit.statistics.shares import Shares, from_counts, one_hot, shares


def clusters(means, images=20):
    """Twenty images a prompt, of which a part is of the first of two classes."""
    first = np.round(np.array(means) * images).astype(int)
    codes = np.concatenate([np.repeat([0, 1], [k, images - k]) for k in first])
    prompts = np.repeat(np.arange(len(first)), images)
    return shares(one_hot(codes, 2), prompts=prompts, design="prompts")


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 5), (0.5, 0.5), (1, 9)])
def test_the_kurtosis_of_a_beta_law(a, b):
    mean, variance, kurtosis = stats.beta.stats(a, b, moments="mvk")
    assert beta_kurtosis(mean, variance) == pytest.approx(float(kurtosis))


def test_prompts_that_are_all_or_nothing_are_single_readings():
    """κ = -2 at even shares: 2 / (2/9 - 2/10) = 90 = 10·9 degrees of freedom for 10 prompts."""
    assert class_df(clusters([1] * 5 + [0] * 5)) == pytest.approx([90, 90])


def test_a_rare_class_of_few_prompts_is_known_to_be_known_badly():
    """Nine prompts of ten have none of it: κ = (1 - 6·.09)/.09, df = 2 / (2/9 + κ/10)."""
    expected = 2 / (2 / 9 + (1 - 6 * 0.09) / 0.09 / 10)
    assert class_df(clusters([1] + [0] * 9)) == pytest.approx([expected] * 2)
    assert group_df(clusters([1] + [0] * 9)) == pytest.approx(expected)


def test_single_images_keep_the_variance_that_is_known_in_form():
    assert np.isinf(class_df(from_counts(np.array([16, 4])))).all()
    prompts = np.arange(20) % 2
    votes = one_hot((np.arange(20) < 16).astype(int), 2)
    assert class_df(shares(votes, prompts=prompts, design="stratified")) == pytest.approx([18] * 2)


def test_a_corrected_share_of_next_to_nothing_still_has_an_interval():
    """A correction may leave 1e-9 of a class, of a part of a unit: df would be 1e-8."""
    p = np.array([1 - 1e-9, 1e-9])
    cov = 1e-10 * np.array([[1, -1], [-1, 1]])
    found = Shares(p, cov, np.array(200), np.array(8), np.array(7.0), hard=False)
    assert class_df(found).min() >= 1
    assert np.isfinite(discrepancy(found, np.array([0.5, 0.5])).low)


def test_the_design_effect_of_independent_images_is_one():
    found = scatter(from_counts(np.array([[70, 20, 10, 0], [25, 25, 25, 25]])))
    assert found.form == pytest.approx(np.broadcast_to(np.eye(4) / 100, (2, 4, 4)))


def test_a_covariance_is_found_again_where_it_was_estimated():
    """Many units, unlike design effects: Σ at p is Σ, but for the 1 in n_effective."""
    p = np.array([0.5, 0.3, 0.2])
    contrast = np.eye(3) - 1 / 3
    cov = contrast @ np.diag([4e-3, 1e-3, 1e-3]) @ contrast
    one = Shares(p, cov, np.array(10**6), np.array(10**5), np.array(1e5 - 1), hard=True)
    law = scatter(one)
    root = law.root(p[None, None])[0, 0]
    assert root @ root.T == pytest.approx(
        cov * (1 - 1 / float(one.n_effective)), rel=1e-3, abs=1e-6
    )


def test_what_few_units_say_of_directions_is_drawn_to_the_mean():
    """Differences that chance alone would make, are none."""
    rng = np.random.default_rng(0)
    units = rng.multinomial(20, np.full(4, 0.25), 8) / 20
    cov = np.cov(units.T) / 8
    one = Shares(units.mean(0), cov, np.array(160), np.array(8), np.array(7.0), hard=True)
    law = scatter(one)
    assert law.form[0] == pytest.approx(np.eye(4) / float(one.n_effective), abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_an_interval_holds_the_target_exactly_where_the_test_does_not_reject(k):
    """Shares between fair and far: the lower end leaves 0 as the p-value falls below 5 %."""
    even = np.full(k, 1 / k)
    rng = np.random.default_rng(k)
    for pull in np.linspace(0, 1, 12):
        units = rng.dirichlet(20 * (even + pull * 0.3 * np.eye(k)[0]), 12)
        one = Shares(
            units.mean(0),
            np.cov(units.T) / 12,
            np.array(240),
            np.array(12),
            np.array(11.0),
            hard=True,
        )
        found = discrepancy(one, even)
        assert (found.low > 0) == (found.p_null <= 0.05)


@pytest.mark.parametrize("k", [3, 4, 7])
def test_no_p_value_of_drawn_laws_is_zero(k):
    """However far from fair: 0 would stay 0 after any correction for many tests."""
    even = np.full(k, 1 / k)
    independent = from_counts(np.eye(k, dtype=int)[0] * 50 + 1)
    prompts = np.arange(480) % 24
    codes = np.where(np.random.default_rng(0).random(480) < 0.97, 0, 1)
    grouped = shares(one_hot(codes, k), prompts=prompts, design="prompts")
    for one in (independent, grouped):
        assert 0 < discrepancy(one, even).p_null < 0.003


def test_few_clusters_widen_both_intervals():
    few, many = clusters([0.9, 0.1, 0.5, 0.5]), clusters([0.9, 0.1, 0.5, 0.5] * 10)
    even = np.array([0.5, 0.5])
    wide, narrow = share_interval(few), share_interval(many)
    assert wide.high[0] - wide.low[0] > 3 * (narrow.high[0] - narrow.low[0])
    assert discrepancy(few, even).high > 3 * discrepancy(many, even).high
