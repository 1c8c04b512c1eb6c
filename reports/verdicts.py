"""The verdict of a run, in a word and gate by gate."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.storage.results import GateEntry
from reports.glossary import title
from reports.guides import caveat
from reports.source import Source
from reports.tables import Cell, count_cell, number_cell, value_cell
from reports.words import number, p_value

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
class GateRow:
    """A gate as a line of a table."""

    gate: GateEntry
    cells: tuple[Cell, ...]
    """Promise, value, bound, images, and value of the baseline."""
    reason: str
    caveat: str
    """What speaks against relying on it; empty where nothing is known to."""

    @property
    def why(self) -> str:
        """The reason and the caveat in one paragraph."""
        return f"{self.reason} {self.caveat}".strip()


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
    said = f"All {_count(len(gates), 'gate')} passed" if len(gates) > 1 else "The gate passed"
    return Verdict("pass", "Pass", f"{said}{_by_guides(source)}.")


def _by_guides(source: Source) -> str:
    gates = source.results.gates
    count = sum(bool(caveat(source, gate)) for gate in gates)
    if not count:
        return ""
    which = "" if count == len(gates) else f"{count:,} of them "
    return f", {which}judged by the probe that guided the arm"


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


def gate_rows(source: Source) -> Iterator[GateRow]:
    """Yield each gate with its numbers, the reason for its verdict, and what speaks against it."""
    for gate in source.results.gates:
        sign = "≤" if gate.side == "max" else "≥"
        about = [title(gate.metric), gate.attribute, gate.class_, f"arm {gate.arm}", gate.prompt]
        promise = ", ".join(str(a) for a in about if a)
        yield GateRow(
            gate,
            (
                Cell(f"{promise} {sign} {number(gate.limit, gate.metric)}"),
                number_cell(gate.value, gate.metric, gate.ci_low, gate.ci_high),
                value_cell(gate.bound, gate.metric),
                count_cell(gate.n),
                value_cell(gate.baseline_value, gate.metric),
            ),
            _reason(gate),
            caveat(source, gate),
        )


def _reason(gate: GateEntry) -> str:
    """Say why that is the verdict, and with what p where several gates were tested together."""
    said = reason(gate)
    p = ""
    if gate.p_adjusted is not None:
        known = p_value(gate.p_adjusted)
        known = known if known.startswith("<") else f"= {known}"
        together = f" after Holm over {gate.family}" if gate.family > 1 else ""
        p = f" p {known}{together}."
    return f"{said[:1].upper()}{said[1:]}.{p}"


def reason(gate: GateEntry) -> str:
    """Return why that is the verdict, its numbers written as those of its metric are."""
    if gate.bound_side is None:
        return gate.reason  # without a bound, or of results 1.2, which hold the sentence alone
    return gate.because(number(gate.bound, gate.metric), number(gate.limit, gate.metric))


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
