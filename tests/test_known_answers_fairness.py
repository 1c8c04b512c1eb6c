"""Known answers of shares, discrepancies and their intervals, each with its arithmetic."""

from math import log, sqrt

import numpy as np
import pytest

from audit.metrics import fairness
from audit.metrics.joint import joint_target, joint_votes, mutual_information
from audit.metrics.stereotype import stereotype
from audit.statistics.decomposition import decompose
from audit.statistics.discrepancy import (
    discrepancy,
    distance,
    maximum,
    squared_discrepancy,
)
from audit.statistics.intervals import clopper_pearson, goodman, share_interval, wilson
from audit.statistics.power import fair_mean, fair_quantile
from audit.statistics.shares import Shares, from_counts, harden, kish, one_hot, shares, shares_by
from probes.groups import merge

PRINTED = 5e-6


def even(k):
    return np.full(k, 1 / k)


def near(expected, tolerance=PRINTED):
    return pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    ("p", "target", "expected"),
    [
        pytest.param([0.8, 0.2], [0.5, 0.5], sqrt(2 * 0.3**2), id="KA-01"),
        pytest.param([0.7, 0.1, 0.1, 0.1], even(4), sqrt(0.45**2 + 3 * 0.15**2), id="KA-02"),
        pytest.param([0.05, 0.85, 0.10], even(3), 0.633772, id="KA-03"),
        pytest.param([0.02, 0.98], [0.126, 0.874], sqrt(2 * 0.106**2), id="KA-05"),
        pytest.param([1, 0, 0, 0], even(4), sqrt(0.75**2 + 3 * 0.25**2), id="KA-07-collapse"),
        pytest.param([0.5, 0.5, 0, 0], even(4), 0.5, id="KA-07-two-empty"),
        pytest.param([0.85, 0.05, 0.07, 0.03], [0.60, 0.19, 0.12, 0.09], 0.296985, id="KA-11"),
    ],
)
def test_the_distance_of_shares_from_a_target(p, target, expected):
    assert distance(np.array(p), np.array(target)) == near(expected)


@pytest.mark.parametrize("k", [2, 3, 4, 7, 9], ids=lambda k: f"KA-04-{k}")
def test_with_an_even_target_total_collapse_is_the_largest_distance(k):
    collapsed = np.eye(k)[0]
    assert maximum(even(k)) == pytest.approx(sqrt((k - 1) / k))
    assert distance(collapsed, even(k)) == pytest.approx(maximum(even(k)))


def test_the_largest_distance_puts_all_in_the_class_wanted_least():
    """KA-05max: 0.126² + 0.874² + 1 - 2·0.126, all in the class with 0.126."""
    target = np.array([0.126, 0.874])
    assert maximum(target) == near(1.236023)
    assert distance(np.array([1.0, 0.0]), target) == near(1.236023)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([14, 2, 2, 2], 0.6, id="KA-02n"),  # 0.519615 / 0.866025
        pytest.param([5, 85, 10], 0.776209, id="KA-03n"),  # 0.633772 / 0.816497
    ],
)
def test_normalised_is_the_part_of_the_largest(counts, expected):
    found = discrepancy(from_counts(np.array(counts)), even(len(counts)))
    assert found.normalised == near(expected)


