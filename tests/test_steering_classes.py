"""Attributes of three and four classes: what an edit does to each, and what a target asks for."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from audit.errors import SpecError
from audit.features.dissection import Dissection
from audit.features.dose_response import with_doses
from audit.features.h_classifier import HClassifier
from audit.features.sae import SAE
from audit.mitigations.steer import steer
from audit.types import Drawing, FeatureSet, Moment, Readings, Request, State

OTHERS = 40
"""Latents beside the classes' own, from which the control draws."""


class Crowd:
    """Draws class k where channel k is the largest; the last class is the common one."""

    fingerprint = "crowd"
    text_to_image = False

    def __init__(self, classes):
        self.classes = classes
        self.hookpoints = {"block": classes + OTHERS}
        self.edits = []

    def generate(self, requests):
        h = torch.full((len(requests), self.hookpoints["block"], 1, 1), 0.1)
        h[:, self.classes - 1] = 1.0
        for edit in self.edits:
            h = edit(h, Moment(0, 1, 1.0, requests))
        drawn = h[:, : self.classes, 0, 0].argmax(1).numpy().astype(np.uint8)
        images = np.broadcast_to(drawn[:, None, None, None], (len(drawn), 2, 2, 3)).copy()
        return Drawing(images, (State.OK,) * len(images))

    @contextmanager
    def hooked(self, hookpoint, edit):
        self.edits.append(edit)
        yield
        self.edits.remove(edit)


class Exact:
    """Reads the class that was drawn."""

    name = fingerprint = "exact"

    def __init__(self, names):
        self.classes = {"kind": names}

    def read(self, images):
        seen = np.eye(len(self.classes["kind"]), dtype=np.float32)[images[:, 0, 0, 0]]
        states = {"kind": (State.OK,) * len(images)}
        return Readings({"kind": seen}, states, np.full(len(images), -1, np.int16))


def dissected(names):
    """Latent i is channel i; class k owns latent k, which shows k + 1 in images of its class."""
    width = len(names) + OTHERS
    sae = SAE(width, width, width).requires_grad_(False).eval()
    sae.encoder.copy_(torch.eye(width))
    sae.decoder.copy_(torch.eye(width))
    sae.mean_activation.fill_(0.5)
    typical = torch.full((len(names), 1, width), 0.1)
    for k in range(len(names)):
        typical[k, 0, k] = k + 1.0
    features = FeatureSet(
        "kind", names, "block", "crowd", sae.fingerprint, "by-hand",
        {name: (k,) for k, name in enumerate(names)}, dict.fromkeys(names, (1.0,)),
    )  # fmt: skip
    zeros = torch.zeros(1, len(names), width)
    heads = HClassifier(names, zeros, torch.zeros(1, len(names)), (1.0,), zeros)
    return Dissection(features, sae, heads, typical)


AGES, RACES = ("young", "adult", "old"), ("Black", "Asian", "White", "Indian")


def asked(count, prompt="-"):
    return [Request(prompt, "", i, i, 1, 1.0) for i in range(count)]


def test_each_class_has_a_scale_of_its_own():
    """DiffLens' released ratios of age: young 1, adult 1, old 3."""
    scales = {"young": 1.0, "adult": 1.0, "old": 3.0}
    edit = steer(features=dissected(AGES), target={}, scale=scales, mode="multiply").edit
    assert edit.factors.tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 3]]
    assert not edit.amounts.any()
    added = steer(features=dissected(AGES), target={}, scale=scales).edit
    weakened = torch.tensor([[1, 2 / 21, 2 / 31], [2 / 11, 1, 2 / 31], [0, 0, 1]])
    assert torch.allclose(added.factors, weakened), "the others fall to what the class shows"
    own = torch.diagonal(added.amounts[:, 0])
    more = torch.tensor([1 * 0.9, 1 * 1.9, 3 * 2.9])
    assert torch.allclose(own, more), "the scale times what the class shows more of"
    assert int((added.amounts != 0).sum()) == 3


def test_an_image_is_edited_by_the_scale_of_its_class():
    scales = {"Black": 2.0, "Asian": 0.0, "White": 1.0, "Indian": 0.5}
    steering = steer(features=dissected(RACES), target={}, scale=scales, others=1.0)
    requests = asked(40)
    h = torch.zeros(len(requests), len(RACES) + OTHERS, 1, 1)
    change = steering.edit(h, Moment(0, 1, 1.0, requests))
    for row, request in enumerate(requests):
        k = steering.edit.class_of(request)
        expected = torch.zeros(len(RACES))
        expected[k] = scales[RACES[k]] * (k + 0.9)
        assert torch.allclose(change[row, : len(RACES), 0, 0], expected)


@pytest.mark.parametrize("names", [AGES, RACES])
def test_doses_calibration_and_assignment_reach_an_uneven_target(names):
    """Steering is perfect here, so the shares steered to are the shares wanted."""
    model, probe, found = Crowd(len(names)), Exact(names), dissected(names)
    n = len(names) * 60
    requests = asked(2 * n, "doses")
    found = with_doses(model, probe, found, {1.0: requests[:n], 2.0: requests[n:]}, 16)
    for dose in found.doses:
        counts = np.array(dose.counts)
        assert counts.sum() == n
        assert (counts == np.diag(np.diag(counts))).all(), (
            "all are read as what they were steered to"
        )
        assert np.abs(np.diag(counts) - 60).max() <= 1
    control = np.array(found.evidence["control_doses"][0]["counts"])
    assert control[:, -1].sum() == n, "random latents leave every image in the common class"
    wanted = dict(
        zip(names, np.arange(1, len(names) + 1) / sum(range(len(names) + 1)), strict=True)
    )
    steering = steer(features=found, target={"kind": wanted}, limit=0.1)
    assert steering.calibration.chosen.scale == 1, "the smallest of those that suffice"
    requests = asked(600)
    with steering.applied(model) as steered:
        drawn = probe.read(steered.generate(requests).images).probabilities["kind"].mean(axis=0)
    assert drawn == pytest.approx(list(wanted.values()), abs=0.03)


def test_a_scale_that_does_not_fit_the_classes_is_said():
    found = dissected(AGES)
    with pytest.raises(SpecError, match="scale: unknown class 'olde'; did you mean 'old'"):
        steer(features=found, target={}, scale={"young": 1.0, "adult": 1.0, "olde": 2.0})
    with pytest.raises(SpecError, match="give a number for every class: 'adult' has none"):
        steer(features=found, target={}, scale={"young": 1.0, "old": 2.0})
    with pytest.raises(SpecError, match="a number by class, not 'strong'"):
        steer(features=found, target={}, scale={"young": 1.0, "adult": 1.0, "old": "strong"})
