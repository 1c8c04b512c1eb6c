"""FID, KID, CMMD and CLIP scores: known answers; torchmetrics and torch-fidelity as oracles."""

from functools import partial
from math import exp, sqrt

import numpy as np
import pytest
from scipy import linalg, stats

from audit.metrics.alignment import affine, change, clipscore, clipscore_x100, cosine
from audit.metrics.fidelity import (
    Moments,
    cmmd,
    cmmd_unbiased,
    fid,
    fid_infinity,
    frechet,
    kid,
)
from audit.statistics.intervals import mean_interval

SQUARE = np.array([[0, 0], [2, 0], [0, 2], [2, 2.0]])
TALL = np.array([[1, 1], [3, 1], [1, 5], [3, 5.0]])


def near(expected, tolerance=5e-6):
    return pytest.approx(expected, abs=tolerance)


def moments(mean, cov):
    return Moments(2, np.array(mean, float), np.array(cov, float))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(moments([0], [[1]]), moments([1], [[4]]), 1 + (2 - 1) ** 2, id="KA-51"),
        pytest.param(  # 25 + (3 - 1)² + (2 - 1)²
            moments([0, 0], [[1, 0], [0, 4]]), moments([3, 4], [[9, 0], [0, 1]]), 30, id="KA-52"
        ),
        pytest.param(  # 2 + 4 + 4 - 2 √(tr AB + 2 √det AB), tr AB = 8, det AB = 9
            moments([0, 0], [[2, 1], [1, 2]]),
            moments([1, -1], [[3, 0], [0, 1]]),
            10 - 2 * sqrt(8 + 2 * 3),
            id="KA-53",
        ),
    ],
)
def test_the_frechet_distance_of_normal_laws(first, second, expected):
    assert frechet(first, second) == near(expected)
    assert frechet(second, first) == near(expected)


def test_fid_of_two_sets_of_four():
    """KA-54: means (1,1) and (2,3); variances 4/3, 4/3 and 4/3, 16/3: 5 + (4 - 2)²/3."""
    assert fid(SQUARE, TALL) == near(5 + 4 / 3)


def test_fewer_images_than_dimensions_give_the_same_distance():
    rng = np.random.default_rng(0)
    few, more = rng.normal(size=(12, 40)), rng.normal(0.3, 1.2, size=(15, 40))
    assert fid(few, more) == near(frechet(Moments.of(few), Moments.of(more)), 1e-4)


def test_the_trace_of_a_root_is_that_of_the_matrix_root():
    """KA-53s, trap 10: no imaginary part is thrown away, since none comes up."""
    a, b = np.array([[2.0, 1], [1, 2]]), np.array([[3.0, 0], [0, 1]])
    found = frechet(moments([0, 0], a), moments([0, 0], b))
    assert (np.trace(a + b) - found) / 2 == near(np.trace(linalg.sqrtm(a @ b)).real)
    flat = np.outer([1.0, 2, 3], [1.0, 2, 3])  # of rank 1: a root by Schur's method is not real
    assert frechet(moments([0] * 3, flat), moments([0] * 3, 4 * flat)) == near(14 + 56 - 2 * 28)


def test_distances_neither_read_nor_move_the_global_random_numbers():
    """Trap 10: an interval must not change with what was drawn before it."""
    x, y = np.random.default_rng(0).normal(size=(2, 120, 4))
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the trap itself
    first = kid(x, y), fid_infinity(x, y)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    assert (kid(x, y), fid_infinity(x, y)) == first


def test_the_error_of_kid_is_its_spread_over_new_images():
    """Trap 11: the ± over random subsets of one set of images is another number."""
    rng = np.random.default_rng(0)
    found = [kid(rng.normal(0.5, 1, size=(80, 4)), rng.normal(size=(80, 4))) for _ in range(150)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.se for one in found]) == pytest.approx(spread, rel=0.25)


def test_merged_shards_are_the_whole():
    """KA-59: far from the origin, where raw second moments lose seven digits."""
    x = np.random.default_rng(0).normal(size=(3000, 16)) + 1e4
    whole = Moments.of(x[:700]).merge(Moments.of(x[700:1901])).merge(Moments.of(x[1901:]))
    assert whole.n == 3000
    assert whole.cov == pytest.approx(np.cov(x.T), abs=1e-9)


