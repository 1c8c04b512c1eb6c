"""Runs side by side: which arms are compared, what is said of the runs, how the command ends."""

import csv
import io
import json

import jsonschema
import pytest
from small_spec import run as command
from stored_run import run

from audit.comparison.side_by_side import compare
from audit.errors import InputError, SpecError
from audit.storage import results_file
from audit.storage.folder import RESULTS
from audit.storage.results import Entry

EVEN, SKEWED = ["woman", "man"] * 200, ["woman"] * 40 + ["man"] * 360


def quality(metric, value, arm="none", extractor="a"):
    return Entry(
        metric=metric, arm=arm, value=value, n=9, method="m", direction="lower",
        extractor=extractor,
    )  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two releases in folders of the same name: in the second one arm got worse."""
    root = tmp_path_factory.mktemp("releases")
    old = {"none": {"-": SKEWED}, "steer": {"-": EVEN}}
    new = {"none": {"-": SKEWED}, "steer": {"-": SKEWED}, "extra": {"-": EVEN}}
    first = run(root / "old" / "jobs-1", old, extra=[quality("fid@x", 2.0)])
    second = run(root / "new" / "jobs-1", new, extra=[quality("fid@x", 3.0, extractor="b")])
    return first, second


@pytest.fixture(scope="module")
def found(pair):
    first, second = pair
    return compare(second, baseline=first).results


def test_arms_of_one_name_are_compared_and_all_arms_stand_side_by_side(found):
    assert found.arms == ("A/none", "A/steer", "B/none", "B/extra", "B/steer")
    pairs = dict.fromkeys((d.arm, d.baseline) for d in found.comparisons)
    assert list(pairs) == [
        ("B/none", "A/none"), ("B/steer", "A/steer"),
        ("A/steer", "A/none"), ("B/extra", "B/none"), ("B/steer", "B/none"),
    ]  # fmt: skip
    share = next(
        d
        for d in found.comparisons
        if (d.metric, d.class_, d.arm) == ("share", "woman", "B/steer")
    )
    assert share.value == pytest.approx(0.1 - 0.5)  # 40 of 400 against half
    assert share.method == "paired-score"


def test_the_arm_that_got_worse_fails_and_the_one_that_did_not_passes(found):
    none, steer = found.gates
    assert (none.arm, none.verdict, none.value) == ("B/none", "pass", 0)  # the same images
    assert (steer.arm, steer.verdict) == ("B/steer", "fail")
    # The shares went from (.5, .5) to (.1, .9): √2 · .4 = .566 less what chance adds.
    assert steer.value == pytest.approx(0.566, abs=0.01)
    assert steer.metric == "fd_debiased_change"


def test_runs_are_told_apart_by_the_end_of_their_paths(found):
    runs = found.provenance.model_extra["runs"]
    assert [run["folder"] for run in runs.values()] == ["old/jobs-1", "new/jobs-1"]
    assert runs["B"]["images"] == {"none": 400, "steer": 400, "extra": 400}


def test_what_does_not_compare_is_left_out_and_said(found):
    assert [m.arm for m in found.measurements if m.metric == "fid@x"] == ["A/none"]
    said = [w.message for w in found.provenance.warnings if w.code == "not_compared"]
    assert said == ["B/none against A/none: fid@x: extractors 'a' and 'b'"]


def test_a_comparison_is_results_like_any_other(found):
    plain = json.loads(results_file.dumps(found))
    jsonschema.validate(plain, results_file.schema())
    assert results_file.parse(plain) == found


def test_runs_of_unlike_size_speak_of_the_same_combinations(tmp_path):
    """Of 36 images 1.8 are expected in either cell of the old, too few; of 360, 18."""
    gender, age = ["woman", "man"], ["young"] * 2 + ["adult"] * 2 + ["old"] * 2
    found = []
    for name, times in (("few", 6), ("many", 60)):
        rows = {"none": {"-": gender * 3 * times}}
        also = {"age": {"none": {"-": age * times}}}
        spec = {
            "attributes": ["gender", "age"],
            "target": {"age": {"young": 0.6, "adult": 0.3, "old": 0.1}},
        }
        found.append(run(tmp_path / name, rows, also=also, **spec))
    own = [{e.attribute: e for e in one.results.provenance.estimands} for one in found]
    cells = [len(of["gender+age"].classes) for of in own]
    assert cells == [5, 6]
    together = compare(*found).results
    shares = [
        (m.arm, m.class_) for m in together.measurements
        if (m.metric, m.attribute) == ("share", "gender+age")
    ]  # fmt: skip
    classes = own[0]["gender+age"].classes
    assert sorted(shares) == sorted((arm, name) for arm in together.arms for name in classes)
    joint = [m for m in together.measurements if (m.metric, m.attribute) == ("fd", "gender+age")]
    assert [m.arm for m in joint] == ["A/none", "B/none"]
    assert joint[0].value == pytest.approx(joint[1].value)
    shown = {e.attribute: e.classes for e in together.provenance.estimands}
    assert shown["gender+age"] == classes


def test_arms_of_a_single_run_keep_their_names(pair):
    found = compare(pair[0]).results
    assert found.arms == ("none", "steer")
    assert {(d.arm, d.baseline) for d in found.comparisons} == {("steer", "none")}
    assert found.gates == ()


def test_the_arms_may_be_named(pair):
    found = compare(*pair, arms=("steer", "extra")).results
    compared = {(d.arm, d.baseline) for d in found.comparisons if d.baseline == "A/steer"}
    assert compared == {("B/extra", "A/steer")}


def test_what_cannot_be_compared_is_refused_in_a_sentence(pair, tmp_path):
    first, second = pair
    with pytest.raises(SpecError, match="there is no run to compare"):
        compare()
    with pytest.raises(SpecError, match="jobs-1: is given twice"):
        compare(first, second, first.folder)
    with pytest.raises(SpecError, match="name a baseline"):
        compare(first, second, margins={"fd_debiased": 0.1})
    with pytest.raises(InputError, match="not a run folder"):
        compare(first, tmp_path)


def test_a_run_that_stopped_half_way_is_named_and_passes_nothing(pair, tmp_path):
    half = run(tmp_path / "half", {"none": {"-": SKEWED[:200]}}, status="interrupted")
    found = compare(half, baseline=pair[0], margins={"fd_debiased": 1.0}).results
    assert [gate.verdict for gate in found.gates] == ["inconclusive"]
    assert found.gates[0].reason.startswith("no pass: half: not a complete run")
    assert "run B is not complete: its status is interrupted" in [
        w.message for w in found.provenance.warnings
    ]
    (half.folder / RESULTS).unlink()
    with pytest.raises(InputError, match="`bias-audit measure` writes it"):
        compare(half.folder, baseline=pair[0])


def test_the_command_ends_by_the_verdict(pair, capsys, tmp_path):
    first, second = (one.folder for one in pair)
    assert command("compare", first, second) == 0
    assert command("compare", second, "--baseline", first) == 1
    assert "fail: fd_debiased_change-gender-probe-B/steer-max: " in capsys.readouterr().out
    assert command("compare", second, "--baseline", first, "--margin", "fd_debiased=0.9") == 0
    same = ("compare", second, "--baseline", first, "--arms", "none", "extra")
    assert command(*same) == 0  # closer to the target
    loose = ("--margin", "fd_debiased=0.57")
    assert command("compare", second, "--baseline", first, *loose) == 4
    assert command("compare", second, "--baseline", first, *loose, "--inconclusive=warn") == 0
    for wrong in ("fd_debiased", "fd_debiased=-1", "=2", "fd_debiased=nan"):
        assert command("compare", second, "--baseline", first, "--margin", wrong) == 2
    assert command("compare", second, "--baseline", first, "--margin", "kid=1") == 2
    assert "unknown metric 'kid'" in capsys.readouterr().err
    assert command("compare", first, second, "--format", "pdf") == 2
    assert command("compare", first) == 0
    assert command("compare", first, tmp_path) == 3


def test_every_form_is_written_and_tells_the_same(pair, capsys, tmp_path):
    first, second = (one.folder for one in pair)
    command("compare", second, "--baseline", first, "--out", tmp_path / "out", "--json")
    plain = json.loads(capsys.readouterr().out)
    assert plain.pop("status") == 1
    written = {path.name for path in (tmp_path / "out").iterdir()}
    names = ("comparison.html", "comparison.md", "comparison.csv", "comparison.json", "junit.xml")
    assert written == set(names)
    kept = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert len(kept.pop("sha256")) == 64
    assert kept == plain
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "comparison.csv").read_text())))
    assert [float(row["value"]) for row in rows] == [d["value"] for d in plain["comparisons"]]
    markdown = (tmp_path / "out" / "comparison.md").read_text()
    assert markdown.startswith("## ✕ Fail: ")
    assert (
        "| **fail** | FD, debiased, change against the baseline, gender, arm B/steer" in markdown
    )
    command("compare", second, "--baseline", first, "--format", "markdown")
    assert capsys.readouterr().out.rstrip("\n") == markdown.rstrip("\n")
