"""Two arms, of one run or of two: paired differences where requests are shared, or why not."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.errors import InputError, unknown
from audit.measuring.arrangement import groups_of
from audit.measuring.comparisons import differences, pairs
from audit.measuring.families import adjust
from audit.measuring.flips import flips
from audit.measuring.votes import arrange, spread_counts
from audit.spec.spec import Benchmark, load
from audit.storage.folder import SPEC, Run
from audit.storage.results import GUIDE_JUDGES, GUIDE_READS, Difference, Entry, Flips

SAME = ("classes", "target", "inference", "unit")
"""What an estimand must share for two numbers to be compared."""


@dataclass(frozen=True)
class Side:
    """An arm of a run."""

    run: Run
    arm: str

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.run.folder.name}/{self.arm}"


@dataclass(frozen=True)
class Comparison:
    """The second side against the first."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    flips: tuple[Flips, ...]
    blocked: tuple[str, ...]
    """What was not compared, and why."""
    warnings: tuple[str, ...] = ()
    """What must be known before the numbers are believed: who judged what it had guided."""


def side(run: Run, arm: str | None = None) -> Side:
    """Return an arm of a run; its baseline where none is named.

    Raises:
        InputError: the run has no such arm.
    """
    arms = run.results.arms
    if not arms:
        raise InputError(f"{run.folder}: no arm was measured")
    if arm is not None and arm not in arms:
        raise InputError(f"{run.folder}: {unknown('arm', arm, arms)}")
    return Side(run, arm or arms[0])


def compare(first: Side, second: Side, *, allow_mismatch: bool = False) -> Comparison:
    """Compare two arms.

    Args:
        first: What is compared with.
        second: What is compared.
        allow_mismatch: Report what does not fit as blocked, rather than refuse.

    Raises:
        InputError: classes, targets, prompts or probes of the two differ; names the field.
    """
    misfits = list(_misfits(first, second))
    if misfits and not allow_mismatch:
        raise InputError(f"{first.name} and {second.name} do not compare: {'; '.join(misfits)}")
    benchmark = _benchmark(first.run)
    names = (first.name, second.name)
    images = _renamed(first.run.images, second.run.images, first.arm, second.arm, names)
    labels = _renamed(first.run.labels, second.run.labels, first.arm, second.arm, names)
    labels = spread_counts(labels)
    requests = arrange(images, labels, [prompt.id for prompt in benchmark.prompts], names)
    compared = list(pairs(groups_of(labels, requests, benchmark, names)))
    changes = [change for pair in compared for change in differences(pair)]
    quality, blocked = _quality(first, second)
    return Comparison(
        first=first.name,
        second=second.name,
        differences=tuple(adjust([*changes, *quality])),
        flips=tuple(adjust(flip for pair in compared for flip in flips(pair))),
        blocked=(*misfits, *blocked),
        warnings=tuple(
            warned.message
            for one in (first, second)
            for warned in one.run.results.provenance.warnings
            if warned.code in {GUIDE_JUDGES, GUIDE_READS} and warned.arm == one.arm
        ),
    )


def _misfits(first: Side, second: Side) -> Iterator[str]:
    if first.run.folder == second.run.folder:
        return
    one = {e.attribute: e for e in first.run.results.provenance.estimands}
    two = {e.attribute: e for e in second.run.results.provenance.estimands}
    for attribute in one.keys() & two.keys():
        for field in SAME:
            a, b = (getattr(found[attribute], field) for found in (one, two))
            alike = sorted(a) == sorted(b) if field == "classes" else a == b
            if not alike:
                yield f"{field} of {attribute}: {a} and {b}"
    if first.run.results.prompts != second.run.results.prompts:
        yield "the prompts"
    probes = [run.manifest.get("made_of", {}).get("probes", {}) for run in (first.run, second.run)]
    for name in probes[0].keys() & probes[1].keys():
        if probes[0][name] != probes[1][name]:
            yield f"weights or options of probe {name!r}"


def _benchmark(run: Run) -> Benchmark:
    return load(run.folder / SPEC).benchmarks[str(run.manifest["benchmark"])]


def _renamed(
    one: pd.DataFrame, two: pd.DataFrame, first: str, second: str, names: tuple[str, str]
) -> pd.DataFrame:
    """Return the rows of two arms as one table, the arms called by the names given."""
    parts = ((one, first, names[0]), (two, second, names[1]))
    return pd.concat(
        [table[table["arm"] == arm].assign(arm=name) for table, arm, name in parts],
        ignore_index=True,
    )


def _quality(first: Side, second: Side) -> tuple[list[Difference], list[str]]:
    """Subtract what both sides measured over embeddings; block what unlike extractors made."""
    one, two = (
        {
            m.metric: m
            for m in side.run.results.measurements
            if m.arm == side.arm and "@" in m.metric and m.attribute is None and m.prompt is None
        }
        for side in (first, second)
    )
    found: list[Difference] = []
    blocked: list[str] = []
    for metric in sorted(one.keys() & two.keys()):
        a, b = one[metric], two[metric]
        if a.extractor != b.extractor:
            blocked.append(f"{metric}: extractors {a.extractor!r} and {b.extractor!r}")
        else:
            found += _change(first, second, a, b)
    families = {m.partition("@")[0] for m in one} & {m.partition("@")[0] for m in two}
    unlike = families - {metric.partition("@")[0] for metric in one.keys() & two.keys()}
    blocked += [f"{family}: measured with unlike extractors" for family in sorted(unlike)]
    return found, blocked


def _change(first: Side, second: Side, a: Entry, b: Entry) -> Iterator[Difference]:
    """Subtract, with the interval that two independent ones give (Zou and Donner 2008)."""
    if a.value is None or b.value is None:
        return
    value, low, high = b.value - a.value, None, None
    ends = (a.ci_low, a.ci_high, b.ci_low, b.ci_high)
    if None not in ends:
        a_low, a_high, b_low, b_high = (float(end) for end in ends if end is not None)
        low = value - float(np.hypot(b.value - b_low, a_high - a.value))
        high = value + float(np.hypot(b_high - b.value, a.value - a_low))
    yield Difference(
        metric=a.metric,
        arm=second.name,
        baseline=first.name,
        value=value,
        ci_low=low,
        ci_high=high,
        level=a.level if low is not None else None,
        n=min(a.n, b.n),
        direction=a.direction,
        method="difference of two intervals" if low is not None else "no interval",
        extractor=a.extractor,
    )
