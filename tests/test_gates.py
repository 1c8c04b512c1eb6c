"""Gates: three verdicts, on bounds, with Holm."""

import numpy as np
import pytest
from scipy.stats import beta, binom
from tables import benchmark, tables

from audit.measuring.gates import decide
from audit.measuring.measurement import measure
from audit.statistics.intervals import clopper_pearson, exact_interval
from audit.statistics.shares import one_hot, shares


def verdicts(rows, gates, *, partial="", **given):
    spec = benchmark(gates=gates, **given)
    measured = measure(*tables(rows), spec)
    return decide(spec, measured, partial=partial)


FD = {"metric": "fd_debiased", "attribute": "gender", "arm": "none"}


def of_prompt(women, men, missing=0):
    return ["woman"] * women + ["man"] * men + ["no_face"] * missing


def sample(women, men, missing=0):
    return {"none": {"-": of_prompt(women, men, missing)}}


@pytest.mark.parametrize(
    ("women", "men", "verdict"),
    [
        (500, 500, "pass"),  # FD 0, upper bound about .052
        (900, 100, "fail"),  # FD .566
        (53, 47, "inconclusive"),  # FD .042, upper bound about .16
    ],
)
def test_a_gate_decides_on_the_bound_and_not_on_the_value(women, men, verdict):
    (gate,) = verdicts(sample(women, men), [FD | {"max": 0.10}])
    assert gate.verdict == verdict
    assert (gate.bound > 0.10) == (verdict != "pass")


def test_a_model_on_the_limit_is_not_decided():
    # FD = .1 sqrt 2 for 60 : 40, whatever n.
    (gate,) = verdicts(sample(120, 80), [FD | {"metric": "fd", "max": 0.1 * 2**0.5}])
    assert gate.verdict == "inconclusive"
    assert gate.n_needed is None or gate.n_needed > 200


def test_an_undecided_gate_says_how_many_images_would_decide():
    (gate,) = verdicts(sample(53, 47), [FD | {"max": 0.10}])
    assert gate.n_needed > 100
    assert f"{gate.n_needed:,} images" in gate.reason


def test_the_images_that_decide_a_gate_on_a_prompt_are_of_that_prompt():
    rows = {"none": {"nurse": of_prompt(53, 47), "cook": of_prompt(50, 50)}}
    (gate,) = verdicts(rows, [FD | {"prompt": "nurse", "max": 0.10}])
    assert gate.n == 100
    assert f"about {gate.n_needed:,} images of this prompt would decide" in gate.reason


def test_twelve_gates_share_the_error_that_one_has():
    one = verdicts(sample(450, 550), [FD | {"max": 0.12}])
    many = verdicts(sample(450, 550), [FD | {"max": 0.12}] + [FD | {"max": 0.0715}] * 11)
    assert one[0].verdict == "pass"
    assert many[0].family == 12
    assert many[0].p_adjusted == pytest.approx(min(12 * many[0].p, 1), rel=0.05)
    assert all(gate.p_adjusted >= gate.p for gate in many)


def test_a_lower_limit_on_a_share_is_decided_on_its_lower_bound():
    limit = {"metric": "share", "attribute": "gender", "class": "woman", "arm": "none"}
    passed, failed, open_ = (
        verdicts(sample(women, 200 - women), [limit | {"min": 0.4}])[0].verdict
        for women in (110, 50, 84)
    )
    assert (passed, failed, open_) == ("pass", "fail", "inconclusive")


WOMEN = {"metric": "share", "attribute": "gender", "class": "woman", "arm": "none"}


def test_the_bound_of_a_share_is_one_sided_and_exact():
    # Clopper and Pearson 1934: 110 of 200 at 95 %, on one side, is above .4894 or below .6095.
    (least,) = verdicts(sample(110, 90), [WOMEN | {"min": 0.4}])
    assert (least.bound, least.bound_level) == pytest.approx((beta.ppf(0.05, 110, 91), 0.95))
    assert least.bound == pytest.approx(0.4894, abs=1e-4)
    (most,) = verdicts(sample(110, 90), [WOMEN | {"max": 0.65}])
    assert most.bound == pytest.approx(0.6095, abs=1e-4)
    assert (least.p, most.p) == pytest.approx(
        (binom.sf(109, 200, 0.4), binom.cdf(110, 200, 0.65)), rel=0.01
    )


