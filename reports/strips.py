"""Interval strips: one small drawing in a table row, beside the numbers that it shows."""

from collections.abc import Sequence

from markupsafe import Markup

from reports.canvas import ARMS, Mark

WIDTH, STEP, MARGIN = 150, 8, 5


def strip(
    marks: Sequence[Mark], upper: float, aim: float | None = None, *, place: int = 0
) -> Markup:
    """Return one dot with its interval for each mark, from 0 to `upper`, the first on top.

    The drawing is hidden from screen readers: the same numbers stand in the row. Width and
    colours are set by the style sheet of the page.

    Args:
        marks: one for each arm, in the order of the arms.
        upper: value at the right edge; the same for all rows of a table.
        aim: where a vertical line marks the target.
        place: place of the first mark among the arms, which gives it its colour.
    """
    height = STEP * len(marks) + 4

    def x(value: float) -> str:
        inside = min(max(value / upper, 0.0), 1.0) if upper else 0.0
        return f"{MARGIN + inside * (WIDTH - 2 * MARGIN):.1f}".removesuffix(".0")

    parts = []
    null = max((m.null for m in marks if m.null is not None), default=None)
    if null is not None:
        width = float(x(null)) - MARGIN
        parts.append(f'<rect class="null" x="{MARGIN}" width="{width:.1f}" height="{height}"/>')
    parts.append(f'<path class="axis" d="M{MARGIN} 0V{height}"/>')
    if aim is not None:
        parts.append(f'<path class="aim" d="M{x(aim)} 0V{height}"/>')
    for row, mark in enumerate(marks):
        if mark.value is None:
            continue
        y, colour = row * STEP + 6, (place + row) % len(ARMS)
        if mark.low is not None and mark.high is not None:
            span = f'<path d="M{x(mark.low)} {y}H{x(mark.high)}"/>'
            parts.append(
                f'<g class="arm-{colour}">{span}<circle cx="{x(mark.value)}" cy="{y}" r="3"/></g>'
            )
        else:
            parts.append(f'<circle class="arm-{colour}" cx="{x(mark.value)}" cy="{y}" r="3"/>')
    body = "".join(parts)
    # Numbers and fixed words only.
    return Markup(
        f'<svg class="strip" aria-hidden="true" viewBox="0 0 {WIDTH} {height}">{body}</svg>'
    )
