"""Runs and comparisons as people meet them in Python: frames, figures, a verdict at a glance."""

import html
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from audit.errors import InputError, SpecError, unknown
from audit.storage import folder
from audit.storage.results import Entry, Results

if TYPE_CHECKING:
    import pandas as pd

    from reports.charts import Chart
    from reports.source import Source

Section = Literal["measurements", "states", "comparisons", "flips", "agreement", "gates"]
"""Parts of the results that are lists of rows."""


class Shown(ABC):
    """What results look like, whatever they are of."""

    @property
    @abstractmethod
    def source(self) -> "Source":
        """The results as reports read them."""

    def frame(self, section: Section = "measurements") -> "pd.DataFrame":
        """Return a part of the results as a frame, one row an entry, in long form.

        The columns are the keys of `results.json`; a number that could not be measured is missing,
        never 0, and `method` says why.

        Raises:
            SpecError: there is no such part.
        """
        import pandas as pd

        if section not in get_args(Section):
            raise SpecError(unknown("section", section, get_args(Section)))
        kind = get_args(Results.model_fields[section].annotation)[0]
        columns = [field.serialization_alias or name for name, field in kind.model_fields.items()]
        rows = getattr(self.source.results, section)
        return pd.DataFrame([row.model_dump(by_alias=True) for row in rows], columns=columns)

    def figures(self) -> "dict[str, Chart]":
        """Return the figures of the report by id.

        A notebook shows each as it is; `.figure` is the matplotlib figure, `.table` its numbers.
        """
        from reports.glance import charts

        return {chart.id: chart for chart in charts(self.source)}

    def _repr_html_(self) -> str:
        """Show verdict, gates and the summary matrix."""
        from reports.glance import glance

        return glance(self.source)


class Run(folder.Run, Shown):
    """A run folder, read."""

    @property
    def source(self) -> "Source":
        """Results, tables and pictures as reports read them."""
        from reports.source import Source

        return Source.open(self.folder)

    def _repr_html_(self) -> str:
        """Show verdict, gates and the summary matrix, or why there are none yet."""
        try:
            return super()._repr_html_()
        except InputError as error:
            return f"<p>{html.escape(str(error))}</p>"

    @property
    def measurements(self) -> tuple[Entry, ...]:
        """The entries of `results.json`, in long form; `frame()` has them as a table."""
        return self.results.measurements


class Comparison(Shown):
    """Arms of runs, side by side."""

    def __init__(self, results: Results) -> None:
        self.results = results
        """As a run holds them; the arms are those of all runs."""

    @property
    def source(self) -> "Source":
        """The results as reports read them."""
        from reports.source import Source

        return Source(results=self.results)

    def text(self, form: str) -> str:
        """Return it as `html`, `markdown` or `csv`."""
        from audit.rendering import comparison

        return comparison(self.source)[form]()

    def write(self, out: str | Path) -> list[Path]:
        """Write page, Markdown, CSV, JSON and, with gates, JUnit into a folder."""
        from audit.rendering import render_comparison

        return render_comparison(self.source, Path(out))

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.results.arms)})"
