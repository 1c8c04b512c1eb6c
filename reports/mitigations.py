"""All mitigations of a run side by side: what each does to fairness, to all else, and the cost.

The same figures stand in the report, as Markdown and as CSV beside it. Where people read them they
are cut into tables that fit a page; the CSV is one.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from audit.storage.results import GUIDE_JUDGES, Difference
from audit.types import OBEYED
from reports.effects import change_cell
from reports.glossary import title
from reports.markdown import bounded, escaped, row
from reports.source import Source
from reports.tables import Cell, Table, entry_cell, table
from reports.words import clipped, inert, listed, p_value

WIDEST = 8
"""Columns of a table beside the names of the arms: as many as a page shows without scrolling."""


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
    values: tuple[float | None, ...] = ()
    """By arm: the bare numbers for the CSV, where cells may show them scaled."""
    words: bool = False
    """Whether it is a word and no number."""
    group: str = "the rest"
    """What stands in one table, whatever else does."""


def columns(source: Source) -> Iterator[Column]:
    """Yield the columns: fairness with its test, the judge, other attributes, quality, seconds."""
    guided = {w.arm for w in source.results.provenance.warnings if w.code == GUIDE_JUDGES}
    for attribute in source.subjects:
        yield from _fairness(source, attribute)
    if guided:
        judged = tuple(Cell("yes" if arm in guided else "no") for arm in source.arms)
        yield Column(
            "judged_by_its_guide", "Judged by its guide", judged, words=True, group="judge"
        )
    for attribute in source.asked:
        key, head = f"{OBEYED}.{attribute}", f"{attribute.capitalize()}, as asked"
        yield _entries(source, key, head, OBEYED, attribute, source.probe(attribute))
    yield from other_attributes(source)
    for metric in dict.fromkeys(m.metric for m in source.general()):
        yield _entries(source, metric, title(metric), metric)
    seconds = source.manifest.get("seconds_per_image") or {}
    if seconds:
        cells = (_seconds(seconds.get(arm)) for arm in source.arms)
        yield Column("seconds_per_image", "Seconds an image", tuple(cells))


def other_attributes(source: Source) -> Iterator[Column]:
    """Yield what an arm changed of the attributes that it does not aim at."""
    for attribute in source.attributes if source.aimed else ():
        if attribute not in source.aimed:
            yield _largest_change(source, attribute)


def _fairness(source: Source, attribute: str) -> Iterator[Column]:
    """Yield the discrepancy and its test as each probe reads it: the answer hangs on who reads."""
    pooled = ", pooled" if source.by_prompt else ""
    forms = {"fd_debiased_macro": "", "fd_debiased": pooled}
    for probe in source.probes(attribute):
        said = f"{attribute.capitalize()} by {probe}"
        for metric, form in forms.items():
            if any(source.one(metric, arm, attribute, None, probe) for arm in source.arms):
                key, head = f"{metric}.{attribute}.{probe}", f"{said}: {title(metric)}{form}"
                found = _entries(source, key, head, metric, attribute, probe)
                yield replace(found, group=said)
        yield replace(_change(source, attribute, probe, f"{said}: change"), group=said)
        yield Column(
            f"p_of_change.{attribute}.{probe}",
            f"{said}: p{pooled}",
            tuple(_test(source, arm, attribute, probe) for arm in source.arms),
            group=said,
        )


def _change(source: Source, attribute: str, probe: str, head: str) -> Column:
    """Return the change of the discrepancy with its interval, over prompts of several."""
    metric = source.headline(attribute)
    found = [
        next(iter(_changes(source, metric, arm, attribute, probe)), None) for arm in source.arms
    ]
    cells = tuple(
        Cell("baseline" if arm == source.baseline else "–") if d is None else change_cell(d)
        for arm, d in zip(source.arms, found, strict=True)
    )
    ends = tuple((d.ci_low, d.ci_high) if d else (None, None) for d in found)
    return Column(f"change_of_{metric}.{attribute}.{probe}", head, cells, ends)


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
    values = tuple(e.value if e else None for e in found)
    return Column(key, head, tuple(entry_cell(e) for e in found), ends, values)


def _seconds(value: float | None) -> Cell:
    return Cell("–") if value is None else Cell(f"{value:.3g}", value)


def overview(source: Source) -> tuple[Table, ...]:
    """Return the tables of all mitigations; none where there is nothing to compare."""
    if len(source.arms) < 2:
        return ()
    return tuple(
        table(
            _caption(source) if i == 0 else "The same arms, further figures.",
            ["Mitigation", *(c.head for c in part)],
            [[arm, *(c.cells[n] for c in part)] for n, arm in enumerate(source.arms)],
            sortable=True,
            stacked=True,
        )
        for i, part in enumerate(_parts(list(columns(source))))
    )


def _parts(found: Sequence[Column]) -> list[list[Column]]:
    """Cut columns into parts of `WIDEST` at most; a group goes on in the next part if it must."""
    parts: list[list[Column]] = [[]]
    for _, group in groupby(found, key=lambda c: c.group):
        mine = list(group)
        if len(parts[-1]) + len(mine) > WIDEST:
            parts.append([])
        for column in mine:
            if len(parts[-1]) == WIDEST:
                parts.append([])
            parts[-1].append(column)
    return [part for part in parts if part]


def _caption(source: Source) -> str:
    compared = (
        f"All arms side by side. Changes are against {source.baseline}, and paired only where both"
        " arms share seeds; p is of the paired test"
        if source.unpaired
        else "All mitigations over the same requests. Changes are paired with"
        f" {source.baseline}; p is of the paired test"
    )
    shares = "pooled shares" if source.by_prompt else "shares"
    said = [
        f"{compared} that the {shares} of the attribute did not change (McNemar; Stuart and "
        "Maxwell), adjusted.",
        *_pairs(source),
        "Seconds are the median over images of drawing alone, on the device that run.json names.",
    ]
    if any(w.code == GUIDE_JUDGES for w in source.results.provenance.warnings):
        said.append(
            "An arm judged by its guide follows the probe that is named first: read it by another."
        )
    return " ".join(said)


def _pairs(source: Source) -> Iterator[str]:
    """Yield over how many pairs a probe's changes are that could not read all of them."""
    for attribute in source.subjects:
        for probe in source.probes(attribute):
            found = [
                (arm, d)
                for arm in source.arms
                for d in _changes(source, "fd_debiased", arm, attribute, probe)
            ]
            if any(d.dropped for _, d in found):
                counted = listed(f"{d.n:,} under {arm}" for arm, d in found)
                yield (
                    f"What {probe} reads of {attribute} is compared over the pairs that it could "
                    f"read in both arms: {counted}."
                )


def markdown(source: Source) -> str:
    """Return the tables as Markdown; empty where there is nothing to compare."""
    found = overview(source)
    if not found:
        return ""
    lines = [f"## {escaped(clipped(source.results.title or source.results.benchmark))}", ""]
    for each in found:
        lines += [row([Cell(head) for head in each.head]), "|---" * len(each.head) + "|"]
        lines += [*(row(cells) for cells in each.rows), ""]
    return bounded("\n".join([*lines, escaped(found[0].caption), ""]))


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
    number = column.values[i] if column.values else cell.value
    value = inert(cell.text) if column.words else number
    return [value, *column.ends[i]] if column.ends else [value]
