"""What gates come to for machines: how grave each is, in a sentence, and where it is written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from audit.spec.document import Mark
from audit.storage.results import GateEntry
from reports.glossary import title
from reports.source import Source
from reports.verdicts import incomplete, reason
from reports.words import bounds, number, visible

Severity = Literal["error", "warning", "note"]
Inconclusive = Literal["pass", "warn", "fail"]
INCOMPLETE = "run-complete"
"""Rule that a run breaks which is not whole."""
UNDECIDED: dict[Inconclusive, Severity] = {"pass": "note", "warn": "warning", "fail": "error"}
"""How grave a gate is that the sample cannot decide, by what it shall amount to."""


@dataclass(frozen=True)
class Finding:
    """Something that keeps a run from passing."""

    rule: str
    """Id of the gate, or `INCOMPLETE`: the same from run to run."""
    severity: Severity
    message: str
    mark: Mark | None = None
    """Where the limit is written."""


def findings(
    source: Source, marks: Mapping[str, Mark], *, inconclusive: Inconclusive = "fail"
) -> Iterator[Finding]:
    """Yield what keeps a run from passing: failed gates first, then a missing part of the run.

    Args:
        source: The run.
        marks: By gate id, where its limit is written.
        inconclusive: What a gate amounts to that the sample cannot decide.
    """
    severities: dict[str, Severity] = {"fail": "error", "inconclusive": UNDECIDED[inconclusive]}
    for verdict, severity in severities.items():
        for gate in source.results.gates:
            if gate.verdict == verdict:
                said = f"{verdict}: {sentence(gate)}"
                yield Finding(gate.id, severity, visible(said), marks.get(gate.id))
    if missing := incomplete(source):
        yield Finding(INCOMPLETE, "error", visible(missing), next(iter(marks.values()), None))


def promise(gate: GateEntry) -> str:
    """Say what a gate asks for."""
    about = [gate.attribute and f"perceived {gate.attribute}", gate.class_, gate.prompt]
    of = ", ".join(part for part in about if part)
    sign = "at most" if gate.side == "max" else "at least"
    limit = f"{sign} {number(gate.limit, gate.metric)}"
    return f"{title(gate.metric)}{f' of {of}' if of else ''} under {gate.arm}: {limit}"


def sentence(gate: GateEntry) -> str:
    """Say what was found, what was promised, and why that is the verdict."""
    interval = bounds(gate.ci_low, gate.ci_high, gate.metric)
    value = f"{number(gate.value, gate.metric)} {interval}".strip()
    sign = "at most" if gate.side == "max" else "at least"
    return (
        f"{title(gate.metric)} under {gate.arm}: {value}, promised {sign} "
        f"{number(gate.limit, gate.metric)}; {reason(gate)}"
    )
