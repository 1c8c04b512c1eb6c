"""The sides of a comparison: arms of runs, and what keeps two of them from being compared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pandas as pd

from audit.errors import InputError, unknown
from audit.spec.benchmark import Benchmark
from audit.spec.spec import load
from audit.storage.folder import SPEC, Run
from audit.types import of_combination

SAME = ("classes", "target", "inference", "unit")
"""What an estimand must share for two numbers to be compared."""


@dataclass(frozen=True)
class Side:
    """An arm of a run."""

    run: Run
    arm: str
    label: str = ""
    """Of the run, where there are several."""

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"{self.label}/{self.arm}" if self.label else self.arm

    @cached_property
    def benchmark(self) -> Benchmark:
        """What its run measured."""
        manifest, folder = self.run.manifest, self.run.folder
        origin = (folder / str(manifest.get("spec_folder", "."))).resolve()
        return load(folder / SPEC, folder=origin).benchmarks[str(manifest["benchmark"])]


def side(run: Run, arm: str | None = None, label: str | None = None) -> Side:
    """Return an arm of a run: its baseline where none is named, labelled as the folder is.

    Raises:
        InputError: the run has no such arm.
    """
    arms = run.results.arms
    if not arms:
        raise InputError(f"{run.folder}: no arm was measured")
    if arm is not None and arm not in arms:
        raise InputError(f"{run.folder}: {unknown('arm', arm, arms)}")
    return Side(run, arm or arms[0], run.folder.name if label is None else label)


def rows_of(sides: Sequence[Side], table: Literal["images", "labels"]) -> pd.DataFrame:
    """Return the rows of several sides as one table, in which arms are called as sides are."""
    parts = [one.run.images if table == "images" else one.run.labels for one in sides]
    return pd.concat(
        [
            rows[rows["arm"] == one.arm].assign(arm=one.name)
            for rows, one in zip(parts, sides, strict=True)
        ],
        ignore_index=True,
    )


def misfits(first: Side, second: Side) -> Iterator[str]:
    """Say what makes numbers of two sides unlike: what is measured, of what, by what."""
    if first.run.folder == second.run.folder:
        return
    one = {e.attribute: e for e in first.run.results.provenance.estimands}
    two = {e.attribute: e for e in second.run.results.provenance.estimands}
    for attribute in sorted(one.keys() & two.keys()):
        if of_combination(attribute):  # of cells that each run chooses, and follow from the parts
            continue
        for field in SAME:
            a, b = (getattr(found[attribute], field) for found in (one, two))
            alike = sorted(a) == sorted(b) if field == "classes" else a == b
            if not alike:
                yield f"{field} of {attribute}: {a} and {b}"
    if first.run.results.prompts != second.run.results.prompts:
        yield "the prompts"
    probes = [run.manifest.get("made_of", {}).get("probes", {}) for run in (first.run, second.run)]
    for name in sorted(probes[0].keys() & probes[1].keys()):
        if probes[0][name] != probes[1][name]:
            yield f"weights or options of probe {name!r}"


def unshared(first: Side, second: Side) -> Iterator[str]:
    """Say what only one of two sides measured: it is missing from the differences."""
    one, two = (
        {
            f"{m.attribute} read by {m.probe}"
            for m in side.run.results.measurements
            if m.arm == side.arm and m.attribute and m.probe
        }
        for side in (first, second)
    )
    for side, only in ((first, one - two), (second, two - one)):
        if only:
            yield f"{', '.join(sorted(only))}: measured in {side.name} alone"
