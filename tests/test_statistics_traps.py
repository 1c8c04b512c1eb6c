"""Mistakes that published code makes, each as a test that fails on the mistake."""

import tracemalloc
from importlib.metadata import entry_points

import numpy as np
import pytest
from scipy import stats

from audit.metrics import fairness
from audit.metrics.alignment import cosine
from audit.metrics.evaluation import evaluate
from audit.metrics.joint import pool, small_cells
from audit.statistics.changes import compare
from audit.statistics.correction import Calibration, correct
from audit.statistics.decomposition import decompose
from audit.statistics.designs import design
from audit.statistics.discrepancy import discrepancy
from audit.statistics.intervals import mean_interval, share_interval
from audit.statistics.missing import count_states, worst_case
from audit.statistics.shares import from_counts, harden, one_hot, shares, shares_by
from audit.types import State

EVEN = np.array([0.5, 0.5])


def even(k):
    return np.full(k, 1 / k)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_total_collapse_is_the_maximum_and_not_zero(k):
    """Trap 1: counting only the classes that occur gives 1 - 1/K, or 0."""
    found = discrepancy(shares(one_hot(np.zeros(60, int), k)), even(k))
    assert found.normalised == pytest.approx(1)
    assert found.debiased == pytest.approx(found.plugin, abs=1e-12)
    assert found.low > 0
    assert found.high == pytest.approx(found.plugin)
    assert found.high > found.low  # a bootstrap would have no width here


def test_columns_are_named_groups_and_not_the_first_four():
    """Trap 2: shares and target must agree in their number of classes."""
    with pytest.raises(ValueError, match="broadcast"):
        discrepancy(from_counts(np.array([30, 10, 5, 20, 15, 12, 8])), even(4))


def test_hard_votes_have_one_rule_and_missing_rows_no_class():
    """Trap 3 and 5: no threshold between classes; an unread image is not a row of zeros."""
    probabilities = np.array([[0.45, 0.40, 0.15], [np.nan] * 3, [0.5, 0.5, 0.0]])
    votes = harden(probabilities)
    assert votes[0].tolist() == [1, 0, 0]
    assert np.isnan(votes[1]).all()
    assert votes[2].tolist() == [1, 0, 0]  # a tie counts once
    assert shares(votes).n == 2


def test_pairs_are_by_request_and_missing_ones_leave_the_denominator():
    """Trap 4: not cut to length, and a failure is not a cosine of zero."""
    images, pairs = np.eye(3), np.eye(3)
    images[1] = np.nan
    with pytest.raises(ValueError, match="do not pair"):
        cosine(images, pairs[:2])
    assert mean_interval(cosine(images, pairs)).value == 1
    assert mean_interval(cosine(images, pairs)).n == 2


def test_nothing_read_is_nan_throughout():
    """Trap 6: an empty set is neither balance nor the largest imbalance."""
    votes = np.full((5, 2), np.nan)
    nothing = shares(votes)
    found = discrepancy(nothing, EVEN)
    for number in (found.plugin, found.squared, found.debiased, found.low, found.high):
        assert np.isnan(number)
    assert np.isnan(share_interval(nothing).low).all()
    assert np.isnan(evaluate(fairness.TV, nothing, EVEN).value)
    assert np.isnan(mean_interval(np.full(3, np.nan)).value)
    assert np.isnan(worst_case(np.zeros(2, int), 0, EVEN).distance_high)
    assert np.isnan(decompose(shares_by(votes, np.zeros(5, int), 1), EVEN).macro)


def test_averaging_plug_in_distances_of_prompts_has_a_floor_that_squares_have_not():
    """Trap 6 and 7: 400 fair prompts of ten images seem .174 biased each."""
    counts = np.random.default_rng(0).binomial(10, 0.5, 400)
    by_prompt = from_counts(np.stack([counts, 10 - counts], axis=1))
    assert discrepancy(by_prompt[:50], EVEN).plugin.mean() == pytest.approx(0.174, abs=0.04)
    found = decompose(by_prompt, EVEN)
    assert abs(found.macro) < 3 * found.macro_se
    assert found.macro_se < 0.01


def test_measuring_again_holds_no_more_memory():
    """What a fair model draws is remembered by the number of images, for every metric alike."""
    found = from_counts(np.array([20, 15, 12, 10]))
    evaluate(fairness.TV, found, even(4))
    tracemalloc.start()
    for metric in (fairness.TV, fairness.KL, fairness.PARITY_GAP):
        evaluate(metric, found, even(4))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000


