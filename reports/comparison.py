"""A comparison as a page, as Markdown and as CSV: the same differences in each."""

import csv as writer
import io
from typing import Any

from audit.storage.results import Difference
from reports import background, contrasts, effects, trade_offs, verdicts
from reports.document import document
from reports.markdown import bounded, escaped, row, written
from reports.source import Source
from reports.tables import Cell, Table
from reports.words import clipped, inert, listed

SECTIONS = (
    ("verdict", "Verdict"),
    ("runs", "The runs"),
    ("changes", "What changed"),
    ("prompts", "Prompt by prompt"),
    ("arms", "All arms"),
    ("within", "Within each run"),
    ("methods", "How it was computed"),
)
COLUMNS = tuple(
    field.serialization_alias or name for name, field in Difference.model_fields.items()
)
"""Of the CSV: the keys of a difference in `results.json`."""


def page(source: Source) -> str:
    """Return a comparison as one HTML page, whole without script or network."""
    return document("comparison.html.j2", _content(source))


def _content(source: Source) -> dict[str, Any]:
    results = source.results
    definitions, methods = background.methods(source)
    content = {
        "name": results.title or results.benchmark,
        "benchmark": results.benchmark,
        "level": source.level,
        "lead": _lead(source),
        "verdict": verdicts.verdict(source) if results.gates else None,
        "symbols": verdicts.SYMBOLS,
        "gates": list(verdicts.gate_rows(source)),
        "moved": list(contrasts.moved(source)),
        "warnings": results.provenance.warnings,
        "runs": contrasts.described(source),
        "changes": list(contrasts.charts(source)),
        "differences": contrasts.tables(source),
        "flips": effects.flips(source),
        "prompts": list(contrasts.by_prompt(source)),
        "arms": contrasts.arms(source),
        "trade_offs": list(trade_offs.trade_offs(source)),
        "within": contrasts.side_effects(source),
        "definitions": definitions,
        "interval_methods": methods,
    }
    shown = [(i, h) for i, h in SECTIONS if i not in {"prompts", "within"} or content[i]]
    return content | {"contents": shown}


def _lead(source: Source) -> str:
    labels = [label for label in contrasts.runs(source) if label]
    if not labels:
        return f"The arms of one run against {clipped(source.baseline)}, request by request."
    read = listed(source.attributes) or "attributes"
    return (
        f"Run {listed(labels[1:])} against run {labels[0]}, arm by arm: how far the shares of"
        f" perceived {read} moved, and how sure that is."
    )


def markdown(source: Source) -> str:
    """Return verdict, runs, differences and all arms as Markdown, for pull requests."""
    results = source.results
    name = escaped(clipped(results.title or results.benchmark))
    lines = [f"## {name}", ""]
    if results.gates:
        outcome = verdicts.verdict(source)
        lines = [f"## {outcome.symbol} {outcome.word}: {name}", "", escaped(outcome.sentence), ""]
    for one in contrasts.moved(source):
        lines += [
            f"- **{escaped(one.attribute)}**, {escaped(clipped(arms))}: {escaped(told)}, {meaning}"
            for arms, told, meaning in one.lines
        ]
    lines += [f"- {escaped(clipped(one.message, 400))}" for one in results.provenance.warnings]
    if results.gates:
        lines += ["", "| verdict | promise | measured | bound | pairs | baseline | reason |"]
        lines += ["|---" * 7 + "|"]
        for line in verdicts.gate_rows(source):
            words = [*map(written, line.cells), escaped(line.why)]
            lines.append(f"| **{line.gate.verdict}** | {' | '.join(words)} |")
    for each in (contrasts.described(source), *contrasts.tables(source), contrasts.arms(source)):
        lines += ["", *_rows(each)]
    lines += ["", "Perceived presentation, read from pixels; differences are arm minus baseline."]
    return bounded("\n".join([*lines, ""]))


def _rows(found: Table) -> list[str]:
    heads = row([Cell(head) for head in found.head])
    body = [row(cells) for cells in found.rows]
    return [escaped(found.caption), "", heads, "|---" * len(found.head) + "|", *body]


def csv(source: Source) -> str:
    """Return every difference as CSV in long form, with the keys of `results.json`.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    rows = writer.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for d in source.results.comparisons:
        plain = d.model_dump(mode="json", by_alias=True)
        values = (plain[column] for column in COLUMNS)
        rows.writerow([inert(v) if isinstance(v, str) else v for v in values])
    return out.getvalue()