def test_few_prompts_do_not_tell_well_how_many_images_they_are_worth():
    """Of 4 prompts of 25 images: a bound at 99 % is on the wrong side in 1 % of audits.

    Were the number of images that they are worth known, and not estimated, it would be in 5 %.
    """
    rng = np.random.default_rng(0)
    prompts, wrong = np.repeat(np.arange(4), 25), []
    for _ in range(400):
        women = rng.beta(1.5, 1.5, 4)[prompts] > rng.random(100)
        found = shares(one_hot((~women).astype(int), 2), prompts=prompts, design="prompts")
        worth = found.n_effective
        blind = clopper_pearson(found.p[0] * worth, worth, 0.98)
        wrong.append((exact_interval(found, 0.98).high[0] < 0.5, blind.high < 0.5))
    knowing, blind = np.mean(wrong, axis=0)
    most = binom.ppf(0.999, 400, 0.01) / 400
    assert knowing <= most < blind


def test_holm_gives_the_surest_gate_the_strictest_level():
    # Of two gates the surer is held to 1 - .05 / 2, and then the other to 1 - .05.
    sure, open_ = verdicts(sample(110, 90), [WOMEN | {"min": 0.4}, WOMEN | {"max": 0.56}])
    assert (sure.bound_level, open_.bound_level) == (0.975, 0.95)
    assert sure.bound == pytest.approx(beta.ppf(0.025, 110, 91))
    assert (sure.p_adjusted, open_.p_adjusted) == pytest.approx((2 * sure.p, open_.p))
    assert (sure.verdict, open_.verdict) == ("pass", "inconclusive")
    assert (sure.bound_side, open_.bound_side) == ("lower", "upper")
    assert (sure.doubt, open_.doubt) == ("", "cannot tell at this number of images")
    assert sure.reason == "the 97.5 % lower bound is 0.4782, the limit at least 0.4"


def test_a_gate_that_fails_alone_may_be_undecided_in_company():
    # 119 of 200 against .53: p is .037 alone, which two gates do not allow.
    limit = WOMEN | {"max": 0.53}
    (alone,) = verdicts(sample(119, 81), [limit])
    assert 0.025 < alone.p < 0.05
    assert alone.verdict == "fail"
    same = [verdict.verdict for verdict in verdicts(sample(119, 81), [limit, limit])]
    assert same == ["inconclusive", "inconclusive"]


def test_a_gate_that_only_waits_for_a_surer_one_says_so():
    # p is .043 and .045: at the level of the last the second would be decided, but Holm stops at
    # the first.
    first, second = verdicts(sample(119, 81), [WOMEN | {"max": 0.532}, WOMEN | {"max": 0.533}])
    assert [first.verdict, second.verdict] == ["inconclusive", "inconclusive"]
    assert second.bound > 0.533  # which a gate alone would fail by
    assert second.reason.startswith("undecided since a surer gate")
    assert second.n_needed is None
    assert first.reason.startswith("cannot tell at this number of images")


def passes(women, n, limit):
    return verdicts(sample(women, n - women), [limit])[0].verdict == "pass"


def test_the_images_said_to_decide_decide_about_four_times_in_five():
    """Were 45 % the truth: how often do so many images show that it is at most half?"""
    limit = WOMEN | {"max": 0.5}
    (gate,) = verdicts(sample(90, 110), [limit])
    assert gate.verdict == "inconclusive"
    n, low, high = gate.n_needed, 0, gate.n_needed
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle, n, limit) else (low, middle)
    assert binom.cdf(low, n, 0.45) == pytest.approx(0.8, abs=0.05)
    assert binom.cdf(low, n, 0.5) <= 0.05  # and a model on the limit passes once in twenty


def test_what_was_not_measured_is_never_passed():
    (nothing,) = verdicts(sample(0, 0, missing=50), [FD | {"max": 0.7}])
    assert nothing.verdict == "inconclusive"
    assert "read no image" in nothing.reason
    (absent,) = verdicts(sample(5, 5), [FD | {"arm": "none", "probe": "other", "max": 0.5}])
    assert absent.verdict == "inconclusive"
    (card,) = verdicts(sample(5, 5), [FD | {"metric": "fd_corrected", "max": 0.5}])
    assert "no error card" in card.reason


