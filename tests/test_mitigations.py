from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CHANNELS, SIDE, STEPS, Filtered, PlantedModel, random_sae, requests

from audit.errors import SpecError
from audit.features.dissection import Dissection
from audit.features.h_classifier import HClassifier
from audit.images.rewriting import RewritingModel
from audit.mitigations.ablate import ablate
from audit.mitigations.controls import identity, random_features, reconstruction
from audit.mitigations.distribution_guidance import distribution_guidance
from audit.mitigations.h_direction import h_direction
from audit.mitigations.none import none
from audit.mitigations.prompt_quota import prompt_quota
from audit.mitigations.prompt_suffix import prompt_suffix
from audit.mitigations.rejection import rejection
from audit.mitigations.steer import steer
from audit.testing.models import check_mitigation
from audit.types import Drawing, FeatureSet, Request, State

CLASSES = ("dark", "bright")
BRIGHT = {"light": {"bright": 1.0}}
EVEN = {"light": {"dark": 0.5, "bright": 0.5}}
WIDTH = 2 * CHANNELS


@pytest.fixture(scope="module")
def found():
    """A dissection made by hand: the SAE's latents are the planted directions themselves."""
    rotation = PlantedModel().rotation
    sae = random_sae(WIDTH, WIDTH, WIDTH)
    sae.decoder.copy_(rotation.T)
    sae.encoder.copy_(rotation.T)
    sae.bias.zero_()
    sae.encoder_bias.zero_()
    sae.mean_activation.copy_(torch.linspace(0.9, 1.1, WIDTH))
    # Column 0 is what the bright have, column 8 what the dark have.
    directions = torch.stack([rotation[:, 8], rotation[:, 0]])
    everywhere = directions[:, None].expand(2, SIDE**2, WIDTH).flatten(1).expand(STEPS, 2, -1)
    heads = HClassifier(
        CLASSES, everywhere, torch.zeros(STEPS, 2), (1.0,) * STEPS, 0.2 * everywhere
    )
    features = FeatureSet(
        "light", CLASSES, "block", "planted", sae.fingerprint, "by-hand",
        {"dark": (8,), "bright": (0,)}, {"dark": (1.0,), "bright": (1.0,)},
    )  # fmt: skip
    typical = torch.ones(2, SIDE**2, WIDTH)
    typical[0, :, 0] = typical[1, :, 8] = 0
    return Dissection(features, sae, heads, typical)


def light(mitigation, count=60):
    with mitigation.applied(PlantedModel()) as model:
        return model.generate(requests(count)).images.mean()


def test_every_mitigation_keeps_its_contract(found):
    builds = {
        "none": none,
        "identity": lambda: identity(features=found),
        "reconstruction": lambda: reconstruction(features=found),
        "steer": lambda: steer(features=found, target=EVEN, scale=3.0),
        "random": lambda: random_features(features=found, target=EVEN, scale=3.0),
        "ablate": lambda: ablate(features=found),
        "h-direction": lambda: h_direction(features=found, target=EVEN),
        "guidance": lambda: distribution_guidance(features=found, target=EVEN),
    }
    for build in builds.values():
        check_mitigation(build, PlantedModel(), requests(5), tolerance=1)
    assert len({build().fingerprint for build in builds.values()}) == len(builds)


def test_fingerprints_differ_where_pixels_may(found):
    prints = [
        steer(features=found, target=target, scale=scale, **options).fingerprint
        for target in (EVEN, BRIGHT)
        for scale in (2.0, 3.0)
        for options in ({}, {"seed": 1}, {"mode": "multiply"}, {"start": 0.5}, {"positions": [1]})
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    "push",
    [
        lambda found, target, much: steer(
            features=found, target=target, scale=1 + 2 * much, mode="multiply"
        ),
        lambda found, target, much: steer(
            features=found, target=target, scale=much / 20, mode="add", others=1.0
        ),
        lambda found, target, much: h_direction(features=found, target=target, scale=much / 4),
        lambda found, target, much: distribution_guidance(
            features=found, target=target, strength=4 * much
        ),
    ],
    ids=["multiply", "add", "h-direction", "distribution-guidance"],
)
def test_pushing_moves_towards_the_class_and_more_moves_more(found, push):
    plain = light(none())
    bright = [light(push(found, BRIGHT, much)) for much in (0.0, 0.5, 1.0)]
    dark = light(push(found, {"light": {"dark": 1.0}}, 1.0))
    assert bright[0] == plain, "no push, no change"
    assert dark < plain < bright[1] < bright[2]


