"""What a benchmark can show: the numbers of the literature, and gates that cannot decide."""

import numpy as np
import pytest
from scipy import stats

from audit.measuring.bounds import measured
from audit.metrics.fairness import FD_DEBIASED
from audit.spec import power
from audit.spec.benchmark import ArmSpec, Benchmark, Gate
from audit.spec.prompts import Prompt
from audit.statistics.decomposition import decompose
from audit.statistics.power import (
    images_to_pass,
    images_to_pass_mean,
    images_to_pass_worst,
)
from audit.statistics.shares import shares_by


def drawn(images, gates=()):
    """A benchmark that draws; made without the checks that need a whole spec."""
    plain = Benchmark.model_validate({"labels": "t.csv", "gates": list(gates)})
    return plain.model_copy(update={"labels": None, "model": "m", "images": images})


GATE = {"metric": "fd_debiased", "attribute": "gender", "max": 0.10}


def test_a_hundred_images_detect_what_the_chi_square_test_does():
    gender, _, race = power.reach(drawn(100))
    assert gender.detectable == pytest.approx(0.198, abs=5e-4)
    assert race.detectable == pytest.approx(0.165, abs=5e-4)
    assert gender.images_for_width == 381
    assert race.null == pytest.approx(0.1398, abs=1e-4)


def test_missing_faces_cost_images():
    assert power.reach(drawn(100), missing=0.25)[0].images == 75


def test_gates_that_cannot_decide_are_named_before_anything_is_drawn():
    (few,) = power.gates(drawn(100, [GATE]))
    assert few.needed == pytest.approx(424, rel=0.02)
    assert not few.decides
    assert next(power.warnings(drawn(100, [GATE]))).endswith("expect `inconclusive`")
    assert power.gates(drawn(1000, [GATE]))[0].decides
    assert list(power.warnings(drawn(1000, [GATE]))) == []


def test_more_gates_need_more_images():
    one = power.gates(drawn(100, [GATE]))[0].needed
    ten = power.gates(drawn(100, [GATE] * 10))[0].needed
    assert ten > one


def test_a_gate_without_an_arm_counts_once_for_each_arm():
    arms = tuple(ArmSpec.model_validate({"name": "none", "as": name}) for name in "ab")
    two = drawn(100, [GATE]).model_copy(update={"mitigations": arms})
    named = drawn(100, [GATE | {"arm": "a"}, GATE | {"arm": "b"}])
    one = drawn(100, [GATE])
    assert power.gates(two)[0].needed == power.gates(named)[0].needed
    assert power.gates(two)[0].needed > power.gates(one)[0].needed


def prompted(prompts, each, gates):
    """A benchmark that draws so many images of each of so many prompts."""
    texts = tuple(Prompt(id=f"p{i}", text=f"a {i}") for i in range(prompts))
    update = {"images": None, "prompts": texts, "images_per_prompt": each}
    return drawn(None, gates).model_copy(update=update)


def test_a_mean_over_prompts_is_planned_as_it_is_measured():
    """With 4 images of 50 prompts a fair model keeps .2 in 45 % of runs; pooled, nearly always."""
    gate = GATE | {"max": 0.2}
    macro = gate | {"metric": "fd_debiased_macro"}
    pooled, mean = power.gates(prompted(50, 4, [gate, macro]))
    assert (pooled.images, mean.images) == (200, 200)
    assert pooled.decides
    assert not mean.decides


def kept(limit, classes, prompts, each, runs=300):
    """How often a fair model keeps a limit on the mean over prompts, measured as a run does."""
    rng = np.random.default_rng(1)
    of = np.repeat(np.arange(prompts), each)
    fair = np.full(classes, 1 / classes)
    count = 0
    for _ in range(runs):
        votes = np.eye(classes)[rng.integers(0, classes, len(of))]
        found = decompose(shares_by(votes, of, prompts), fair)
        count += found.macro + stats.norm.ppf(0.95) * found.macro_se <= limit**2
    return count / runs


@pytest.mark.parametrize(
    ("limit", "classes", "prompts"), [(0.2, 2, 8), (0.1, 2, 8), (0.15, 4, 20)]
)
def test_the_images_that_a_mean_needs_let_a_fair_model_pass_four_times_in_five(
    limit, classes, prompts
):
    each = images_to_pass_mean(limit, classes, prompts)
    assert kept(limit, classes, prompts, each) == pytest.approx(0.8, abs=0.08)


