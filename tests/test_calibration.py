"""Error cards: counted from labelled images, found by fingerprint, used to correct."""

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tables import benchmark, one, tables

from audit.errors import InputError
from audit.images.labelled import Labelled, labelled
from audit.measuring import error_cards
from audit.measuring.calibration import calibrate
from audit.measuring.cautions import unequal_errors
from audit.measuring.measurement import measure
from audit.types import Readings, State

CLASSES = {"gender": ("woman", "man"), "age": ("young", "adult", "old")}


class Grey:
    """Reads the class that the first pixel stands for; black is no face."""

    name = "grey"
    fingerprint = "grey-1"
    classes = CLASSES

    def read(self, images):
        level = images[:, 0, 0, 0].astype(int)
        faces = level > 0
        states = tuple(State.OK if f else State.NO_FACE for f in faces)
        gender = np.eye(2, dtype=np.float32)[np.where(level > 100, 0, 1)]
        age = np.eye(3, dtype=np.float32)[level % 3]
        for rows in (gender, age):
            rows[~faces] = np.nan
        return Readings(
            {"gender": gender, "age": age},
            dict.fromkeys(CLASSES, states),
            faces.astype(np.int16),
        )


def image(level, **truth):
    return Labelled(np.full((4, 4, 3), level, np.uint8), truth)


def test_counts_are_of_true_classes_against_readings():
    images = [image(200, gender="woman")] * 8 + [image(50, gender="woman")] * 2
    images += [image(50, gender="man")] * 9 + [image(0, gender="man")]
    card = calibrate(Grey(), images, data="grey squares", licence="CC0")
    table = card.attributes["gender"]
    assert table.counts == ((8, 2), (0, 9))
    assert table.missing == (0, 1)
    assert table.accuracy == pytest.approx(17 / 19)
    assert (card.fingerprint, card.images, card.data) == ("grey-1", 20, "grey squares (20 images)")


def test_errors_are_counted_by_group_and_pair_where_both_are_known():
    images = [image(201, gender="woman", age="young")] * 3  # 201 % 3 = 0: young
    images += [image(50, gender="woman", age="old")] * 2  # 50 % 3 = 2: old, read as a man
    card = calibrate(Grey(), images, data="d")
    groups = card.attributes["gender"].groups["age"]
    assert groups["young"] == ((3, 0), (0, 0))
    assert groups["old"] == ((0, 2), (0, 0))
    pair = card.attributes["gender+age"]
    assert pair.classes[:3] == ("woman+young", "woman+adult", "woman+old")
    assert pair.counts[0][0] == 3
    assert pair.counts[2][5] == 2


def test_unequal_errors_are_found():
    equal = error_cards.Confusion(
        classes=("woman", "man"),
        counts=((140, 60), (20, 180)),
        missing=(0, 0),
        groups={
            "race": {"Black": ((70, 30), (10, 90)), "White": ((70, 30), (10, 90))},
            "age": {"young": ((98, 2), (10, 90)), "old": ((42, 58), (10, 90))},
        },
    )
    found = unequal_errors(equal)
    assert found["race, woman"] == 1
    assert found["age, woman"] < 1e-6
    assert found["age, man"] == 1


def test_a_card_is_written_readably_and_read_back(tmp_path):
    card = calibrate(Grey(), [image(200, gender="woman"), image(50, gender="man")], data="d")
    path = tmp_path / "cards" / "grey.json"
    error_cards.write(path, card)
    assert error_cards.read(path) == card
    assert "[1, 0]" in path.read_text()


def test_a_card_serves_whatever_the_order_of_classes():
    table = error_cards.Confusion(classes=("a", "b"), counts=((7, 1), (2, 9)), missing=(3, 0))
    turned = table.ordered(("b", "a"))
    assert turned.counts == ((9, 2), (1, 7))
    assert turned.missing == (0, 3)
    assert table.ordered(("a", "c")) is None


def test_a_card_of_other_weights_is_not_used(tmp_path):
    card = calibrate(Grey(), [image(200, gender="woman")], data="d")
    error_cards.write(tmp_path / "grey.json", card)
    assert error_cards.find("grey", "grey-1", [tmp_path]) == card
    assert "other weights" in error_cards.find("grey", "grey-2", [tmp_path])
    assert "bias-audit calibrate" in error_cards.find("nobody", "x", [tmp_path])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a JSON document"),
        ('{"probe": "p"}', "fingerprint: Field required"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(tmp_path, text, said):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=said):
        error_cards.read(tmp_path / "c.json")


def test_a_table_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="2 by 2"):
        error_cards.Confusion(classes=("a", "b"), counts=((1, 2, 3), (1, 2, 3)), missing=(0, 0))


