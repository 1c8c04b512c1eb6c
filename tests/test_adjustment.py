"""What merely goes with a class is no part of what is found for it."""

import numpy as np
import pytest
import torch
from planted import PlantedModel, PlantedProbe, random_sae
from test_dissecting import IMAGES, LATENTS, WIDTH, recorded, study

from audit.errors import InputError, SpecError
from audit.features import h_classifier
from audit.features.adjustment import MOST, adjusted, effective
from audit.features.dissecting import dissect
from audit.features.study import placed


def shares(levels, weights):
    return np.bincount(levels, weights) / weights.sum()


def test_classes_show_the_other_attributes_alike():
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=900)
    youth = (draw.random(900) < np.array([0.2, 0.5, 0.8])[labels]).astype(int)
    race = np.minimum(draw.integers(4, size=900), 3 - labels // 2)
    weights = adjusted(labels, [youth, race], 3)
    for k in range(3):
        assert weights[labels == k].mean() == pytest.approx(1)
    for other in (youth, race):
        first, *rest = (shares(other[labels == k], weights[labels == k]) for k in range(3))
        for shown in rest:
            np.testing.assert_allclose(shown, first[: len(shown)], atol=1e-6)
    assert shares(youth[labels == 0], weights[labels == 0])[1] == pytest.approx(0.5, abs=0.04)
    lost = [n for n, of in zip(effective(weights, labels, 3), range(3), strict=True)
            if n > (labels == of).sum()]  # fmt: skip
    assert not lost


def test_what_goes_with_nothing_weighs_alike():
    labels, other = np.arange(60) % 2, np.arange(60) // 2 % 3
    np.testing.assert_allclose(adjusted(labels, [other], 2), 1)
    np.testing.assert_array_equal(adjusted(labels, [], 2), 1)


def test_what_a_class_never_shows_is_compared_with_nothing():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    other = np.array([0, 0, 1, -1, 0, 1, 1, 2])  # neither of -1 nor of 2 are there both
    weights = adjusted(labels, [other], 2)
    assert weights[[3, 7]].tolist() == [0, 0]
    np.testing.assert_allclose(
        [shares(other[[0, 1, 2]], weights[[0, 1, 2]])], [shares(other[4:7], weights[4:7])]
    )


def test_classes_with_nothing_in_common_are_left_as_they_are():
    labels = np.array([0, 0, 1, 1])
    np.testing.assert_array_equal(adjusted(labels, [labels], 2), 1)


def test_a_few_images_do_not_stand_for_a_class():
    labels = np.repeat([0, 1], 200)
    other = np.r_[np.repeat([0, 1], [199, 1]), np.repeat([0, 1], [20, 180])]
    weights = adjusted(labels, [other], 2)
    assert weights.max() <= MOST


def test_a_class_of_which_no_image_that_counts_is_learnt_from_is_said_to_be_scarce():
    """Its head would be of nothing: not a number."""
    labels = torch.arange(40) // 2 % 2
    held_out = torch.arange(40) % 2 == 0
    weights = ((labels == 0) | held_out).float()
    with pytest.raises(InputError, match="too few images read as 'b'"):
        h_classifier.fit(
            lambda step: [torch.randn(40, 3)], 1, labels, ("a", "b"),
            held_out=held_out, weights=weights,
        )  # fmt: skip


def test_heads_and_directions_do_not_hold_what_goes_with_a_class():
    """Along the second axis images differ in age alone, and the young are mostly of class one."""
    draw = torch.Generator().manual_seed(0)
    labels, age = confounded(400)
    tokens = 0.3 * torch.randn(400, 2, generator=draw)
    tokens[:, 0] += 2 * torch.from_numpy(labels)
    tokens[:, 1] += 2 * torch.from_numpy(age)
    held_out = torch.arange(400) // 2 % 4 == 0

    def fitted(others):
        weights = torch.from_numpy(adjusted(labels, others, 2))
        return h_classifier.fit(
            lambda step: [tokens], 1, torch.from_numpy(labels), ("a", "b"),
            held_out=held_out, weights=weights,
        ).directions[0, 1]  # fmt: skip

    plain, adjusted_for_age = fitted([]), fitted([age])
    assert plain[0] == pytest.approx(1, abs=0.1)
    assert plain[1] == pytest.approx(0.6, abs=0.1)
    assert adjusted_for_age[0] == pytest.approx(1, abs=0.1)
    assert adjusted_for_age[1] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("others", [(), ("age",)])
def test_what_is_typical_of_a_class_is_not_what_goes_with_it(tmp_path, others):
    """One latent tells the class and another the age that goes with it."""
    labels, age = confounded(IMAGES)
    sae = random_sae(WIDTH, LATENTS, 24)
    shown = labels[:, None] * sae.encoder[5].numpy() + age[:, None] * sae.encoder[9].numpy()
    shown = sae.bias.numpy() + shown
    file = np.broadcast_to(shown[None, :, None], (2, IMAGES, 2, WIDTH)).astype(np.float16)
    seen = recorded(tmp_path, file, labels)
    seen.labels["age"] = age
    found = dissect(_looked(others), seen, tmp_path)
    typical = found.typical.mean(1)
    own, other = (float(typical[1, of] - typical[0, of]) for of in (5, 9))
    assert own > 0
    assert abs(other) < 0.1 * own if others else other > 0.4 * own
    assert found.evidence["adjusted"]["for"] == list(others)
    told = found.evidence["adjusted"]["effective"]
    assert all(n < 120 for n in told.values()) == bool(others)


def test_an_attribute_that_the_probe_does_not_read_is_refused():
    for name, said in (("height", "does not read 'height'"), ("light", "looked for itself")):
        wanted = study("contrast").wanted.model_copy(update={"adjust_for": (name,)})
        with pytest.raises(SpecError, match=said):
            placed(PlantedModel(), PlantedProbe(), wanted)


def confounded(count):
    """Classes, and ages of which four in five go with them."""
    labels = np.arange(count) % 2
    return labels, np.where(np.arange(count) // 2 % 5 == 0, 1 - labels, labels)


def _looked(others):
    looked = study("contrast")
    wanted = looked.wanted.model_copy(update={"adjust_for": others})
    return type(looked)(looked.model, looked.probe, wanted, looked.steps)
