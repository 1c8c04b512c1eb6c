"""`check`: what people, CI panes, code scanning and GitHub Actions are told of the gates."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml
from small_spec import run, tree

from audit.spec.document import Mark
from audit.spec.locations import gate_marks
from audit.storage import results_file
from audit.storage.results import Estimand, GateEntry, Provenance, Results
from reports.annotations import LIMIT, annotations
from reports.findings import Finding, findings
from reports.sarif import sarif
from reports.source import Source

SCHEMA = json.loads(
    (Path(__file__).parent / "data" / "sarif-2.1.0-subset.schema.json").read_text()
)
SPEC = """\
version: 1
benchmarks:
  faces:
    labels: counts.csv
    gates:
      - {metric: fd, attribute: gender, arm: steer, max: 0.1}
      - metric: share
        attribute: gender
        class: woman
        min: 0.4
      - {metric: fid, arm: steer, max: 5}
"""


def gate(name, verdict, **more):
    given = {
        "id": name, "metric": "fd", "attribute": "gender", "arm": "steer", "side": "max",
        "limit": 0.1, "value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "bound": 0.3,
        "bound_level": 0.95, "p": 0.3, "p_adjusted": 0.3, "family": 3, "n": 100,
        "verdict": verdict, "reason": f"because {verdict}",
    }  # fmt: skip
    return GateEntry(**given | more)


SHARE = {"metric": "share", "class_": "woman", "side": "min", "limit": 0.4, "arm": "none"}
ESTIMAND = Estimand(
    attribute="gender", classes=("woman", "man"), classes_source="suite", inference="x",
    target={"woman": 0.5, "man": 0.5}, target_source="the board", design="x", aggregation="x",
)  # fmt: skip


@pytest.fixture(autouse=True)
def outside_actions(monkeypatch):
    """Tests may themselves run in GitHub Actions."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks.yaml").write_text(SPEC)
    return tmp_path


@pytest.fixture
def folder(here):
    """A run with a failed gate, an undecided one and one that passed."""
    gates = (
        gate("fd-gender-steer-max", "fail"),
        gate("share-gender-woman-none-min", "inconclusive", **SHARE),
        gate("fid-steer-max", "pass", metric="fid@clip", attribute=None, limit=5.0),
    )
    return write(here, gates)


def write(here, gates=(), status="complete"):
    path = here / "runs" / "faces-00000000"
    path.mkdir(parents=True)
    provenance = Provenance(estimands=(ESTIMAND,))
    found = Results(benchmark="faces", arms=("none", "steer"), gates=gates, provenance=provenance)
    results_file.write(path / "results.json", found)
    (path / "run.json").write_text(json.dumps({"status": status}))
    return path


def log(folder, marks=None, **options):
    text = sarif(Source.open(folder), marks or {}, version="1.2.3", **options)
    found = json.loads(text)
    jsonschema.validate(found, SCHEMA)
    return found["runs"][0]


# SARIF


def test_sarif_has_a_rule_for_each_gate_and_a_result_for_what_did_not_pass(folder):
    marks = {"fd-gender-steer-max": Mark("my specs/bench.yaml", 6, 52)}
    found = log(folder, marks)
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == [
        "fd-gender-steer-max", "share-gender-woman-none-min", "fid-steer-max", "run-complete",
    ]  # fmt: skip
    failed, open_ = found["results"]
    assert (failed["ruleId"], failed["ruleIndex"], failed["level"]) == (
        "fd-gender-steer-max", 0, "error",
    )  # fmt: skip
    assert failed["message"]["text"] == (
        "fail: Fairness discrepancy under steer: 0.200 [0.100, 0.300], promised at most 0.100; "
        "because fail"
    )
    assert failed["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "my%20specs/bench.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 6, "startColumn": 52},
    }
    assert (open_["ruleIndex"], open_["level"]) == (1, "error")
    assert "locations" not in open_


@pytest.mark.parametrize(("rule", "level"), [("pass", "note"), ("warn", "warning")])
def test_an_undecided_gate_is_as_grave_as_it_shall_be(folder, rule, level):
    assert [r["level"] for r in log(folder, inconclusive=rule)["results"]] == ["error", level]


def test_a_rule_says_who_chose_classes_and_target(folder):
    said = log(folder)["tool"]["driver"]["rules"][0]["fullDescription"]["text"]
    assert "woman and man. The default of the suite" in said
    assert "Chosen in the spec, which says: the board." in said