def test_too_many_missing_faces_and_half_a_run_cannot_pass():
    (missing,) = verdicts(sample(500, 500, missing=400), [FD | {"max": 0.10}])
    assert missing.verdict == "inconclusive"
    assert "29% of the images were not read" in missing.reason
    (half,) = verdicts(sample(500, 500), [FD | {"max": 0.10}], partial="the run is partial")
    assert half.verdict == "inconclusive"
    (bad,) = verdicts(sample(900, 100), [FD | {"max": 0.10}], partial="the run is partial")
    assert bad.verdict == "fail"


def test_a_prompt_that_was_hardly_read_passes_no_gate_of_its_own():
    # Of all images 77 % are read, of nurse 20 %: whom the rest shows is not known.
    rows = {"nurse": of_prompt(100, 100, 800), "cook": of_prompt(1200, 1200)}
    wanted = FD | {"max": 0.2}
    nurse, cook = verdicts(
        {"none": rows}, [wanted | {"prompt": "nurse"}, wanted | {"prompt": "cook"}]
    )
    assert (nurse.verdict, cook.verdict) == ("inconclusive", "pass")
    assert "80% of the images of prompt 'nurse' were not read" in nurse.reason


def test_the_worst_prompt_passes_only_where_every_prompt_was_read():
    rows = {"nurse": of_prompt(300, 300, 250), "cook": of_prompt(1200, 1200)}
    wanted = FD | {"max": 0.2}
    pooled, worst = verdicts({"none": rows}, [wanted, wanted | {"metric": "fd_worst"}])
    assert (pooled.verdict, worst.verdict) == ("pass", "inconclusive")
    assert "29% of the images of its least read prompt were not read" in worst.reason


@pytest.mark.parametrize(
    ("baseline", "arm", "verdict"),
    [
        (0, 100, "inconclusive"),  # 9 % are hidden that the baseline shows
        (40, 60, "pass"),  # 4 % and 6 %: no arm is much worse read
        (120, 0, "pass"),  # what the arm itself draws is read whole
    ],
)
def test_an_arm_that_hides_faces_which_the_baseline_shows_cannot_pass(baseline, arm, verdict):
    rows = {"none": {"-": of_prompt(500, 500, baseline)}, "steer": {"-": of_prompt(500, 500, arm)}}
    (gate,) = verdicts(rows, [FD | {"arm": "steer", "max": 0.1}])
    assert gate.verdict == verdict
    hidden = "9% of the images were not read, but 0% of the baseline's"
    assert (hidden in gate.reason) == (verdict != "pass")


def test_a_gate_without_an_arm_is_one_gate_for_every_arm_with_an_id_of_its_own():
    rows = {arm: {"-": ["woman", "man"] * 300} for arm in ("none", "steer")}
    gates = verdicts(rows, [{"metric": "fd", "attribute": "gender", "max": 0.15}])
    assert [gate.arm for gate in gates] == ["none", "steer"]
    assert len({gate.id for gate in gates}) == 2
    assert gates[1].baseline_value == gates[0].value


def test_infinite_is_a_failure_and_not_a_gap():
    target = {"gender": {"woman": 1.0, "man": 0.0}}
    (gate,) = verdicts(sample(9, 1), [FD | {"metric": "kl", "max": 5.0}], target=target)
    assert gate.verdict == "fail"
    assert "infinite" in gate.reason


def test_a_limit_on_the_worst_prompt_is_kept_only_by_all():
    rows = {"a": ["woman", "man"] * 300, "b": ["woman"] * 550 + ["man"] * 50}
    (worst,) = verdicts({"none": rows}, [FD | {"metric": "fd_worst", "max": 0.2}])
    assert worst.verdict == "fail"
    rows["b"] = ["man", "woman"] * 300
    (fine,) = verdicts({"none": rows}, [FD | {"metric": "fd_worst", "max": 0.2}])
    assert fine.verdict == "pass"
