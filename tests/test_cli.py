"""What the command line promises: exit statuses, streams, and that nothing heavy is loaded."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from small_spec import VALID, changed, run, tree, write

from audit import cli
from audit.commands import specs
from audit.commands.outcomes import worse
from audit.console import Console
from audit.errors import IncompleteError, InputError, RefusedError, ResourceError, SpecError
from audit.interrupts import Interrupted
from audit.spec.spec import load
from audit.storage import results_file
from audit.storage.results import GateEntry, Results

HEAVY = ("torch", "diffusers", "transformers", "open_clip", "deepface", "matplotlib", "pandas")


def child(*args, code=None, cwd=None, **environment):
    """Run the command line, or code, in a process of its own."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "audit", *args]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a valid spec, in which commands run."""
    write(tmp_path, changed())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "args", [["list"], ["validate"], ["init", "x.yaml"], ["schema", "spec"], ["--help"]]
)
def test_commands_about_specs_load_nothing_heavy_and_take_under_a_second(here, args):
    code = (
        "import sys, time\n"
        "from audit.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
        "print(time.process_time() < 1, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, cwd=here
    )
    assert done.stderr.splitlines()[-2:] == ["[]", "True"]


def test_import_audit_loads_nothing_heavy():
    code = f"import audit, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert child(code=code).stdout == "[]\n"


def test_validate_says_what_is_there(here, capsys):
    assert run("validate") == 0
    out, err = capsys.readouterr()
    assert out == "benchmarks.yaml: no mistakes; benchmarks: portraits, occupations\n"
    assert err == ""


def test_plan_counts_what_would_be_drawn(here, capsys):
    assert run("plan", "occupations", "--json", "--seconds", "2") == 0
    [plan] = json.loads(capsys.readouterr().out)["plans"]
    assert (plan["requests"], plan["images"], plan["seconds"]) == (6, 6, 12.0)
    assert plan["prompts"] == ["doctor", "nurse"]
    assert run("plan", "occupations", "--seconds", "2") == 0
    assert "time and disk are for 2 s and 12 kB an image" in capsys.readouterr().out
    assert run("run", "--dry-run") == 0
    assert "portraits" in capsys.readouterr().out
    assert list(here.iterdir()) == [here / "benchmarks.yaml"]


def test_plan_counts_what_feature_sets_are_found_with(capsys):
    shipped = str(Path(__file__).parents[1] / "benchmarks.yaml")
    assert run("plan", "portraits", "--spec", shipped, "--json") == 0
    [plan] = json.loads(capsys.readouterr().out)["plans"]
    assert plan["features"] == {"portraits-gender": 320}
    assert run("plan", "portraits", "--spec", shipped) == 0
    assert "portraits-gender is found first: 320 images" in capsys.readouterr().out


def test_list_says_what_each_plugin_does_without_loading_it(here, capsys):
    assert run("list", "metrics", "--json") == 0
    abouts = {m["name"]: m["about"] for m in json.loads(capsys.readouterr().out)["metrics"]}
    assert abouts["fd"].startswith("Choi et al. 2020"), "a metric says its source"
    assert not [about for about in abouts.values() if about.startswith("audit.metrics")]
    assert run("list", "probes", "--json") == 0
    abouts = {p["name"]: p["about"] for p in json.loads(capsys.readouterr().out)["probes"]}
    assert abouts["dlib"].startswith("Gender and age"), "a factory its first line"


def test_plan_warns_of_prompts_that_are_cut(here, capsys):
    write(here, changed(occupations__prompts=[{"id": "long", "text": "very " * 80}]))
    assert run("plan", "occupations") == 0
    warning = "warning: occupations: prompt 'long' is longer than CLIP reads\n"
    assert capsys.readouterr().err == warning


def test_plan_says_which_gates_so_few_images_cannot_decide(here, capsys):
    write(here, changed(portraits__images=100))
    assert run("plan", "portraits", "--json") == 0
    out, err = capsys.readouterr()
    assert "gate fd_debiased gender steer reads 100 images" in err
    reach = json.loads(out)["plans"][0]["reach"][0]
    # 100 images, two classes: the smallest discrepancy seen at 80 % is sqrt(7.849 / 200).
    assert reach["detectable"] == pytest.approx(0.198, abs=5e-4)
    assert run("plan", "portraits", "--strict") == 2
    assert "error: --strict: portraits: gate fd_debiased" in capsys.readouterr().err
    write(here, changed(portraits__images=500))
    assert run("plan", "portraits", "--strict") == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["plann"], "No such command 'plann'. Did you mean 'plan'?"),
        (["validate", "--foo"], "No such option: --foo"),
        (["plan", "portrait"], "error: unknown benchmark 'portrait'; did you mean 'portraits'?"),
        (["validate", "nothing.yaml"], "error: nothing.yaml: no such file"),
        (["validate", "."], "error: .: is a folder, not a YAML file"),
        (["list", "prob"], "error: unknown list 'prob'; did you mean 'probes'?"),
        (["schema", "specs"], "error: unknown schema 'specs'; did you mean 'spec'?"),
        (
            ["run", "--batch-size", "0"],
            "error: --batch-size is `auto` or a number from 1, got '0'",
        ),
        (["run", "--inconclusive", "maybe"], "error: unknown value of --inconclusive 'maybe'"),
        (["run", "--limit", "0"], "Invalid value for '--limit'"),
        (
            ["run", "--set", "portraits.images"],
            "error: --set portraits.images: expected path=value",
        ),
        (["report"], "Missing argument 'RUN'"),
    ],
)
def test_usage_exits_with_2_and_writes_nothing(here, capsys, args, says):
    before = tree(here)
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert out == ""
    assert tree(here) == before