def test_kid_by_hand():
    """KA-55 and KA-56; the second also by the pairwise definition."""
    few = kid(np.eye(2), np.array([[1.0, 1], [0, 0]]))
    assert few.value == near(-2.375)
    assert np.isnan(few.se)
    x, y = np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([[2.0, 0], [0, 2], [2, 2]])
    assert kid(x, y).value == near(3.805556)
    assert kid_value(x, y) == near(3.805556)


def kid_value(x, y):
    def kernel(a, b):
        return (a @ b.T / x.shape[1] + 1) ** 3

    def others(a):
        n = len(a)
        return (kernel(a, a).sum() - np.trace(kernel(a, a))) / (n * (n - 1))

    return others(x) + others(y) - 2 * kernel(x, y).mean()


def test_the_jackknife_of_kid_leaves_out_one_image_at_a_time():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 4)), rng.normal(0.5, 1, size=(7, 4))
    one = np.array([kid_value(np.delete(x, i, 0), y) for i in range(9)])
    two = np.array([kid_value(x, np.delete(y, i, 0)) for i in range(7)])
    assert kid(x, y).se == pytest.approx(sqrt(one.var() * 8 + two.var() * 6))


def test_images_of_one_prompt_do_not_make_kid_surer():
    """Ten images of each of 20 prompts: the error is that over new prompts, not new images."""
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(20), 10)
    y = rng.normal(size=(400, 4))
    found = []
    for _ in range(80):
        x = 0.7 * rng.normal(size=(20, 4))[prompts] + 0.5 + 0.7 * rng.normal(size=(200, 4))
        by_prompt = partial(mean_interval, prompts=prompts, design="prompts")
        found.append((kid(x, y, mean=by_prompt), kid(x, y)))
    known, blind = zip(*found, strict=True)
    spread = np.std([one.value for one in known])
    assert np.mean([one.se for one in known]) == pytest.approx(spread, rel=0.3)
    assert np.mean([one.se for one in blind]) < spread / 2
    assert [one.value for one in known] == [one.value for one in blind]
    assert known[0].df == 19


def test_cmmd_of_unit_vectors():
    """KA-57: 2000(1 - e^-.01) at a right angle; halves of 1, e^-.01, e^-.02 for ±e."""
    e = np.eye(2)
    assert cmmd(e[:1], e[1:]) == near(2000 * (1 - exp(-0.01)))
    by_hand = 1000 * (1 + exp(-0.01) - exp(-0.02) - exp(-0.01))
    assert cmmd(e, -e) == near(by_hand)
    assert by_hand == near(19.801327)


def test_same_sets_are_at_no_distance_and_unbiased_forms_may_be_negative():
    x = np.random.default_rng(0).normal(size=(60, 5))
    assert fid(x, x) == near(0)
    assert cmmd(x, x) == near(0)
    again = np.random.default_rng(1).normal(size=(60, 5))
    found = kid(x, again)
    assert found.low < 0 < found.high
    unbiased = cmmd_unbiased(x, again)
    assert unbiased.low < 0 < unbiased.high


def test_too_few_images_give_nan():
    x = np.ones((1, 4))
    assert np.isnan(fid(x, np.ones((5, 4))))
    assert np.isnan(kid(x, np.ones((5, 4))).value)
    assert np.isnan(fid_infinity(np.ones((50, 4)), np.ones((50, 4))).value)


def test_extrapolation_takes_out_most_of_the_bias_of_small_samples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 400, 24))
    plain, extrapolated = fid(x, y), fid_infinity(x, y)
    assert plain > 0.5  # the truth is 0
    assert abs(extrapolated.value) < plain / 3


def test_extrapolation_does_not_hang_on_the_order_of_images():
    """Rows come sorted by prompt: the first fifth is not the whole at another size."""
    rng = np.random.default_rng(0)
    prompts = np.repeat(rng.normal(size=(10, 8)), 40, axis=0)
    x, y = rng.normal(size=(2, 400, 8)) + prompts
    order = rng.permutation(400)
    assert abs(fid_infinity(x, y[order]).value) < 0.2
    assert abs(fid_infinity(x[order], y).value) < 0.2


