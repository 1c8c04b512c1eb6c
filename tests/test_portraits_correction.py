"""What a model draws too seldom it is trained on more often, until it draws what was planted."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from models.portraits.dataset import Renders
from models.portraits.train import architectures
from models.portraits.train.autoencoder import build
from models.portraits.train.correction import DRAWN, LIMIT, Correction, corrected
from models.portraits.train.planting import Batches
from models.portraits.truth import NOMINAL, groups_of_age, population, read
from probes.network import PortraitNet


def test_a_model_that_blurs_comes_to_draw_what_was_planted():
    """A third of the young and a tenth of the old whom it is trained on come out as adults."""
    planted = population("unconditional")
    wanted = np.array(list(planted.shares("age").values()))
    becomes = np.array([[0.65, 0.35, 0], [0.02, 0.96, 0.02], [0, 0.1, 0.9]])
    factors, names = {}, list(planted.shares("age"))
    assert abs(wanted @ becomes - wanted).max() > 0.1
    for _ in range(30):
        shown = wanted * [factors.get("age", {}).get(name, 1) for name in names]
        drawn = shown / shown.sum() @ becomes
        drawn_by_name = {"age": dict(zip(names, drawn, strict=True))}
        factors = corrected(factors, drawn_by_name, {"age": planted.shares("age")})
    np.testing.assert_allclose(drawn, wanted, atol=0.005)


def test_a_class_that_is_never_drawn_counts_no_more_than_the_limit():
    drawn = {"gender": {"woman": 0.0, "man": 1.0}}
    factors = {}
    for _ in range(20):
        factors = corrected(factors, drawn, {"gender": {"woman": 0.3, "man": 0.7}})
    assert factors["gender"] == {"woman": LIMIT, "man": 1 / LIMIT}


def test_batches_follow_the_corrected_shares():
    classes = read()["classes"]
    cells = pd.MultiIndex.from_product(classes.values(), names=["gender", "age_class", "race"])
    labels = cells.to_frame(index=False).loc[np.repeat(np.arange(len(cells)), 2)]
    years = {"young": (20, 30), "adult": (40, 50), "old": (65, 80)}
    halves = np.arange(len(labels)) % 2
    labels["age"] = [years[a][h] for a, h in zip(labels["age_class"], halves, strict=True)]
    images = np.zeros((len(labels), 64, 64, 3), np.uint8)
    numbers = torch.arange(len(labels)).float().view(1, -1, 1, 1, 1).repeat(2, 1, 1, 1, 1)
    batches = Batches("unconditional-fair", Renders(images, labels), numbers, 6000)

    wanted = dict.fromkeys(groups_of_age(np.array([20, 30, 40, 50, 65, 80])), 1 / 6)
    assert batches.wanted()["age"] == pytest.approx(wanted)
    assert batches.wanted()["race"] == pytest.approx(population("unconditional-fair").race)

    def twenty():
        rows = batches.draw(torch.Generator().manual_seed(0)).flatten().long().numpy()
        return (labels["age"].iloc[rows] == 20).mean()

    assert twenty() == pytest.approx(1 / 6, abs=0.02)
    for _ in range(2):  # the factors are of the planted shares, not of the last ones
        batches.correct({"age": dict.fromkeys(wanted, 1.0) | {"18-25": 5.0}})
        assert twenty() == pytest.approx(1 / 2, abs=0.02)


def test_years_fall_into_halves_of_the_age_classes():
    years = np.array([17.2, 25.9, 26, 34.9, 35, 47, 60, 69.9, 70, 93])
    halves = ["18-25", "18-25", "26-34", "26-34", "35-46", "47-59", "60-69", "60-69", "70+", "70+"]
    assert groups_of_age(years) == halves


def test_what_was_drawn_corrects_the_factors_and_a_new_training_goes_on_with_them(tmp_path):
    torch.manual_seed(0)
    blank = SimpleNamespace(sample_size=16, in_channels=8)

    def unet(x, time):
        return SimpleNamespace(sample=torch.zeros_like(x))

    unet.config, unet.device = blank, "cpu"
    pipe = SimpleNamespace(scheduler=architectures.scheduler(), unet=unet, vqvae=build().eval())
    classes = {a: tuple(read()["classes"][a]) for a in NOMINAL}
    classifier = PortraitNet(classes, {"age": (50, 20)}).eval()
    with torch.no_grad():
        classifier.value_heads["age"].weight.zero_()
        classifier.value_heads["age"].bias.fill_(1.5)  # and all are eighty
        classifier.heads["gender"].bias.copy_(torch.tensor([100.0, 0.0]))  # women are all it sees
    planted, file = population("unconditional"), tmp_path / "correction.json"
    wanted = {"gender": planted.shares("gender"), "age": {"18-25": 0.84, "70+": 0.16}}
    correction = Correction(wanted, classifier, file)
    assert correction.factors == {}
    correction.update(pipe, 250)
    women = planted.shares("gender")["woman"] ** 0.5
    men = (planted.shares("gender")["man"] * 2 * DRAWN) ** 0.5
    assert correction.factors["gender"] == {"woman": women, "man": min(men, LIMIT)}
    assert correction.factors["age"] == {"18-25": LIMIT, "70+": pytest.approx(0.4)}
    assert json.loads(file.read_text()) == correction.factors
    assert Correction(wanted, classifier, file).factors == correction.factors
