"""Tables as the page shows them: every cell its text, and the number behind it if there is one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from audit.storage.results import Entry
from reports.words import bounds, measured, number, scaled


@dataclass(frozen=True)
class Cell:
    """One cell."""

    text: str
    value: float | None = None
    """The number as `results.json` holds it, scaled as shown; sorting and copying use it."""
    note: str = ""
    """Said after the text, in a muted tone: an interval."""


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first column names the rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[int] = frozenset()
    """Columns set flush right."""
    sortable: bool = False
    stacked: bool = False
    """Whether notes stand below their numbers, which keeps columns narrow."""


def entry_cell(entry: Entry | None) -> Cell:
    """Return the cell of a measurement: value, then its interval."""
    if entry is None or entry.value is None:
        return Cell(measured(entry))
    return number_cell(entry.value, entry.metric, entry.ci_low, entry.ci_high)


def number_cell(
    value: float | None, metric: str, low: float | None = None, high: float | None = None
) -> Cell:
    """Return the cell of a number with its interval, if it has one."""
    return Cell(number(value, metric), _shown(value, metric), bounds(low, high, metric))


def count_cell(count: float) -> Cell:
    """Return the cell of a count."""
    return Cell(f"{count:,.0f}", float(count))


def value_cell(value: float | None, metric: str = "") -> Cell:
    """Return the cell of a bare number."""
    return Cell(number(value, metric), _shown(value, metric))


def _shown(value: float | None, metric: str) -> float | None:
    return None if value is None else scaled(value, metric)


Row = Sequence[Cell | str]
"""What `table` takes as a row; a bare string is a cell without a number."""


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Row],
    *,
    sortable: bool = False,
    stacked: bool = False,
) -> Table:
    """Build a table; bare strings become cells, and columns of numbers are set flush right."""
    cells = tuple(tuple(c if isinstance(c, Cell) else Cell(c) for c in row) for row in rows)
    numeric = frozenset(
        i for i in range(1, len(head)) if any(row[i].value is not None for row in cells)
    )
    return Table(caption, tuple(head), cells, numeric, sortable, stacked)
