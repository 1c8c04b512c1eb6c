"""The workflow that people copy: its commands exist, and do what its comments say."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_spec import run

from audit.spec.spec import load

EXAMPLE = Path(__file__).parent.parent / "reports" / "examples" / "bias-audit.yml"
SPEC = """\
version: 1
benchmarks:
  {name}:
    labels: counts.csv
    attributes: [gender]
    gates:
      - {{metric: fd_debiased, attribute: gender, max: {limit}}}
"""


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(EXAMPLE.read_text())


@pytest.fixture(scope="module")
def steps(workflow):
    return workflow["jobs"]["audit"]["steps"]


@pytest.fixture
def repository(tmp_path):
    """A repository to copy the workflow into, with the command on its path."""
    command = tmp_path / "bin" / "bias-audit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m audit "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "counts.csv").write_text("gender,count\nwoman,300\nman,700\n")
    return tmp_path


def perform(step, workflow, folder):
    """Run a step as the runner does."""
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    root = str(EXAMPLE.parents[2])
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folder,
        env={**os.environ, **workflow["env"], **actions, "PATH": path, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )


def test_it_is_a_workflow(workflow, steps):
    assert {"name", "permissions", "env", "jobs"} <= set(workflow)
    assert set(workflow[True]) == {"pull_request", "workflow_dispatch"}  # YAML 1.1 reads `on`
    assert all(("run" in step) != ("uses" in step) for step in steps)
    assert workflow["permissions"] == {"contents": "read", "security-events": "write"}


def test_every_command_and_option_exists(steps, capsys):
    """Lines of `bias-audit`, each option against the help of its command."""
    lines = [
        line for step in steps for line in step.get("run", "").split("\n")
        if re.match(r"\s*bias-audit ", line)
    ]  # fmt: skip
    assert len(lines) == 3
    for line in lines:
        command, *words = line.split()[1:]
        assert run(command, "--help") == 0
        known = capsys.readouterr().out
        run("--help")
        known += capsys.readouterr().out
        for option in (word for word in words if word.startswith("--")):
            assert f"{option} " in known or f"{option}\n" in known, line


def test_the_benchmark_of_its_comment_is_valid(workflow, tmp_path):
    lines = EXAMPLE.read_text().split("\n")
    start = next(i for i, line in enumerate(lines) if line.strip() == "#   photos:")
    written = [line.strip().removeprefix("# ") for line in lines[start : start + 5]]
    (tmp_path / "photos").mkdir()
    path = tmp_path / "benchmarks.yaml"
    path.write_text("\n".join(["version: 1", "benchmarks:", *written]))
    assert list(load(path).benchmarks) == [workflow["env"]["BENCHMARK"]]


@pytest.mark.parametrize(("limit", "status"), [(0.05, 1), (0.9, 0)])
def test_its_steps_audit_and_decide(workflow, steps, repository, limit, status):
    name = workflow["env"]["BENCHMARK"]
    (repository / "benchmarks.yaml").write_text(SPEC.format(name=name, limit=limit))
    commands = [step for step in steps if "bias-audit " in step.get("run", "")][-2:]
    audited, decided = (perform(step, workflow, repository) for step in commands)
    assert audited.returncode == 0, audited.stderr
    assert decided.returncode == status, decided.stderr
    annotation = "::error file=benchmarks.yaml,line=7,"
    assert (annotation in decided.stderr) == bool(status)
    assert (repository / "summary.md").read_text().startswith("## ")
    kept = next(step for step in steps if step.get("name") == "Keep the report")
    assert all((repository / path).exists() for path in kept["with"]["path"].split())


def test_the_audit_step_stops_where_no_audit_can_be_made(workflow, steps, repository):
    audit = next(step for step in steps if step.get("name") == "Audit")
    assert perform(audit, workflow, repository).returncode == 2  # no benchmarks.yaml
