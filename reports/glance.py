"""A run or a comparison at a glance, for notebooks: verdict, gates, the matrix, every figure."""

from collections.abc import Iterator

from reports import contrasts, distributions, summary, trade_offs, verdicts
from reports.charts import Chart
from reports.document import environment
from reports.source import Source
from reports.tables import table


def glance(source: Source) -> str:
    """Return verdict, gates and summary matrix as a piece of HTML without style or script."""
    head, lines = summary.matrix(source)
    known = any(m.attribute for m in source.results.measurements)
    shown = table(f"With {source.level} intervals", head, [line.cells for line in lines])
    return (
        environment()
        .get_template("glance.html.j2")
        .render(
            name=source.results.title or source.results.benchmark,
            verdict=verdicts.verdict(source),
            incomplete=verdicts.incomplete(source),
            gates=list(verdicts.gate_rows(source)),
            symbols=verdicts.SYMBOLS,
            matrix=shown if known else None,
        )
    )


def charts(source: Source) -> Iterator[Chart]:
    """Yield the figures of a run, or of a comparison, in the order of the page."""
    yield from contrasts.charts(source)
    for attribute in source.attributes:
        yield from distributions.about(source, attribute)
    yield from trade_offs.trade_offs(source)
    yield from distributions.confusions(source)
    yield from distributions.states(source)
    yield from distributions.truths(source)