def test_json_is_one_object_even_for_mistakes(here, capsys):
    assert run("--json", "validate") == 0
    assert set(json.loads(capsys.readouterr().out)["benchmarks"]) == {"portraits", "occupations"}
    write(here, changed(portraits__images=0))
    assert run("validate", "--json") == 2
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["status"] == 2
    assert found["errors"] == [line.removeprefix("error: ") for line in err.splitlines()]


def test_set_is_applied_before_the_digest(here, capsys):
    assert run("plan", "portraits", "--json", "--set", "portraits.images=3") == 0
    [plan] = json.loads(capsys.readouterr().out)["plans"]
    assert plan["requests"] == 3
    assert run("plan", "portraits", "--json") == 0
    assert json.loads(capsys.readouterr().out)["plans"][0]["digest"] != plan["digest"]


def test_the_schema_of_specs_accepts_valid_specs_and_refuses_others(here, capsys):
    assert run("schema", "spec") == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(VALID)
    for change in ({"portraits__probe": "x"}, {"models__faces__steps": "x"}, {"version": None}):
        assert not validator.is_valid(yaml.safe_load(changed(**change)))


SHIPPED = specs.STARTER.parents[2] / "benchmarks.yaml"


def test_a_bare_run_begins_with_what_needs_no_features():
    """A newcomer has a report to read while features are looked for, which takes much longer."""
    spec = load(SHIPPED)
    assert spec.default == ("occupations", "portraits")
    needed = [[arm.features for arm in spec.benchmarks[name].mitigations] for name in spec.default]
    assert [any(features) for features in needed] == [False, True]


def test_the_schema_accepts_the_shipped_benchmarks(capsys):
    assert run("schema", "spec") == 0
    schema = json.loads(capsys.readouterr().out)
    for path in (SHIPPED, specs.STARTER):
        jsonschema.validate(yaml.safe_load(path.read_text("utf-8")), schema)
        assert run("validate", path) == 0


def test_the_schema_of_results_is_the_one_that_ships(here, capsys):
    assert run("schema", "results") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(results_file.SCHEMA_FILE.read_text())


def test_init_writes_a_valid_spec_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("init") == 0
    assert run("validate") == 0
    before = tree(tmp_path)
    capsys.readouterr()
    assert run("init") == 3
    assert "benchmarks.yaml: is there already; give another name" in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_list_names_plugins_with_their_options(here, capsys):
    assert run("list", "probes", "--json") == 0
    probes = {probe["name"]: probe for probe in json.loads(capsys.readouterr().out)["probes"]}
    assert {"portraits", "dlib", "clip", "constant"} <= set(probes)
    assert probes["dlib"]["options"] == ["abstain"]
    assert run("list", "benchmarks") == 0
    assert capsys.readouterr().out.split() == ["portraits", "occupations"]


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (SpecError("one\ntwo\n  below"), 2, "error: one\nerror: two\n  below\n"),
        (InputError("x"), 3, "error: x\n"),
        (IncompleteError("x"), 4, "error: x\n"),
        (ResourceError("x"), 5, "error: x\n"),
        (RefusedError("x"), 6, "error: x\n"),
        (OSError(28, "No space left on device", "runs/a"), 5, "error: runs/a: No space left"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on where this one stopped"),
        (Interrupted(2), 130, "interrupted"),
        (Interrupted(15), 143, "interrupted"),
        (SpecError("\x1b[31mred\u202e"), 2, "error: \\x1b[31mred\\u202e\n"),
        (InputError("https://me:pass@hub and hf_abcdefghij"), 3, "https://***@hub and ***"),
    ],
)
def test_what_is_raised_becomes_a_line_and_a_status(
    here, monkeypatch, capsys, raised, status, says
):
    def fail(*args, **kwargs):
        raise raised

    monkeypatch.setattr("audit.spec.spec.load", fail)
    assert run("validate") == status
    out, err = capsys.readouterr()
    assert says in err
    assert "Traceback" not in err
    assert out == ""


