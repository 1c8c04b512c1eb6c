"""The command that sets arms of one run, or of several, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audit.commands.outcomes import number
from audit.console import console, table
from audit.errors import SpecError

if TYPE_CHECKING:
    from audit.comparison import Comparison, Side
    from audit.storage.folder import Run


def compare(
    ctx: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run, or more.")],
    arms: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="The arm of each side.")
    ] = None,
    allow_mismatch: Annotated[
        bool, typer.Option("--allow-metric-mismatch", help="Leave out what does not compare.")
    ] = False,
    prompts: Annotated[bool, typer.Option("--prompts", help="Also prompt by prompt.")] = False,
) -> None:
    """Compare arms of one run, or runs: paired differences where requests are shared."""
    from audit.comparison import compare as compared
    from audit.storage.folder import Run

    runs = [Run.open(folder) for folder in folders]
    found = [compared(*pair, allow_mismatch=allow_mismatch) for pair in _pairs(runs, arms)]
    lines: list[str] = []
    for one in found:
        lines += [f"{one.second} against {one.first}", *table(_rows(one, prompts))]
        lines += [f"not compared: {reason}" for reason in one.blocked]
        lines += [f"warning: {warning}" for warning in one.warnings]
    if allow_mismatch:
        console(ctx).note("warning: --allow-metric-mismatch leaves out what does not compare")
    console(ctx).data(lines, {"comparisons": [_plain(one) for one in found]})


def _pairs(runs: "Sequence[Run]", arms: tuple[str, str] | None) -> "Iterator[tuple[Side, Side]]":
    from audit.comparison import side

    first, others = runs[0], runs[1:]
    one, two = arms or (None, None)
    if others:
        yield from ((side(first, one), side(other, two or one)) for other in others)
    elif arms:
        yield side(first, one), side(first, two)
    elif len(first.results.arms) > 1:
        baseline, *mitigated = first.results.arms
        yield from ((side(first, baseline), side(first, arm)) for arm in mitigated)
    else:
        raise SpecError(f"{first.folder}: has one arm; give a second run to compare it with")


def _rows(found: "Comparison", prompts: bool) -> list[list[str]]:
    rows = [["metric", "attribute", "class", "probe", "prompt", "difference", "p", "n"]]
    for one in found.differences:
        if one.prompt is not None and not prompts:
            continue
        interval = f"{number(one.value)} [{number(one.ci_low)}, {number(one.ci_high)}]"
        about = [one.attribute, one.class_, one.probe, one.prompt]
        p = number(one.p if one.p_adjusted is None else one.p_adjusted)
        rows.append([one.metric, *(name or "" for name in about), interval, p, str(one.n)])
    return rows


def _plain(found: "Comparison") -> dict[str, Any]:
    entries = {
        name: [one.model_dump(mode="json", by_alias=True) for one in getattr(found, name)]
        for name in ("differences", "flips")
    }
    return {**asdict(found), **entries}
