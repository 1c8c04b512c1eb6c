"""The figures of the report, as matplotlib figures: for the page and for notebooks.

Six kinds, drawn with the object API and without global state. Each number is printed beside its
mark and each arm has a marker of its own, so that colour is never the only carrier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reports.canvas import (
    ARMS,
    BAND,
    GRID,
    INK,
    MUTED,
    PAPER,
    SHADES,
    Curve,
    Mark,
    blank,
    legend,
    name_rows,
    note,
    one_line,
    style,
    whisker,
)
from reports.placement import place

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def shares(groups: Mapping[str, Sequence[Mark]], target: Mapping[str, float]) -> Figure:
    """Draw the share of each class under each arm as a bar, against a tick at the target.

    Args:
        groups: by class: one mark an arm, in [0, 1], in the order of the arms.
        target: the share wanted, by class; a class may be missing.
    """
    rows = sum(len(marks) + 1.5 for marks in groups.values())
    figure, axes = blank(rows * 19 + 34)
    y, ticks, labels = 0.0, [], []
    for class_, marks in groups.items():
        axes.text(0, y, one_line(class_, 30), weight="bold", color=INK, fontsize=12, va="center")
        top = y + 0.55
        for arm, mark in enumerate(marks):
            y += 1
            colour, _ = style(arm)
            ticks.append(y)
            labels.append(mark.label)
            if mark.value is None:
                axes.text(0.01, y, "not measured", color=MUTED, va="center")
                continue
            axes.barh(y, mark.value, height=0.62, color=colour, alpha=0.85)
            whisker(axes, mark, y, INK)
            note(axes, 1.16, y, f"{100 * mark.value:.1f}\N{NO-BREAK SPACE}%")
        if class_ in target:
            axes.plot([target[class_]] * 2, [top, y + 0.45], color=INK, lw=2.2, zorder=5)
        y += 1.5
    axes.set(xlim=(0, 1.17), ylim=(y - 0.6, -0.8))
    axes.spines["bottom"].set_bounds(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    name_rows(axes, ticks, labels)
    return figure


def intervals(marks: Sequence[Mark], unit: str, *, places: Sequence[int] = ()) -> Figure:
    """Draw one dot with its interval for each arm, the null band outlined behind it.

    Args:
        marks: in the order of the rows; where one lies below 0, a line marks it.
        unit: name of the axis.
        places: of the marks among the arms, which give them their colours; if not given, the rows.
    """
    figure, axes = blank(len(marks) * 26 + 52)
    ends = [v for m in marks for v in (m.value, m.low, m.high, m.null) if v is not None]
    left, right = min([0, *ends]), max([0, *ends])
    span = right - left or 1
    if left < 0:
        axes.axvline(0, color=MUTED, lw=1, zorder=1)
    for row, mark in enumerate(marks):
        colour, marker = style(places[row] if places else row)
        if mark.null is not None:
            axes.barh(row, mark.null, height=0.86, color=BAND, ec=MUTED, lw=0.8, zorder=1)
        if mark.value is None:
            axes.text(left, row, " not measured", color=MUTED, va="center")
            continue
        whisker(axes, mark, row, colour)
        axes.plot(mark.value, row, marker, color=colour, ms=8, mec=PAPER, zorder=4)
        note(axes, left + span * 1.2, row, f"{mark.value:.3f}".replace("-", "\N{MINUS SIGN}"))
    axes.set(xlim=(left, left + span * 1.21), ylim=(len(marks) - 0.5, -0.5), xlabel=unit)
    name_rows(axes, range(len(marks)), [m.label for m in marks])
    return figure


def stacks(rows: Mapping[str, Mapping[str, float]], unit: str) -> Figure:
    """Draw one bar for each row, stacked from its parts; parts are named in a legend."""
    parts = list(dict.fromkeys(part for row in rows.values() for part in row))
    lines = math.ceil(len(parts) / 2)
    figure, axes = blank(len(rows) * 26 + 52 + 17 * lines)
    total = max((sum(row.values()) for row in rows.values()), default=1) or 1
    for y, row in enumerate(rows.values()):
        left = 0.0
        for part, value in row.items():
            shade = SHADES[parts.index(part) % len(SHADES)]
            axes.barh(y, value, left=left, height=0.7, color=shade, ec=PAPER, lw=1)
            left += value
        note(axes, total * 1.16, y, f"{left:,.0f}" if left == int(left) else f"{left:.3f}")
    axes.set(xlim=(0, total * 1.17), ylim=(len(rows) - 0.5, -0.5), xlabel=unit)
    name_rows(axes, range(len(rows)), list(rows))
    swatches = [axes.bar(0, 0, color=SHADES[i % len(SHADES)]) for i in range(len(parts))]
    legend(figure, swatches, parts)
    return figure


def trade_off(points: Sequence[tuple[Mark, Mark, bool]], x_unit: str, y_unit: str) -> Figure:
    """Draw fairness against quality: one point an arm, filled where no arm is better in both.

    Args:
        points: x, y and whether the arm is in the Pareto set, in the order of the arms.
        x_unit: name of the x axis, with the direction that is better.
        y_unit: the same of the y axis.
    """
    figure, axes = blank(290)
    axes.grid(axis="y", color=GRID, lw=0.8)
    best = sorted((x.value, y.value) for x, y, pareto in points if pareto and _drawn(x, y))
    if len(best) > 1:
        axes.plot(*zip(*best, strict=True), color=MUTED, lw=1.2, ls=(0, (4, 3)), zorder=1)
    offsets = iter(_offsets([(x, y) for x, y, _ in points if _drawn(x, y)]))
    for arm, (x, y, pareto) in enumerate(points):
        if x.value is None or y.value is None:
            continue
        colour, marker = style(arm)
        for low, high, line in (
            (x.low, x.high, lambda v: (v, [y.value] * 2)),  # noqa: B023 - drawn at once
            (y.low, y.high, lambda v: ([x.value] * 2, v)),  # noqa: B023
        ):
            if low is not None and high is not None:
                axes.plot(*line([low, high]), color=colour, lw=1.2, alpha=0.55, zorder=2)
        fill = colour if pareto else PAPER
        axes.plot(x.value, y.value, marker, ms=9, color=fill, mec=colour, mew=1.8, zorder=3)
        axes.annotate(
            one_line(x.label, 22),
            (x.value, y.value),
            (offset := next(offsets)),
            textcoords="offset points",
            ha="right" if offset[0] < 0 else "left",
            color=INK,
        )
    axes.margins(0.16, 0.14)
    axes.set(xlabel=one_line(x_unit, 60), ylabel=one_line(y_unit, 46))
    axes.tick_params(axis="y", labelsize=11, labelcolor=MUTED)
    return figure


def _offsets(points: Sequence[tuple[Mark, Mark]]) -> list[tuple[int, int]]:
    """Return where the names of points go; the intervals belong to the plot."""

    def parts(marks: Sequence[Mark]) -> list[float]:
        ends = [v for m in marks for v in (m.value, m.low, m.high) if v is not None]
        low, span = min(ends), max(ends) - min(ends)
        return [((m.value or 0.0) - low) / span if span else 0.5 for m in marks]

    if not points:
        return []
    across, up = (parts(marks) for marks in zip(*points, strict=True))
    names = [one_line(x.label, 22) for x, _ in points]
    return place(list(zip(across, up, strict=True)), names)


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Draw what a probe said (columns) of images of known class (rows), as shares of rows."""
    figure, axes = blank(56 + 46 * len(classes), grid=False)
    for row, line in enumerate(counts):
        total = sum(line)
        for column, count in enumerate(line):
            share = count / total if total else 0.0
            right = row == column
            colour = ARMS[3] if right else ARMS[2]
            axes.barh(row, 0.94, left=column - 0.47, height=0.9, color=BAND, zorder=1)
            axes.barh(
                row,
                0.94,
                left=column - 0.47,
                height=0.9,
                color=colour,
                alpha=share * 0.55,
                zorder=2,
            )
            text = f"{100 * share:.1f} %" if total else "–"
            axes.text(column, row - 0.1, text, ha="center", va="center", color=INK, zorder=3)
            axes.text(
                column, row + 0.22, f"{count:,}", ha="center", va="center", color=INK, fontsize=10
            )
    axes.set(xlim=(-0.55, len(classes) - 0.45), ylim=(len(classes) - 0.5, -0.5))
    axes.set_xticks(range(len(classes)), [one_line(f"read as {c}", 24) for c in classes])
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", labelsize=11 if len(classes) < 4 else 9)
    name_rows(axes, range(len(classes)), [f"is {c}" for c in classes])
    return figure


def curves(lines: Sequence[Curve], x_unit: str, y_unit: str, *, at: float | None = None) -> Figure:
    """Draw lines with their bands; a control is dashed and grey. `at`: a vertical line."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = blank(250 + 17 * math.ceil(len(lines) / 2))
    axes.grid(axis="y", color=GRID, lw=0.8)
    if at is not None:
        axes.axvline(at, color=MUTED, lw=1, ls=(0, (2, 2)))
    number, handles = 0, []
    for line in lines:
        number += not line.control
        colour, marker = (MUTED, "o") if line.control else style(number)
        dashes = (0, (4, 3)) if line.control else "-"
        handles += axes.plot(
            line.x, line.y, marker=marker, ms=4.5, lw=1.8, ls=dashes, color=colour
        )
        if line.low is not None and line.high is not None:
            axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.16, lw=0)
    if all(float(x).is_integer() for line in lines for x in line.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=one_line(x_unit, 60), ylabel=one_line(y_unit, 46))
    axes.tick_params(axis="y", labelsize=11, labelcolor=MUTED)
    if len(lines) > 1:
        legend(figure, handles, [line.label for line in lines])
    return figure


def _drawn(*marks: Mark) -> bool:
    return all(mark.value is not None for mark in marks)
