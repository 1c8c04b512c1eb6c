"""A card of other images: seen where the probe reads otherwise than any mix of it would be."""

import dataclasses

import numpy as np
import pytest
from tables import benchmark, tables
from test_calibration import Grey, image, save

from audit.images.labelled import labelled
from audit.measuring.calibration import calibrate
from audit.measuring.error_cards import Confusion, ErrorCard
from audit.measuring.measurement import measure

CODE = "card_of_other_images"


def card(**given):
    """Of women 5 % are not read, of men 20 %; readings are surer of women."""
    known = {"counts": ((171, 19), (16, 144)), "missing": (10, 40)}
    known |= {"confidence": ((0.95, 0.05), (0.85, 0.1))}
    table = Confusion(classes=("woman", "man"), **(known | given))
    return ErrorCard(
        probe="probe", fingerprint="f", data="d", images=400, attributes={"gender": table}
    )


def warned(rows, found, sure=None):
    images, labels = tables({"none": {"-": rows}})
    if sure is not None:
        read = labels["label"].notna()
        first = labels["label"] == "woman"
        labels["p_woman"] = np.where(read, np.where(first, sure, 1 - sure), np.nan)
        labels["p_man"] = 1 - labels["p_woman"]
    measured = measure(images, labels, benchmark(), cards={"probe": found})
    return [w.message for w in measured.warnings if w.code == CODE]


def rows(women, men, missing):
    return ["woman"] * women + ["man"] * men + ["no_face"] * missing


@pytest.mark.parametrize("missing", [10, 25, 40])
def test_any_mix_of_the_classes_of_the_card_is_like_it(missing):
    assert warned(rows(100, 100 - missing, missing), card()) == []


def test_images_that_cannot_be_read_as_those_of_the_card_are_named():
    (said,) = warned(rows(60, 60, 80), card())
    assert said.startswith(
        "gender by probe: it could not read 40.0% of the images, and 5.0% to 20.0% of those of a "
        "class of its card"
    )
    (said,) = warned(rows(400, 400, 0), card())
    assert "it could not read 0.0% of the images" in said


def test_few_images_prove_nothing():
    assert warned(rows(6, 6, 6), card()) == []


@pytest.mark.parametrize(
    ("sure", "unlike"), [(0.95, 0), (0.9, 0), (0.85, 0), (0.7, 1), (0.999, 1)]
)
def test_a_probe_that_is_less_sure_or_surer_than_on_its_card_is_named(sure, unlike):
    assert len(warned(rows(90, 90, 20), card(), sure)) == unlike


def test_a_card_that_says_nothing_of_confidence_is_not_held_against_it():
    assert warned(rows(90, 90, 20), card(confidence=None), 0.6) == []


def test_calibration_counts_how_sure_a_probe_was():
    class Half(Grey):
        def read(self, images):
            found = super().read(images)
            level = images[:, 0, 0, :1] / 255
            gender = np.concatenate([level, 1 - level], axis=1).astype(np.float32)
            return dataclasses.replace(
                found, probabilities=dict(found.probabilities) | {"gender": gender}
            )

    images = [image(204, gender="woman"), image(153, gender="woman")]  # .8 and .6
    images += [image(51, gender="man"), image(51, gender="man")]  # 1 - .2
    found = calibrate(Half(), images, data="d").attributes["gender"]
    assert found.confidence == ((0.7, pytest.approx(0.1414, abs=1e-4)), (0.8, 0))
    assert found.ordered(("man", "woman")).confidence == found.confidence[::-1]


def test_images_that_a_model_drew_make_a_card_by_the_folder_of_their_class(tmp_path):
    """Drawn by prompts that name the class, sorted by it; one drawn woman is read as a man."""
    for i, level in enumerate([200, 210, 50]):
        save(tmp_path / "woman" / f"{i}.png", level)
    for i in range(2):
        save(tmp_path / "man" / f"{i}.png", 60)
    found = calibrate(Grey(), labelled(tmp_path, {"gender": ("woman", "man")}), data="drawn")
    assert found.attributes["gender"].counts == ((2, 1), (0, 2))
    assert found.data == "drawn (5 images)"
