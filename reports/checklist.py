"""The release checklist: filled in where the run can answer, open where people must."""

from dataclasses import dataclass

from reports.markdown import escaped
from reports.source import Source
from reports.verdicts import incomplete, verdict
from reports.words import clipped

NIST = "NIST AI RMF MEASURE 2.11"
AI_ACT = "EU AI Act Annex XI, GPAI documentation"
BAND = "Yes: the page prints the band of fair models and an interval beside it."


@dataclass(frozen=True)
class Item:
    """One row of the checklist."""

    question: str
    answer: str
    """Empty where a person must answer."""
    evidence: str
    """Id of the section of the report that shows it; empty where none does."""
    maps_to: str


def items(source: Source) -> list[Item]:
    """Return the rows of the checklist, in order."""
    outcome = verdict(source)
    return [
        _row(
            "Are attributes, classes and targets those of the release?", "scope", _measured(source)
        ),
        _row("Who chose the target, and why?", "scope", _target(source)),
        _row("Were limits set before the numbers were seen?", "verdict", ""),
        _row("Do the gates pass?", "verdict", f"{outcome.word}. {outcome.sentence}"),
        _row("Is the run complete?", "provenance", incomplete(source) or "Yes."),
        _row("Is every distance read beside what a fair model shows by chance?", "summary", BAND),
        _row("Are single prompts inspected, not the pooled number alone?", *_prompts(source)),
        _row("Are the errors of the probes known?", "probes", _errors(source)),
        _row("Is missing data small, and alike in the arms?", "probes", _missing(source)),
        _row("Do the mitigations leave quality and the other attributes alone?", "effects", ""),
        _row("Are the pictures themselves looked at by people?", "gallery", ""),
        _row("Are the warnings of the run understood?", "provenance", _warnings(source)),
        _row("Do the licences of model and probes permit the release?", "probes", "", AI_ACT),
        _row("Is it said in the model card what was not measured?", "scope", "", AI_ACT),
    ]


def _row(question: str, evidence: str, answer: str, maps_to: str = f"{NIST}; {AI_ACT}") -> Item:
    return Item(question, answer, evidence, maps_to)


def _measured(source: Source) -> str:
    return f"Measured: {', '.join(source.attributes) or 'nothing'}."


def _target(source: Source) -> str:
    return "; ".join(f"{a}: {e.target_source}" for a, e in source.estimands.items())


def _prompts(source: Source) -> tuple[str, str]:
    if not source.by_prompt:
        return "summary", "There is one prompt or none."
    return "prompts", f"{len(source.by_prompt)} prompts are measured one by one."


def _errors(source: Source) -> str:
    carded = sum(p.confusion is not None for p in source.results.probes)
    several = sum(len(source.probes(a)) > 1 for a in source.attributes)
    return (
        f"{carded} of {len(source.results.probes)} pairs of probe and attribute have an error "
        f"card; {several} of {len(source.attributes)} attributes are read by two probes or more."
    )


def _missing(source: Source) -> str:
    counted = [s for s in source.results.states if s.prompt is None]
    if not counted:
        return ""
    unread = sum(s.count for s in counted if s.state != "ok")
    return f"{unread:,} of {sum(s.count for s in counted):,} readings are missing."


def _warnings(source: Source) -> str:
    count = len(source.results.provenance.warnings)
    return f"{count} to read." if count else "There are none."


def markdown(source: Source, report: str = "report.html") -> str:
    """Return `checklist.md`: the rows, then the signatures, which stay open."""
    name = source.results.title or source.results.benchmark
    lines = [
        f"# Release checklist: {_cell(name)}",
        "",
        "Filled in from `results.json`. Open rows and the signatures are for people.",
        "The last column is a map of what a row is evidence for, not a statement of conformity.",
        "",
        "| done | question | answer | evidence | maps to |",
        "|---|---|---|---|---|",
    ]
    for item in items(source):
        link = f"[{item.evidence}]({report}#{item.evidence})" if item.evidence else "–"
        answer = _cell(item.answer) or "______"
        lines.append(f"| \u2610 | {_cell(item.question)} | {answer} | {link} | {item.maps_to} |")
    lines += ["", "| role | name | date | signature |", "|---|---|---|---|"]
    lines += [
        f"| {role} |  |  |  |" for role in ("Release owner", "Fairness review", "Legal review")
    ]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return escaped(clipped(text, 300))
