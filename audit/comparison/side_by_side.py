"""Runs side by side: all their arms, the differences between them, and whether one got worse."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase

from audit.comparison.combinations import recombined
from audit.comparison.contrasts import Contrast, contrast
from audit.comparison.described import described, doubts
from audit.comparison.quality import unlike
from audit.comparison.regression import guarded, regressions
from audit.comparison.sides import Side, side
from audit.errors import SpecError
from audit.notebook import Comparison
from audit.storage.folder import Run
from audit.storage.results import (
    Difference,
    Estimand,
    GateEntry,
    ProbeRecord,
    Provenance,
    Results,
    Warned,
)

Given = Run | str | Path
"""A run, or its folder."""


def compare(
    *runs: Given,
    baseline: Given | None = None,
    arms: tuple[str, str] | None = None,
    margins: Mapping[str, float] | None = None,
    allow_mismatch: bool = False,
) -> Comparison:
    """Compare arms of one run, or every run with the first, arm by arm.

    Requests that both sides drew from the same noise are paired; others are not, and the method
    of every difference says so. What comes out is again a `Results`: its arms are those of all
    runs, called `A/none`, `B/none` and so on, in the order given.

    Args:
        runs: Runs, or their folders; of a single one, arms are compared with its first.
        baseline: A stored run that none may be worse than: it comes first, and gates decide.
        arms: The arm of the first run, and that of the others; all that share a name if not given.
        margins: With a baseline, by metric: how much worse is tolerated; `fd_debiased` is always
            guarded, by 0 where nothing else is said, and by the same also over several prompts.
        allow_mismatch: Leave out what does not compare, rather than refuse.

    Raises:
        SpecError: there is nothing to compare, or a margin is about no metric.
        InputError: a folder holds no results, or runs measured unlike things; names the field.
    """
    if margins and baseline is None:
        raise SpecError("a margin is of how much worse than a baseline; name a baseline")
    opened = [_opened(one) for one in ((baseline, *runs) if baseline is not None else runs)]
    labelled = _labelled(opened)
    found = [
        contrast(one, two, allow_mismatch=allow_mismatch) for one, two in _pairs(labelled, arms)
    ]
    document = _document(labelled, found)
    if baseline is not None:
        gates = _gates(document, found, margins or {}, opened)
        document = document.model_copy(update={"gates": gates})
    return Comparison(document)


def _opened(given: Given) -> Run:
    return given if isinstance(given, Run) else Run.open(given)


def _labelled(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by label: letters in the order given, nothing for a single run."""
    if not runs:
        raise SpecError("there is no run to compare")
    if len(runs) > len(ascii_uppercase):
        raise SpecError(f"{len(runs)} runs; at most {len(ascii_uppercase)} are compared at once")
    places = [run.folder.resolve() for run in runs]
    twice = next((str(run.folder) for i, run in enumerate(runs) if places[i] in places[:i]), None)
    if twice is not None:
        raise SpecError(f"{twice}: is given twice")
    return dict(zip(ascii_uppercase, runs, strict=False)) if len(runs) > 1 else {"": runs[0]}


def _pairs(runs: Mapping[str, Run], arms: tuple[str, str] | None) -> Iterator[tuple[Side, Side]]:
    (label, first), *others = runs.items()
    known = first.results.arms
    if not others:
        if arms is None and len(known) < 2:
            raise SpecError(f"{first.folder}: has one arm; give a second run to compare it with")
        start = arms[0] if arms else known[0]
        for arm in arms[1:] if arms else known[1:]:
            yield side(first, start, label), side(first, arm, label)
    for name, other in others:
        shared = [(arm, arm) for arm in known if arm in other.results.arms]
        chosen: Sequence[tuple[str | None, str | None]] = [arms] if arms else shared
        for one, two in chosen or [(None, None)]:
            yield side(first, one, label), side(other, two, name)


