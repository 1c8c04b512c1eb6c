"""`scale: auto` against dose-responses whose answer is known."""

import json

import numpy as np
import pytest
from scipy.special import expit, softmax

from audit.errors import SpecError
from audit.features.calibration import calibrate, fit, reach
from audit.features.dissection import Dose

SCALES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
EVEN = {"dark": 0.5, "bright": 0.5}
CLASSES = ("dark", "bright")


def response(scale):
    """Images steered to bright are read as bright half of the time at scale 2.2 / 1.2."""
    steered, away = expit(-2.2 + 1.2 * scale), expit(-2.2 - 0.5 * scale)
    return np.array([[1 - away, away], [1 - steered, steered]])


def drawn(rng, n, scales=SCALES, truth=response):
    return [
        Dose(s, tuple(tuple(rng.multinomial(n, row).tolist()) for row in truth(s))) for s in scales
    ]


def expected(n, truth=response):
    """Doses whose counts are what is expected: as good as noiseless for a large n."""
    return [Dose(s, tuple(tuple(round(n * p) for p in row) for row in truth(s))) for s in SCALES]


def test_the_fit_is_the_response_that_made_the_counts():
    curves = fit(expected(100_000))
    for scale in (0.5, 1.2, 2.9):
        assert curves.at(scale).mean(axis=0) == pytest.approx(response(scale), abs=0.005)


@pytest.mark.parametrize("limit", [0.05, 0.15, 0.3])
def test_without_noise_the_smallest_scale_that_reaches_the_limit_is_taken(limit):
    """All images steered to bright leave an FD of sqrt(2) (1/2 - P(bright)): solve for the scale.

    P(bright) = 1/2 - limit / sqrt(2), so scale = (2.2 + logit(P)) / 1.2; given in steps of .05.
    """
    p = 0.5 - limit / 2**0.5
    exact = (2.2 + np.log(p / (1 - p))) / 1.2
    found = calibrate(expected(1_000_000), CLASSES, EVEN, limit)
    assert exact <= found.chosen.scale <= exact + 0.051
    assert found.within
    assert found.shares["bright"] == pytest.approx(1, abs=0.03)


def test_noise_does_not_favour_weak_doses():
    """The rule that fits each dose to its own counts takes .5 or 1, where FD is .4 or .3.

    Over many calibrations: weak scales are never taken, most of those taken are sufficient, and
    the FD that is expected is the one that new images have.
    """
    rng = np.random.default_rng(0)
    target = np.array([0.5, 0.5])
    enough = (2.2 - 4 * 0.1 / 2**0.5) / 1.2  # the logit of 1/2 - x is -4 x for small x
    scales, promised, kept = [], [], []
    for _ in range(40):
        chosen = calibrate(drawn(rng, 24), CLASSES, EVEN, limit=0.1).chosen
        scales.append(chosen.scale)
        promised.append(chosen.fd**2)
        kept.append(((np.array(chosen.shares) @ response(chosen.scale) - target) ** 2).sum())
    assert min(scales) > enough - 0.35
    assert np.median(scales) >= enough - 0.05
    assert np.sqrt(np.mean(kept)) == pytest.approx(np.sqrt(np.mean(promised)), abs=0.02)
    assert np.sqrt(np.mean(kept)) <= 0.11


def test_a_dose_that_straddles_the_target_by_luck_is_not_taken():
    """Judged by its own counts the first would reach one half exactly, with all images steered."""
    lucky = [Dose(0.5, ((13, 11), (12, 12))), Dose(1.0, ((19, 5), (17, 7))),
             Dose(2.0, ((21, 3), (11, 13))), Dose(3.0, ((22, 2), (4, 20)))]  # fmt: skip
    assert calibrate(lucky, CLASSES, EVEN, limit=0.1).chosen.scale > 1


def test_the_shares_make_up_for_what_steering_leaves_over():
    """0.9 q + 0.2 (1 - q) = 0.5 has the solution q = 3/7."""
    fixed = [Dose(s, ((80_000, 20_000), (10_000, 90_000))) for s in (1.0, 2.0)]
    point = reach(fit(fixed), 1.0, np.array([0.5, 0.5]))
    assert point.shares == pytest.approx((4 / 7, 3 / 7), abs=0.01)
    assert point.low <= point.fd <= point.high < 0.02


def race(scale):
    """Four classes of which one is common; each is steered to with a strength of its own."""
    lean, strength = np.array([0.0, 0.2, 1.8, 0.0]), np.array([1.5, 1.2, 0.8, 1.0])
    return softmax(lean + scale * np.diag(strength), axis=1)


@pytest.mark.parametrize("classes", [3, 4])
def test_more_classes_than_two_reach_an_uneven_target(classes):
    def truth(scale):
        return race(scale)[:classes, :classes] / race(scale)[:classes, :classes].sum(1)[:, None]

    names = ("a", "b", "c", "d")[:classes]
    wanted = np.array([0.4, 0.3, 0.2, 0.1][:classes]) / sum([0.4, 0.3, 0.2, 0.1][:classes])
    target = dict(zip(names, wanted.tolist(), strict=True))
    found = calibrate(expected(200_000, truth), names, target, limit=0.05)
    reached = np.array(found.chosen.shares) @ truth(found.chosen.scale)
    assert np.linalg.norm(reached - wanted) <= 0.052
    if found.chosen.scale > SCALES[0]:
        weaker = reach(fit(expected(200_000, truth)), found.chosen.scale - 0.05, wanted)
        assert weaker.fd > 0.05


def test_a_target_that_no_scale_reaches_is_approached_and_said_to_be_missed():
    feeble = [Dose(s, ((990, 10), (900 - int(20 * s), 100 + int(20 * s)))) for s in (1.0, 2.0)]
    found = calibrate(feeble, CLASSES, EVEN)
    nearest = min(point.fd for point in found.curve)
    assert not found.within
    assert found.chosen.fd > 0.4
    assert nearest < found.chosen.fd <= nearest + 0.01, "not the strongest for next to nothing"
    assert found.chosen.scale < 2


def test_the_curve_is_plain_and_covers_the_doses():
    found = calibrate(expected(200), CLASSES, EVEN)
    plain = json.loads(json.dumps(found.plain()))
    assert [point["scale"] for point in plain["curve"]] == [
        round(0.05 * i, 2) for i in range(10, 61)
    ]
    assert plain["chosen"] in plain["curve"]
    with pytest.raises(SpecError, match="needs a dose-response"):
        calibrate([], CLASSES, EVEN)
