"""Labels by people: which images they are of, what they correct, and when they mislead."""

import numpy as np
import pandas as pd
import pytest
from tables import benchmark, one, tables

from audit.errors import InputError
from audit.measuring.measurement import measure
from audit.measuring.people import read_people

CLASSES = {"gender": ("woman", "man"), "age": ("young", "adult", "old")}
IMAGES = pd.DataFrame(
    {
        "arm": ["none", "none", "none", "steer", "steer", "steer"],
        "prompt_id": ["nurse", "nurse", "doctor"] * 2,
        "prompt": ["a nurse", "a nurse", "a doctor"] * 2,
        "index": [0, 1, 0] * 2,
        "path": ["a.png", "b.png", "c.png", "a.png", "e.png", "f.png"],
        "sha256": ["a1", "b2", "c3", "a1", "e5", "f6"],
    }
)


def read(tmp_path, text, images=IMAGES):
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="utf-8")
    found = read_people(path, images, CLASSES)
    return [tuple(row) for row in found.itertuples(index=False)]


def test_images_are_named_by_their_request(tmp_path):
    text = "arm,prompt_id,index,gender\nsteer,nurse,1,man\nnone,doctor,0,\nnone,doctor,0,woman\n"
    assert read(tmp_path, text) == [
        ("steer", "nurse", 1, "gender", "man"),
        ("none", "doctor", 0, "gender", "woman"),
    ]


def test_prompts_may_be_named_by_their_text(tmp_path):
    text = "arm,prompt,index,gender,age\nnone,a doctor,0,woman,old\n"
    assert read(tmp_path, text) == [
        ("none", "doctor", 0, "gender", "woman"),
        ("none", "doctor", 0, "age", "old"),
    ]


@pytest.mark.parametrize("column", ["sha256,gender\na1", "path,gender\na.png"])
def test_a_file_that_two_arms_share_has_one_label(tmp_path, column):
    assert read(tmp_path, f"{column},man\n") == [
        ("none", "nurse", 0, "gender", "man"),
        ("steer", "nurse", 0, "gender", "man"),
    ]


def test_one_arm_and_one_prompt_need_no_name(tmp_path):
    found = read(tmp_path, "index,gender\n1,man\n", IMAGES.iloc[:2])
    assert found == [("none", "nurse", 1, "gender", "man")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gender\nman\n", "people.csv: nothing names the images; give `sha256`, `path`, or"),
        ("prompt_id,index,gender\nnurse,0,man\n", "column `arm` is missing; it is one of"),
        ("sha256,gendre\na1,man\n", "unknown column 'gendre'; did you mean 'gender'?"),
        ("sha256\na1\n", "has a column for none of gender, age"),
        ("sha256,gender\nzz,man\n", "people.csv:2: no image of the run has sha256 'zz'"),
        ("sha256,gender\na1,mann\n", "people.csv:2: unknown gender 'mann'; did you mean 'man'?"),
        ("sha256,gender\na1,\n", "people.csv: the table holds no label"),
        ("sha256,gender\na1,man\na1,woman\n", "people.csv:3: the image is 'man' in another row"),
        ("arm,prompt_id,index,gender\nsteer,nurse,9,man\n", "no image of the run has index '9'"),
        ("arm,prompt_id,index,gender\nsteer,nurs,0,man\n", "unknown prompt 'nurs'; did you mean"),
        ("arm,prompt_id,index,gender\nstee,nurse,0,man\n", "unknown arm 'stee'; did you mean"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_one_sentence(tmp_path, text, message):
    with pytest.raises(InputError) as wrong:
        read(tmp_path, text)
    assert message in str(wrong.value)


def labelled(index, truth):
    return pd.DataFrame(
        {"arm": "none", "prompt_id": "-", "index": index, "attribute": "gender"}
    ).assign(label=[truth[i] for i in index])


def test_labels_by_people_have_the_known_answer():
    """KA-45: 200 of 2,000 labelled; read f = .65 of all; θ .592758 with λ .758605."""
    people = ["woman"] * 114 + ["man"] * 86
    seen = ["woman"] * 110 + ["man"] * 4 + ["woman"] * 14 + ["man"] * 72
    rest = ["woman"] * (1300 - 124) + ["man"] * (700 - 76)
    images, labels = tables({"none": {"-": seen + rest}})
    found = measure(images, labels, benchmark(), people=labelled(range(200), people))
    share = one(found, "share_ppi", class_="woman")
    assert share.value == pytest.approx(0.592758, abs=1e-6)
    assert share.ci_low < 0.57 < 0.592758 < share.ci_high
    assert share.method == "prediction-powered, 200 images labelled by people"
    # FD = √2 · |θ - ½|
    assert one(found, "fd_ppi").value == pytest.approx(2**0.5 * 0.092758, abs=1e-6)


def test_people_who_saw_other_images_than_the_rest_are_warned_of():
    said = ["woman"] * 300 + ["man"] * 300
    images, labels = tables({"none": {"-": said}})
    chosen = measure(images, labels, benchmark(), people=labelled(range(100), said))
    drawn = np.random.default_rng(0).choice(600, 100, replace=False).tolist()
    random = measure(images, labels, benchmark(), people=labelled(drawn, said))
    code = "people_no_random_sample"
    assert next(w.message for w in chosen.warnings if w.code == code).startswith(
        "gender: the images that people labelled differ from the others in their readings"
    )
    assert code not in {w.code for w in random.warnings}


def test_too_few_labels_are_no_number_and_say_so():
    images, labels = tables({"none": {"-": ["woman", "man"] * 10}})
    found = measure(images, labels, benchmark(), people=labelled([0, 1], ["woman", "man"]))
    share = one(found, "share_ppi", class_="woman")
    assert share.value is None
    assert share.method == (
        "not corrected: people labelled 2 of the images that were read, 3 are needed"
    )
    assert one(found, "fd_ppi").value is None


def test_labels_of_few_prompts_know_that_their_images_hang_together():
    """Ten prompts of one class each, rightly read: 200 images are worth ten, labels or no."""
    rows = {f"p{j}": ["woman" if j < 6 else "man"] * 20 for j in range(10)}
    images, labels = tables({"none": rows}, seeds=False)
    own = images[["arm", "prompt_id", "index"]].assign(attribute="gender")
    people = own.assign(label=labels["label"])[::2]
    sampled = benchmark(statistics={"inference": "prompt_population"})
    wide = one(measure(images, labels, sampled, people=people), "share_ppi", class_="woman")
    narrow = one(measure(images, labels, benchmark(), people=people), "share_ppi", class_="woman")
    assert wide.value == pytest.approx(0.6, abs=1e-6)
    assert wide.ci_high - wide.ci_low > 0.5
    assert wide.ci_high - wide.ci_low > 3 * (narrow.ci_high - narrow.ci_low)