def test_ablation_removes_what_carries_the_class(found):
    """Without both directions channel 0 is zero at every position: neither dark nor bright."""
    with ablate(features=found).applied(PlantedModel()) as model:
        images = model.generate(requests(20)).images
    assert np.abs(images.astype(float) - 127.5).max() <= 1
    assert light(ablate(features=found, scale=1.0)) == light(none())


def test_random_latents_do_not_move_what_the_found_ones_move(found):
    baseline, steered = light(none()), light(steer(features=found, target=BRIGHT, scale=3.0))
    for draws in range(5):
        control = random_features(features=found, target=BRIGHT, scale=3.0, draws=draws)
        assert light(control) == pytest.approx(baseline, abs=0.01 * (steered - baseline))


def test_random_latents_are_others_of_like_mass(found):
    mass = found.sae.mean_activation
    control = random_features(features=found, target=EVEN, scale=2.0).edit
    drawn, replaced = control.latents, steer(features=found, target=EVEN, scale=2.0).edit
    assert not {0, 8} & set(drawn.tolist())
    assert torch.equal(control.amounts.sum(-1), replaced.amounts.sum(-1)), "by equal amounts"
    assert float(mass[drawn].sum()) == pytest.approx(float(mass[[0, 8]].sum()), rel=0.1)
    others = random_features(features=found, target=EVEN, scale=2.0, draws=1).edit.latents
    assert drawn.tolist() != others.tolist()
    few = replace(
        found,
        features=replace(
            found.features, latents={"dark": tuple(range(6)), "bright": tuple(range(6, 12))}
        ),
    )
    with pytest.raises(SpecError, match=r"needs 12 latents that fire .*, and only 4 do"):
        random_features(features=few, target=EVEN, scale=2.0)


def test_rejection_reaches_the_target_and_keeps_first_draws_that_fit():
    shares = {"light": {"dark": 0.4, "bright": 0.6}}
    options = {"target": shares, "attribute": "light", "probe": "planted:PlantedProbe"}
    check_mitigation(lambda: rejection(**options), PlantedModel(), requests(5), tolerance=1)
    asked = requests(100)
    plain = PlantedModel().generate(asked).images.mean((1, 2, 3)) > 127.5
    mitigation = rejection(**options, attempts=12)
    with mitigation.applied(PlantedModel()) as model:
        images = model.generate(asked).images
    bright = images.mean((1, 2, 3)) > 127.5
    wanted = np.array([mitigation.wanted(request) == 1 for request in asked])
    assert plain.mean() < 0.4
    assert (bright == wanted).mean() > 0.97
    kept = plain == wanted
    assert np.array_equal(images[kept], PlantedModel().generate(asked).images[kept])
    once = rejection(**options, attempts=1)
    with once.applied(PlantedModel()) as model:
        assert np.array_equal(model.generate(asked).images, PlantedModel().generate(asked).images)
    for wrong, reason in (
        ({"attempts": 0}, "at least 1"),
        ({"attribute": "lihgt"}, "mean 'light'"),
    ):
        with pytest.raises(SpecError, match=reason):
            rejection(**(options | wrong))


def test_rejection_accepts_no_image_that_a_filter_took():
    """A black image is read as dark, which is what is wanted."""
    options = {"target": {"light": {"dark": 1.0, "bright": 0.0}}, "attribute": "light"}
    asked = requests(40)
    states = {}
    for attempts in (1, 12):
        mitigation = rejection(**options, probe="planted:PlantedProbe", attempts=attempts)
        with mitigation.applied(Filtered()) as model:
            states[attempts] = Counter(model.generate(asked).states)
    assert states == {1: {State.OK: 27, State.FILTERED: 13}, 12: {State.OK: 40}}


class Listener:
    """A text-to-image model that draws nothing and remembers what it was asked."""

    fingerprint = "listener"
    hookpoints = {}
    text_to_image = True

    def __init__(self):
        self.heard = []

    def generate(self, batch):
        self.heard += [request.prompt for request in batch]
        return Drawing(np.zeros((len(batch), 4, 4, 3), np.uint8), (State.OK,) * len(batch))


