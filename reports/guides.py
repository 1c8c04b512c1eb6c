"""Arms that are judged by the probe that guided them: said of the gate, with what others read."""

from collections.abc import Iterator

from audit.storage.results import GUIDE_JUDGES, GUIDE_READS, Entry, GateEntry
from reports.source import Source
from reports.words import measured


def caveat(source: Source, gate: GateEntry) -> str:
    """Say that a gate is read by the guide of its arm, and what the other probes read.

    Returns:
        One paragraph; empty where the probe that the gate goes by guided nothing.
    """
    message = guided(source, gate.arm, gate.attribute, gate.probe)
    if not message:
        return ""
    return " ".join([f"Judged by its own guide: {message}.", *_others(source, gate)])


def guided(source: Source, arm: str, attribute: str | None, probe: str | None) -> str:
    """Return the warning that a probe judges an arm that it guided; empty where it does not."""
    if probe is None:
        return ""  # of images, which no probe reads
    for one in source.results.provenance.warnings:
        about = (one.attribute in (attribute, None), one.probe in (probe, None))
        if one.code in {GUIDE_JUDGES, GUIDE_READS} and one.arm == arm and all(about):
            return one.message
    return ""


def _others(source: Source, gate: GateEntry) -> Iterator[str]:
    """Yield what every other probe reads of the number that the gate is on."""
    for probe in source.probes(gate.attribute or ""):
        about = (gate.metric, gate.arm, gate.attribute, gate.class_, probe, gate.prompt)
        entry = source.one(*about)
        if probe != gate.probe and entry is not None:
            yield f"{probe} reads {measured(entry)} in {entry.n:,} images: {_side(entry, gate)}."


def _side(entry: Entry, gate: GateEntry) -> str:
    """Say on which side of the limit an interval lies."""
    low, high = entry.ci_low, entry.ci_high
    if entry.value is None or low is None or high is None:
        return "no interval to hold against the limit"
    below, above = high <= gate.limit, low > gate.limit
    kept, broken = (below, above) if gate.side == "max" else (low >= gate.limit, high < gate.limit)
    if kept:
        return "within the limit"
    return "beyond the limit" if broken else "the limit lies inside the interval, so it is open"