def test_a_bug_exits_with_70_and_keeps_a_redacted_traceback(here, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("hf_abcdefghijkl")

    monkeypatch.setattr("audit.spec.spec.load", fail)
    monkeypatch.setenv("MY_SECRET", "canary-canary")
    assert run("validate") == 70
    err = capsys.readouterr().err
    assert err.startswith("error: this is a bug in bias-audit: ZeroDivisionError: ***; ")
    [crash] = (here / ".bias-audit" / "crashes").iterdir()
    kept = crash.read_text()
    assert "Traceback" in kept
    assert "abcdefghijkl" not in kept
    assert "canary" not in kept


def test_a_reader_that_goes_away_is_no_error(here):
    script = f"{sys.executable} -m audit list | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=here)
    assert done.stdout.splitlines() == ["benchmarks:", "0"]
    assert done.stderr == ""


def test_python_m_audit_is_the_command(here):
    done = child("validate", cwd=here)
    assert (done.returncode, done.stderr) == (0, "")
    assert child("--version").stdout.startswith("bias-audit ")


@pytest.fixture
def finished(here):
    """A run folder with one gate, whose verdict the test chooses."""

    def make(*verdicts, status="complete"):
        folder = here / "runs" / "portraits-00000000"
        folder.mkdir(parents=True)
        gates = [
            GateEntry(
                id=f"gate-{i}", metric="fd_debiased", attribute="gender", arm="steer", side="max",
                limit=0.1, value=0.08, bound=0.09, bound_level=0.95, p=0.04, p_adjusted=0.04,
                family=len(verdicts), n=100, verdict=verdict, reason="as the test wants it",
            )
            for i, verdict in enumerate(verdicts)
        ]  # fmt: skip
        results_file.write(
            folder / "results.json", Results(benchmark="portraits", arms=("none",), gates=gates)
        )
        (folder / "run.json").write_text(json.dumps({"status": status}))
        return folder

    return make


@pytest.mark.parametrize(
    ("verdicts", "args", "status"),
    [
        ((), [], 0),
        (("pass", "pass"), [], 0),
        (("pass", "fail", "inconclusive"), [], 1),
        (("pass", "inconclusive"), [], 4),
        (("inconclusive",), ["--inconclusive", "pass"], 0),
        (("fail",), ["--inconclusive", "pass"], 1),
    ],
)
def test_check_exits_by_the_gates(finished, capsys, verdicts, args, status):
    folder = finished(*verdicts)
    assert run("check", folder, *args) == status
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines()] == list(verdicts)


def test_a_reader_that_goes_away_passes_no_gate(here, finished):
    script = f"{sys.executable} -m audit check {finished('fail')} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=here)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_gates_of_half_a_run_cannot_pass(finished, capsys):
    assert run("check", finished("pass", status="partial")) == 4
    assert "the run is partial: gates cannot pass" in capsys.readouterr().out


def test_check_refuses_what_is_no_run_or_was_edited(here, finished, capsys):
    assert run("check", here) == 3
    assert "not a run folder" in capsys.readouterr().err
    folder = finished("pass")
    path = folder / "results.json"
    path.write_text(path.read_text().replace('"value": 0.08', '"value": NaN'))
    assert run("check", folder) == 3
    assert "NaN is not a number that JSON knows" in capsys.readouterr().err


def test_a_table_of_labels_from_run_to_check(here, capsys):
    (here / "counts.csv").write_text(
        "gender,arm,count\nwoman,none,30\nman,none,70\nwoman,after,500\nman,after,500\n"
    )
    gate = {"metric": "fd_debiased", "attribute": "gender", "max": 0.1}
    survey = {
        "labels": "counts.csv",
        "attributes": ["gender"],
        "gates": [{**gate, "arm": "after"}],
    }
    write(here, changed(survey=survey))
    assert run("run", "survey", "--json") == 0
    [done] = json.loads(capsys.readouterr().out)["runs"]
    assert [gate["verdict"] for gate in done["gates"]] == ["pass"]
    folder = here / done["folder"]
    assert run("check", folder) == 0
    written = (folder / "results.json").read_bytes()
    assert run("measure", folder) == 0
    assert (folder / "results.json").read_bytes() == written
    assert run("compare", folder, "--arms", "none", "after") == 0
    assert "share         gender     woman  labels          0.200 [" in capsys.readouterr().out
    assert run("run", "survey", "--set", "survey.gates[0].arm=none") == 1  # 0.3 is far from 0.5
    assert len(list((here / "runs").iterdir())) == 2


def test_a_failed_gate_outranks_an_undecided_one():
    assert [worse(0, 4), worse(4, 1), worse(1, 0), worse(0, 0)] == [4, 1, 1, 0]


def test_progress_is_plain_lines_where_there_is_no_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console()
    console.begin("arm none", 4)
    console.advance(2, cached=2)
    console.advance(2, failed=1)
    line = stream.getvalue()
    assert line == "arm none 4/4, 2 cached, 1 failed\n"


def test_quiet_keeps_errors_only(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    console = Console(quiet=True)
    console.begin("arm none", 1)
    console.advance(1)
    console.say("first numbers")
    console.error("wrong", 2)
    assert stream.getvalue() == "error: wrong\n"


def test_the_commands_that_scripts_rely_on_exist():
    promised = (
        "run plan validate list discover classify measure report compare check card calibrate"
    )
    registered = {command.name for command in cli.app.registered_commands}
    assert {*promised.split(), "doctor", "schema", "init"} <= registered
