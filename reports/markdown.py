"""Verdicts and summary as Markdown, for pull requests and for the summary page of a CI step."""

import re
from collections.abc import Iterable

from reports import obedience, summary
from reports.cards import cards
from reports.choices import choices, together
from reports.glossary import title
from reports.source import Source
from reports.tables import Cell
from reports.verdicts import gate_rows, verdict
from reports.words import clipped

LIMIT = 900_000
"""Bytes; GitHub refuses a step summary of 1 MiB."""
TRUNCATED = "\n\n*truncated: the whole report is in report.html*\n"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~])")


def escaped(text: str) -> str:
    r"""Return text that Markdown shows as it is, in one line, and that no CI takes for a command.

    >>> escaped("a|b <i>::error::x")
    'a\\|b &lt;i&gt;:\u200b:error:\u200b:x'
    """
    flat = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    flat = flat.replace("@", "@\u200b") if re.search(r"(^|\s)@\w", flat) else flat
    return _SPECIAL.sub(r"\\\1", flat).replace("::", ":\u200b:")


def markdown(source: Source) -> str:
    """Return verdict, gates and summary matrix as Markdown of at most `LIMIT` bytes."""
    outcome = verdict(source)
    name = escaped(clipped(source.results.title or source.results.benchmark))
    lines = [f"## {outcome.symbol} {outcome.word}: {name}", "", escaped(outcome.sentence), ""]
    lines += [
        f"- **{escaped(card.attribute)}**: {card.figure} {escaped(card.text)}"
        for card in cards(source)
    ]
    lines += [*gates(source), *matrix(source), *asked(source), ""]
    pairs = list(choices(source))
    for name, chosen in (("Classes", [c for c, _ in pairs]), ("Target", [t for _, t in pairs])):
        lines += [f"- **{name}.** {escaped(together(chosen))}"] if chosen else []
    return bounded("\n".join([*lines, ""]))


def gates(source: Source) -> list[str]:
    """Return the table of gates, after an empty line; nothing where there are none."""
    rows = list(gate_rows(source))
    lines = [
        "",
        "| verdict | promise | measured | bound | images | baseline | reason |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        promise, *rest = one.cells
        cells = [*(written(c) for c in rest), escaped(one.why)]
        said = escaped(clipped(promise.text))
        lines.append(f"| **{one.gate.verdict}** | {said} | {' | '.join(cells)} |")
    return lines if rows else []


def matrix(source: Source) -> list[str]:
    """Return the table of attribute and arm against metric, and how to read it."""
    head, rows = summary.matrix(source)
    return [
        "",
        row([Cell(name) for name in head]),
        "|---" * len(head) + "|",
        *(row(line.cells) for line in rows),
        "",
        f"Perceived presentation, read from pixels; intervals are {source.level}. "
        f"{title('fd')}: distance of the shares from the target, lower is better.",
    ]


def asked(source: Source) -> list[str]:
    """Return the table of what prompts ask for, after an empty line; nothing where none do."""
    found = obedience.over_prompts(source)
    if found is None:
        return []
    head = [row([Cell(name) for name in found.head]), "|---" * len(found.head) + "|"]
    return ["", *head, *map(row, found.rows), "", escaped(found.caption)]


def bounded(text: str, limit: int = LIMIT) -> str:
    """Return text of at most `limit` bytes, cut at a line and saying so."""
    if len(text.encode()) <= limit:
        return text
    room = max(limit - len(TRUNCATED.encode()), 0)
    kept = text.encode()[:room].decode(errors="ignore").rpartition("\n")[0]
    return kept + TRUNCATED


def row(cells: Iterable[Cell]) -> str:
    r"""Return a row of a Markdown table.

    >>> row([Cell("a|b"), Cell("1.0", 1.0, "[0.5, 1.5]")])
    '| a\\|b | 1.0 \\[0.5, 1.5\\] |'
    """
    return f"| {' | '.join(map(written, cells))} |"


def written(cell: Cell) -> str:
    """Return a cell as Markdown: its text and, after it, its note."""
    return escaped(clipped(f"{cell.text} {cell.note}".strip()))
