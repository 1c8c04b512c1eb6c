"""Commands about runs: run, classify, measure, report, check, compare, card."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from audit.commands.specs import chosen
from audit.commands.specs import plan as plan_command
from audit.console import console, table
from audit.errors import SpecError, unknown

if TYPE_CHECKING:
    from audit.storage.folder import Run

FAILED, UNDECIDED = 1, 4


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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only plan.")] = False,
    offline: Offline = False,
    inconclusive: Inconclusive = "fail",
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="0 if gates fail too.")] = False,
) -> None:
    """Draw, read, measure, report, decide; run again to go on where it stopped."""
    from audit.spec.spec import load

    if dry_run:
        plan_command(ctx, benchmarks, spec, overrides)
        return
    _check_rule(inconclusive)
    size = _batch_size(batch_size)
    found = load(spec, overrides or ())
    names = chosen(found, benchmarks)
    go_offline(offline)
    from audit import runner
    from audit.storage.folder import REPORT

    lines: list[str] = []
    plain = []
    status = 0
    for name in names:
        done = runner.run(
            found,
            name,
            out=out,
            store=store,
            device=device,
            batch_size=size,
            limit=limit,
            fresh=no_resume,
            progress=console(ctx),
        )
        status = worse(status, verdict(done, inconclusive))
        lines += [f"{name}: {done.folder / REPORT}", *summary(done)]
        plain.append(described(done))
    console(ctx).data(lines, {"status": status, "runs": plain})
    if exit_zero and status:
        console(ctx).note(f"exit status {status} was set to 0 by --exit-zero")
        status = 0
    raise typer.Exit(status)


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


def check(ctx: typer.Context, folder: RunFolder, inconclusive: Inconclusive = "fail") -> None:
    """Say whether the gates of a run passed: exit 0, 1 or 4; needs no model."""
    from audit.storage.folder import Run

    _check_rule(inconclusive)
    done = Run.open(folder)
    status = verdict(done, inconclusive)
    console(ctx).data(summary(done), {"status": status, **described(done)})
    raise typer.Exit(status)


def go_offline(wanted: bool) -> None:
    """Keep the hub's libraries off the network; they read this when they are imported."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DIFFUSERS_DISABLE_REMOTE_CODE"] = "1"
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def verdict(done: "Run", inconclusive: str) -> int:
    """Return the exit status that the gates amount to; those of half a run cannot pass."""
    verdicts = {gate.verdict for gate in done.results.gates}
    if "fail" in verdicts:
        return FAILED
    if verdicts and done.manifest.get("status") != "complete":
        return UNDECIDED
    return UNDECIDED if "inconclusive" in verdicts and inconclusive == "fail" else 0


def worse(one: int, other: int) -> int:
    """Return the status that outranks the other: a failed gate before an undecided one."""
    return min(one, other) if one and other else max(one, other)


def summary(done: "Run") -> list[str]:
    """Return a line for every attribute, arm and probe, and one for every gate.

    Attributes together are left to the report: their shares do not fit on a line.
    """
    results = done.results
    rows = [["attribute", "arm", "probe", "shares", "fd_debiased"]]
    for entry in results.measurements:
        together = "+" in (entry.attribute or "")
        if entry.metric != "fd_debiased" or entry.prompt is not None or together:
            continue
        about = (entry.arm, entry.attribute, entry.probe, None)
        shares = [
            f"{m.class_} {number(m.value)}"
            for m in results.measurements
            if m.metric == "share" and (m.arm, m.attribute, m.probe, m.prompt) == about
        ]
        interval = f"[{number(entry.ci_low)}, {number(entry.ci_high)}]"
        names = [entry.attribute or "", entry.arm, entry.probe or ""]
        rows.append([*names, ", ".join(shares), f"{number(entry.value)} {interval}"])
    status = str(done.manifest.get("status"))
    lines = [] if status == "complete" else [f"the run is {status}: gates cannot pass"]
    lines += table(rows) if len(rows) > 1 else []
    for gate in results.gates:
        sign = "<=" if gate.side == "max" else ">="
        what = f"{gate.metric} {sign} {gate.limit:g}"
        lines.append(f"{gate.verdict}: {gate.id}: {what}, found {number(gate.value)}")
    return lines


def number(value: float | None) -> str:
    """Write a number for a terminal; a missing one is a dash, never a zero."""
    return "-" if value is None else f"{value:.3f}"


def described(done: "Run") -> dict[str, Any]:
    """Return what a program wants to know of a run."""
    return {
        "folder": str(done.folder),
        "run_status": done.manifest.get("status"),
        "gates": [gate.model_dump(mode="json", by_alias=True) for gate in done.results.gates],
        "results": str(done.folder / "results.json"),
    }


def _check_rule(inconclusive: str) -> None:
    rules = ("pass", "warn", "fail")
    if inconclusive not in rules:
        raise SpecError(unknown("value of --inconclusive", inconclusive, rules))


def _batch_size(written: str) -> int | None:
    if written == "auto":
        return None
    if not written.isdecimal() or int(written) < 1:
        raise SpecError(f"--batch-size is `auto` or a number from 1, got {written!r}")
    return int(written)