def test_soft_and_hard_shares_of_the_same_readings_differ():
    """KA-06: means .5625 / .4375; three of four rows are won by the first class."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.2, 0.8]])
    soft, hard = shares(probabilities), shares(harden(probabilities))
    assert distance(soft.p, even(2)) == near(sqrt(2) * 0.0625)
    assert distance(hard.p, even(2)) == near(sqrt(2) * 0.25)
    assert not soft.hard
    assert hard.hard


def test_fair_one_by_one_can_be_as_unfair_as_can_be_together():
    """KA-08: all women are young and all men old."""
    together = np.array([0.5, 0, 0, 0.5])
    table = together.reshape(2, 2)
    assert [distance(table.sum(axis), even(2)) for axis in (0, 1)] == [0, 0]
    assert distance(together, joint_target([even(2), even(2)])) == pytest.approx(0.5)


def test_joint_shares_from_votes_of_two_attributes():
    """KA-09: joint [[.4, .1], [.2, .3]] has marginals (.5, .5) and (.6, .4)."""
    a = one_hot(np.repeat([0, 0, 1, 1], [4, 1, 2, 3]), 2)
    b = one_hot(np.repeat([0, 1, 0, 1], [4, 1, 2, 3]), 2)
    together = shares(joint_votes([a, b])).p
    assert together == pytest.approx([0.4, 0.1, 0.2, 0.3])
    assert distance(shares(a).p, even(2)) == near(0)
    assert distance(shares(b).p, even(2)) == near(sqrt(2) * 0.1)
    assert distance(together, even(4)) == near(sqrt(0.15**2 * 2 + 0.05**2 * 2))
    by_hand = (  # KA-09mi
        0.4 * log(0.4 / 0.3) + 0.1 * log(0.1 / 0.2) + 0.2 * log(0.2 / 0.3) + 0.3 * log(0.3 / 0.2)
    )
    assert mutual_information(together.reshape(2, 2)) == near(by_hand)
    assert by_hand == near(0.086305)


def test_merging_seven_races_into_four_gives_one_number_only_with_a_stated_map():
    """KA-10: White .30, Black .10, Asian .20 + .15, Indian .12; Latino and Middle Eastern out."""
    seven = np.array([[0.30, 0.10, 0.05, 0.20, 0.15, 0.12, 0.08]])
    names = ["White", "Black", "Latino", "East", "Southeast", "Indian", "Middle Eastern"]
    to_four = {"White": "White", "Black": "Black", "East": "Asian", "Southeast": "Asian"}
    to_four["Indian"] = "Indian"
    four = merge(seven, names, to_four, ("White", "Black", "Asian", "Indian"))[0].astype(float)
    assert distance(seven[0], even(7)) == near(0.207227)
    assert distance(four, even(4)) == near(0.250972, 1e-6)
    assert distance(seven[0][:4], even(4)) == near(0.259808)  # the shortcut of first columns
    folded = np.array([0.43, 0.10, 0.35, 0.12])  # what a map that starts at zero does
    assert distance(folded, even(4)) == near(0.286006)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (fairness.KL, 0.8 * log(1.6) + 0.2 * log(0.4)),  # 0.192745
        (fairness.TV, 0.3),
        (fairness.PARITY_GAP, 0.6),
        (fairness.PARITY_RATIO, 0.25),
        (fairness.UCE, 0.6),  # |.5 - .8| / .5
        (fairness.DEVIATION_RATIO, 0.6),
        (fairness.FAIRIMAGEN, 0.4),
    ],
    ids=lambda v: f"KA-12-{v.name}" if hasattr(v, "name") else "",
)
def test_the_battery_of_two_classes_at_8_to_2(metric, expected):
    assert metric.function(np.array([0.8, 0.2]), even(2)) == near(expected)


def test_entropy_of_8_to_2_in_bits_is_normalised_entropy():
    """KA-12: H = -.8 log2 .8 - .2 log2 .2 = .721928; KL in bits is 1 - H."""
    p = np.array([0.8, 0.2])
    assert fairness.entropy(p) == near(0.721928)
    assert fairness.entropy_lost(p) == near(0.278072)
    assert fairness.kl(p, even(2)) / log(2) == near(0.278072)
    assert fairness.mean_deviation(p) == near(0.3)


def test_the_battery_of_four_classes_at_7_to_1():
    """KA-13."""
    p, t = np.array([0.7, 0.1, 0.1, 0.1]), even(4)
    assert fairness.kl(p, t) == near(0.7 * log(2.8) + 0.3 * log(0.4))
    assert fairness.total_variation(p, t) == near(0.45)
    assert fairness.entropy(p) == near(0.678390)
    assert fairness.parity_gap(p, t) == near(0.6)
    assert fairness.parity_ratio(p, t) == near(1 / 7)


def test_ages_two_steps_off_count_twice():
    """KA-14: cumulated differences .05 - 1/3 and .90 - 2/3, halved."""
    p = np.array([0.05, 0.85, 0.10])
    assert fairness.ordinal(p, even(3)) == near((1 / 3 - 0.05 + 0.9 - 2 / 3) / 2)


def test_ratios_and_divergences_from_an_uneven_target():
    """KA-11."""
    p, t = np.array([0.85, 0.05, 0.07, 0.03]), np.array([0.60, 0.19, 0.12, 0.09])
    assert fairness.total_variation(p, t) == near(0.25)
    assert fairness.kl(p, t) == near(0.158623)
    assert p / t == pytest.approx([1.416667, 0.263158, 0.583333, 0.333333], abs=1e-6)


@pytest.mark.parametrize("p", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_for_two_classes_all_published_forms_follow_from_one(p):
    d = abs(p - 0.5)
    q, t = np.array([p, 1 - p]), even(2)
    assert fairness.mean_deviation(q) == near(d)
    for form in (fairness.deviation_ratio, fairness.parity_gap, fairness.wanted_deviation):
        assert form(q, t) == near(2 * d)
    assert distance(q, t) == near(sqrt(2) * d)
    assert fairness.kl(q, t) == near(log(2) * fairness.entropy_lost(q))
    assert fairness.balance(q, t) == near(1 - 2 * d)


def exact(p, n=10):
    """Shares without sampling error, one group for each row."""
    p = np.asarray(p, float)
    zero = np.zeros((*p.shape, p.shape[-1]))
    n = np.full(p.shape[:-1], n)
    return Shares(p, zero, n, n, np.full(p.shape[:-1], np.inf), hard=True)


def test_macro_is_pooled_imbalance_plus_spread():
    """KA-15: pooled (.616667, .383333); mean FD .447834; RMS .470815; mean Δ .633333."""
    prompts = np.array([[0.95, 0.05], [0.70, 0.30], [0.20, 0.80]])
    found = decompose(exact(prompts), even(2))
    assert sqrt(found.pooled) == near(0.164992)
    assert sqrt(found.macro) == near(0.470815)
    assert found.spread == near(0.194444)
    assert found.macro == pytest.approx(found.pooled + found.spread)
    assert found.worst == 0
    assert distance(prompts, even(2)).mean() == near(0.447834)
    assert fairness.wanted_deviation(prompts, even(2)).mean() == near(0.633333)


def test_doctors_and_nurses_pool_to_nothing():
    """KA-16: .9/.1 and .1/.9 pool to FD 0 and are .565685 each."""
    found = decompose(exact([[0.9, 0.1], [0.1, 0.9]]), even(2))
    assert found.pooled == near(0)
    assert sqrt(found.macro) == near(0.565685)
    assert found.spread == near(found.macro)


def test_a_model_that_exaggerates_has_a_slope_above_one():
    """KA-17: shifts -.106, -.18, +.08, +.11: they cancel in the mean and not in the slope."""
    found = stereotype(np.array([0.02, 0.22, 0.66, 0.99]), np.array([0.126, 0.40, 0.58, 0.88]))
    assert found.amplification == near(0.119)
    assert found.directed == near(0.119)
    assert found.absolute_shift == near(0.119)
    assert found.shift == near(-0.024)
    assert found.slope.value == near(2.180534, 1e-6)
    assert found.slope.low < 2.18 < found.slope.high
    assert found.flipped == 0


def test_a_flipped_majority_is_amplified_and_reversed_at_once():
    """KA-18: |.7 - .5| - |.4 - .5| = .1; sign(-.1)(.7 - .4) = -.3."""
    found = stereotype(np.array([0.7]), np.array([0.4]))
    assert found.amplification == near(0.1)
    assert found.directed == near(-0.3)
    assert found.flipped == 1


@pytest.mark.parametrize(
    ("k", "n", "score", "clopper"),
    [
        pytest.param(16, 20, (0.583983, 0.919342), (0.563386, 0.942666), id="KA-19"),
        pytest.param(0, 20, (0, 0.161125), (0, 0.168433), id="KA-20"),
        pytest.param(62, 100, (0.522098, 0.709024), (0.517461, 0.715233), id="KA-21"),
    ],
)
def test_intervals_of_a_share(k, n, score, clopper):
    found, exactly = wilson(k / n, n), clopper_pearson(k, n)
    assert (found.low, found.high) == near(score, 1e-6)
    assert (exactly.low, exactly.high) == near(clopper, 1e-6)


def test_independent_hard_readings_get_the_plain_wilson_interval():
    found = share_interval(from_counts(np.array([16, 4])))
    assert found.low[0] == near(0.583983)
    assert found.high[0] == near(0.919342)


def test_an_interval_that_holds_the_target_reaches_zero():
    """KA-22: Wilson of 53/100 is .4329-.6249; FD then 0 to √2·.1249 = .176624.

    Walking the ray asks for 95 % of distances, not of signed differences, and lands within .002.
    """
    found = discrepancy(from_counts(np.array([53, 47])), even(2))
    assert found.low == 0
    assert found.high == near(0.176624, 2e-3)


def test_mapping_only_the_ends_of_an_interval_loses_the_zero():
    """KA-23: p in [.47, .55] would map to [.0424, .0707], without the 0 that it holds."""
    ends = distance(np.array([[0.47, 0.53], [0.55, 0.45]]), even(2))
    assert ends == near([0.042426, 0.070711])
    found = discrepancy(from_counts(np.array([306, 294])), even(2))  # .51, Wilson .470-.550
    assert found.low == 0


@pytest.mark.parametrize(
    ("n", "expected"),
    [(10, 0.174014), (20, 0.124590), (50, 0.079394), (100, 0.056278), (500, 0.025219)],
    ids=lambda v: f"KA-24-{v}" if isinstance(v, int) else "",
)
def test_a_fair_model_of_two_classes_seems_biased_by_this_much(n, expected):
    assert fair_mean(n, 2) == near(expected)
    found = discrepancy(from_counts(np.array([n // 2, n - n // 2])), even(2))
    assert found.null_mean == near(expected)


@pytest.mark.parametrize(
    ("k", "expected"), [(3, 0.072360), (4, 0.079788), (7, 0.088815)], ids=lambda v: f"KA-25-{v}"
)
def test_a_fair_model_of_many_classes_seems_biased_by_this_much(k, expected):
    assert fair_mean(100, k) == near(expected, 1e-5)
    counts = np.full(k, 100 // k)
    counts[0] += 100 - counts.sum()
    assert discrepancy(from_counts(counts), even(k)).null_mean == near(expected, 2e-3)


@pytest.mark.parametrize(
    ("n", "expected"), [(10, 0.246094), (20, 0.176197), (50, 0.112275), (100, 0.079589)]
)
def test_the_floor_of_the_deviation_that_is_averaged_over_prompts(n, expected):
    """KA-26: √2 times the mean FD of a fair model."""
    assert fair_mean(n, 2) * sqrt(2) == near(expected)


@pytest.mark.parametrize(
    ("k", "expected"), [(2, 0.138590), (3, 0.141318), (4, 0.139774), (7, 0.134123)]
)
def test_the_null_quantile(k, expected):
    """KA-27: √(χ²_{K-1, .95} / 100K)."""
    assert fair_quantile(100, k) == near(expected)


def test_two_classes_have_the_exact_null():
    """KA-28: of 100 images ±10 has p .0569 and ±11 p .0352, so the band ends below .155563."""
    ten = discrepancy(from_counts(np.array([60, 40])), even(2))
    eleven = discrepancy(from_counts(np.array([61, 39])), even(2))
    assert ten.p_null == near(0.056888)
    assert eleven.p_null == near(0.035200)
    assert ten.null_high == near(sqrt(2) * 0.10)
    assert ten.low == 0
    assert eleven.low > 0


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        pytest.param([16, 4], 0.163158, id="KA-29-16-4"),  # .18 - .32/19
        pytest.param([10, 10], -0.5 / 19, id="KA-29-10-10"),
        pytest.param([70, 10, 12, 8], 0.265960, id="KA-29-70"),
        pytest.param([28, 22, 26, 24], -0.005556, id="KA-29-28"),
    ],
)
def test_the_debiased_square_of_counts(counts, expected):
    c = np.array(counts)
    assert squared_discrepancy(from_counts(c), even(len(c))) == near(expected)
    n = c.sum()
    by_pairs = (c * (c - 1)).sum() / (n * (n - 1)) - 1 / len(c)
    assert expected == near(by_pairs)


def test_the_debiased_square_of_soft_readings():
    """KA-30: plug-in .0078125 less tr S / 4."""
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.55, 0.45], [0.2, 0.8]])
    found = discrepancy(shares(probabilities), even(2))
    assert found.plugin**2 == near(0.0078125)
    assert found.squared == near(-0.033333, 1e-6)
    assert found.debiased == 0


def test_counts_votes_and_groups_give_the_same_square():
    """KA-31: the pairwise form, the trace form and the form from counts are one."""
    votes = np.repeat(np.eye(2), [16, 4], axis=0)
    d = votes - 0.5
    total = d.sum(axis=0)
    by_pairs = (total @ total - (d * d).sum()) / (20 * 19)
    grouped = shares_by(votes, np.zeros(20, int), 1)
    assert squared_discrepancy(shares(votes), even(2)) == pytest.approx(by_pairs)
    assert squared_discrepancy(grouped, even(2))[0] == pytest.approx(by_pairs)
    assert squared_discrepancy(from_counts(np.array([16, 4])), even(2)) == pytest.approx(by_pairs)


def test_unequal_weights_are_worth_fewer():
    """KA-60: 8² / 28."""
    assert kish(np.array([1, 1, 1, 5])) == near(64 / 28)


def test_simultaneous_intervals_of_all_shares():
    """KA-63."""
    found = goodman(np.array([70, 10, 12, 8]))
    assert found.low == near([0.576589, 0.047090, 0.060467, 0.034448])
    assert found.high == near([0.799923, 0.199887, 0.224162, 0.174879])
