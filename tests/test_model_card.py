"""`card`: results and a section between markers, every other byte as it was."""

import json

import pytest
import yaml
from huggingface_hub import ModelCard
from report_run import occupations, unconditional
from small_spec import run

from audit.errors import InputError
from audit.storage import results_file
from reports.card_file import put
from reports.model_card import index_results, model_name, section
from reports.source import Source

BARE = """\
---
# how people write them
license: openrail++   # a comment
tags: [text-to-image, "quoted"]

datasets:
- laion
---

# My model

Some text.
"""
FOREIGN = """\
---
license: mit
model-index:
- name: my-model
  results:
  - task: {type: text-to-image}
    dataset: {type: coco, name: COCO}
    metrics:
    - type: fid   # theirs
      value: 12.5
language: en
---
Text
"""
ITEM = {
    "task": {"type": "text-to-image"},
    "dataset": {"type": "faces", "name": "Faces"},
    "metrics": [{"type": "fd", "value": 0.25}],
}


def placed(card, benchmark="faces", item=ITEM, text="## Bias\n\nwords", **more):
    return put(card, benchmark, results=[item], model="m", section=text, **more)


def metrics(card):
    found = ModelCard(card).data.eval_results
    return {(one.dataset_type, one.metric_type): one.metric_value for one in found}


