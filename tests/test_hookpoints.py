"""The hookpoint chosen by its measured effect, on models in which it is known."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from planted import STEPS, Filtered, PlantedModel, PlantedProbe
from test_discovery import WANTED

from audit.errors import InputError, SpecError
from audit.features import hookpoints
from audit.features.class_means import ClassMeans, class_directions
from audit.features.discovery import discover
from audit.features.study import Study, placed
from audit.types import Moment


class TwoBlocks(PlantedModel):
    """Carries the class in `block`; what passes `mid_block` is looked at and not used."""

    hookpoints = {"mid_block": 16, "block": 16}
    fingerprint = "two-blocks"

    @contextmanager
    def hooked(self, hookpoint, edit):
        def without_effect(x, moment):
            edit(x, moment)
            return x

        with super().hooked(hookpoint, without_effect if hookpoint == "mid_block" else edit):
            yield


class Filtering(Filtered, TwoBlocks):
    """Two blocks, and a filter that takes a third of the images."""


class Blind(PlantedProbe):
    """Reads every image as dark."""

    def read(self, images):
        return super().read(np.zeros_like(images))


AUTO = WANTED.model_copy(
    update={"hookpoint": "auto", "candidates": ("mid_block", "block"), "images": 60,
            "stability": False, "sae": WANTED.sae.model_copy(update={"tokens": 9000})}
)  # fmt: skip


def study(wanted=AUTO, model=None):
    return Study(model or TwoBlocks(), PlantedProbe(), wanted, STEPS)


def test_the_hookpoint_that_moves_the_reading_is_chosen_and_the_other_is_reported(tmp_path):
    choice = hookpoints.choose(study(), tmp_path)
    assert choice.chosen == "block"
    assert choice.default == "mid_block"
    idle, strong = choice.candidates
    assert idle.effect == 0, "pushed to no effect: the very images of the baseline"
    assert idle.share == choice.unpushed
    assert strong.effect > 0.3
    assert strong.low <= strong.share <= strong.high
    assert strong.n == 32


@pytest.mark.parametrize("known", [("mid_block", "block"), ("block", "mid_block")])
def test_where_no_hookpoint_is_named_the_first_of_the_model_is_dissected(tmp_path, known):
    """And named, it is the same feature set: found once."""
    model = TwoBlocks()
    model.hookpoints = dict.fromkeys(known, 16)
    made = []
    for hookpoint in (None, known[0]):
        wanted = AUTO.model_copy(update={"hookpoint": hookpoint, "candidates": ()})
        found = discover(
            model, PlantedProbe(), wanted, folder=tmp_path, steps=STEPS, scales=()
        )  # fmt: skip
        assert found.features.hookpoint == known[0]
        made.append(found.folder)
    assert made[0] == made[1]


def test_what_was_measured_is_read_the_second_time(tmp_path, monkeypatch):
    first = hookpoints.choose(study(), tmp_path)
    monkeypatch.setattr(TwoBlocks, "generate", None)
    assert hookpoints.choose(study(), tmp_path) == first


def test_the_first_of_equals_is_taken(tmp_path):
    wanted = AUTO.model_copy(update={"candidates": ("mid_block", "mid_block")})
    assert hookpoints.choose(study(wanted), tmp_path).chosen == "mid_block"


def test_a_discovery_dissects_there_and_says_why(tmp_path):
    found = discover(
        TwoBlocks(), PlantedProbe(), AUTO, folder=tmp_path, steps=STEPS, scales=()
    )  # fmt: skip
    assert found.features.hookpoint == "block"
    told = found.evidence["hookpoints"]
    assert told["chosen"] == "block"
    assert [one["hookpoint"] for one in told["candidates"]] == ["mid_block", "block"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (
            ["mid_block", "mid_block.resnets.0", "down_blocks.0", "down_blocks.0.resnets.0",
             "down_blocks.1", "up_blocks.0", "up_blocks.0.attentions.1", "up_blocks.1",
             "up_blocks.2"],
            ("mid_block", "up_blocks.0", "up_blocks.1"),
        ),
        (
            [f"transformer_blocks.{i}" for i in (6, 0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)],
            tuple(f"transformer_blocks.{i}" for i in (6, 0, 2, 4, 8, 10)),
        ),
        (
            ["mid_block", "up_blocks.0", "up_blocks.1", "encoder_hidden_states"],
            ("mid_block", "up_blocks.0"),
        ),
        (["block"], ("block",)),
    ],
)  # fmt: skip
def test_candidates_that_are_not_named_are_spread_over_the_model(known, expected):
    model = TwoBlocks()
    model.hookpoints = dict.fromkeys(known, 16)
    assert (
        hookpoints.candidates(study(AUTO.model_copy(update={"candidates": ()}), model)) == expected
    )


def test_what_cannot_be_chosen_is_said(tmp_path):
    wrong = AUTO.model_copy(update={"candidates": ("mid_blok",)})
    with pytest.raises(SpecError, match=r"candidates: .* did you mean 'mid_block'"):
        placed(TwoBlocks(), PlantedProbe(), wrong)
    misspelt = AUTO.model_copy(update={"candidates": (), "hookpoint": "blok"})
    with pytest.raises(SpecError, match="unknown hookpoint 'blok'; did you mean 'block'"):
        placed(TwoBlocks(), PlantedProbe(), misspelt)
    closed = TwoBlocks()
    closed.hookpoints = {}
    with pytest.raises(SpecError, match="no hookpoint that is known to be right"):
        placed(closed, PlantedProbe(), AUTO)
    blind = Study(TwoBlocks(), Blind(), AUTO, STEPS)
    with pytest.raises(InputError, match="0 are read as 'bright', too few to know its mean"):
        hookpoints.choose(blind, tmp_path)


def test_activations_of_an_image_of_no_class_do_not_enter_the_means():
    means = ClassMeans()
    x = torch.tensor([[1.0, 2.0], [torch.nan, torch.inf], [3.0, 4.0]])
    means.edit(x, Moment(0, 1, 0.0, ()))
    means.add(torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
    assert means.sums[0].tolist() == [[4, 6], [0, 0]]


def test_class_means_are_of_images_that_came_out():
    """The very directions of the images that the filter leaves, drawn alone."""
    of = study(model=Filtering())
    asked = of.requests("hookpoint", 64)
    left = [request for request in asked if Filtered.passes(request)]
    every = class_directions(of, ["block"], asked)["block"]
    alone = class_directions(study(), ["block"], left)["block"]
    for step in range(STEPS):
        torch.testing.assert_close(every[step], alone[step])
