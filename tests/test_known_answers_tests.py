"""Known answers of tests, corrections, agreement and sample sizes, each with its arithmetic."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from audit.statistics.agreement import agreement, cohen, fleiss, krippendorff
from audit.statistics.changes import compare, tost
from audit.statistics.correction import (
    Calibration,
    correct,
    likeliest,
    prior_shift,
)
from audit.statistics.discrepancy import discrepancy, distance
from audit.statistics.intervals import t_interval
from audit.statistics.missing import worst_case
from audit.statistics.multiplicity import benjamini_hochberg, holm
from audit.statistics.pairs import bowker, difference_error, mcnemar, stuart_maxwell
from audit.statistics.power import (
    design_effect,
    detectable,
    images_for_width,
    images_per_arm,
    images_to_detect,
    images_to_pass,
    pairs_to_detect,
)
from audit.statistics.powered import prediction_powered, rectified
from audit.statistics.shares import from_counts, nearest, one_hot

EVEN = np.array([0.5, 0.5])


def near(expected, tolerance=5e-6):
    return pytest.approx(expected, abs=tolerance)


def test_flips_of_18_against_6():
    """KA-32: 2·P(X ≤ 6) with X ~ Bin(24, ½); mid-p takes P(X = 6) once; (12)²/24; (11)²/24."""
    found = mcnemar(18, 6)
    assert found.exact == near(0.022656)
    assert found.mid_p == near(0.014633)
    assert found.asymptotic == near(0.014306)
    assert found.corrected == near(0.024745)


def test_no_flips_are_no_evidence():
    found = mcnemar(0, 0)
    assert (found.exact, found.mid_p, found.asymptotic, found.corrected) == (1, 1, 1, 1)


def test_the_error_of_a_paired_difference():
    """KA-33: √(24 - 144/100) / 100; 1.96 times it around .12 gives .026907-.213093."""
    se = difference_error(18, 6, 100)
    assert se == near(0.047497)
    found = t_interval(0.12, se, np.inf, 100)
    assert (found.low, found.high) == near((0.026907, 0.213093), 1e-6)


def test_pairs_are_compared_image_by_image():
    """62 of 100 women before (44 + 18 lost) and 50 after (44 + 6 gained)."""
    before = one_hot(np.repeat([0, 0, 1, 1], [44, 18, 6, 32]), 2)
    after = one_hot(np.repeat([0, 1, 0, 1], [44, 18, 6, 32]), 2)
    found = compare(before, after, EVEN)
    assert found.difference.p == pytest.approx([-0.12, 0.12])
    # The unbiased variance divides by 99 where KA-33 divides by 100.
    assert sqrt(found.difference.cov[0, 0]) == near(0.047497 * sqrt(100 / 99), 1e-6)
    assert found.interval.high[0] < 0
    # FD² falls from 2·.12² to 0; debiased by (1 - Σp²)/99 either side.
    assert found.squared.value == near(-(0.0288 - 0.4712 / 99) - 0.5 / 99, 1e-6)


def test_shares_of_three_classes_before_and_after():
    """KA-34: row sums 52, 25, 23 against column sums 44, 30, 26."""
    found = stuart_maxwell(np.array([[40, 8, 4], [3, 20, 2], [1, 2, 20]]))
    assert found.statistic == near(4.033613)
    assert found.p == near(0.1331, 1e-4)
    assert found.df == 2
    assert found.dropped == ()


def test_a_class_that_neither_arm_drew_is_dropped_and_named():
    table = np.array([[40, 0, 8], [0, 0, 0], [3, 0, 20]])
    found = stuart_maxwell(table)
    assert found.dropped == (1,)
    assert found.df == 1
    assert found.p == near(mcnemar(8, 3).asymptotic)  # two classes are left


def test_symmetry_of_flips():
    """(8-3)²/11 + (4-1)²/5 + (2-2)²/4."""
    found = bowker(np.array([[40, 8, 4], [3, 20, 2], [1, 2, 20]]))
    assert found.statistic == near(25 / 11 + 9 / 5)
    assert found.df == 3


P = [0.0004, 0.0021, 0.0093, 0.0180, 0.0420, 0.3100]


def test_holm_multiplies_by_the_tests_that_are_left():
    """KA-35: times 6, 5, 4, 3, 2, 1."""
    assert holm(P) == near([0.0024, 0.0105, 0.0372, 0.054, 0.084, 0.31])
    assert (holm(P) <= 0.05).sum() == 3


def test_benjamini_hochberg_divides_by_the_rank():
    """KA-36: 6p/rank, from the largest down."""
    assert benjamini_hochberg(P) == near([0.0024, 0.0063, 0.0186, 0.027, 0.0504, 0.31])
    assert (benjamini_hochberg(P) <= 0.05).sum() == 4


def test_adjustment_keeps_the_order_and_what_is_missing():
    mixed = np.array([0.31, np.nan, 0.0004, 0.0420])
    assert holm(mixed)[[0, 2, 3]] == near([0.31, 0.0012, 0.084])
    assert np.isnan(holm(mixed)[1])


def binary(sensitivity, specificity, n):
    hits, spared = round(sensitivity * n), round(specificity * n)
    return Calibration(np.array([[hits, n - hits], [n - spared, spared]]))


def test_a_corrected_share_carries_the_error_of_its_calibration():
    """KA-37: (.62 + .90 - 1) / .85 = .611765; se .029480, and .025538 with a known probe."""
    measured = from_counts(np.array([310, 190]))
    measured = replace(measured, cov=measured.cov * 499 / 500)  # the worked number divides by n
    found = correct(measured, binary(0.95, 0.90, 200))
    assert found.shares.p[0] == near(0.611765)
    assert sqrt(found.shares.cov[0, 0]) == near(0.029480)
    assert sqrt(measured.cov[0, 0]) / 0.85 == near(0.025538)
    assert found.warnings == ()


def test_uneven_errors_make_a_fair_model_look_biased():
    """KA-38: .5·.95 + .5·.10 = .525."""
    q = EVEN @ binary(0.95, 0.90, 200).confusion
    assert q[0] == near(0.525)
    assert distance(q, EVEN) == near(0.035355)


def test_a_published_probe_reads_a_balanced_set_as_a_quarter_women():
    """KA-39: .5·.44537 + .5·(1 - .96616) = .239605; the inverse blows the variance up by 1/J²."""
    recall = np.array([[0.44537, 0.55463], [1 - 0.96616, 0.96616]])
    q = EVEN @ recall
    assert q[0] == near(0.239605)
    assert distance(q, EVEN) == near(0.368254, 1e-6)
    assert likeliest(q, recall) == pytest.approx(EVEN)
    assert near(5.904689, 2e-5) == 1 / (0.44537 + 0.96616 - 1) ** 2


C = np.array([[0.90, 0.08, 0.02], [0.05, 0.85, 0.10], [0.02, 0.13, 0.85]])


def test_the_inverse_finds_the_shares_behind_the_readings():
    """KA-40: .5·.90 + .3·.05 + .2·.02 = .469 and so on."""
    p = np.array([0.5, 0.3, 0.2])
    assert p @ C == near([0.469, 0.321, 0.210])
    assert likeliest(p @ C, C) == pytest.approx(p)


def test_readings_that_no_shares_explain():
    """KA-41: the inverse is (1.036845, -.080774, .043930)."""
    q = np.array([0.93, 0.02, 0.05])
    inverse = np.linalg.solve(C.T, q)
    assert inverse == near([1.036845, -0.080774, 0.043930])
    assert nearest(inverse) == near([0.996457, 0, 0.003543])
    assert likeliest(q, C) == near([0.970012, 0, 0.029988], 1e-5)
    counts = np.round(C * 100).astype(int)
    found = correct(from_counts(np.array([93, 2, 5])), Calibration(counts))
    assert "infeasible_inverse" in found.warnings
    assert found.shares.p == near([0.970012, 0, 0.029988], 1e-5)


def test_prior_shift_of_scores():
    """KA-42: the mean of the scores is .6; their own prior is .893858."""
    first = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.2])
    found = prior_shift(np.stack([first, 1 - first], axis=1), EVEN)
    assert found[0] == near(0.893858, 1e-5)


def test_prior_shift_of_two_valued_scores_is_the_inverse():
    """KA-43: seven of ten say .95: (.7 + .95 - 1) / .9."""
    first = np.repeat([0.95, 0.05], [7, 3])
    found = prior_shift(np.stack([first, 1 - first], axis=1), EVEN)
    assert found[0] == near(0.65 / 0.9)
    calibrated = binary(0.95, 0.95, 200)
    assert likeliest(np.array([0.7, 0.3]), calibrated.confusion)[0] == near(0.65 / 0.9)


def labelled():
    """Return readings of 2,000 images, 1,300 of the first class, and labels of 200 of them."""
    read = one_hot(np.repeat([0, 1, 0, 1, 0, 1], [110, 4, 14, 72, 1300 - 124, 700 - 76]), 2)
    truth = one_hot(np.repeat([0, 0, 1, 1, -1], [110, 4, 14, 72, 1800]), 2)
    return read, truth


def test_labels_on_a_sample_correct_all_readings():
    """KA-44: .65 + (.57 - .62) = .60; variance .65·.35/2000 + var(Y - f)/200.

    The known answer is of labels of other images. Of images that were read too, what is read and
    how it errs go together: 2 cov(f, Y - f) / 2000 more, with cov .55 - .57·.62 - .62·.38.
    """
    found = rectified(*labelled(), np.eye(2))
    assert found.p[0] == near(0.60)
    together = 2 * (0.55 - 0.57 * 0.62 - 0.62 * 0.38) * 200 / 199 / 2000
    assert sqrt(found.cov[0, 0] - together) == near(0.023525, 1e-5)


def test_labels_weighted_for_the_smallest_variance():
    """KA-45: λ = cov(Y, f) / ((1 + n/N) var f) = .758605."""
    found = prediction_powered(*labelled())
    assert found.p[0] == near(0.758605 * 0.65 + 0.57 - 0.758605 * 0.62, 1e-6)
    assert found.p[0] == near(0.592758, 1e-6)


def test_where_all_are_labelled_their_readings_add_nothing():
    read, truth = (votes[:200] for votes in labelled())
    found = prediction_powered(read, truth)
    assert found.p == pytest.approx([0.57, 0.43])
    assert found.cov[0, 0] == pytest.approx(0.57 * 0.43 / 199, rel=0.01)


def test_what_fifteen_missing_faces_could_hide():
    """KA-46: 60 men, 25 women, 15 unread: .60-.75 men, FD .141421-.353553."""
    found = worst_case(np.array([60, 25]), 15, EVEN)
    assert (found.low[0], found.high[0]) == near((0.60, 0.75))
    assert found.distance_low == near(sqrt(2) * 0.1)
    assert found.distance_high == near(sqrt(2) * 0.25)
    assert distance(np.array([60, 25]) / 85, EVEN) == near(0.291162)


def test_missing_images_can_make_up_a_balance():
    found = worst_case(np.array([30, 20, 0]), 50, np.array([0.4, 0.3, 0.3]))
    assert found.distance_low == near(0)  # 10, 10 and 30 more
    assert found.distance_high == near(sqrt(0.4**2 + 0.1**2 + 0.3**2))  # all fifty in the first


def test_a_pooled_confusion_does_not_transfer_between_mixes():
    """KA-47: .8·(.5·.70 + .5·.01) + .2·(.5·.98 + .5·.03) = .385; pooled inverse .445122."""
    q = 0.8 * (0.5 * 0.70 + 0.5 * 0.01) + 0.2 * (0.5 * 0.98 + 0.5 * 0.03)
    assert q == near(0.385)
    assert distance(np.array([q, 1 - q]), EVEN) == near(0.162635)
    pooled = np.array([[0.84, 0.16], [0.02, 0.98]])
    assert likeliest(np.array([q, 1 - q]), pooled)[0] == near(0.445122)
    # Corrected on group and gender together: (dark, light) by (female, male).
    together = np.array(
        [[0.70, 0.30, 0, 0], [0.01, 0.99, 0, 0], [0, 0, 0.98, 0.02], [0, 0, 0.03, 0.97]]
    )
    truth = np.array([0.4, 0.4, 0.1, 0.1])
    found = likeliest(truth @ together, together)
    assert found[0] + found[2] == near(0.5)


@pytest.mark.parametrize(
    ("k", "accuracy", "factor"),
    [(2, 0.95, 0.9), (4, 0.9, 0.866667), (7, 0.72, 0.673333), (9, 0.6, 0.55)],
    ids=lambda v: f"KA-48-{v}" if isinstance(v, int) else "",
)
def test_even_errors_hide_bias_by_a_constant_factor(k, accuracy, factor):
    confusion = np.full((k, k), (1 - accuracy) / (k - 1))
    np.fill_diagonal(confusion, accuracy)
    p = np.array([0.6] + [0.4 / (k - 1)] * (k - 1))
    even = np.full(k, 1 / k)
    assert distance(p @ confusion, even) / distance(p, even) == near(factor)


def test_agreement_of_two_raters_beyond_chance():
    """KA-49: (.85 - .5) / .5."""
    table = np.array([[45, 5], [10, 40]])
    assert cohen(table) == near(0.7)
    assert agreement(table) == near(0.85)


def test_agreement_of_three_raters_beyond_chance():
    """KA-50: observed .7, expected 1/3."""
    votes = ["300", "210", "030", "021", "003", "111", "300", "030", "102", "003"]
    table = np.array([[int(c) for c in item] for item in votes])
    assert fleiss(table) == near(0.55)


def test_agreement_with_readings_missing():
    """KA-61."""
    items = ["FFF", "MM-", "FMF", "MMM", "-F-", "FFM", "MMM", "F-F"]
    codes = np.array([["FM-".index(c) for c in item] for item in items])
    codes[codes == 2] = -1
    assert krippendorff(codes, 2) == near(0.6)


@pytest.mark.parametrize(
    ("half", "n"), [(0.10, 93), (0.05, 381), (0.03, 1064), (0.02, 2398), (0.01, 9600)]
)
def test_images_for_a_precision(half, n):
    # The exact inversion of Wilson's width; the table rounds to the nearest image.
    assert images_for_width(half) == pytest.approx(n, abs=1)


@pytest.mark.parametrize(("k", "fd"), [(2, 0.198), (3, 0.179), (4, 0.165), (7, 0.140)])
def test_what_a_hundred_images_can_show(k, fd):
    assert detectable(100, k) == near(fd, 6e-4)


@pytest.mark.parametrize(
    ("k", "tenth", "twentieth"), [(2, 393, 1570), (3, 322, 1285), (4, 273, 1091), (7, 195, 779)]
)
def test_images_that_show_a_discrepancy(k, tenth, twentieth):
    assert images_to_detect(0.10, k) == tenth
    assert images_to_detect(0.05, k) == pytest.approx(twentieth, abs=1)


@pytest.mark.parametrize(("limit", "n"), [(0.05, 1692), (0.10, 424), (0.15, 192), (0.20, 102)])
def test_images_with_which_a_fair_model_of_two_classes_passes(limit, n):
    # The published table used the variance at the estimate; ours that at the target.
    assert images_to_pass(limit, 2) == pytest.approx(n, rel=0.06)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_a_fair_model_passes_as_often_as_planned(k):
    n = images_to_pass(0.12, k)
    counts = np.random.default_rng(k).multinomial(n, np.full(k, 1 / k), 1000)
    passed = discrepancy(from_counts(counts), np.full(k, 1 / k)).upper <= 0.12
    assert passed.mean() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("gain", "loss", "n"), [(0.18, 0.06, 129), (0.10, 0.05, 469), (0.30, 0.10, 77)]
)
def test_pairs_that_show_flips(gain, loss, n):
    assert pairs_to_detect(gain, loss) == pytest.approx(n, abs=1)


def test_images_of_unpaired_arms():
    assert images_per_arm(0.62, 0.50) == pytest.approx(268, abs=1)


def test_twenty_alike_images_are_worth_a_third():
    assert design_effect(20, 0.1) == pytest.approx(2.9)


def test_equivalence_needs_a_margin_and_a_small_error():
    sure = t_interval(0.001, 0.002, np.inf, 500)
    unsure = t_interval(0.001, 0.02, np.inf, 500)
    assert tost(sure, 0.01) < 0.001
    assert tost(unsure, 0.01) > 0.2  # not significant, and no evidence of equality either
