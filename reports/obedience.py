"""Prompts that ask for someone in particular: how many of their images show it."""

from audit.types import OBEYED
from reports.effects import difference
from reports.source import Source
from reports.tables import Cell, Row, Table, count_cell, entry_cell, table
from reports.words import clipped


def over_prompts(source: Source) -> Table | None:
    """Return how many images show the class that their prompt asks for, in every arm."""
    rows: list[Row] = [
        [
            attribute,
            arm,
            entry_cell(entry),
            difference(source, OBEYED, arm, attribute),
            count_cell(entry.n),
        ]
        for attribute in source.asked
        for arm in source.arms
        if (entry := source.one(OBEYED, arm, attribute, None, source.probe(attribute)))
    ]
    if not rows:
        return None
    return table(
        "Prompts that ask for a class: how many of their images are read as asked."
        " They count in no share of that attribute.",
        ["Attribute", "Arm", "As asked", "Change", "Images"],
        rows,
    )


def by_prompt(source: Source) -> Table | None:
    """Return the same for each prompt, the arms side by side."""
    columns = [(attribute, arm) for attribute in source.asked for arm in source.arms]
    rows: list[Row] = []
    for prompt in source.by_prompt:
        found = [
            source.one(OBEYED, arm, attribute, None, source.probe(attribute), prompt)
            for attribute, arm in columns
        ]
        if any(found):
            name = clipped(source.results.prompts.get(prompt) or prompt)
            most = max(e.n for e in found if e)
            cells = (entry_cell(e) if e else Cell("–") for e in found)
            rows.append([name, *cells, count_cell(most)])
    if not rows:
        return None
    return table(
        f"Images read as their prompt asks, prompt by prompt, with {source.level} intervals.",
        ["Prompt", *(f"{attribute}, {arm}" for attribute, arm in columns), "Images, at most"],
        rows,
        sortable=True,
        stacked=True,
    )
