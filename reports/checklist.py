"""The release checklist: what the run can answer is filled in, what people must answer is left open."""

from dataclasses import dataclass

from reports.source import Source
from reports.verdicts import incomplete, verdict
from reports.words import clipped

NIST = "NIST AI RMF MEASURE 2.11"
AI_ACT = "EU AI Act Annex XI"


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
    results = source.results
    unread = sum(s.count for s in results.states if s.prompt is None and s.state != "ok")
    all_read = sum(s.count for s in results.states if s.prompt is None)
    carded = [p for p in results.probes if p.confusion is not None]
    several = sum(len(source.probes(a)) > 1 for a in source.attributes)
    outcome = verdict(source)
    warnings = len(results.provenance.warnings)
    return [
        Item("Are the attributes, classes and targets those of the release?",
             f"Measured: {', '.join(source.attributes) or 'none'}.", "scope", f"{NIST}; {AI_ACT} 1(1)(a)"),
        Item("Who chose the target, and why?",
             "; ".join(f"{e.attribute}: {e.target_source}" for e in results.provenance.estimands), "scope", NIST),
        Item("Is the run complete?", incomplete(source) or "Yes.", "provenance", AI_ACT),
        Item("Do the gates pass?", f"{outcome.word}. {outcome.sentence}", "verdict", NIST),
        Item("Were limits set before the numbers were seen?", "", "", NIST),
        Item("Is every distance read beside what a fair model shows by chance?",
             "Yes: null band and interval in every table.", "summary", NIST),
        Item("Are single prompts inspected, not the pooled number alone?",
             f"{len(source.by_prompt)} prompts measured one by one." if source.by_prompt else "The model draws without a prompt.",
             "prompts" if source.by_prompt else "summary", NIST),
        Item("Are the errors of the probes known?",
             f"{len(carded)} of {len(results.probes)} readings have an error card; {several} of "
             f"{len(source.attributes)} attributes are read by two probes or more.", "probes", f"{NIST}; {AI_ACT} 2(1)"),
        Item("Is missing data small, and alike in the arms?",
             f"{unread:,} of {all_read:,} readings are missing." if all_read else "No state was counted.", "probes", NIST),
        Item("Do the mitigations leave quality and the other attributes alone?", "", "effects", f"{NIST}; {AI_ACT} 2(1)"),
        Item("Are the pictures themselves looked at by people?", "", "gallery", NIST),
        Item("Are the warnings of the run understood?", f"{warnings} kinds of warning." if warnings else "None.",
             "provenance", AI_ACT),
        Item("Do the licences of model and probes permit the release?", "", "provenance", f"{AI_ACT} 1(1)"),
        Item("Is it said in the model card what was not measured?", "", "scope", f"{AI_ACT} 1(2); GPAI documentation form"),
    ]  # fmt: skip


def markdown(source: Source, report: str = "report.html") -> str:
    """Return `checklist.md`: the rows, then the signatures, which stay open."""
    lines = [
        f"# Release checklist: {_cell(source.results.title or source.results.benchmark)}",
        "",
        "Filled in from `results.json`. Rows without an answer, and the signatures, are for people.",
        "The last column names what a row is evidence for; it is a map, not a statement of conformity.",
        "",
        "| done | question | answer | evidence | maps to |",
        "|---|---|---|---|---|",
    ]
    for item in items(source):
        link = f"[{item.evidence}]({report}#{item.evidence})" if item.evidence else "–"
        answer = _cell(item.answer) or "______"
        lines.append(f"| ☐ | {_cell(item.question)} | {answer} | {link} | {item.maps_to} |")
    lines += ["", "| role | name | date | signature |", "|---|---|---|---|"]
    lines += [f"| {role} |  |  |  |" for role in ("Release owner", "Fairness review", "Legal review")]
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    from reports.markdown import escaped

    return escaped(clipped(text, 300))
