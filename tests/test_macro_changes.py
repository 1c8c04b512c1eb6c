"""How two arms differ over prompts, on the same requests."""

import numpy as np
import pytest
from tables import benchmark, tables
from test_coverage import acceptable

from audit.comparison.regression import guarded
from audit.measuring.measurement import measure
from audit.statistics.decomposition import decompose
from audit.statistics.macro_changes import changes_of, macro_changes
from audit.statistics.shares import from_counts, one_hot

EVEN = np.array([0.5, 0.5])
AUDITS = 200


def votes(women, each):
    """Return [J · each, 2] votes of so many women of a prompt, and the prompts."""
    codes = np.concatenate([np.repeat([0, 1], [w, each - w]) for w in women])
    return one_hot(codes, 2), np.repeat(np.arange(len(women)), each)


def changed(before, after, prompts, design="stratified"):
    seeds = np.concatenate([np.arange(n) for n in np.bincount(prompts)])
    return macro_changes(before, after, EVEN, prompts=prompts, seeds=seeds, design=design)


def test_stereotypes_that_cancel_are_seen_to_go():
    """16 and 4 of 20 women: the debiased square is .163158 in both prompts (KA-29); then even."""
    before, prompts = votes([16, 4], 20)
    after, _ = votes([10, 10], 20)
    root, square = changed(before, after, prompts)
    assert float(square.value) == pytest.approx(-0.163158 - 0.5 / 19, abs=1e-6)
    assert float(root.value) == pytest.approx(-(0.163158**0.5), abs=1e-6)
    assert square.high < 0
    assert root.low < root.value < root.high


def test_arms_that_agree_everywhere_still_have_a_width():
    """No flip among 80 pairs does not show that none ever would."""
    before, prompts = votes([36, 4], 40)
    root, square = changed(before, before, prompts)
    assert root.value == square.value == 0
    assert square.low < 0 < square.high


def test_nothing_falls_by_more_than_it_was():
    """All women and all men, then even: the distance was 1/√2 at most, its square 1/2."""
    before, prompts = votes([20, 0], 20)
    after, _ = votes([10, 10], 20)
    root, square = changed(before, after, prompts)
    assert -(0.5**0.5) <= root.low <= root.value < root.high < 0
    assert square.low == pytest.approx(float(square.value))
    assert square.high < 0


def test_pairs_are_surer_than_two_samples():
    before, prompts = votes([36, 4], 40)
    after, _ = votes([34, 6], 40)
    _, paired = changed(before, after, prompts)
    counts = np.array([[36, 4], [4, 36]]), np.array([[34, 6], [6, 34]])
    _, apart = changes_of(*(decompose(from_counts(c), EVEN) for c in counts), EVEN)
    assert paired.value == pytest.approx(float(apart.value))
    assert paired.high - paired.low < 0.7 * (apart.high - apart.low)


def test_prompts_without_two_pairs_are_left_out():
    before, prompts = votes([16, 4, 1], 20)
    after, _ = votes([12, 8, 1], 20)
    before[prompts == 2] = np.nan
    two = prompts < 2
    left, whole = changed(before, after, prompts), changed(before[two], after[two], prompts[two])
    assert [float(c.value) for c in left] == [float(c.value) for c in whole]
    none = changed(np.full_like(before, np.nan), after, prompts)
    assert np.isnan([float(c.value) for c in none]).all()


@pytest.mark.parametrize("design", ["stratified", "seeds"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param([0.95, 0.1], [0.95, 0.1], id="no change"),
        pytest.param([0.95, 0.1], [0.5, 0.5], id="to the target"),
        pytest.param([0.9, 0.1], [0.65, 0.4], id="half of it"),
        pytest.param([0.5, 0.5], [0.5, 0.5], id="always fair"),
    ],
)
def test_the_interval_of_the_square_holds_the_truth(first, second, design):
    """Eight prompts of 24 pairs, of which 80 % are drawn alike as far as the shares allow."""
    rng = np.random.default_rng(0)
    p, q = (np.tile(share, 4)[:, None] for share in (first, second))
    truth = 2 * (((q - 0.5) ** 2).mean() - ((p - 0.5) ** 2).mean())
    prompts, held = np.repeat(np.arange(8), 24), 0
    for _ in range(AUDITS):
        u, v = rng.random((2, 8, 24))
        v = np.where(rng.random((8, 24)) < 0.8, u, v)
        before, after = (one_hot((side).ravel().astype(int), 2) for side in (u >= p, v >= q))
        _, square = changed(before, after, prompts, design)
        held += square.low <= truth <= square.high
    assert held / AUDITS >= acceptable(AUDITS)[0]


def arm(shares):
    return {f"p{j}": ["woman"] * w + ["man"] * (20 - w) for j, w in enumerate(shares)}


def test_a_run_over_prompts_says_how_they_changed():
    found = measure(*tables({"none": arm([18, 2]), "steer": arm([10, 10])}), benchmark())
    changes = {d.metric: d for d in found.comparisons if d.arm == "steer" and d.class_ is None}
    assert changes["fd_debiased"].value == 0, "the whole was even before"
    over = changes["fd_debiased_macro"]
    assert over.ci_high < 0
    assert (over.method, over.direction, over.n) == ("paired-mover", "lower", 40)


def test_one_prompt_has_no_change_over_prompts():
    found = measure(*tables({"none": arm([18]), "steer": arm([10])}), benchmark())
    assert not [d for d in found.comparisons if d.metric.endswith("_macro")]


def test_what_pooling_hides_is_guarded_by_the_same_margin():
    rows = measure(
        *tables({"none": arm([18, 2]), "steer": arm([10, 10])}), benchmark()
    ).comparisons
    one = [d for d in rows if not d.metric.endswith("_macro")]
    assert guarded(None, one) == {"fd_debiased": 0}
    assert guarded({"fd_debiased": 0.02}, rows) == {"fd_debiased": 0.02, "fd_debiased_macro": 0.02}
    asked = {"fd_debiased_macro": 0.1, "fd_debiased": 0.02}
    assert guarded(asked, rows) == asked