def test_a_fingerprint_hangs_on_gate_and_file_and_on_no_value(here, folder):
    def prints(marks):
        return [r["partialFingerprints"] for r in log(folder, marks)["results"]]

    there = {"fd-gender-steer-max": Mark("a.yaml", 6, 1)}
    before = prints(there)
    text = (folder / "results.json").read_text().replace('"value": 0.2', '"value": 0.25')
    measured_anew = results_file.parse({**json.loads(text), "sha256": None})
    results_file.write(folder / "results.json", measured_anew)
    assert prints({"fd-gender-steer-max": Mark("a.yaml", 9, 1)}) == before
    assert prints({"fd-gender-steer-max": Mark("b.yaml", 6, 1)})[0] != before[0]


def test_half_a_run_breaks_a_rule_of_its_own(here):
    found = log(write(here, status="interrupted"))
    assert found["invocations"] == [{"executionSuccessful": False}]
    assert [r["ruleId"] for r in found["results"]] == ["run-complete"]
    assert found["results"][0]["message"]["text"].startswith("The run was interrupted.")


def test_names_that_would_be_links_are_text(here):
    bad = gate("x", "fail", arm="[a](https://example.com)\u202e")
    text = log(write(here, (bad,)))["results"][0]["message"]["text"]
    assert "[a] (https://example.com)⟨U+202E⟩" in text


def test_the_schema_sees_what_is_not_sarif(folder):
    good = {"$schema": "https://x/sarif-schema-2.1.0.json", "version": "2.1.0", "runs": []}
    run_ = json.loads(json.dumps(log(folder, {"fd-gender-steer-max": Mark("a", 1, 1)})))
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(good | {"runs": [run_]})
    result = run_["results"][0]
    for change in (
        {"level": "fatal"},
        {"message": "text"},
        {"locations": []},
        {"verdict": "fail"},
        {"partialFingerprints": {"a b": 1}},
    ):
        assert not validator.is_valid(good | {"runs": [run_ | {"results": [result | change]}]})


# Where a gate is written


def test_gates_are_found_at_their_limits(here, folder):
    gates = results_file.read(folder / "results.json").gates
    marks = gate_marks(gates, "faces", [Path("benchmarks.yaml")], here)
    lines = SPEC.splitlines()
    places = {name: lines[m.line - 1][m.column - 1 :] for name, m in marks.items()}
    assert places == {
        "fd-gender-steer-max": "max: 0.1}",
        "share-gender-woman-none-min": "min: 0.4",
        "fid-steer-max": "max: 5}",
    }
    assert {m.file for m in marks.values()} == {"benchmarks.yaml"}


def test_a_changed_limit_is_looked_for_in_the_spec_of_the_run(here, folder):
    gates = results_file.read(folder / "results.json").gates
    (folder / "spec.yaml").write_text(SPEC)
    changed = SPEC.replace("max: 0.1}", "max: 0.2}")
    (here / "benchmarks.yaml").write_text(changed)
    specs = [Path("benchmarks.yaml"), folder / "spec.yaml"]
    marks = gate_marks(gates, "faces", specs, here)
    assert marks["fd-gender-steer-max"].file == "runs/faces-00000000/spec.yaml"
    assert marks["fid-steer-max"].file == "benchmarks.yaml"
    assert gate_marks(gates, "faces", specs, here / "runs")["fid-steer-max"].file == (
        "../benchmarks.yaml"
    )


def test_a_gate_of_an_included_file_is_found_there(here, folder):
    gates = results_file.read(folder / "results.json").gates
    (here / "ci").mkdir()
    (here / "ci" / "more.yaml").write_text(SPEC)
    (here / "ci" / "main.yaml").write_text("version: 1\ninclude: more.yaml\n")
    marks = gate_marks(gates, "faces", [Path("ci/main.yaml")], here)
    assert marks["fd-gender-steer-max"].file == "ci/more.yaml"
    assert marks["fd-gender-steer-max"].line == 6


@pytest.mark.parametrize("text", ["", "[", "benchmarks: []", "benchmarks: {faces: {gates: 3}}"])
def test_a_spec_that_cannot_be_read_hides_no_verdict(here, folder, capsys, text):
    (here / "benchmarks.yaml").write_text(text)
    assert run("check", folder, "--sarif", "x.sarif") == 1
    assert "fail: fd-gender-steer-max" in capsys.readouterr().out


# Annotations


def test_an_annotation_points_at_the_line_and_escapes_what_the_runner_reads():
    found = Finding("a,b:c", "warning", "100 %\nof ::error::", Mark("x,y:z.yaml", 3, 7))
    assert list(annotations([found])) == [
        "::warning file=x%2Cy%3Az.yaml,line=3,col=7,title=a%2Cb%3Ac::100 %25%0Aof ::error::"
    ]