def asked(prompt, mitigation, count=200):
    model = Listener()
    with mitigation.applied(model) as changed:
        changed.generate([Request("p", prompt, i, i, 4, 1.0) for i in range(count)])
    return model.heard


def test_a_quota_names_each_class_as_often_as_wanted_and_attributes_independently():
    target = {
        "gender": {"woman": 0.75, "man": 0.25},
        "age": dict.fromkeys(("young", "adult", "old"), 1 / 3),
    }
    heard = Counter(asked("a portrait of an office worker", prompt_quota(target=target), 600))
    female = sum(n for prompt, n in heard.items() if " female " in prompt)
    assert abs(female - 450) <= 3
    for age in ("a young", "a middle-aged", "an old"):
        assert abs(heard[f"a portrait of {age} female office worker"] - 150) <= 10
        assert abs(heard[f"a portrait of {age} male office worker"] - 50) <= 10


@pytest.mark.parametrize(
    ("prompt", "heard"),
    [
        ("a photo of a nurse, in the style of a painting",
         "a photo of a female nurse, in the style of a painting"),
        ("a portrait of a chief of the police", "a portrait of a female chief of the police"),
        ("A photo of a CEO of a company", "A photo of a female CEO of a company"),
        ("a photo of the head of a kitchen", "a photo of the female head of a kitchen"),
        ("portrait photo, a nurse at work", "portrait photo, a female nurse at work"),
        ("An engineer at the office", "A female engineer at the office"),
        ("portrait of office workers", "female portrait of office workers"),
    ],
)  # fmt: skip
def test_the_word_stands_before_the_person(prompt, heard):
    assert asked(prompt, prompt_quota(target={"gender": {"woman": 1.0}}), 1) == [heard]


def test_a_quota_of_five_attributes_draws_each_for_itself():
    """All pairs of classes of the first and the fifth are said, about equally often."""
    target = {name: {"x": 0.5, "y": 0.5} for name in "abcde"}
    words = {name: {"x": f"{name}x", "y": f"{name}y"} for name in target}
    heard = asked("a nurse", prompt_quota(target=target, words=words), 400)
    pairs = Counter((prompt.split()[1], prompt.split()[5]) for prompt in heard)
    assert set(pairs) == {(a, e) for a in ("ax", "ay") for e in ("ex", "ey")}
    assert all(abs(n - 100) <= 10 for n in pairs.values())


def test_a_quota_may_name_one_attribute_and_use_other_words():
    target = {"gender": {"woman": 1.0, "man": 0.0}, "hair": {"red": 1.0}}
    heard = asked("nurse", prompt_quota(target=target, attributes=["gender"]), 2)
    assert heard == ["female nurse"] * 2
    words = {"hair": {"red": "red-haired"}}
    heard = asked("a nurse", prompt_quota(target=target, attributes=["hair"], words=words), 1)
    assert heard == ["a red-haired nurse"]
    with pytest.raises(SpecError, match="no word for hair 'red'"):
        prompt_quota(target=target)
    with pytest.raises(SpecError, match="did you mean 'gender'"):
        prompt_quota(target=target, attributes=["gendr"])


def test_a_suffix_is_added_to_every_prompt():
    (heard,) = asked("a photo of a doctor", prompt_suffix(), 1)
    assert heard == (
        "a photo of a doctor if all individuals can be a doctor irrespective of their gender"
    )
    assert asked("x", prompt_suffix(suffix="and be fair"), 1) == ["x and be fair"]
    with pytest.raises(SpecError) as error:
        prompt_suffix(suffix="whatever their {atribute}")
    assert str(error.value) == (
        "prompt-suffix: option 'suffix': unknown placeholder '{atribute}'; did you mean"
        " '{attribute}'? (known: {article}, {attribute}, {noun})"
    )


def test_prompts_of_a_model_without_prompts_cannot_be_rewritten():
    for mitigation in (prompt_suffix(), prompt_quota(target={"gender": {"woman": 1.0}})):
        with (
            pytest.raises(SpecError, match="rewrites prompts"),
            mitigation.applied(PlantedModel()),
        ):
            pass


def test_a_rewriting_model_can_be_hooked():
    model = PlantedModel()
    with RewritingModel(model, lambda request: "other").hooked("block", lambda x, moment: x):
        assert len(model.edits) == 1
