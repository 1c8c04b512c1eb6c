"""A figure with the sentence that says what it shows and its numbers as a table."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from audit.storage.results import Entry
from reports import figures
from reports.canvas import Curve, Mark
from reports.svg import NAMESPACE, svg
from reports.tables import Cell, Row, Table, number_cell, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """A figure, what is to be seen in it, and its numbers as a table."""

    id: str
    title: str
    finding: str
    """One sentence, read out in place of the picture."""
    draw: Callable[[], "Figure"]
    """Makes the matplotlib figure; a notebook may change it further."""
    table: Table

    @property
    def figure(self) -> "Figure":
        """The matplotlib figure, drawn anew."""
        return self.draw()

    @property
    def svg(self) -> Markup:
        """The figure as an accessible `<svg>` element."""
        return svg(self.draw(), self.id, self.title, self.finding)

    def _repr_html_(self) -> str:
        # A figure has no ground of its own: on the dark page of a notebook it would be lost.
        head = Markup(
            '<figure style="margin:0;padding:8px;background:#fff;color:#1c2430">'
            "<figcaption><strong>{}</strong> {}</figcaption>"
        ).format(self.title, self.finding)
        return str(head + self.svg + Markup("</figure>"))

    def _repr_svg_(self) -> str:
        """Return the figure as a document of its own."""
        return str(self.svg).replace("<svg ", f'<svg xmlns="{NAMESPACE}" ', 1)


def mark(label: str, entry: Entry | None) -> Mark:
    """Return a measurement as a mark; without a value where there is none."""
    if entry is None:
        return Mark(label, None)
    return Mark(label, entry.value, entry.ci_low, entry.ci_high, entry.null_high)


def part(text: str) -> str:
    """Return text as a part of an id: hashed where it is not plain already.

    >>> part("gender"), part("<i>")
    ('gender', 'xd983253427')
    """
    if re.fullmatch(r"[A-Za-z0-9-]{1,40}", text):
        return text
    return f"x{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def lines(
    identifier: str,
    heading: str,
    finding: str,
    units: tuple[str, str, str],
    drawn: Sequence[Curve],
    at: float | None = None,
) -> Chart:
    """Curves over an axis: a profile over steps, or a dose-response.

    Args:
        identifier: id of the figure in the page.
        heading: its title.
        finding: what is to be seen.
        units: names of the x axis, of the y axis, and of the metric whose format the table uses.
        drawn: the curves.
        at: where a vertical line stands.
    """
    rows: list[Row] = [
        [
            curve.label,
            Cell(f"{x:g}", float(x)),
            number_cell(curve.y[i], units[2], _at(curve.low, i), _at(curve.high, i)),
        ]
        for curve in drawn
        for i, x in enumerate(curve.x)
    ]
    return Chart(
        id=identifier,
        title=heading,
        finding=finding,
        draw=lambda: figures.curves(drawn, units[0], units[1], at=at),
        table=table(heading, ["Curve", units[0].capitalize(), units[1].capitalize()], rows),
    )


def _at(side: Sequence[float] | None, i: int) -> float | None:
    return side[i] if side is not None else None
