"""The command that sets arms of one run, or of several, side by side."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audit.commands.options import Inconclusive
from audit.commands.outcomes import check_rule, number, outcome, with_interval
from audit.console import console, table
from audit.errors import SpecError, unknown

if TYPE_CHECKING:
    from audit.storage.results import Results

FORMATS = ("text", "markdown", "csv", "html")


def compare(
    ctx: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run, or more.")],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Decide whether a run is worse than this one."),
    ] = None,
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC=VALUE", help="How much worse is tolerated; default fd_debiased=0."
        ),
    ] = None,
    arms: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="The arm of each side.")
    ] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-metric-mismatch", help="Leave out what does not compare.")
    ] = False,
    prompts: Annotated[bool, typer.Option("--prompts", help="Also prompt by prompt.")] = False,
    form: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="Of standard output.")
    ] = "text",
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write page, Markdown, CSV and JSON there.")
    ] = None,
    inconclusive: Inconclusive = "fail",
) -> None:
    """Compare arms of one run, or runs: paired differences where requests are shared.

    With --baseline: exit 1 if a run is worse by more than its margin, 4 if that cannot be told,
    0 if none is.
    """
    from audit.comparison.side_by_side import compare as compared

    check_rule(inconclusive)
    if form not in FORMATS:
        raise SpecError(unknown("format", form, FORMATS))
    found = compared(
        *folders,
        baseline=baseline,
        arms=arms,
        margins=_margins(margin or ()),
        allow_mismatch=allow_mismatch,
    )
    if allow_mismatch:
        console(ctx).note("warning: --allow-metric-mismatch leaves out what does not compare")
    if out is not None:
        for path in found.write(out):
            console(ctx).note(str(path))
    # Without a stored run there is nothing to decide, and so nothing to leave open.
    warned = {one.code for one in found.results.provenance.warnings}
    whole = baseline is None or "incomplete" not in warned
    status = outcome(found.results.gates, inconclusive, whole=whole)
    text = _lines(found.results, prompts) if form == "text" else found.text(form).split("\n")
    plain = found.results.model_dump(mode="json", by_alias=True)
    console(ctx).data(text, {"status": status, **plain})
    raise typer.Exit(status)


def _margins(written: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in written:
        metric, _, value = one.partition("=")
        try:
            found[metric] = float(value)
        except ValueError:
            found[metric] = math.nan
        if not found[metric] >= 0 or not metric:
            raise SpecError(f"--margin is METRIC=VALUE with a value from 0, got {one!r}")
    return found


def _lines(results: "Results", prompts: bool) -> Iterator[str]:
    """Yield the comparison for a terminal: pair by pair, then the gates."""
    rows: dict[str, list[list[str]]] = {}
    head = ["metric", "attribute", "class", "probe", "prompt", "difference", "p", "n"]
    runs = (results.provenance.model_extra or {}).get("runs", {})
    for label, run in runs.items():
        if label:
            yield f"{label}: {run['folder']}"
    for one in results.comparisons:
        inside = len(runs) > 1 and one.arm.partition("/")[0] == one.baseline.partition("/")[0]
        if inside or (one.prompt is not None and not prompts):
            continue
        about = [name or "" for name in (one.attribute, one.class_, one.probe, one.prompt)]
        p = number(one.p if one.p_adjusted is None else one.p_adjusted)
        pair = rows.setdefault(f"{one.arm} against {one.baseline}", [head])
        pair.append([one.metric, *about, with_interval(one), p, str(one.n)])
    for name, found in rows.items():
        yield name
        yield from table(found)
    yield from (f"warning: {one.message}" for one in results.provenance.warnings)
    yield from (f"{gate.verdict}: {gate.id}: {gate.reason}" for gate in results.gates)
