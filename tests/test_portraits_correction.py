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
from models.portraits.truth import NOMINAL, population, read
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
        factors = corrected(factors, {"age": dict(zip(names, drawn, strict=True))}, planted)
    np.testing.assert_allclose(drawn, wanted, atol=0.005)


def test_a_class_that_is_never_drawn_counts_no_more_than_the_limit():
    drawn = {"gender": {"woman": 0.0, "man": 1.0}}
    factors = {}
    for _ in range(20):
        factors = corrected(factors, drawn, population("unconditional"))
    assert factors["gender"] == {"woman": LIMIT, "man": 1 / LIMIT}


def test_batches_follow_the_corrected_shares():
    classes = read()["classes"]
    cells = pd.MultiIndex.from_product(classes.values(), names=["gender", "age_class", "race"])
    labels = cells.to_frame(index=False)
    images = np.zeros((len(labels), 64, 64, 3), np.uint8)
    numbers = torch.arange(len(labels)).float().view(1, -1, 1, 1, 1).repeat(2, 1, 1, 1, 1)
    batches = Batches("unconditional-fair", Renders(images, labels), numbers, 6000)

    def young():
        rows = batches.draw(torch.Generator().manual_seed(0)).flatten().long().numpy()
        return (labels["age_class"].iloc[rows] == "young").mean()

    assert young() == pytest.approx(1 / 3, abs=0.02)
    for _ in range(2):  # the factors are of the planted shares, not of the last ones
        batches.correct({"age": {"young": 2.0, "adult": 1.0, "old": 1.0}})
        assert young() == pytest.approx(1 / 2, abs=0.02)


def test_what_was_drawn_corrects_the_factors_and_a_new_training_goes_on_with_them(tmp_path):
    torch.manual_seed(0)
    blank = SimpleNamespace(sample_size=16, in_channels=8)

    def unet(x, time):
        return SimpleNamespace(sample=torch.zeros_like(x))

    unet.config, unet.device = blank, "cpu"
    pipe = SimpleNamespace(scheduler=architectures.scheduler(), unet=unet, vqvae=build().eval())
    classifier = PortraitNet({a: tuple(read()["classes"][a]) for a in NOMINAL}, {}).eval()
    with torch.no_grad():
        classifier.heads["gender"].bias.copy_(torch.tensor([100.0, 0.0]))  # women are all it sees
    planted, file = population("unconditional"), tmp_path / "correction.json"
    correction = Correction(planted, classifier, file)
    assert correction.factors == {}
    correction.update(pipe, 250)
    women = planted.shares("gender")["woman"] ** 0.5
    men = (planted.shares("gender")["man"] * 2 * DRAWN) ** 0.5
    assert correction.factors["gender"] == {"woman": women, "man": min(men, LIMIT)}
    assert json.loads(file.read_text()) == correction.factors
    assert Correction(planted, classifier, file).factors == correction.factors
