"""Command `check`: the gates of a run, for people, for CI panes and for code scanning."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.commands.options import SPEC, Inconclusive, RunFolder, SpecFile
from audit.commands.outcomes import check_rule, described, summary, undecided, verdict
from audit.console import Console, console
from audit.errors import IncompleteError

if TYPE_CHECKING:
    from audit.spec.document import Mark
    from audit.storage.folder import Run
    from reports.source import Source

STEP_SUMMARY, ACTIONS, WORKSPACE = "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS", "GITHUB_WORKSPACE"
"""What GitHub Actions sets: a file to append to, a flag, the top of the repository."""


def check(
    ctx: typer.Context,
    folder: RunFolder,
    inconclusive: Inconclusive = "fail",
    spec: SpecFile = SPEC,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the gates as JUnit XML.")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what did not pass as SARIF 2.1.0.")
    ] = None,
) -> None:
    """Decide by the gates of a run; needs no model, no GPU and no torch.

    Exit status: 0 every gate passed, or there is none; 1 a gate failed; 4 a gate is inconclusive
    or the run is not whole; 2 usage; 3 RUN is no run folder or was damaged.

    `--inconclusive pass` and `warn` turn 4 into 0 for a whole run, `warn` with a warning; neither
    changes 1.

    In GitHub Actions the verdicts are appended to the summary of the step, and what did not pass
    is annotated at its line in `--spec`, or in the spec of the run where that file does not hold
    the gate.
    """
    from audit.storage import atomic

    check_rule(inconclusive)
    done = _whole(folder)
    status = verdict(done, inconclusive)
    said = console(ctx)
    said.data(summary(done), {"status": status, **described(done)})
    if inconclusive == "warn" and (waiting := undecided(done)):
        said.note(f"warning: {waiting}")
    written = {kind: path for kind, path in (("junit", junit), ("sarif", sarif)) if path}
    if written or STEP_SUMMARY in os.environ or ACTIONS in os.environ:
        from reports.source import Source

        source = Source.open(folder)
        marks = _marks(done, spec)
        for kind, path in written.items():
            atomic.write(path, _rendered(kind, source, marks, inconclusive))
        _tell_actions(said, source, marks, inconclusive)
    raise typer.Exit(status)


def _whole(folder: Path) -> "Run":
    """Open a run that came as far as its results."""
    from audit.storage.folder import RESULTS, Run

    done = Run.open(folder)
    status = str(done.manifest.get("status"))
    if not (folder / RESULTS).is_file() and status in ("running", "interrupted", "failed"):
        raise IncompleteError(
            f"{folder}: the run is {status} and has no results yet; `bias-audit run` goes on"
        )
    return done


def _marks(done: "Run", spec: Path) -> Mapping[str, "Mark"]:
    from audit.spec.locations import gate_marks
    from audit.storage import folder

    root = Path(os.environ.get(WORKSPACE) or Path.cwd())
    found = done.results
    specs = (spec, done.folder / folder.SPEC)
    return gate_marks(found.gates, found.benchmark, specs, root)


def _rendered(kind: str, source: "Source", marks: Mapping[str, "Mark"], inconclusive: Any) -> str:
    from audit.storage.folder import suite
    from reports import junit, sarif

    if kind == "sarif":
        return sarif.sarif(source, marks, version=suite(), inconclusive=inconclusive)
    return junit.junit(source, inconclusive="fail" if inconclusive == "fail" else "skip")


def _tell_actions(
    said: Console, source: "Source", marks: Mapping[str, "Mark"], inconclusive: Any
) -> None:
    """Write the summary of the step and the annotations, where GitHub Actions asks for them."""
    if os.environ.get(ACTIONS):
        from reports.annotations import annotations
        from reports.findings import findings

        for line in annotations(findings(source, marks, inconclusive=inconclusive)):
            said.command(line)
    if not (named := os.environ.get(STEP_SUMMARY)):
        return
    from reports.markdown import LIMIT, bounded, markdown

    try:
        path = Path(named)
        room = LIMIT - (path.stat().st_size if path.exists() else 0)
        with path.open("a", encoding="utf-8") as file:
            file.write(bounded(markdown(source), room))
    except OSError as error:
        said.note(f"warning: {named}: the summary of the step was not written: {error.strerror}")
