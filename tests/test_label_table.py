"""Tables of labels: lines are paired by seed, and every column is read or told of."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import audit
from audit import job
from audit.errors import InputError
from audit.images.label_table import LabelTable
from audit.storage.folder import Run

CLASSES = {"gender": ("woman", "man")}
READ = np.random.default_rng(0).choice(CLASSES["gender"], 200)
"""What is read of the seeds 0 to 199."""


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Work in an empty folder, without the page, which has tests of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job, "render", lambda path: None)


class Listener:
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def begin(self, stage, total):
        pass

    def advance(self, done, *, cached=0, failed=0):
        pass

    def say(self, message):
        self.heard.append(message)


def table(text: str) -> LabelTable:
    Path("labels.csv").write_text(text)
    return LabelTable(Path("labels.csv"), CLASSES)


def audited(text: str, listener: Listener | None = None) -> Run:
    Path("labels.csv").write_text(text)
    benchmark = {"labels": "labels.csv", "attributes": ["gender"]}
    spec = {"version": 1, "benchmarks": {"tiny": benchmark}}
    Path("benchmarks.yaml").write_text(yaml.safe_dump(spec))
    return audit.run(audit.load("benchmarks.yaml"), "tiny", progress=listener)


def lines(column: str, first: str, second: str) -> str:
    """The same readings of 200 seeds twice, the second time from the last seed to the first."""
    rows = [f"{first},{seed},{label}" for seed, label in enumerate(READ)]
    rows += reversed([f"{second},{seed},{label}" for seed, label in enumerate(READ)])
    return "\n".join([f"{column},seed,gender", *rows])


def test_probes_that_say_the_same_of_every_seed_agree_in_any_order():
    found = audited(lines("probe", "one", "other"))
    assert {a.statistic: (a.value, a.n) for a in found.results.agreement}["raw"] == (1, 200)
    assert len(found.images) == 200


def test_arms_of_the_same_seeds_are_paired_in_any_order():
    flip = audited(lines("arm", "none", "edit")).results.flips[0]
    women = int((READ == "woman").sum())
    assert flip.counts == ((women, 0), (0, 200 - women))


def test_images_that_any_probe_read_are_listed_with_their_seed():
    found = table("probe,seed,gender\none,7,man\none,9,man\nother,9,man\nother,11,woman\n")
    assert [(row["index"], row["seed"]) for row in found.images()] == [(0, 7), (1, 9), (2, 11)]
    assert [(row["probe"], row["index"]) for row in found.labels()] == [
        ("one", 0), ("one", 1), ("other", 1), ("other", 2),
    ]  # fmt: skip


def test_without_seeds_lines_are_images_in_their_order():
    found = table("probe,gender,count\none,woman,2\none,man,1\nother,woman,4\n")
    assert [(row["index"], row["seed"]) for row in found.images()] == [(i, None) for i in range(4)]
    assert [row["index"] for row in found.labels()] == [0, 1, 2, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "seed,gender\n7,man\n9,man\n7,man\n",
            "labels.csv:4: a second reading of seed 7 by 'labels' in arm 'none', prompt '-'",
        ),
        ("seed,gender,count\n7,man,3\n", "labels.csv:2: 3 images of one seed"),
        (
            "probe,seed,gender\none,7,man\nother,,man\n",
            "labels.csv:3: other lines of arm 'none', prompt '-' have a seed",
        ),
        ("seed,gender\n,man\n7,man\n", "labels.csv:3: other lines of arm .* have no seed"),
    ],
)
def test_seeds_that_do_not_tell_images_apart_are_refused_with_their_line(text, says):
    with pytest.raises(InputError, match=says):
        table(text)


def test_one_seed_may_be_of_several_prompts_probes_and_arms():
    text = "arm,prompt,probe,seed,gender\n" + "".join(
        f"{arm},{prompt},{probe},7,man\n"
        for arm in ("none", "edit")
        for prompt in ("a nurse", "a doctor")
        for probe in ("one", "other")
    )
    assert len(list(table(text).images())) == 4


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("Arm", "labels.csv: unknown column 'Arm'; did you mean 'arm'?"),
        ("SEED", "unknown column 'SEED'; did you mean 'seed'?"),
        ("Prompt ID", "unknown column 'Prompt ID'; did you mean 'prompt_id'?"),
        ("conut", "unknown column 'conut'; did you mean 'count'?"),
        ("P_woman", "unknown column 'P_woman'; did you mean 'p_woman'?"),
    ],
)
def test_a_column_that_is_nearly_one_that_is_read_is_refused(columns, says):
    with pytest.raises(InputError, match=re.escape(says)):
        table(f"{columns},gender\n1,woman\n")


def test_a_column_that_is_like_one_that_is_there_is_something_else():
    assert table("count,country,gender\n2,Chad,woman\n").ignored == ("country",)


def test_columns_that_are_not_read_are_told_of_once():
    listener = Listener()
    found = audited("image,gender,score,age\na.png,woman,.7,old\n", listener)
    (warned,) = [w for w in found.results.provenance.warnings if w.code == "ignored_columns"]
    assert warned.message == "labels.csv: columns that are not read: 'image', 'score', 'age'"
    assert warned.count == 3
    assert listener.heard == [f"warning: {warned.message}"]


def test_nothing_is_said_of_a_table_that_is_read_in_full():
    listener = Listener()
    codes = {w.code for w in audited("gender\nwoman\n", listener).results.provenance.warnings}
    assert "ignored_columns" not in codes
    assert not listener.heard
