"""All mitigations of a run in one table: what each does to fairness, to all else, and the cost.

The same table stands in the report, as Markdown and as CSV beside it.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.storage.results import GUIDE_JUDGES, Difference
from reports.effects import change_cell
from reports.glossary import title
from reports.markdown import bounded, escaped, row
from reports.source import Source
from reports.tables import Cell, Row, Table, entry_cell, table
from reports.words import clipped, inert, p_value


@dataclass(frozen=True)
class Column:
    """One figure of every arm."""

    key: str
    """In the CSV."""
    head: str
    """In the report."""
    cells: tuple[Cell, ...]
    """By arm."""
    ends: tuple[tuple[float | None, float | None], ...] = ()
    """By arm: the interval, where the figure has one."""
    words: bool = False
    """Whether it is a word and no number."""


def columns(source: Source) -> Iterator[Column]:
    """Yield the columns: fairness with its test, other attributes, quality, seconds, the judge."""
    for attribute in source.subjects:
        yield from _fairness(source, attribute)
    for attribute in source.attributes:
        if attribute not in source.subjects:
            yield _largest_change(source, attribute)
    for metric in dict.fromkeys(m.metric for m in source.general()):
        yield _entries(source, metric, title(metric), metric)
    seconds = source.manifest.get("seconds_per_image") or {}
    if seconds:
        cells = (_seconds(seconds.get(arm)) for arm in source.arms)
        yield Column("seconds_per_image", "Seconds an image", tuple(cells))
    guided = {w.arm for w in source.results.provenance.warnings if w.code == GUIDE_JUDGES}
    if guided:
        cells = (Cell("yes" if arm in guided else "no") for arm in source.arms)
        yield Column("judged_by_its_guide", "Judged by its guide", tuple(cells), words=True)


def _fairness(source: Source, attribute: str) -> Iterator[Column]:
    """Yield the discrepancy and its test as each probe reads it: the answer hangs on who reads."""
    for probe in source.probes(attribute):
        said = f"{attribute.capitalize()} by {probe}"
        for metric in ("fd_debiased", "fd_debiased_macro"):
            if any(source.one(metric, arm, attribute, None, probe) for arm in source.arms):
                key = f"{metric}.{attribute}.{probe}"
                yield _entries(source, key, f"{said}: {title(metric)}", metric, attribute, probe)
        yield _change(source, attribute, probe, f"{said}: change")
        yield Column(
            f"p_of_change.{attribute}.{probe}",
            f"{said}: p",
            tuple(_test(source, arm, attribute, probe) for arm in source.arms),
        )


def _change(source: Source, attribute: str, probe: str, head: str) -> Column:
    """Return the change of the discrepancy with its interval."""
    found = [
        next(iter(_changes(source, "fd_debiased", arm, attribute, probe)), None)
        for arm in source.arms
    ]
    cells = tuple(
        Cell("baseline" if arm == source.baseline else "–") if d is None else change_cell(d)
        for arm, d in zip(source.arms, found, strict=True)
    )
    ends = tuple((d.ci_low, d.ci_high) if d else (None, None) for d in found)
    return Column(f"change_of_fd_debiased.{attribute}.{probe}", head, cells, ends)


def _test(source: Source, arm: str, attribute: str, probe: str) -> Cell:
    """Return the p of the paired test of no change: who was read otherwise for the same seed."""
    if arm == source.baseline:
        return Cell("baseline")
    about = (arm, attribute, probe, None)
    found = (f for f in source.results.flips if (f.arm, f.attribute, f.probe, f.prompt) == about)
    p = next((f.p if f.p_adjusted is None else f.p_adjusted for f in found), None)
    return Cell(p_value(p) or "–", p)


def _largest_change(source: Source, attribute: str) -> Column:
    """Return by how much the share moved that moved most: the side effect on an attribute."""
    cells: list[Cell] = []
    ends: list[tuple[float | None, float | None]] = []
    for arm in source.arms:
        found = _changes(source, "share", arm, attribute, source.probe(attribute))
        moved = [d for d in found if d.value is not None]
        if not moved:
            cells.append(Cell("baseline" if arm == source.baseline else "–"))
            ends.append((None, None))
            continue
        most = max(moved, key=lambda d: abs(d.value or 0.0))
        plain = change_cell(most)
        cells.append(Cell(f"{most.class_} {plain.text}", most.value, plain.note))
        ends.append((most.ci_low, most.ci_high))
    head = f"{attribute.capitalize()}: largest change of a share"
    return Column(f"largest_share_change.{attribute}", head, tuple(cells), tuple(ends))


def _changes(
    source: Source, metric: str, arm: str, attribute: str, probe: str | None
) -> list[Difference]:
    """Return the differences of an arm over all prompts."""
    wanted = (metric, arm, attribute, None, probe)
    return [
        d
        for d in source.results.comparisons
        if (d.metric, d.arm, d.attribute, d.prompt, d.probe) == wanted
    ]


def _entries(
    source: Source,
    key: str,
    head: str,
    metric: str,
    attribute: str | None = None,
    probe: str | None = None,
) -> Column:
    found = [source.one(metric, arm, attribute, None, probe) for arm in source.arms]
    ends = tuple((e.ci_low, e.ci_high) if e else (None, None) for e in found)
    return Column(key, head, tuple(entry_cell(e) for e in found), ends)


def _seconds(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:.3g}", value)


def overview(source: Source) -> Table | None:
    """Return the table of all mitigations; None where there is nothing to compare."""
    if len(source.arms) < 2:
        return None
    found = list(columns(source))
    rows: list[Row] = [[arm, *(c.cells[i] for c in found)] for i, arm in enumerate(source.arms)]
    compared = (
        f"All arms side by side. Changes are against {source.baseline}, and paired only where both"
        " arms share seeds; p is of the paired test"
        if source.unpaired
        else "All mitigations over the same requests. Changes are paired with"
        f" {source.baseline}; p is of the paired test"
    )
    return table(
        f"{compared} that the shares of the attribute did not change (McNemar; Stuart and "
        "Maxwell), adjusted. Seconds are the median over images of drawing alone, on the device "
        "that run.json names. An arm judged by its guide follows the probe that is named first: "
        "read it by another.",
        ["Mitigation", *(c.head for c in found)],
        rows,
        sortable=True,
    )


def markdown(source: Source) -> str:
    """Return the table as Markdown; empty where there is nothing to compare."""
    found = overview(source)
    if found is None:
        return ""
    lines = [row([Cell(head) for head in found.head]), "|---" * len(found.head) + "|"]
    lines += [row(cells) for cells in found.rows]
    heading = f"## {escaped(clipped(source.results.title or source.results.benchmark))}"
    return bounded("\n".join([heading, "", *lines, "", escaped(found.caption), ""]))


def comma_separated(source: Source) -> str:
    """Return the table as CSV: plain numbers, intervals in columns of their own, empty if none."""
    found = list(columns(source))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", *(name for c in found for name in _names(c))])
    for i, arm in enumerate(source.arms):
        writer.writerow([inert(arm), *(value for c in found for value in _values(c, i))])
    return text.getvalue()


def _names(column: Column) -> Sequence[str]:
    key = column.key
    return [key, f"{key}.ci_low", f"{key}.ci_high"] if column.ends else [key]


def _values(column: Column, i: int) -> Sequence[float | str | None]:
    cell = column.cells[i]
    value = inert(cell.text) if column.words else cell.value
    return [value, *column.ends[i]] if column.ends else [value]
