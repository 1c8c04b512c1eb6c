"""The verdict of a run, in a word, in a sentence for each attribute, and gate by gate."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.storage.results import Entry, GateEntry
from audit.types import OBEYED
from reports.glossary import title
from reports.source import Source
from reports.tables import Cell, value_cell
from reports.words import bounds, measured, number, p_value

SYMBOLS = {"pass": "✓", "fail": "✕", "inconclusive": "≈", "incomplete": "…", "none": "–"}
STOPPED = {"interrupted": "was interrupted", "failed": "ended with an error"}
"""States in `run.json` of a run that did not end; one that is being written says `running`."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of the run in a word and a sentence."""

    kind: str
    word: str
    sentence: str

    @property
    def symbol(self) -> str:
        """Said beside the word: colour is never the only carrier."""
        return SYMBOLS[self.kind]


@dataclass(frozen=True)
class Card:
    """One attribute in a few words."""

    attribute: str
    figure: str
    """The share farthest from its target, or `not measured`."""
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All that is said of it, in one paragraph."""
        return " ".join(self.lines)


def verdict(source: Source) -> Verdict:
    """Say how the run ended: a failed gate outweighs a missing part, which outweighs a pass."""
    gates = source.results.gates
    failed = [g for g in gates if g.verdict == "fail"]
    if failed:
        return Verdict("fail", "Fail", f"{_count(len(failed), 'gate')} of {len(gates)} failed.")
    if missing := incomplete(source):
        return Verdict("incomplete", "Incomplete", missing)
    if not gates:
        return Verdict("none", "No gates", "The spec sets no limits, so nothing was decided.")
    undecided = [g for g in gates if g.verdict == "inconclusive"]
    if undecided and all(g.value is None for g in undecided):
        said = f"Nothing was measured that {_count(len(undecided), 'gate')} could be decided on."
        return Verdict("inconclusive", "Inconclusive", said)
    if undecided:
        return Verdict(
            "inconclusive",
            "Inconclusive",
            f"{_count(len(undecided), 'gate')} of {len(gates)} cannot be decided at this size.",
        )
    return Verdict(
        "pass",
        "Pass",
        f"All {_count(len(gates), 'gate')} passed." if len(gates) > 1 else "The gate passed.",
    )


def incomplete(source: Source) -> str:
    """Say why a run is not whole; empty where it is."""
    partial = source.manifest.get("partial")
    why = str(partial) if partial else STOPPED.get(str(source.manifest.get("status")), "")
    if not why:
        return ""
    return (
        f"The run {why}. {len(source.images):,} images are here, and every number below is of "
        "these alone; gates cannot pass."
        if why in STOPPED.values()
        else f"The run is partial: {why}. Every number below is of the {len(source.images):,} "
        "images that are here; gates cannot pass."
    )


def cards(source: Source) -> Iterator[Card]:
    """Yield each attribute: where the baseline stands, and the arm closest to the target."""
    for attribute in source.attributes:
        probe, target = source.probe(attribute), source.target(attribute)
        shares = {
            c: m
            for c in source.classes(attribute)
            if (m := source.one("share", source.baseline, attribute, c, probe))
            and m.value is not None
        }
        if not shares:
            said = f"{probe} read no image of {source.baseline}: neither fair nor unfair."
            yield Card(attribute, "not measured", (said,))
            continue
        off = {c: abs((m.value or 0) - target.get(c, 1 / len(shares))) for c, m in shares.items()}
        class_ = max(off, key=lambda c: off[c])
        worst = shares[class_]
        interval = bounds(worst.ci_low, worst.ci_high, "share")
        aim = f"The target is {number(target[class_], 'share')}." if class_ in target else ""
        said = (
            f"of {worst.n:,} images under {source.baseline} are read as {class_} {interval}. {aim}"
        )
        chance = _by_chance(
            source.one("fd", source.baseline, attribute, None, probe), source.level
        )
        lines = (said.strip(), chance, _closest(source, attribute, class_))
        yield Card(attribute, number(worst.value, "share"), tuple(line for line in lines if line))
    for attribute in source.asked:
        yield _as_asked(source, attribute)


def _as_asked(source: Source, attribute: str) -> Card:
    """Say how far prompts that ask for a class get it."""
    probe, about = source.probe(attribute), f"{attribute}, as asked"
    found = {
        arm: m
        for arm in source.arms
        if (m := source.one(OBEYED, arm, attribute, None, probe)) and m.value is not None
    }
    if source.baseline not in found:
        return Card(about, "not measured", (f"{probe} read no image of {source.baseline}.",))
    first = found[source.baseline]
    interval = bounds(first.ci_low, first.ci_high, "share")
    said = (
        f"of {first.n:,} images under {source.baseline} are read as their prompt asks {interval}."
    )
    least = min(found, key=lambda arm: found[arm].value or 0)
    others = f"Least under {least}: {measured(found[least])}." if least != source.baseline else ""
    lines = (said, others)
    return Card(about, number(first.value, "share"), tuple(line for line in lines if line))


def _by_chance(fd: Entry | None, level: str) -> str:
    if fd is None or fd.value is None or fd.null_high is None:
        return ""
    if fd.value > fd.null_high:
        return (
            f"Fairness discrepancy {number(fd.value)}: more than the {number(fd.null_high)} that "
            f"{level} of fair models stay under at this sample size."
        )
    return (
        f"Fairness discrepancy {number(fd.value)}: within the {number(fd.null_high)} that a fair "
        "model reaches by chance."
    )


def _closest(source: Source, attribute: str, class_: str) -> str:
    probe = source.probe(attribute)
    known = {
        arm: m.value
        for arm in source.arms[1:]
        if (m := source.one("fd", arm, attribute, None, probe)) and m.value is not None
    }
    if not known:
        return ""
    arm = min(known, key=lambda a: known[a])
    before = source.one("fd", source.baseline, attribute, None, probe)
    if before and before.value is not None and before.value <= known[arm]:
        return "No arm is closer to the target."
    share = source.one("share", arm, attribute, class_, probe)
    return f"Closest to the target: {arm}, {measured(share)}, discrepancy {number(known[arm])}."


def gate_rows(source: Source) -> Iterator[tuple[GateEntry, tuple[Cell, ...], str]]:
    """Yield each gate, its cells and the reason for its verdict."""
    for gate in source.results.gates:
        sign = "≤" if gate.side == "max" else "≥"
        about = [title(gate.metric), gate.attribute, gate.class_, f"arm {gate.arm}", gate.prompt]
        promise = ", ".join(str(a) for a in about if a)
        p = ""
        if gate.p_adjusted is not None:
            known = p_value(gate.p_adjusted)
            known = known if known.startswith("<") else f"= {known}"
            p = f" p {known} after Holm over {gate.family}."
        reason = f"{gate.reason[:1].upper()}{gate.reason[1:]}.{p}"
        yield (
            gate,
            (
                Cell(f"{promise} {sign} {number(gate.limit, gate.metric)}"),
                Cell(
                    number(gate.value, gate.metric),
                    gate.value,
                    bounds(gate.ci_low, gate.ci_high, gate.metric),
                ),
                value_cell(gate.bound, gate.metric),
                Cell(f"{gate.n:,}", float(gate.n)),
                value_cell(gate.baseline_value, gate.metric),
            ),
            reason,
        )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
