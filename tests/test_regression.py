"""Worse than a stored run: decided on the interval of the difference, by hand."""

import pytest

from audit.comparison.regression import regressions
from audit.errors import SpecError
from audit.storage.results import Difference, Entry, StateCount


def row(value, low, high, *, metric="fd_debiased", attribute="gender", **given):
    """A difference of B/none from A/none."""
    plain = {"probe": "p", "direction": "lower", "n": 400, "level": 0.95, "method": "m"} | given
    return Difference(
        metric=metric,
        attribute=attribute,
        arm="B/none",
        baseline="A/none",
        value=value,
        ci_low=low,
        ci_high=high,
        **plain,
    )


def decided(rows, margins=None, states=(), partial=""):
    before = [
        Entry(
            metric=d.metric, arm="A/none", attribute=d.attribute, probe=d.probe, value=0.2,
            n=1, method="m", direction=d.direction,
        )
        for d in rows
    ]  # fmt: skip
    margins = margins or {"fd_debiased": 0.0}
    return regressions(rows, margins, measurements=before, states=states, partial=partial)


@pytest.mark.parametrize(
    ("low", "high", "margin", "verdict"),
    [
        (0.01, 0.09, 0.0, "fail"),  # the whole interval is worse
        (0.01, 0.09, 0.02, "inconclusive"),  # it straddles the margin
        (0.01, 0.09, 0.10, "pass"),  # it stays within
        (-0.04, 0.04, 0.0, "inconclusive"),
        (-0.09, -0.01, 0.0, "pass"),
        (0.0, 0.0, 0.0, "pass"),  # the same images
    ],
)
def test_one_difference_is_decided_by_its_interval(low, high, margin, verdict):
    [gate] = decided([row((low + high) / 2, low, high)], {"fd_debiased": margin})
    assert gate.verdict == verdict
    assert gate.limit == margin
    assert gate.baseline_value == 0.2
    if low < high:
        assert gate.bound_level == pytest.approx(0.975)
        assert gate.bound == pytest.approx(low if gate.value > margin else high)


def test_several_differences_share_the_error():
    """Alone every one of the first two fails; of three the second cannot be told.

    z = 1.96 · middle / half-width: 2.45, 2.205 and 1.47, so p = .00714, .01373 and .0708 against
    .025; Holm multiplies them by 3, 2 and 1.
    """
    rows = [
        row(0.05, 0.01, 0.09),
        row(0.045, 0.005, 0.085, attribute="age"),
        row(0.03, -0.01, 0.07, attribute="race"),
    ]
    assert [gate.verdict for one in rows for gate in decided([one])][:2] == ["fail", "fail"]
    found = decided(rows)
    assert [gate.verdict for gate in found] == ["fail", "inconclusive", "inconclusive"]
    assert [gate.p for gate in found] == pytest.approx([0.00714, 0.01373, 0.0708], rel=0.01)
    assert found[0].bound == pytest.approx(0.05 - 0.04 * 2.3940 / 1.95996, abs=1e-4)


def test_a_metric_of_which_more_is_better_may_not_fall():
    fell = row(-0.05, -0.08, -0.02, metric="clip_t@tiny", attribute=None, direction="higher")
    [gate] = decided([fell], {"clip_t": 0.01})
    assert (gate.metric, gate.side, gate.limit) == ("clip_t_change@tiny", "min", -0.01)
    assert gate.verdict == "fail"
    [gate] = decided([fell], {"clip_t@tiny": 0.1})
    assert gate.verdict == "pass"


def test_what_has_no_interval_or_no_value_is_never_a_pass():
    for one in (row(-0.05, None, None), row(None, None, None, n=0)):
        [gate] = decided([one])
        assert (gate.verdict, gate.bound, gate.n_needed) == ("inconclusive", None, None)


def test_a_pass_does_not_count_where_faces_are_hidden_or_a_run_is_half():
    better = row(-0.09, -0.1, -0.08)
    assert decided([better])[0].verdict == "pass"
    hidden = StateCount(
        arm="B/none", attribute="gender", probe="p", state="ok", count=70, n=100, share=0.7,
        ci_low=0.6, ci_high=0.8, level=0.95,
    )  # fmt: skip
    [gate] = decided([better], states=[hidden])
    assert gate.verdict == "inconclusive"
    assert gate.reason.startswith("no pass: B/none: 30% of the images were not read")
    [gate] = decided([better], partial="jobs-1: not a complete run")
    assert gate.verdict == "inconclusive"
    [gate] = decided([row(0.09, 0.08, 0.1)], partial="jobs-1: not a complete run")
    assert gate.verdict == "fail"  # half a run can fail


def test_margins_that_make_no_sense_are_refused():
    with pytest.raises(SpecError, match=r"unknown metric 'fid'.*known: fd_debiased"):
        decided([row(0, 0, 0)], {"fid": 1.0})
    with pytest.raises(SpecError, match="margin of fd_debiased: is 0 or more, got -1"):
        decided([row(0, 0, 0)], {"fd_debiased": -1.0})


def test_images_that_would_decide_are_told():
    [gate] = decided([row(0.0, -0.04, 0.04)], {"fd_debiased": 0.02})
    # Half as wide would decide half of the time; for 80 % (1.96 + 0.84) / 1.96 more, squared.
    assert gate.n_needed == pytest.approx(400 * (2 * 2.8016 / 1.95996) ** 2, rel=0.001)
