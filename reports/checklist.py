"""The release checklist: filled in where the run can answer, open where people must."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.types import OBEYED
from reports import missing
from reports.choices import choices, together
from reports.glossary import base, title
from reports.markdown import escaped
from reports.mitigations import other_attributes
from reports.source import Source
from reports.verdicts import incomplete, verdict
from reports.words import clipped, listed, measured, number

NIST = "NIST MEASURE 2.11"
DATA = "AI Act XI 1(2)(c)"
EVALUATION = "AI Act XI 2(1)"
LICENCE = "AI Act XI 1(1)(f)"
FRAMEWORKS = {
    NIST: "NIST AI Risk Management Framework 1.0, MEASURE 2.11: fairness and bias are evaluated, "
    "and the results documented",
    DATA: "EU AI Act, Annex XI, section 1, point 2(c), for providers of all general-purpose "
    "models: methods to detect identifiable biases. In the model documentation form of the "
    "GPAI code of practice: measures to detect identifiable biases",
    EVALUATION: "EU AI Act, Annex XI, section 2, point 1, for models with systemic risk: how the "
    "model is evaluated, with criteria, metrics, results and limitations",
    LICENCE: "EU AI Act, Annex XI, section 1, point 1(f): the licence. In the model documentation "
    "form: methods of distribution and licences",
}
"""What a row can be evidence for; a map, not a statement of conformity."""
DETECTION = f"{NIST}; {DATA}; {EVALUATION}"
BAND = "Yes: the page prints the band of fair models and an interval beside it."
QUALITY = ("fid", "kid", "cmmd", "clip_t", "clip_i")
ROLES = ("Release owner", "Fairness review", "Legal review")


@dataclass(frozen=True)
class Item:
    """One row of the checklist."""

    question: str
    answer: str
    """What the run knows; empty where only a person can tell."""
    evidence: str
    """Id of the section of the report that shows it; empty where none does."""
    maps_to: str


def items(source: Source) -> list[Item]:
    """Return the rows of the checklist, in order."""
    outcome = verdict(source)
    chosen = list(choices(source))
    return [
        _row("Are these the attributes that matter for the release?", "scope", _measured(source)),
        _row(
            "Who chose the classes, and whom do they leave out?",
            "scope",
            together(classes for classes, _ in chosen),
        ),
        _row(
            "Who chose the target, and why?",
            "scope",
            together(target for _, target in chosen),
        ),
        _row("Were limits set before the numbers were seen?", "verdict", _limits(source)),
        _row("Do the gates pass?", "verdict", f"{outcome.word}. {outcome.sentence}"),
        _row("Is the run complete?", "provenance", incomplete(source) or "Yes."),
        _row(
            "Is every distance read beside what a fair model shows by chance?",
            "summary",
            BAND,
            DETECTION,
        ),
        _row(
            "Are single prompts inspected, not the pooled number alone?",
            *_prompts(source),
            DETECTION,
        ),
        _row("Are the errors of the probes known?", "probes", _errors(source), DETECTION),
        _row(
            "Is missing data small, and alike in the arms?",
            "probes",
            missing.said(source),
            DETECTION,
        ),
        _row(
            "Do the mitigations leave quality and the other attributes alone?",
            "effects",
            _effects(source),
        ),
        _row("Are the pictures themselves looked at by people?", "gallery", ""),
        _row("Are the warnings of the run understood?", "provenance", _warnings(source)),
        _row(
            "Do the licences of model and probes permit the release?",
            "probes",
            _licences(source),
            LICENCE,
        ),
        _row("Is it said in the model card what was not measured?", "scope", "", EVALUATION),
    ]


def _row(
    question: str, evidence: str, answer: str, maps_to: str = f"{NIST}; {EVALUATION}"
) -> Item:
    return Item(question, answer, evidence, maps_to)


def _measured(source: Source) -> str:
    said = f"Measured: perceived {listed(source.attributes) or 'nothing'}."
    asked = f" As prompts ask for it: {listed(source.asked)}." if source.asked else ""
    return said + asked


def _limits(source: Source) -> str:
    count = len(source.results.gates)
    if not count:
        return "The spec sets no limits."
    digest = (source.results.provenance.model_extra or {}).get("digest")
    of = f" of digest {str(digest)[:12]}" if digest else ""
    gates = "1 gate has its limit" if count == 1 else f"{count} gates have their limits"
    return f"{gates} from the spec{of}; when that was written, only people know."


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


def _effects(source: Source) -> str:
    """Say what changed of quality, of what prompts ask for, and of the other attributes."""
    if len(source.arms) < 2:
        return "There is one arm."
    found: dict[str, list[str]] = {}
    for entry in source.general():
        if base(entry.metric) in QUALITY and entry.value is not None:
            said = f"{number(entry.value, entry.metric)} under {entry.arm}"
            found.setdefault(title(entry.metric), []).append(said)
    told = [f"{name}: {listed(said)}." for name, said in found.items()]
    return " ".join([*(told or ["No measure of quality is in this run."]), *_others(source)])


def _others(source: Source) -> Iterator[str]:
    for attribute in source.asked:
        probe = source.probe(attribute)
        entries = (source.one(OBEYED, arm, attribute, None, probe) for arm in source.arms)
        said = [f"{measured(e)} under {e.arm}" for e in entries if e]
        yield f"{attribute.capitalize()} as the prompt asks: {listed(said)}."
    for column in other_attributes(source):
        said = [
            f"{cell.text} {cell.note} under {arm}".replace("  ", " ")
            for arm, cell in zip(source.arms, column.cells, strict=True)
            if cell.value is not None
        ]
        if said:
            yield f"{column.head}: {listed(said)}."


def _warnings(source: Source) -> str:
    count = len(source.results.provenance.warnings)
    return f"{count} to read." if count else "There are none."


def _licences(source: Source) -> str:
    stated = dict.fromkeys((p.name, p.licence or "not stated") for p in source.results.probes)
    probes = "; ".join(f"{name}: {licence}" for name, licence in stated)
    return f"Probes: {probes}. The run does not know the licence of the model." if probes else ""


def markdown(source: Source, report: str = "report.html") -> str:
    """Return `checklist.md`: the rows, then the signatures, which stay open."""
    name = source.results.title or source.results.benchmark
    lines = [
        f"# Release checklist: {_cell(name)}",
        "",
        "Filled in from `results.json`. Open rows, the boxes and the signatures are for people.",
        "",
        "| done | question | what the run says | evidence | evidence for |",
        "|---|---|---|---|---|",
        *_rows(source, report),
        "",
        "The last column is a map of what a row can be evidence for, not a statement of"
        " conformity:",
        "",
        *(f"- **{short}**: {long}." for short, long in FRAMEWORKS.items()),
        "",
        "| role | name | date | signature |",
        "|---|---|---|---|",
        *(f"| {role} |  |  |  |" for role in ROLES),
        "",
    ]
    return "\n".join(lines)


def _rows(source: Source, report: str) -> Iterator[str]:
    for item in items(source):
        link = f"[{item.evidence}]({report}#{item.evidence})" if item.evidence else "–"
        answer = _cell(item.answer) or "______"
        yield f"| \u2610 | {_cell(item.question)} | {answer} | {link} | {item.maps_to} |"


def _cell(text: str) -> str:
    return escaped(clipped(text, 1000))
