"""Commands that make runs and render them: run, classify, measure, report."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.commands.options import (
    RUNS,
    SPEC,
    BatchSize,
    BenchmarkNames,
    Device,
    Inconclusive,
    Offline,
    Out,
    Overrides,
    RunFolder,
    SpecFile,
    Store,
)
from audit.commands.outcomes import check_rule, described, summary, undecided, verdict, worse
from audit.commands.specs import chosen
from audit.commands.specs import plan as plan_command
from audit.console import Console, console
from audit.errors import AuditError, IncompleteError, SpecError, unknown

if TYPE_CHECKING:
    from audit.storage.folder import Run


def run(
    ctx: typer.Context,
    benchmarks: BenchmarkNames = None,
    spec: SpecFile = SPEC,
    overrides: Overrides = None,
    out: Out = RUNS,
    store: Store = None,
    device: Device = None,
    batch_size: BatchSize = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Images an arm; a partial run.")] = None,
    no_resume: Annotated[bool, typer.Option("--no-resume", help="A new run folder.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse images of several devices or versions.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan.")] = False,
    offline: Offline = False,
    inconclusive: Inconclusive = "fail",
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="0 if gates fail too.")] = False,
) -> None:
    """Draw, read, measure, report, decide; run again to go on where it stopped.

    The numbers of a benchmark and the place of its report are printed as it ends, to be read
    while the next one runs.

    Exit status: 0 done, and every gate passed or there is none; 1 a gate failed; 2 the usage or
    the spec is wrong and nothing was run; 3 an input is corrupt or does not fit; 4 a gate is
    inconclusive, too much is missing, or --limit left images out; 5 environment or resource; 6
    refused for safety; 70 a bug; 130 and 143 interrupted, with all that was finished kept. Of
    several benchmarks the gravest counts: 1 before 4. An error ends the command with its own
    status.

    `--inconclusive pass` and `warn` turn an inconclusive gate into 0, `warn` with a warning.
    """
    from audit.spec.spec import load

    if dry_run:
        plan_command(ctx, benchmarks, spec, overrides)
        return
    check_rule(inconclusive)
    size = _batch_size(batch_size)
    found = load(spec, overrides or ())
    names = chosen(found, benchmarks)
    go_offline(offline)
    from audit import runner

    start = partial(
        runner.run,
        found,
        out=out,
        store=store,
        device=device,
        batch_size=size,
        limit=limit,
        fresh=no_resume,
        strict=strict,
        progress=console(ctx),
    )
    gates = 0
    errors: list[AuditError] = []
    for name, done in _one_by_one(start, names):
        if isinstance(done, AuditError):
            errors.append(done)
            console(ctx).complain(str(done))
        else:
            gates = worse(gates, verdict(done, inconclusive))
            _tell(console(ctx), name, done, inconclusive)
    status = _status(gates, errors)
    console(ctx).data((), {"status": status, "runs": []})
    if exit_zero and gates:
        console(ctx).note(f"exit status {gates} was set to 0 by --exit-zero")
        status = _status(0, errors)
    raise typer.Exit(status)


def _one_by_one(
    start: Callable[[str], "Run"], names: Sequence[str]
) -> "Iterator[tuple[str, Run | AuditError]]":
    """Yield the run of each benchmark, or the error that it ended with.

    The next follows an incomplete run, which is at its end; any other error may be that of all.
    """
    for name in names:
        try:
            yield name, start(name)
        except AuditError as error:
            yield name, error
            if not isinstance(error, IncompleteError):
                return


def _tell(speaker: Console, name: str, done: "Run", inconclusive: str) -> None:
    """Say what a benchmark came to, and where its report lies."""
    from audit.storage.folder import REPORT

    if inconclusive == "warn" and (waiting := undecided(done)):
        speaker.note(f"warning: {name}: {waiting}")
    lines = [f"{name}: {done.folder / REPORT}", *summary(done)]
    speaker.one_of("runs", lines, described(done))


def _status(gates: int, errors: Sequence[AuditError]) -> int:
    """Return the exit status: an incomplete run is an undecided one, another error its own."""
    for error in errors:
        incomplete = isinstance(error, IncompleteError)
        gates = worse(gates, error.status) if incomplete else error.status
    return gates


def classify(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")],
    probe: Annotated[list[str], typer.Option("--probe", metavar="NAME", help="Repeatable.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run folder to write.")
    ] = None,
    store: Store = None,
    device: Device = None,
    offline: Offline = False,
) -> None:
    """Read a folder of images with probes; writes labels.parquet, results and a report."""
    go_offline(offline)
    from audit import runner

    done = runner.classify(
        folder, probe, out=out, store=store, device=device, progress=console(ctx)
    )
    console(ctx).data([str(done.folder), *summary(done)], described(done))


def measure(ctx: typer.Context, folder: RunFolder) -> None:
    """Compute the numbers of a run again from its tables; no model is loaded."""
    from audit import runner

    done = runner.measure(folder, progress=console(ctx))
    console(ctx).data([str(done.folder), *summary(done)], described(done))


def report(
    ctx: typer.Context,
    folder: RunFolder,
    form: Annotated[
        str, typer.Option("--format", metavar="html|markdown", help="Markdown goes to stdout.")
    ] = "html",
) -> None:
    """Render a run again from its results; no number is computed."""
    if form == "html":
        from audit.rendering import render
        from audit.storage.folder import REPORT

        render(folder)
        console(ctx).data([str(folder / REPORT)], {"report": str(folder / REPORT)})
    elif form == "markdown":
        from reports.markdown import markdown
        from reports.source import Source

        text = markdown(Source.open(folder))
        console(ctx).data(text.rstrip("\n").split("\n"), {"markdown": text})
    else:
        raise SpecError(unknown("format", form, ("html", "markdown")))


def go_offline(wanted: bool) -> None:
    """Keep the hub's libraries off the network; they read this when they are imported."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def _batch_size(written: str) -> int | None:
    if written == "auto":
        return None
    if not written.isdecimal() or int(written) < 1:
        raise SpecError(f"--batch-size is `auto` or a number from 1, got {written!r}")
    return int(written)