def test_near_copies_widen_the_extrapolation_and_it_still_holds_the_truth():
    """Five near copies of each of 40 prompts, and as many images that are independent.

    Moved by .5 in each of 4 dimensions, at the same variance: FID is 4 · .5² = 1.
    """
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(40), 5)
    known, blind = [], []
    for _ in range(40):
        copies = sqrt(0.99) * rng.normal(size=(40, 4))[prompts] + 0.1 * rng.normal(size=(200, 4))
        x, y = 0.5 + copies, rng.normal(size=(200, 4))
        known.append(fid_infinity(x, y, units=(prompts,)))
        blind.append(fid_infinity(x, y))

    def held(found):
        return np.mean([one.low <= 1 <= one.high for one in found])

    assert held(known) >= stats.binom.ppf(0.001, 40, 0.95) / 40
    assert np.mean([one.se for one in known]) > 1.5 * np.mean([one.se for one in blind])
    assert abs(np.mean([one.value for one in known]) - 1) < 0.3  # 40 of a spread of .5
    assert known[0].df == 9


def test_prompts_and_seeds_without_effect_leave_a_distance_of_0_possible():
    x, y = np.random.default_rng(0).normal(size=(2, 100, 3))
    prompts, seeds = np.indices((10, 10)).reshape(2, -1)
    found = fid_infinity(x, y, units=(prompts, seeds))
    assert found.low < 0 < found.high
    assert found.df == 9


def test_the_fewest_prompts_give_a_value_and_no_interval():
    x, y = np.random.default_rng(0).normal(size=(2, 108, 3))
    found = fid_infinity(x, y, units=(np.repeat(np.arange(9), 12),))
    assert np.isfinite(found.value)
    assert np.isnan([found.se, found.low, found.high]).all()
    assert found.method == "no interval: 9 prompts or seeds, 10 are needed"


def test_clip_scores_clamp_at_different_places():
    """KA-58: cosines .3 and -.1."""
    images = np.array([[1.0, 0], [1.0, 0]])
    texts = np.array([[0.3, sqrt(1 - 0.09)], [-0.1, sqrt(1 - 0.01)]])
    assert cosine(images, texts).mean() == near(0.1)
    assert clipscore(images, texts).mean() == near(0.375)
    assert max(clipscore_x100(images, texts).mean(), 0) == near(10)
    assert np.maximum(clipscore_x100(images, texts), 0).mean() == near(15)


def test_a_cosine_of_8_prints_as_9_only_under_another_name():
    pair = np.array([[0.8, 0.6]])
    assert cosine(np.array([[1.0, 0]]), pair)[0] == near(0.8)
    assert affine(np.array([[1.0, 0]]), pair)[0] == near(0.9)


def test_change_is_0_for_the_same_images_and_about_1_for_others():
    x, y = np.random.default_rng(0).normal(size=(2, 500, 16))
    assert change(x, x).max() == near(0)
    assert change(y, x).mean() == pytest.approx(1, abs=0.05)


def test_lists_of_unlike_length_do_not_pair():
    with pytest.raises(ValueError, match="do not pair"):
        cosine(np.ones((3, 2)), np.ones((2, 2)))


def test_an_image_without_embedding_is_missing_and_not_zero():
    assert np.isnan(cosine(np.array([[np.nan, 1]]), np.array([[1.0, 0]]))[0])


def test_torchmetrics_agrees():
    image = pytest.importorskip("torchmetrics.image")
    torch = pytest.importorskip("torch")

    class Flat(torch.nn.Module):
        num_features = 12

        def forward(self, x):
            return x.flatten(1).double()

    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (64, 3, 2, 2), dtype=np.uint8)
    y = rng.integers(40, 256, (80, 3, 2, 2), dtype=np.uint8)
    a, b = x.reshape(64, -1).astype(float), y.reshape(80, -1).astype(float)
    oracle = image.fid.FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2))
    oracle.set_dtype(torch.float64)
    oracle.update(torch.from_numpy(y), real=True)
    oracle.update(torch.from_numpy(x), real=False)
    assert fid(a, b) == pytest.approx(float(oracle.compute()), rel=1e-6)


def test_torch_fidelity_agrees():
    metric = pytest.importorskip("torch_fidelity.metric_kid")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(0.3, 1, size=(50, 6))
    oracle = metric.kernel_mmd(
        x, y, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_coef0=1.0
    )
    assert kid(x, y).value == pytest.approx(float(oracle), rel=1e-9)
