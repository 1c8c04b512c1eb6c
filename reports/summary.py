"""Attribute against metric, and one class prompt by prompt: tables with interval strips."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from audit.storage.results import Entry
from reports.canvas import Mark
from reports.effects import difference
from reports.glossary import title
from reports.source import Source
from reports.strips import strip
from reports.tables import Cell, Row, Table, count_cell, entry_cell, table, value_cell
from reports.words import listed, number

MATRIX = {
    "fd": "FD",
    "fd_debiased": "FD, debiased",
    "fd_corrected": "FD, corrected",
    "fd_ppi": "FD, with human labels",
    "parity_gap": "Parity gap",
}
"""Columns of the summary matrix with their heads, where the run has them."""
OVER_PROMPTS = {
    "fd_debiased_macro": "FD, debiased, root mean square over prompts",
    "fd_debiased_worst": "FD, debiased, worst prompt",
    "fd": "FD, pooled",
    "fd_corrected": "FD, corrected, pooled",
    "fd_ppi": "FD, with human labels, pooled",
}
"""The same where there are many prompts: first what pooling cannot hide."""


def matrix_columns(source: Source) -> dict[str, str]:
    """Return the metrics of the summary matrix with their heads."""
    known = {m.metric for m in source.results.measurements if m.value is not None}
    heads = OVER_PROMPTS if "fd_debiased_macro" in known else MATRIX
    return {metric: head for metric, head in heads.items() if metric in known} or {"fd": "FD"}


@dataclass(frozen=True)
class Line:
    """A row of a table with an interval strip."""

    cells: tuple[Cell, ...]
    strip: Markup
    id: str = ""


@dataclass(frozen=True)
class Forest:
    """Shares of one class by prompt, one line each."""

    attribute: str
    heading: str
    caption: str
    head: tuple[str, ...]
    lines: tuple[Line, ...]


def matrix(source: Source) -> tuple[tuple[str, ...], list[Line]]:
    """Return head and rows of attribute × arm against metric, with a strip of the discrepancy."""
    columns = matrix_columns(source)
    over = columns.get("fd") == OVER_PROMPTS["fd"]
    moved = "fd2_debiased_macro" if over else "fd2_debiased"
    top = max(
        (v for m in source.results.measurements if m.metric == "fd" and m.prompt is None
         for v in (m.ci_high, m.value, m.null_high) if v is not None), default=1.0,
    )  # fmt: skip
    lines = []
    for attribute in source.attributes:
        probe = source.probe(attribute)
        for place, arm in enumerate(source.arms):
            entries = [source.one(c, arm, attribute, None, probe) for c in columns]
            fd = source.one("fd", arm, attribute, None, probe)
            cells = [
                Cell(attribute),
                Cell(arm),
                *(entry_cell(e) for e in entries),
                Cell(
                    number(fd.null_high) if fd and fd.null_high is not None else "–",
                    fd.null_high if fd else None,
                ),
                difference(source, moved, arm, attribute),
            ]
            lines.append(Line(tuple(cells), strip([_mark(fd)], top, place=place)))
    pooled, changed = ("FD, pooled", "FD² over prompts") if over else ("FD", "FD²")
    ends = (f"{pooled}: fair up to", f"{changed}: change")
    return ("Attribute", "Arm", *columns.values(), *ends), lines


def combined(source: Source) -> tuple[Table, Table] | None:
    """Return the discrepancy of attributes together, and the share of every combination."""
    if not source.combined:
        return None
    metrics = ("fd", "fd_debiased", "mutual_information")
    distances: list[Row] = []
    shares: list[Row] = []
    for attribute in source.combined:
        probe = source.probe(attribute)
        for arm in source.arms:
            entries = [source.one(m, arm, attribute, None, probe) for m in metrics]
            null = entries[0].null_high if entries[0] else None
            cells = [entry_cell(e) if e else Cell("–") for e in entries]
            distances.append([attribute, arm, *cells, value_cell(null) if null else Cell("–")])
            for class_ in source.classes(attribute):
                share = source.one("share", arm, attribute, class_, probe)
                if share is not None:
                    shares.append([attribute, class_, arm, entry_cell(share)])
    heads = ["Attributes", "Arm", *(title(m) for m in metrics), "Fair up to"]
    return (
        table(
            f"Distances from the combined target, with {source.level} intervals.", heads, distances
        ),
        table(
            "Shares of combinations.",
            ["Attributes", "Classes", "Arm", "Share"],
            shares,
            sortable=True,
        ),
    )


def forests(source: Source) -> Iterator[Forest]:
    """Yield a forest for each attribute: one class by prompt, all arms side by side."""
    prompts = source.by_prompt
    if len(prompts) < 2:
        return
    for attribute in source.attributes:
        probe, target = source.probe(attribute), source.target(attribute)
        class_ = _looked_at(source, attribute)
        if class_ is None:
            continue
        aim = target.get(class_)
        lines = []
        for prompt in prompts:
            entries = [
                source.one("share", arm, attribute, class_, probe, prompt) for arm in source.arms
            ]
            if not any(entries):  # one that asks for a class
                continue
            n = next(e.n for e in entries if e)
            cells = (
                Cell(source.results.prompts.get(prompt) or prompt),
                count_cell(n),
                *(entry_cell(e) for e in entries),
            )
            lines.append(Line(cells, strip([_mark(e) for e in entries], 1.0, aim), prompt))
        aimed = (
            f" The vertical line is the target, {number(aim, 'share')}." if aim is not None else ""
        )
        yield Forest(
            attribute,
            f"{attribute.capitalize()}: share read as {class_}, prompt by prompt",
            f"Share of images read as {class_} by {probe} for each prompt, with {source.level} "
            "intervals; "
            f"arms from top to bottom: {listed(source.arms)}.{aimed}",
            ("Prompt", "Images an arm", *source.arms),
            tuple(lines),
        )


def _looked_at(source: Source, attribute: str) -> str | None:
    """Return the first of two classes; of more, the one farthest from its target overall."""
    classes, target, probe = (
        source.classes(attribute),
        source.target(attribute),
        source.probe(attribute),
    )
    if len(classes) <= 2:
        return next(iter(classes), None)

    def gap(class_: str) -> float:
        entry = source.one("share", source.baseline, attribute, class_, probe)
        return abs(
            (entry.value if entry and entry.value is not None else 0) - target.get(class_, 0)
        )

    return max(classes, key=gap)


def _mark(entry: Entry | None) -> Mark:
    if entry is None:
        return Mark("", None)
    return Mark(entry.arm, entry.value, entry.ci_low, entry.ci_high, entry.null_high)
