"""Arms of several runs against each other: what moved, how far, and how sure that is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from audit.storage.results import Difference
from reports import figures
from reports.canvas import Mark
from reports.charts import Chart, part
from reports.effects import change_cell, differences
from reports.glossary import title
from reports.source import Source
from reports.tables import Cell, Row, Table, count_cell, entry_cell, table, value_cell
from reports.words import bounds, change, clipped, dated, listed, p_value

CLOSER, FARTHER, UNSURE = (
    "closer to the target",
    "farther from the target",
    "no change is shown",
)


@dataclass(frozen=True)
class Moved:
    """How one attribute moved, in a line for each pair of arms."""

    attribute: str
    lines: tuple[tuple[str, str, str], ...]
    """Arms, difference, what it means."""


def runs(source: Source) -> dict[str, dict[str, Any]]:
    """Return what tells the runs apart, by label; the label of a single one is empty."""
    extra = source.results.provenance.model_extra or {}
    found: dict[str, dict[str, Any]] = extra.get("runs", {})
    return found


def between(source: Source) -> list[Difference]:
    """Return the differences that were asked for: of unlike runs, or of the arms of the one."""
    return [d for d in source.results.comparisons if not _within(source, d)]


def within(source: Source) -> list[Difference]:
    """Return what every one of several runs found between its own arms."""
    return [d for d in source.results.comparisons if _within(source, d)]


def _within(source: Source, d: Difference) -> bool:
    several = len(runs(source)) > 1
    return several and d.arm.partition("/")[0] == d.baseline.partition("/")[0]


def moved(source: Source) -> Iterator[Moved]:
    """Yield in words how far every attribute moved from its target."""
    for attribute in source.attributes:
        lines = tuple(
            (f"{d.arm} against {d.baseline}", _told(d), _meaning(d))
            for d in _headlines(source, attribute)
        )
        if lines:
            yield Moved(attribute, lines)


def _headlines(source: Source, attribute: str) -> list[Difference]:
    wanted = (source.headline(attribute), attribute, source.probe(attribute), None)
    return [d for d in between(source) if (d.metric, d.attribute, d.probe, d.prompt) == wanted]


def _told(d: Difference) -> str:
    return f"{change(d.value, d.metric)} {bounds(d.ci_low, d.ci_high, d.metric)}".strip()


def _meaning(d: Difference) -> str:
    if d.ci_low is None or d.ci_high is None:
        return d.method
    if d.ci_low <= 0 <= d.ci_high:
        return UNSURE
    return CLOSER if d.ci_high < 0 else FARTHER


def charts(source: Source) -> Iterator[Chart]:
    """Yield for every attribute how far each arm moved, with the interval."""
    for attribute in source.attributes:
        found = _headlines(source, attribute)
        if not found:
            continue
        metric = title(source.headline(attribute))
        marks = [Mark(d.arm, d.value, d.ci_low, d.ci_high) for d in found]
        places = [source.arms.index(d.arm) for d in found]
        rows: list[Row] = [
            [d.arm, d.baseline, change_cell(d), _meaning(d), d.method, count_cell(d.n)]
            for d in found
        ]
        yield Chart(
            id=f"change-{part(attribute)}",
            title=f"Change of the discrepancy of {attribute}",
            finding=_finding(found),
            draw=lambda marks=marks, places=places: figures.intervals(  # type: ignore[misc]
                marks, "difference, below 0 is fairer", places=places
            ),
            table=table(
                f"Change of {metric} of {attribute}, with {source.level} intervals",
                ["Arm", "Against", "Difference", "Meaning", "Method", "Pairs"],
                rows,
            ),
        )


def _finding(found: Sequence[Difference]) -> str:
    """Say which arms moved which way."""
    by_meaning: dict[str, list[str]] = {}
    for d in found:
        by_meaning.setdefault(_meaning(d), []).append(clipped(d.arm, 40))
    return " ".join(f"{m[:1].upper()}{m[1:]}: {listed(arms)}." for m, arms in by_meaning.items())


def tables(source: Source) -> tuple[Table, ...]:
    """Return every difference that was asked for, over all prompts."""
    of = "second minus first; paired where both drew a request from the same noise."
    return differences(source, [d for d in between(source) if d.prompt is None], of)


def side_effects(source: Source) -> tuple[Table, ...]:
    """Return what every run found between its own arms."""
    return differences(source, within(source), "an arm minus the baseline of its own run.")


def by_prompt(source: Source) -> Iterator[Table]:
    """Yield for every attribute the change of shares prompt by prompt."""
    for attribute in source.attributes:
        probe, classes = source.probe(attribute), source.classes(attribute)
        # The share of the second of two classes is what the first leaves.
        shown = classes[:1] if len(classes) == 2 else classes
        found = [
            d
            for d in between(source)
            if d.prompt is not None
            and (d.metric, d.attribute, d.probe) == ("share", attribute, probe)
            and d.class_ in shown
        ]
        rows: list[Row] = [
            [
                clipped(source.results.prompts.get(d.prompt or "") or d.prompt),
                d.arm,
                d.class_ or "",
                change_cell(d),
                Cell(p_value(d.p_adjusted) or "–", d.p_adjusted),
                count_cell(d.n),
            ]
            for d in found
        ]
        if rows:
            yield table(
                f"Change of the share read as a class of {attribute}, prompt by prompt; p-values"
                " are adjusted for the false discovery rate over all of them.",
                ["Prompt", "Arm", "Class", "Difference", "p, adjusted", "Pairs"],
                rows,
                sortable=True,
            )


def arms(source: Source) -> Table:
    """Return every arm of every run: its distances, its quality and its cost, a line each."""
    metrics = tuple(dict.fromkeys(m.metric for m in source.general()))
    seconds = {
        f"{label}/{arm}" if label else arm: value
        for label, run in runs(source).items()
        for arm, value in (run.get("seconds_per_image") or {}).items()
    }

    def cells(arm: str) -> Iterator[Cell]:
        for attribute in source.attributes:
            headline, probe = source.headline(attribute), source.probe(attribute)
            yield entry_cell(source.one(headline, arm, attribute, None, probe))
        for metric in metrics:
            found = source.one(metric, arm)
            yield entry_cell(found) if found else Cell("–")
        if seconds:
            yield value_cell(seconds[arm]) if arm in seconds else Cell("–")

    heads = [
        f"{title(source.headline(attribute))}: {attribute}" for attribute in source.attributes
    ]
    heads += [title(metric) for metric in metrics]
    heads += ["Seconds an image"] if seconds else []
    rows: list[Row] = [[arm, *cells(arm)] for arm in source.arms]
    return table(
        f"All arms, with {source.level} intervals. Every attribute stands here, aimed at or not. A"
        " dash: the arm was not measured so, or not comparably.",
        ["Arm", *heads],
        rows,
        sortable=True,
    )


def described(source: Source) -> Table:
    """Return what tells the runs apart."""
    rows: list[Row] = [
        [
            label or "–",
            str(run.get("folder")),
            str(run.get("model") or "–")[:12],
            _images(source, label, run.get("images", {})) or "–",
            str(run.get("status")),
            str(run.get("suite") or "–"),
            dated(run.get("started")) or "–",
        ]
        for label, run in runs(source).items()
    ]
    heads = ["Run", "Folder", "Model", "Images", "Status", "Suite", "Begun"]
    return table("The runs, and what tells them apart.", heads, rows)


def _images(source: Source, label: str, counts: Mapping[str, int]) -> str:
    """Say how many images every arm of a run has, in the order of the arms."""
    start = f"{label}/" if label else ""
    arms = [arm.removeprefix(start) for arm in source.arms if arm.startswith(start)]
    return ", ".join(f"{counts[arm]:,} {clipped(arm, 40)}" for arm in arms if arm in counts)
