"""What a report is made from: `results.json`, and the tables and pictures of its run folder."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from audit.errors import InputError
from audit.storage import results_file
from audit.storage.results import Difference, Entry, Estimand, Results
from audit.types import OBEYED

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
JOINT = "+"
"""Between the names of attributes, and of classes, that are measured together."""
CONTROLS = frozenset({"none", "identity", "reconstruction", "random-features"})
"""Mitigations that are there to compare with: none of them is meant to make a model fairer."""
BASELINE = 0
"""Place of the baseline among the arms."""


def is_unpaired(difference: Difference) -> bool:
    """Whether a difference is of two samples, not of pairs from one seed."""
    return difference.method.startswith("unpaired")


@dataclass(frozen=True)
class Source:
    """A run folder as a report reads it. No number is computed from the tables."""

    results: Results
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """`run.json`; empty where there is none."""
    images: pd.DataFrame = field(default_factory=pd.DataFrame)
    labels: pd.DataFrame = field(default_factory=pd.DataFrame)
    store: Path | None = None
    """Folder that the paths in `images` start from."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """`spec.yaml`; empty where there is none."""

    @classmethod
    def open(cls, folder: Path) -> "Source":
        """Read a run folder.

        Raises:
            InputError: there are no results, or they or a table cannot be read.
        """
        found = results_file.read(folder / "results.json")
        manifest = _manifest(folder / "run.json")
        return cls(
            results=found,
            manifest=manifest,
            images=_table(folder / "images.parquet"),
            labels=_table(folder / "labels.parquet"),
            store=_store(folder, manifest),
            spec=_spec(folder / "spec.yaml"),
        )

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, the baseline first."""
        return self.results.arms

    @cached_property
    def level(self) -> str:
        """Level of the intervals, in words."""
        known = (m.level for m in self.results.measurements if m.level is not None)
        return f"{100 * next(known, 0.95):g}\N{NO-BREAK SPACE}%"

    @property
    def model(self) -> Mapping[str, Any]:
        """The model that drew, as the spec has it; empty for images and labels at hand."""
        found = (self.results.provenance.model_extra or {}).get("model")
        return found if isinstance(found, Mapping) else {}

    @property
    def drawn(self) -> bool:
        """Whether a model drew the images for this run; others were at hand."""
        made_of = (self.results.provenance.model_extra or {}).get("made_of")
        return bool(self.model or (isinstance(made_of, Mapping) and made_of.get("model")))

    @property
    def baseline(self) -> str:
        """Name of the first arm."""
        return self.arms[BASELINE] if self.arms else ""

    @cached_property
    def controls(self) -> frozenset[str]:
        """Arms that are there to compare with; by their own names where there is no spec."""
        benchmarks = self.spec.get("benchmarks") or {}
        written = (benchmarks.get(self.results.benchmark) or {}).get("mitigations") or ()
        named = {one.get("as") or one["name"]: one["name"] for one in written}
        return frozenset(arm for arm in self.arms if named.get(arm, arm) in CONTROLS)

    @property
    def prompted(self) -> bool:
        """Whether what was drawn was asked for in words."""
        return any(self.results.prompts.values())

    @cached_property
    def unpaired(self) -> bool:
        """Whether some arm shares no seeds with the baseline, so that no pictures pair."""
        return any(is_unpaired(d) for d in self.results.comparisons)

    @cached_property
    def estimands(self) -> dict[str, Estimand]:
        """By attribute."""
        return {e.attribute: e for e in self.results.provenance.estimands}

    @cached_property
    def _all_attributes(self) -> tuple[str, ...]:
        found = (m for m in self.results.measurements if m.metric != OBEYED)
        return tuple(
            dict.fromkeys([*self.estimands, *(m.attribute for m in found if m.attribute)])
        )

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Single attributes measured, in the order of the spec."""
        return tuple(a for a in self._all_attributes if JOINT not in a)

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Attributes of which prompts ask for a class."""
        found = (m for m in self.results.measurements if m.metric == OBEYED)
        return tuple(dict.fromkeys(m.attribute for m in found if m.attribute))

    @cached_property
    def aimed(self) -> frozenset[str]:
        """Attributes that feature sets or gates are about."""
        meant = {f.attribute for f in self.results.features}
        return frozenset(meant | {g.attribute for g in self.results.gates if g.attribute})

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Attributes measured that are to be made fair: those aimed at; else all."""
        return tuple(a for a in self.attributes if a in self.aimed) or self.attributes

    @cached_property
    def combined(self) -> tuple[str, ...]:
        """Attributes measured together, such as `gender+age`."""
        return tuple(a for a in self._all_attributes if JOINT in a)

    def probes(self, attribute: str) -> tuple[str, ...]:
        """Names of the probes that read an attribute, the one that judges first."""
        known = (p.name for p in self.results.probes if p.attribute == attribute)
        read = (m.probe for m in self.results.measurements if m.attribute == attribute and m.probe)
        return tuple(dict.fromkeys([*known, *read]))

    def probe(self, attribute: str) -> str | None:
        """Name of the probe whose readings the report shows first."""
        return next(iter(self.probes(attribute)), None)

    def classes(self, attribute: str) -> tuple[str, ...]:
        """Classes of an attribute, in order."""
        if attribute in self.estimands:
            return self.estimands[attribute].classes
        shares = (m for m in self.results.measurements if m.attribute == attribute and m.class_)
        known = (p.classes for p in self.results.probes if p.attribute == attribute)
        return tuple(dict.fromkeys(m.class_ for m in shares if m.class_)) or next(known, ())

    def target(self, attribute: str) -> dict[str, float]:
        """Share wanted of each class; empty where no target is known."""
        estimand = self.estimands.get(attribute)
        wanted = dict(estimand.target) if estimand else {}
        return {c: wanted[c] for c in self.classes(attribute) if c in wanted}

    @cached_property
    def _index(self) -> dict[tuple[str | None, ...], Entry]:
        return {
            (m.metric, m.arm, m.attribute, m.class_, m.probe, m.prompt): m
            for m in self.results.measurements
        }

    def one(
        self,
        metric: str,
        arm: str,
        attribute: str | None = None,
        class_: str | None = None,
        probe: str | None = None,
        prompt: str | None = None,
    ) -> Entry | None:
        """Return the one measurement of this description, or None."""
        return self._index.get((metric, arm, attribute, class_, probe, prompt))

    @cached_property
    def by_prompt(self) -> tuple[str, ...]:
        """Prompt ids that have measurements of their own, in the order of the benchmark."""
        seen = dict.fromkeys(m.prompt for m in self.results.measurements if m.prompt)
        ordered = [p for p in self.results.prompts if p in seen]
        return (*ordered, *(p for p in seen if p not in self.results.prompts))

    def headline(self, attribute: str) -> str:
        """Return the distance whose change is told first: over prompts where there are several.

        Shares of all prompts together may be even while every prompt has a stereotype.
        """
        over = "fd_debiased_macro"
        changes = ((d.metric, d.attribute) for d in self.results.comparisons)
        return over if (over, attribute) in changes else "fd_debiased"

    def general(self) -> Iterator[Entry]:
        """Yield the measurements that are about no attribute: quality and alignment."""
        for m in self.results.measurements:
            if m.attribute is None and m.prompt is None:
                yield m


def _manifest(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        read = json.loads(path.read_text("utf-8"))
    except ValueError as wrong:
        raise InputError(f"{path}: not a JSON document: {wrong}") from None
    return read if isinstance(read, dict) else {}


def _spec(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        read = yaml.load(path.read_text("utf-8"), Loader=LOADER)
    except yaml.YAMLError as wrong:
        raise InputError(f"{path}: not a YAML document: {wrong}") from None
    return read if isinstance(read, dict) else {}


def _table(path: Path) -> pd.DataFrame:
    if not path.exists():
        return pd.DataFrame()
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as wrong:
        raise InputError(f"{path}: not a table that can be read: {wrong}") from None


def _store(folder: Path, manifest: Mapping[str, Any]) -> Path | None:
    """Return the store: where the manifest says, else where a run finds it by custom."""
    named = manifest.get("store")
    if isinstance(named, str) and (folder / named).is_dir():
        return folder / named
    for parent in folder.resolve().parents[:3]:
        if (parent / ".bias-audit").is_dir():
            return parent / ".bias-audit"
    return None