def test_no_more_annotations_than_github_shows():
    some = [Finding(f"g{i}", "error", "x") for i in range(LIMIT)]
    assert len(list(annotations(some))) == LIMIT
    lines = list(annotations([*some, *some]))
    assert len(lines) == LIMIT
    assert lines[-1] == "::notice title=bias-audit::11 more findings are in the report"


def test_what_failed_comes_before_what_is_undecided(folder):
    found = findings(Source.open(folder), {})
    assert [one.message.split(":")[0] for one in found] == ["fail", "inconclusive"]


# The command


def test_check_writes_what_it_is_asked_for_and_nothing_else(here, folder, capsys):
    before = tree(here)
    assert run("check", folder) == 1
    assert tree(here) == before
    assert run("check", folder, "--junit", "out.xml", "--sarif", "out.sarif") == 1
    assert set(tree(here)) - set(before) == {"out.xml", "out.sarif"}
    found = json.loads((here / "out.sarif").read_text())
    jsonschema.validate(found, SCHEMA)
    region = found["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 6, "startColumn": SPEC.splitlines()[5].index("max") + 1}
    failures = [f.get("type") for f in ET.parse("out.xml").iter("failure")]
    assert failures == ["fail", "inconclusive"]
    assert run("check", folder, "--junit", "out.xml", "--inconclusive", "warn") == 1
    assert [f.get("type") for f in ET.parse("out.xml").iter("failure")] == ["fail"]
    assert "warning: 1 of 3 gates cannot be decided\n" in capsys.readouterr().err


def test_in_actions_there_are_annotations_and_a_summary(here, folder, capsys, monkeypatch):
    summary = here / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run("check", folder, "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["status"] == 1
    first, second = err.splitlines()
    assert re.match(r"::error file=benchmarks\.yaml,line=6,col=\d+,title=fd-gender-steer-", first)
    assert re.match(r"::error file=benchmarks\.yaml,line=10,col=9,title=share-gender-", second)
    text = summary.read_text()
    assert text.startswith("before\n## ✕ Fail: faces\n")
    assert "| **fail** |" in text


def test_paths_start_at_the_top_of_the_repository(here, folder, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here.parent))
    run("check", folder)
    assert f"::error file={here.name}/benchmarks.yaml,line=6," in capsys.readouterr().err


def test_a_summary_that_cannot_be_written_changes_no_verdict(here, folder, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here))
    assert run("check", folder) == 1
    assert "the summary of the step was not written: Is a directory" in capsys.readouterr().err


def test_the_summary_leaves_room_for_what_the_step_wrote_before(here, folder, monkeypatch):
    summary = here / "summary.md"
    summary.write_text("x" * 899_900)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run("check", folder) == 1
    assert summary.stat().st_size <= 900_000
    assert summary.read_text().endswith("*truncated: the whole report is in report.html*\n")


def test_a_run_stopped_before_its_results_is_incomplete(here, capsys):
    path = write(here, status="interrupted")
    (path / "results.json").unlink()
    assert run("check", path) == 4
    assert "the run is interrupted and has no results yet" in capsys.readouterr().err
    (path / "run.json").write_text(json.dumps({"status": "complete"}))
    assert run("check", path) == 3


def test_check_needs_no_torch_and_no_tables_unless_machines_listen(folder):
    code = (
        "import sys\nfrom audit.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert stop.code == 1, stop.code\n"
        "heavy = ('torch', 'diffusers', 'transformers', 'pandas', 'matplotlib', 'scipy')\n"
        "print([m for m in heavy if m in sys.modules], file=sys.stderr)\n"
    )
    for more, loaded in (([], []), (["--sarif", "x.sarif"], ["pandas"])):
        done = subprocess.run(
            [sys.executable, "-c", code, "check", str(folder), *more],
            capture_output=True,
            text=True,
            env={**os.environ},
        )
        assert done.stderr.splitlines()[-1] == str(loaded)


def test_help_says_what_every_exit_status_means(capsys):
    for command, statuses in (("check", "0 1 2 3 4"), ("run", "0 1 2 3 4 5 6 70 130 143")):
        assert run(command, "--help") == 0
        text = " ".join(capsys.readouterr().out.split())
        said = text[text.index("Exit status:") : text.index("`--inconclusive pass`")]
        assert set(statuses.split()) <= set(re.findall(r"\d+", said))


def test_the_spec_of_these_tests_is_one(here):
    (here / "counts.csv").write_text("gender,arm,count\nwoman,none,3\nman,steer,3\n")
    assert yaml.safe_load(SPEC)["benchmarks"]["faces"]["gates"][0]["max"] == 0.1