def _document(runs: Mapping[str, Run], found: Sequence[Contrast]) -> Results:
    """Put arms, differences and doubts together, as results that reports can show."""
    (label, first), *others = runs.items()
    own = first.results
    one = side(first, label=label)
    hidden = {name: set(unlike(one, side(other, label=name))) for name, other in others}
    sides = [Side(run, arm, name) for name, run in runs.items() for arm in run.results.arms]
    again, cells = recombined(sides)
    replaced = {entry.attribute for entry in again}
    return Results(
        benchmark=own.benchmark,
        title=_title(own.title or own.benchmark, runs),
        arms=tuple(one.name for one in sides),
        prompts=own.prompts,
        measurements=(
            *(
                m.model_copy(update={"arm": one.name})
                for one in sides
                for m in one.run.results.measurements
                if m.arm == one.arm
                and m.prompt is None
                and m.metric not in hidden.get(one.label, ())
                and m.attribute not in replaced
            ),
            *again,
        ),
        states=tuple(
            s.model_copy(update={"arm": one.name})
            for one in sides
            for s in one.run.results.states
            if s.arm == one.arm
        ),
        comparisons=(*(d for one in found for d in one.differences), *_within(runs)),
        flips=tuple(flip for one in found for flip in one.flips),
        probes=_probes(runs),
        provenance=_provenance(runs, found, cells),
    )


def _probes(runs: Mapping[str, Run]) -> tuple[ProbeRecord, ...]:
    known: dict[tuple[str, str], ProbeRecord] = {}
    for run in runs.values():
        for probe in run.results.probes:
            known.setdefault((probe.attribute, probe.name), probe)
    return tuple(known.values())


def _title(title: str, runs: Mapping[str, Run]) -> str:
    arms = len(next(iter(runs.values())).results.arms)
    return f"{title}: {len(runs)} runs" if len(runs) > 1 else f"{title}: {arms} arms"


def _within(runs: Mapping[str, Run]) -> Iterator[Difference]:
    """Yield what each of several runs found between its own arms, over all prompts."""
    for label, run in runs.items() if len(runs) > 1 else ():
        for d in run.results.comparisons:
            if d.prompt is None:
                arm, baseline = (Side(run, name, label).name for name in (d.arm, d.baseline))
                yield d.model_copy(update={"arm": arm, "baseline": baseline})


def _provenance(
    runs: Mapping[str, Run], found: Sequence[Contrast], cells: Sequence[Estimand]
) -> Provenance:
    blocked = [
        Warned(code="not_compared", message=f"{one.second} against {one.first}: {reason}")
        for one in found
        for reason in one.blocked
    ]
    shown = {None, *(arm for one in found for arm in (one.first, one.second))}
    doubted = [one for one in doubts(runs) if one.arm in shown]
    estimands: dict[str, Estimand] = {estimand.attribute: estimand for estimand in cells}
    for run in runs.values():
        for estimand in run.results.provenance.estimands:
            estimands.setdefault(estimand.attribute, estimand)
    return Provenance.model_validate(
        {
            "estimands": list(estimands.values()),
            "warnings": [*doubted, *blocked],
            "runs": described(runs),
        }
    )


def _gates(
    document: Results, found: Sequence[Contrast], margins: Mapping[str, float], runs: Sequence[Run]
) -> tuple[GateEntry, ...]:
    """Decide on the differences over all prompts, read by the probe that judges."""
    judges: dict[str | None, str | None] = {None: None}
    for probe in document.probes:
        judges.setdefault(probe.attribute, probe.name)
    rows = [
        d
        for one in found
        for d in one.differences
        if d.prompt is None and d.probe == judges.get(d.attribute, d.probe)
    ]
    halves = [run.folder.name for run in runs if run.manifest.get("status") != "complete"]
    return regressions(
        rows,
        guarded(margins, rows),
        measurements=document.measurements,
        states=document.states,
        partial=f"{', '.join(halves)}: not a complete run" if halves else "",
    )