def kept_in_all(limit, prompts, each):
    """How often a fair model keeps a limit in every prompt: for two classes, count by count."""
    middle, reach = each // 2, int(2.5 * each**0.5)  # five standard deviations
    counts = np.arange(middle - reach, middle + reach + 1)
    votes = np.repeat(np.tile([0, 1], len(counts)), np.stack([counts, each - counts], 1).ravel())
    found = shares_by(np.eye(2)[votes], np.repeat(np.arange(len(counts)), each), len(counts))
    upper = measured(FD_DEBIASED, found, np.array([0.5, 0.5]), 0.95).upper
    return (stats.binom.pmf(counts, each, 0.5) @ (upper <= limit)) ** prompts


@pytest.mark.parametrize(("limit", "prompts"), [(0.2, 8), (0.15, 3)])
def test_the_images_that_the_worst_prompt_needs_let_a_fair_model_pass_four_times_in_five(
    limit, prompts
):
    each = images_to_pass_worst(limit, 2, prompts)
    assert kept_in_all(limit, prompts, each) == pytest.approx(0.82, abs=0.04)
    assert kept_in_all(limit, prompts, images_to_pass(limit, 2)) < 0.6  # as if it were one prompt


def test_the_worst_prompt_is_planned_from_the_images_of_each():
    """Two classes, 8 prompts, limit .2: ((1.645 + 2.241) / .2)² / 2 = 188.8, of every prompt."""
    gate = GATE | {"metric": "fd_debiased_worst", "max": 0.2}
    (few,) = power.gates(prompted(8, 150, [gate]))
    assert (few.images, few.needed, few.prompts) == (150, 189, 8)
    (said,) = power.warnings(prompted(8, 150, [gate]))
    assert said.startswith("gate fd_debiased_worst gender reads 150 images of each prompt, and ")
    assert "with 189, the chance to miss shared by 8 prompts (Bonferroni)" in said
    assert list(power.warnings(prompted(8, 189, [gate]))) == []
    assert power.gates(prompted(8, 189, [gate]), missing=0.1)[0].images == 170


def test_a_probe_that_errs_needs_more_images_than_one_that_does_not():
    plain, corrected = power.gates(drawn(100, [GATE, GATE | {"metric": "fd_corrected"}]))
    assert corrected.needed == plain.needed
    assert (plain.more, corrected.more) == ("", "the probe errs")
    said = next(power.warnings(drawn(100, [GATE | {"metric": "fd_corrected"}])))
    assert f"at 80 % with {power.images_to_pass(0.1, 2)} and more, since the probe errs:" in said


def test_images_of_one_seed_are_planned_to_go_together():
    """12 prompts of 30 images: 360, but no more than 30 seeds where prompts share them."""
    alone = prompted(12, 30, [GATE])
    shared = alone.model_copy(update={"seed_scheme": "shared"})
    one, together = power.reach(alone)[0], power.reach(shared)[0]
    assert (one.units, together.units) == (360, 30)
    assert one.detectable_at_worst == one.detectable == together.detectable
    assert together.detectable_at_worst == pytest.approx((7.849 / 60) ** 0.5, abs=5e-4)
    (plain,), (clustered,) = power.gates(alone), power.gates(shared)
    assert clustered.more == "images of one seed go together"
    # Student's quantile of 29 degrees of freedom for that of the normal law: (1.699 + 1.2816)².
    assert clustered.needed == int(np.ceil(((1.69913 + 1.28155) / 0.1) ** 2 / 2))
    assert clustered.needed > plain.needed
    assert power.gates(alone.model_copy(update={"gates": ()})) == ()


def test_what_no_formula_is_for_is_not_planned():
    """The images that people labelled decide a `_ppi`, and nobody knows yet how many they are."""
    metrics = ["fd", "fd_soft", "fd_corrected", "fd_ppi", "tv", "fd2_debiased"]
    gates = tuple(Gate.model_validate(GATE | {"metric": metric}) for metric in metrics)
    found = power.gates(drawn(100).model_copy(update={"gates": gates}))
    assert [gate.needed is None for gate in found] == [False, False, False, True, True, True]


def test_tables_at_hand_have_no_plan():
    plain = Benchmark.model_validate({"labels": "t.csv"})
    assert power.reach(plain) == ()
    assert power.gates(plain) == ()