def save(path, level=200):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level,) * 3).save(path)


def test_a_folder_of_classes_is_read(tmp_path):
    save(tmp_path / "woman" / "1.png")
    save(tmp_path / "man" / "2.png", 50)
    found = list(labelled(tmp_path, {"gender": CLASSES["gender"]}, size=4))
    assert [one.truth for one in found] == [{"gender": "man"}, {"gender": "woman"}]
    assert found[0].pixels.shape == (4, 4, 3)


def test_folders_of_attributes_keep_their_classes_apart(tmp_path):
    save(tmp_path / "age" / "young" / "1.png")
    save(tmp_path / "gender" / "man" / "2.png")
    assert [one.truth for one in labelled(tmp_path, CLASSES)] == [
        {"age": "young"},
        {"gender": "man"},
    ]


def test_a_csv_is_read_and_age_classes_come_before_years(tmp_path):
    save(tmp_path / "pictures" / "1.png")
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "gender", "age", "age_class"])
        rows.writerow(["pictures/1.png", "woman", "31", "young"])
    (only,) = labelled(tmp_path / "labels.csv", CLASSES)
    assert only.truth == {"gender": "woman", "age": "young"}


def test_parquet_with_the_pixels_in_it_is_read(tmp_path):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (50, 50, 50)).save(buffer, "PNG")
    row = {"image": {"bytes": buffer.getvalue(), "path": None}, "gender": "man", "age": 70}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "part-00.parquet")
    (only,) = labelled(tmp_path, CLASSES)
    assert only.truth == {"gender": "man"}
    assert only.pixels.shape == (4, 4, 3)


def test_mistakes_in_labelled_data_are_named(tmp_path):
    with pytest.raises(InputError, match="expected a folder"):
        list(labelled(tmp_path / "nothing", CLASSES))
    save(tmp_path / "dogs" / "1.png")
    with pytest.raises(InputError, match="no image has a label that the probe knows"):
        list(labelled(tmp_path, CLASSES))
    (tmp_path / "labels.csv").write_text("path,gender\nmissing.png,woman\n")
    with pytest.raises(InputError, match=r"labels.csv:2: no such file 'missing.png'"):
        list(labelled(tmp_path / "labels.csv", CLASSES))
    (tmp_path / "labels.csv").write_bytes("path,gender\né.png,woman\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels.csv: not UTF-8 text"):
        list(labelled(tmp_path / "labels.csv", CLASSES))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (b"\x89PNG half a file", r"faces.parquet\[1\]: not a PNG"),
        (None, r"faces.parquet\[1\]: holds no image"),
    ],
)
def test_a_damaged_image_in_parquet_is_named_by_file_and_row(tmp_path, held, says):
    save(tmp_path / "1.png")
    image = (tmp_path / "1.png").read_bytes()
    path = tmp_path / "faces.parquet"
    pd.DataFrame({"image": [image, held], "gender": ["woman", "man"]}).to_parquet(path)
    with pytest.raises(InputError, match=says):
        list(labelled(path, CLASSES))


@pytest.mark.parametrize(
    ("audits", "fewest"),
    [(30, 24), pytest.param(1000, 926, marks=pytest.mark.slow)],
)
def test_simulated_audits_with_planted_shares_and_known_confusion_cover_the_truth(audits, fewest):
    """Audits of 400 images, read with recall .9 and .75, calibrated on 150 a class.

    An interval of 95 % that holds its word covers `fewest` of them at least (binomial, 0.1 %).
    The plain one is about .075 beside the truth, three of its standard errors.
    """
    rng = np.random.default_rng(20)
    planted, confusion = 0.5, np.array([[0.90, 0.10], [0.25, 0.75]])
    covered = raw = 0
    for _ in range(audits):
        counts = [rng.multinomial(150, row) for row in confusion]
        known = error_cards.Confusion(
            classes=CLASSES["gender"],
            counts=tuple(tuple(map(int, row)) for row in counts),
            missing=(0, 0),
        )
        card = error_cards.ErrorCard(
            probe="probe", fingerprint="f", data="d", images=300, attributes={"gender": known}
        )
        women = rng.binomial(400, planted)
        read = rng.binomial(women, 0.90) + rng.binomial(400 - women, 0.25)
        rows = {"none": {"-": ["woman"] * read + ["man"] * (400 - read)}}
        found = measure(*tables(rows), benchmark(metrics=[]), cards={"probe": card})
        share = one(found, "share_corrected", class_="woman")
        covered += share.ci_low <= planted <= share.ci_high
        share = one(found, "share", class_="woman")
        raw += share.ci_low <= planted <= share.ci_high
    assert covered >= fewest
    assert raw < audits / 2