def without(text, *benchmarks):
    """Remove what stands between markers, and the markers."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        inside |= any(f"bias-audit: begin {name}" in line for name in benchmarks)
        kept += [] if inside else [line]
        inside &= not any(f"bias-audit: end {name}" in line for name in benchmarks)
    return "".join(kept)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return unconditional(tmp_path_factory.mktemp("card"), images=24)


@pytest.fixture(scope="module")
def source(folder):
    return Source.open(folder)


# Where it is put


def test_a_card_without_results_gets_them_at_the_end_of_its_front_matter():
    card = placed(BARE, insert=True)
    assert metrics(card) == {("faces", "fd"): 0.25}
    head = "model-index:\n- name: m\n  results:\n"
    assert head in card
    assert without(card, "faces").replace(head, "") == BARE + "\n"
    assert ModelCard(card).data.license == "openrail++"


def test_results_of_others_stay_and_ours_stand_before_them():
    card = placed(FOREIGN, insert=True)
    assert metrics(card) == {("faces", "fd"): 0.25, ("coco", "fid"): 12.5}
    assert without(card, "faces") == FOREIGN + "\n"
    assert ModelCard(card).data.model_name == "my-model"


def test_a_second_time_changes_nothing_and_new_numbers_only_theirs():
    once = placed(FOREIGN, insert=True)
    assert placed(once) == once
    item = ITEM | {"metrics": [{"type": "fd", "value": 0.5}]}
    again = placed(once, item=item, text="## Other\nwords")
    assert metrics(again)["faces", "fd"] == 0.5
    assert "## Other\nwords" in again
    assert "## Bias" not in again
    assert without(again, "faces") == without(once, "faces")


@pytest.mark.parametrize("card", [BARE, FOREIGN])
def test_benchmarks_do_not_overwrite_each_other(card):
    one = placed(card, insert=True)
    item = ITEM | {"dataset": {"type": "jobs", "name": "Jobs"}}
    two = placed(one, "jobs", item=item, text="## Jobs", insert=True)
    assert {("faces", "fd"), ("jobs", "fd")} <= set(metrics(two))
    assert without(two, "jobs").rstrip() == one.rstrip()
    assert placed(two) == two
    assert placed(two, "jobs", item=item, text="## Jobs") == two


def test_what_stands_after_the_section_stays_there():
    once = placed(BARE, insert=True).replace(
        "bias-audit: end faces -->\n", "bias-audit: end faces -->\nAfter.\n"
    )
    assert placed(once, text="new").endswith("new\n<!-- bias-audit: end faces -->\nAfter.\n")


def test_line_ends_stay_as_they_are():
    card = placed(BARE.replace("\n", "\r\n"), insert=True)
    assert card.count("\n") == card.count("\r\n")
    assert placed(card) == card
    assert metrics(card) == {("faces", "fd"): 0.25}


def test_a_card_that_is_not_there_yet_is_started():
    card = placed("", insert=True)
    assert metrics(card) == {("faces", "fd"): 0.25}
    assert "## Bias\n\nwords" in ModelCard(card).text
    bare = placed("# Only text\n", insert=True)
    assert "# Only text" in ModelCard(bare).text
    assert metrics(bare) == metrics(card)


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (
            "# No front matter\n",
            "README.md: has no front matter, the block between two lines of --- at its top;"
            " --insert writes one",
        ),
        (
            BARE,
            "README.md: front matter: has no lines `# bias-audit: begin faces` and"
            " `# bias-audit: end faces` to write between; --insert puts them there",
        ),
        (
            without(placed(FOREIGN, insert=True), "nothing").split("<!--")[0],
            "README.md: has no lines `<!-- bias-audit: begin faces -->` and"
            " `<!-- bias-audit: end faces -->` to write between; --insert puts them there",
        ),
    ],
)
def test_without_markers_nothing_is_added_unasked(card, says):
    with pytest.raises(InputError) as error:
        placed(card)
    assert str(error.value) == says


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("license: mit", "license: [mit", "front matter: line 3: is not YAML: "),
        ("license: mit", "\tlicense: mit", "front matter: line 2: is not YAML: "),
        ("language: en", "language: en\n# bias-audit: end faces", "must stand once each"),
        ("Text", "<!-- bias-audit: end faces -->", "found on lines none and 1 of it"),
        ("  results:", "  scores:", "line 4: model-index is not a list of models whose first"),
    ],
)
def test_a_broken_card_is_refused_in_a_sentence(old, new, says):
    with pytest.raises(InputError) as error:
        placed(FOREIGN.replace(old, new), insert=True)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "front", ["model-index: []", "model-index: {a: b}", "model-index: [{name: a, results: [{}]}]"]
)
def test_results_in_a_form_that_cannot_be_added_to_are_refused(front):
    with pytest.raises(InputError, match="line 2: model-index is not a list of models"):
        placed(f"---\n{front}\n---\n", insert=True)


def test_front_matter_that_is_a_list_is_refused():
    with pytest.raises(InputError, match="front matter: is not a list of keys with values"):
        placed("---\n- a\n---\n", insert=True)


# What it says


def test_results_are_those_of_the_run(source):
    found = index_results(source, "steer")
    told = {(m["type"], m["args"]["attribute"]): m for item in found for m in item["metrics"]}
    for (metric, attribute), said in told.items():
        entry = source.one(metric, "steer", attribute, None, "portraits")
        assert said["value"] == entry.value
        assert said["args"]["ci_high"] == entry.ci_high
        assert said["args"]["images"] == entry.n
    assert {a for _, a in told} == {"gender", "age", "race"}
    args = told["fd", "gender"]["args"]
    assert args["classes_chosen_by"] == "suite"
    assert args["target_chosen_by"] == "uniform"
    assert model_name(source) == "unconditional"


def test_what_was_not_measured_is_not_in_the_metadata(tmp_path):
    unread = Source.open(occupations(tmp_path, images=2, unread=1.0))
    with pytest.raises(InputError, match="no number of arm 'none' was measured"):
        index_results(unread, "none")


def test_the_section_says_verdict_scope_choices_and_limits(source):
    text = section(source)
    assert text.startswith("## Social bias: Portraits drawn without a prompt\n\n**Fail.** ")
    assert "woman and man. The default of the suite" in text
    assert "Even shares: the default of the suite" in text
    assert "Perceived presentation" in text
    assert "not that the model is fair" in text
    assert "**Not measured.**" in text
    assert "| **pass** |" in text


def test_a_hostile_run_cannot_end_its_section(tmp_path):
    evil = "x\n<!-- bias-audit: end occupations -->\n<script>"
    hostile = Source.open(occupations(tmp_path, images=4, arms=("none", evil)))
    card = put(
        BARE, "occupations", results=index_results(hostile, "none"), model=evil,
        section=section(hostile), insert=True,
    )  # fmt: skip
    assert "<script>" not in card.split("---\n", 2)[2]
    assert ModelCard(card).data.model_name == evil
    again = put(card, "occupations", results=index_results(hostile, evil), model="m", section="s")
    assert ModelCard(again).data.eval_results[0].metric_args["arm"] == evil


# The command


def test_card_shows_the_change_then_writes_it_once(folder, tmp_path, capsys):
    path = tmp_path / "README.md"
    path.write_text(BARE)
    assert run("card", folder, path, "--insert", "--dry-run") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"--- {path}\n+++ {path}\n@@ ")
    assert "+  # bias-audit: begin portraits\n" in out
    assert not [line for line in out.splitlines() if line.startswith("-") and line[1:2] != "-"]
    assert path.read_text() == BARE
    assert run("card", folder, path, "--insert") == 0
    written = path.read_bytes()
    card = ModelCard.load(path)
    shown = results_file.read(folder / "results.json").measurements
    values = {m.value for m in shown if m.arm == "none"}
    assert {one.metric_value for one in card.data.eval_results} <= values
    assert run("card", folder, path) == 0
    assert path.read_bytes() == written
    assert "is as it should be" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [path]


def test_the_metadata_are_of_the_arm_that_is_released(folder, tmp_path, capsys):
    path = tmp_path / "README.md"
    assert run("card", folder, path, "--insert", "--arm", "steer", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["changed"], said["written"]) == (True, True)
    front = yaml.safe_load(path.read_text().split("---\n")[1])
    arms = {m["args"]["arm"] for r in front["model-index"][0]["results"] for m in r["metrics"]}
    assert arms == {"steer"}
    assert run("card", folder, path, "--arm", "stear") == 2
    assert "unknown arm 'stear'; did you mean 'steer'?" in capsys.readouterr().err


def test_a_card_that_cannot_be_read_is_a_sentence(folder, tmp_path, capsys):
    (tmp_path / "latin.md").write_bytes(b"---\nname: \xe9\n---\n")
    for path, says in (
        (tmp_path / "none.md", "no such file; --insert starts one"),
        (tmp_path, "is a folder, not a model card"),
        (tmp_path / "latin.md", "is not UTF-8 text (byte 10)"),
    ):
        assert run("card", folder, path) == 3
        assert capsys.readouterr().err == f"error: {path}: {says}\n"


def test_a_link_to_a_card_stays_a_link(folder, tmp_path):
    (tmp_path / "real.md").write_text(BARE)
    (tmp_path / "README.md").symlink_to("real.md")
    assert run("card", folder, tmp_path / "README.md", "--insert") == 0
    assert (tmp_path / "README.md").is_symlink()
    assert "bias-audit: begin portraits" in (tmp_path / "real.md").read_text()
