"""Shares from all readings and some labels: possible shares, and intervals that hold the truth."""

import numpy as np
import pytest
from scipy import special
from simulation import confusion
from test_coverage import acceptable

from audit.statistics.intervals import share_interval
from audit.statistics.powered import prediction_powered, rectified
from audit.statistics.shares import one_hot

AUDITS = 200


def test_shares_are_never_negative_and_add_up_to_1():
    """Of 90 images 1 is read as the third class; of 30 labelled, 3 are: .011 + (0 - .1) < 0."""
    read = one_hot(np.repeat([0, 1, 2, 0, 1], [15, 12, 3, 40, 20]), 3)
    truth = one_hot(np.repeat([0, 1, -1], [16, 14, 60]), 3)
    assert rectified(read, truth, np.eye(3)).p.min() < 0
    found = prediction_powered(read, truth)
    assert found.p.min() >= 0
    assert found.p.sum() == pytest.approx(1)
    assert found.cov.sum() == pytest.approx(0, abs=1e-12)


def test_every_class_has_its_own_weight():
    """Read at random between the last two and rightly in the first, which alone gains."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 3000, p=[0.5, 0.25, 0.25])
    read = np.where(truth == 0, 0, rng.integers(1, 3, 3000))
    some = np.where(rng.random(3000) < 0.1, truth, -1)
    found = prediction_powered(one_hot(read, 3), one_hot(some, 3))
    alone = one_hot(some[some >= 0], 3)
    gained = np.diagonal(found.cov) / (alone.var(axis=0) / len(alone))
    assert gained[0] < 0.25
    assert gained[1:] == pytest.approx(1, abs=0.4)


def test_labels_without_an_error_do_not_show_that_there_is_none():
    """Of 50 labels all agree in 5 of 100 audits although 6 of 100 are wrong."""
    read = np.repeat([0, 1], 10_000)
    truth = np.where(np.arange(20_000) % 400 == 0, read, -1)
    interval = share_interval(prediction_powered(one_hot(read, 2), one_hot(truth, 2)))
    assert (truth >= 0).sum() == 50
    assert interval.low[0] < 0.47
    assert interval.high[0] > 0.53


def audited(p, images, labels, design, rng):
    """Return an estimate from 20 prompts, read with errors, of which some images are labelled."""
    k = len(p)
    rows, columns = np.indices((20, images)).reshape(2, -1)
    effects = {"prompts": (20, 1, k), "seeds": (1, images, k)}.get(design)
    logits = np.log(p) + (1.2 * rng.standard_normal(effects) if effects else 0)
    truth = (logits + rng.gumbel(size=(20, images, k))).argmax(axis=-1).ravel()
    wrong = confusion(k).cumsum(axis=1)[truth]
    read = (rng.random(len(truth))[:, None] > wrong).sum(axis=1)
    some = np.full(len(truth), -1)
    chosen = rng.permutation(len(truth))[:labels]
    some[chosen] = truth[chosen]
    return prediction_powered(
        one_hot(read, k), one_hot(some, k), prompts=rows, seeds=columns, design=design
    )


@pytest.mark.parametrize(
    ("p", "images", "labels", "design"),
    [
        ((0.5, 0.5), 50, 100, "iid"),
        ((0.5, 0.5), 20, 200, "iid"),  # half of all: readings and labels are of the same images
        ((0.9, 0.1), 50, 100, "iid"),
        ((0.4, 0.3, 0.2, 0.1), 50, 100, "iid"),
        ((0.5, 0.5), 20, 100, "prompts"),
        ((0.5, 0.5), 20, 100, "seeds"),
        ((0.4, 0.3, 0.2, 0.1), 20, 100, "prompts"),
    ],
)
def test_intervals_hold_the_truth(p, images, labels, design):
    rng, truth = np.random.default_rng(0), np.array(p)
    if design != "iid":
        many = np.log(p) + 1.2 * np.random.default_rng(1).standard_normal((100_000, len(p)))
        truth = special.softmax(many, axis=1).mean(axis=0)
    held = []
    for _ in range(AUDITS):
        found = share_interval(audited(p, images, labels, design, rng))
        held.append((found.low <= truth) & (truth <= found.high))
    assert np.mean(held) >= acceptable(AUDITS)[0]
    assert np.mean(held) <= acceptable(AUDITS, high=0.98)[1]
