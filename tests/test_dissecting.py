"""Latents ranked on some images and judged on others, and the codes that they are ranked by."""

import numpy as np
import pytest
import torch
from planted import PlantedModel, PlantedProbe, random_sae
from test_discovery import SMALL

from audit.features.dissecting import dissect, sparse_codes
from audit.features.recorded import Recorded, held_out
from audit.features.recording import Recording
from audit.features.study import Study
from audit.spec.component import Component
from audit.types import State

IMAGES, WIDTH, LATENTS = 240, 96, 768


def noise(folder, seed):
    """A recording of two steps and two positions that shows nothing, labelled at random."""
    folder.mkdir()
    draw = np.random.default_rng(seed)
    file = draw.standard_normal((2, IMAGES, 2, WIDTH)).astype(np.float16)
    labels = draw.permutation(np.arange(IMAGES) % 2)
    return recorded(folder, file, labels)


def recorded(folder, file, labels):
    np.save(folder / "activations.npy", file)
    sae = random_sae(WIDTH, LATENTS, 24)
    images = np.zeros((IMAGES, 8, 8, 3), np.uint8)
    recording = Recording(folder / "activations.npy")
    return Recorded(recording, images, {"light": labels}, (State.OK,) * IMAGES, sae, {})


def study(ranking, baseline="zero"):
    update = {"ranking": Component(name=ranking), "top": 30, "baseline": baseline}
    return Study(PlantedModel(), PlantedProbe(), SMALL.model_copy(update=update), 2)


def test_of_pure_noise_the_latents_ranked_first_tell_nothing(tmp_path):
    """Ranked on the images that judge them too, they were said to have an AUC of 0.534."""
    aucs = []
    for seed in range(6):
        shown = noise(tmp_path / str(seed), seed)
        found = dissect(study("contrast"), shown, tmp_path / str(seed))
        aucs += [entry["auc"] for entry in found.evidence["latents"]]
    assert len(aucs) == 6 * 60
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("baseline", ["zero", "counter-class"])
@pytest.mark.parametrize("ranking", ["integrated-gradients", "random"])
def test_nothing_found_hangs_on_images_held_out(tmp_path, ranking, baseline):
    """Of these everything is another: what they show and what they are read as."""
    one = noise(tmp_path / "one", 0)
    tests = held_out(IMAGES)
    labels = one.labels["light"].copy()
    labels[tests] = 1 - labels[tests]
    file = one.recording.file.copy()
    file[:, tests] *= -3
    (tmp_path / "other").mkdir()
    other = recorded(tmp_path / "other", file, labels)
    wanted = study(ranking, baseline)
    first, second = (dissect(wanted, a, a.recording.path.parent) for a in (one, other))
    assert first.features == second.features
    assert first.evidence["latents"] != second.evidence["latents"], "but it is judged by them"
    assert not torch.equal(first.typical, second.typical), "and what is typical is of all"


@pytest.mark.parametrize("selection", ["topk", "batch-topk", "jump-relu"])
def test_entries_are_what_the_sae_encodes(selection):
    sae = random_sae(16, 64, 6, selection=selection)
    x = torch.randn(3, 16, 4, 5)
    codes = sparse_codes(sae, x)
    assert codes.shape == (3, 20, 64)
    assert np.array_equal(codes.dense(), sae.encode(sae.tokens(x)).numpy())
    assert (codes.value != 0).all()
    whole = random_sae(16 * 20, 64, 6, layout="map")
    assert np.array_equal(sparse_codes(whole, x).dense(), whole.encode(whole.tokens(x)).numpy())
