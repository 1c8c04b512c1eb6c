"""The model card: promises beside what was measured, and sheets of samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from audit.types import Images

CARD = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- evaluation:begin -->", "<!-- evaluation:end -->"


@dataclass(frozen=True)
class Row:
    """One promise of the card and what was measured."""

    what: str
    measured: float
    bar: float
    higher: bool
    """Whether the measured figure must be at least, or at most, the bar."""
    how: str

    @property
    def met(self) -> bool:
        """Whether the promise holds."""
        return self.measured >= self.bar if self.higher else self.measured <= self.bar


def at_least(what: str, measured: float, bar: float, n: int) -> Row:
    """Return the row of a figure that must reach `bar` on n examples."""
    return Row(what, float(measured), bar, True, f"n = {n}")


def at_most(what: str, measured: float, bar: float, n: int) -> Row:
    """Return the row of a figure that must not exceed `bar` on n examples."""
    return Row(what, float(measured), bar, False, f"n = {n}")


def table(rows: Sequence[Row]) -> str:
    """Return the promises and what was measured, as Markdown."""
    lines = ["| what | measured | promised | how |", "|---|---|---|---|"]
    for row in rows:
        sign = "at least" if row.higher else "at most"
        verdict = "" if row.met else " **not reached**"
        lines.append(
            f"| {row.what} | {row.measured:.3g}{verdict} | {sign} {row.bar:g} | {row.how} |"
        )
    return "\n".join(lines)


def write_card(rows: Sequence[Row]) -> None:
    """Put the table between the markers of the card; the rest of the card stays as it is."""
    text = CARD.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    CARD.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", "utf-8")


def contact_sheet(images: Images, columns: int = 8) -> Image.Image:
    """Return a sheet of images, row by row."""
    rows = [
        np.concatenate(list(images[i : i + columns]), 1) for i in range(0, len(images), columns)
    ]
    return Image.fromarray(np.concatenate(rows))
