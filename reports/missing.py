"""Images without a reading: how many, probe by probe, and what they could change at worst."""

from collections.abc import Iterator, Sequence

from audit.storage.results import StateCount
from reports.source import JOINT, Source
from reports.tables import Row, Table, entry_cell, table
from reports.words import listed, number

Counts = dict[str | None, dict[str | None, list[StateCount]]]
"""By probe, then by attribute."""


def counted(source: Source) -> Counts:
    """Return how many images of every arm ended in which state, over all prompts and classes."""
    found: Counts = {}
    for s in source.results.states:
        if s.prompt is None and s.class_ is None and JOINT not in (s.attribute or ""):
            found.setdefault(s.probe, {}).setdefault(s.attribute, []).append(s)
    # What became of the images themselves is told where no probe read them.
    return {p: by for p, by in found.items() if p is not None} or found


def unread(states: Sequence[StateCount]) -> int:
    """Return how many images have no reading."""
    return sum(s.count for s in states if s.state != "ok")


def said(source: Source) -> str:
    """Say how many images every probe did not read, arm by arm; empty where nothing is counted.

    Probes and attributes are never averaged: one that misses much would hide behind the others.
    """
    return " ".join(_of_probe(source, probe, by) for probe, by in counted(source).items() if probe)


def _of_probe(source: Source, probe: str, by_attribute: dict[str | None, list[StateCount]]) -> str:
    attribute = max(by_attribute, key=lambda a: unread(by_attribute[a]))
    told = []
    for arm in source.arms:
        mine = [s for s in by_attribute[attribute] if s.arm == arm]
        total = sum(s.count for s in mine)
        if total:
            share = number(unread(mine) / total, "share")
            told.append(f"{unread(mine):,} of {total:,} ({share}) under {arm}")
    of = f" of {attribute}" if attribute else ""
    most = len(by_attribute) > 1 and unread(by_attribute[attribute])
    which = ", which it misses most" if most else ""
    return f"Without a reading by {probe}{of}{which}: {listed(told)}." if told else ""


def bounds(source: Source) -> Table | None:
    """Return what each number would be at the least and at the most, whoever is unread."""
    rows = list(_rows(source))
    if not rows:
        return None
    return table(
        "Worst cases of the missing readings: what every number would be at the least and at the "
        "most, whatever class the unread images are of. A probe that read everything has no row.",
        ["Attribute", "Of", "Probe", "Arm", "As read", "At least", "At most"],
        rows,
        sortable=True,
    )


def _rows(source: Source) -> Iterator[Row]:
    for attribute in source.attributes:
        for probe in source.probes(attribute):
            for metric, class_ in (
                ("fd", None),
                *(("share", name) for name in source.classes(attribute)),
            ):
                for arm in source.arms:
                    read, low, high = (
                        source.one(f"{metric}{end}", arm, attribute, class_, probe)
                        for end in ("", "_missing_low", "_missing_high")
                    )
                    if low is not None and high is not None and low.value != high.value:
                        of = class_ or "fairness discrepancy"
                        ends = (entry_cell(e) if e else "–" for e in (read, low, high))
                        yield [attribute, of, probe, arm, *ends]