def test_a_calibration_widens_the_interval():
    """Trap 8 and 13: accuracies are never taken as exact, nor as 1."""
    measured = from_counts(np.array([620, 380]))
    few = correct(measured, Calibration(np.array([[48, 2], [5, 45]])))
    many = correct(measured, Calibration(np.array([[4800, 200], [500, 4500]])))
    raw = share_interval(measured)

    def width(interval):
        return interval.high[0] - interval.low[0]

    assert width(few.interval) > 1.5 * width(many.interval) > 1.5 * width(raw)


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([[9, 1], [2, 18]], "10 labelled images"),
        ([[60, 40], [40, 60]], "below 0.3"),
        ([[38, 31, 31], [31, 38, 31], [31, 31, 38]], "condition number"),
    ],
)
def test_a_probe_that_cannot_carry_a_correction_says_why(counts, reason):
    k = len(counts)
    found = correct(from_counts(np.full(k, 50)), Calibration(np.array(counts)))
    assert any(reason in warning for warning in found.warnings)


def test_all_or_nothing_keeps_an_interval():
    """Trap 13: a bootstrap has no width at 0 and at 100 %."""
    found = share_interval(from_counts(np.array([20, 0])))
    assert found.low[0] == pytest.approx(1 - 0.161125, abs=1e-6)
    assert found.high[1] == pytest.approx(0.161125, abs=1e-6)


def clustered():
    """Ten prompts of twenty images, each prompt all women or all men."""
    prompts = np.repeat(np.arange(10), 20)
    return one_hot((prompts >= 6).astype(int), 2), prompts


def test_images_of_one_prompt_are_not_independent():
    """Trap 12: resampling rows would call this 200 images; it is 10 prompts."""
    votes, prompts = clustered()
    found = shares(votes, prompts=prompts, design="prompts")
    assert found.n == 200
    assert found.n_effective == pytest.approx(10)
    wide, narrow = share_interval(found), share_interval(shares(votes))
    assert wide.high[0] - wide.low[0] > 3 * (narrow.high[0] - narrow.low[0])


def test_drawing_every_row_twice_teaches_a_clustered_design_nothing():
    votes, prompts = clustered()
    votes[5] = votes[0][::-1]
    once = shares(votes, prompts=prompts, design="prompts")
    twice = shares(np.tile(votes, (2, 1)), prompts=np.tile(prompts, 2), design="prompts")
    assert twice.cov == pytest.approx(once.cov)
    assert discrepancy(twice, EVEN).high == pytest.approx(float(discrepancy(once, EVEN).high))


def test_seeds_that_all_prompts_share_are_the_clusters():
    prompts, seeds = np.indices((20, 30)).reshape(2, -1)
    votes = one_hot((seeds % 2).astype(int), 2)  # the seed decides
    found = shares(votes, prompts=prompts, seeds=seeds, design="seeds")
    assert found.n_effective == pytest.approx(30)


def test_every_prompt_weighs_the_same_however_many_faces_were_found():
    prompts = np.repeat([0, 1], [90, 10])
    votes = one_hot(prompts, 2)
    assert shares(votes, prompts=prompts, design="stratified").p == pytest.approx(EVEN)
    assert shares(votes).p == pytest.approx([0.9, 0.1])


def test_the_design_follows_from_what_is_claimed():
    assert design("fixed_prompts", prompts=1, shared_seeds=True) == "iid"
    assert design("fixed_prompts", prompts=9, shared_seeds=False) == "stratified"
    assert design("fixed_prompts", prompts=9, shared_seeds=True) == "seeds"
    assert design("prompt_population", prompts=9, shared_seeds=False) == "prompts"
    assert design("prompt_population", prompts=9, shared_seeds=True) == "crossed"


def test_order_of_rows_and_names_of_classes_change_nothing():
    """Trap 14."""
    rng = np.random.default_rng(0)
    votes, prompts = one_hot(rng.integers(0, 4, 200), 4), rng.integers(0, 10, 200)
    order, names = rng.permutation(200), [2, 0, 3, 1]
    for kind in ("iid", "stratified", "prompts"):
        found = discrepancy(shares(votes, prompts=prompts, design=kind), even(4))
        mixed = shares(votes[order][:, names], prompts=prompts[order], design=kind)
        again = discrepancy(mixed, even(4))
        for name in ("plugin", "squared", "low", "high", "lower", "upper", "p_null"):
            assert getattr(again, name) == pytest.approx(float(getattr(found, name)), abs=1e-9)


def test_many_groups_at_once_are_each_what_they_are_alone():
    counts = np.random.default_rng(0).multinomial(50, even(3), 40)
    together = discrepancy(from_counts(counts), even(3))
    alone = discrepancy(from_counts(counts[17]), even(3))
    assert together.high[17] == alone.high
    assert together.low[17] == alone.low


def test_what_one_arm_did_not_read_is_dropped_from_both_and_counted():
    before = one_hot(np.array([0, 0, 1, -1, 1]), 2)
    after = one_hot(np.array([0, 1, -1, 1, 1]), 2)
    found = compare(before, after, EVEN)
    assert found.dropped == 2
    assert found.before.n == found.after.n == 3


def test_pairs_that_did_not_flip_do_not_show_that_none_would():
    """Of 50 pairs none flips in 5 of 100 audits although 6 of 100 do: 1 - .05 ** (1 / 50)."""
    votes = one_hot(np.random.default_rng(0).integers(0, 2, 50), 2)
    found = compare(votes, votes, EVEN)
    assert found.squared.value == 0
    assert found.interval.low[0] < -0.058
    assert found.interval.high[0] > 0.058
    assert found.distance.low < -0.058
    assert found.distance.high > 0.058
    assert found.p.tolist() == [1, 1]


def test_pairs_that_all_flipped_are_as_sure_as_mcnemar_is():
    found = compare(one_hot(np.zeros(4, np.int64), 2), one_hot(np.ones(4, np.int64), 2), EVEN)
    assert found.p == pytest.approx([0.125, 0.125])
    assert (found.interval.low[0], found.interval.high[1]) == (-1, 1)
    assert found.interval.high[0] > -0.5


@pytest.mark.parametrize(("gained", "n"), [(0.02, 50), (0.05, 50), (0.02, 100)])
def test_rare_flips_of_one_kind_are_covered(gained, n):
    """The intervals of all numbers of flips, each as often as the binomial law draws it."""
    drawn = np.arange(12)
    held = []
    for k in drawn:
        after = one_hot(np.repeat([1, 0], [k, n - k]), 2)
        found = compare(one_hot(np.zeros(n, np.int64), 2), after, EVEN).interval
        held.append(found.low[1] <= gained <= found.high[1])
    assert stats.binom.pmf(drawn, n, gained) @ held > 0.93


@pytest.mark.parametrize("by", ["prompts", "seeds"])
def test_flips_that_come_in_clusters_are_no_evidence_by_their_number(by):
    """Of 20 prompts (or seeds) 4 turn over wholly, 3 of them one way: 60 flips against 20."""
    turned = np.repeat([1, 1, 1, -1, *[0] * 16], 20)
    before = np.where(turned == 1, 1, 0)
    after = np.where(turned == -1, 1, 0)
    cluster, inside = np.repeat(np.arange(20), 20), np.tile(np.arange(20), 20)
    axes = {"prompts": cluster, "seeds": inside}
    if by == "seeds":
        axes = {"prompts": inside, "seeds": cluster}
    votes = one_hot(before, 2), one_hot(after, 2)
    assert compare(*votes, EVEN).p[0] < 1e-4
    found = compare(*votes, EVEN, design=by, **axes)
    assert found.p[0] > 0.3
    assert found.together == pytest.approx(found.p[0])


def test_states_are_all_counted_and_unknown_ones_refused():
    found = count_states(np.array(["ok", "ok", "no_face"]))
    assert found[State.OK] == 2
    assert found[State.NO_FACE] == 1
    assert sum(found.values()) == 3
    assert set(found) == set(State)
    with pytest.raises(ValueError, match="noface"):
        count_states(np.array(["noface"]))


def test_small_cells_are_pooled_and_not_left_out():
    target = np.array([0.5, 0.3, 0.1, 0.1])
    small = small_cells(40, target)
    assert small.tolist() == [False, False, True, True]
    assert pool(target, small).tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_a_class_wanted_with_share_0_and_drawn_is_infinitely_far():
    assert fairness.kl(np.array([0.9, 0.1]), np.array([1.0, 0.0])) == np.inf


@pytest.mark.parametrize(
    "metric",
    [v for v in vars(fairness).values() if getattr(v, "interval", "") == "inversion"],
    ids=lambda m: m.name,
)
def test_every_form_has_an_interval_around_it_and_a_range_for_the_fair(metric):
    biased, balanced = from_counts(np.array([150, 50])), from_counts(np.array([100, 100]))
    found, fair = evaluate(metric, biased, EVEN), evaluate(metric, balanced, EVEN)
    assert metric.range[0] <= found.low <= found.value <= found.high <= metric.range[1]
    assert not found.null_low - 1e-9 <= found.value <= found.null_high + 1e-9
    assert fair.null_low - 1e-9 <= fair.value <= fair.null_high + 1e-9
    assert fair.low <= fair.value <= fair.high


def test_every_metric_is_registered_under_its_own_name():
    """Trap 9: a metric over embeddings gets its encoder's name, so none of ours is bare."""
    known = {entry.name: entry.load() for entry in entry_points(group="audit.metrics")}
    assert {"fd", "fd_debiased", "fid", "kid", "cmmd", "clip_t", "clip_i"} <= set(known)
    assert all(metric.name == name for name, metric in known.items())
