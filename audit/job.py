"""One benchmark being run: tables filled from a model, a folder or a table; then its end."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audit.errors import InputError, SpecError
from audit.images.classification import Reader
from audit.images.drawing import BATCH_SIZE, Arm
from audit.images.filling import Filling, filling
from audit.images.generation import generate
from audit.images.label_table import LabelTable
from audit.images.sources import ImageFolder, image_folder
from audit.measuring.guides import warn_guided
from audit.progress import Progress, Silent
from audit.rendering import render
from audit.spec.benchmark import ArmSpec, Benchmark
from audit.spec.feature_sets import Features
from audit.spec.planning import plan
from audit.spec.spec import Spec
from audit.storage import folder
from audit.storage.folder import Run, RunFolder
from audit.storage.results import FeatureRecord, Warned
from audit.storage.store import Store
from audit.storage.weights import fingerprint, sha256
from audit.supply import Supply
from audit.types import Mitigation, Request

if TYPE_CHECKING:
    from audit.features.dissection import Dissection

MIXED_DRAWING = "mixed_drawing"
"""Code of the warning that a run went on elsewhere."""


@dataclass
class Job:
    """One benchmark being run."""

    spec: Spec
    name: str
    store: Store
    supply: Supply
    batch_size: int = BATCH_SIZE
    limit: int | None = None
    strict: bool = False
    """Whether images drawn on several devices or by several versions are refused."""
    progress: Progress = field(default_factory=Silent)
    dissections: dict[str, "Dissection"] = field(default_factory=dict)
    calibrations: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By feature set and arm: how the scale was chosen, where it was `auto`."""
    warnings: list[Warned] = field(default_factory=list)
    missing: float = 0.0
    """Share of images that could not be drawn, or read from disk."""
    unread: float = 0.0
    """Share of images that are there and that a probe failed on."""

    @property
    def benchmark(self) -> Benchmark:
        """What is run."""
        return self.spec.benchmarks[self.name]

    @property
    def too_many_missing(self) -> bool:
        """Whether more images failed than the spec allows: a later run tries them again."""
        return self.missing + self.unread > self.benchmark.statistics.max_failed

    @property
    def failures(self) -> str:
        """What failed, in words."""
        shares = {"failed": self.missing, "could not be read by a probe": self.unread}
        said = [f"{share:.1%} of the images {what}" for what, share in shares.items() if share]
        return " and ".join(said)

    @property
    def readers(self) -> list[Reader]:
        """The probes, by the names that the table calls them."""
        return [
            Reader(probe.label, self.supply.probe(probe), self.benchmark.attributes)
            for probe in self.benchmark.probes
        ]

    def check_attributes(self) -> None:
        """See that some probe reads each attribute, before anything is drawn for no numbers.

        Raises:
            SpecError: no probe reads one of them.
        """
        if not (readers := self.readers):
            return  # a table of labels, which says itself what it lacks
        read = dict.fromkeys(name for reader in readers for name in reader.probe.classes)
        known = [name for name in self.benchmark.attributes if name in read]
        unread = [name for name in self.benchmark.attributes if name not in read]
        if unread:
            probes = ", ".join(reader.name for reader in readers)
            say = f"; say `attributes: [{', '.join(known)}]`" if known else ""
            raise SpecError(
                f"{self.name}.attributes: none of the probes ({probes}) reads {unread[0]!r};"
                f" they read {', '.join(read)}{say}"
            )

    @cached_property
    def ready(self) -> dict[str, Mitigation]:
        """The mitigations that need no feature set, by arm.

        They are built before anything is drawn, so that an option of the last arm is refused
        before hours go into the first.
        """
        arms = self.benchmark.mitigations if self.benchmark.model else ()
        return {arm.label: self._mitigation(arm) for arm in arms if arm.features is None}

    def _mitigation(self, arm: ArmSpec, **found: Any) -> Mitigation:
        """Return a mitigation; what it has to prepare is kept beside the images."""
        return self.supply.mitigation(arm, folder=self.store.root / "mitigations", **found)

    def made_of(self) -> dict[str, Any]:
        """Return fingerprints of all that makes the numbers, as far as no model is loaded.

        A mitigation that needs a feature set is known by what the set is found with: its own
        options stand in the spec, which names the folder of the run.

        Raises:
            SpecError: a mitigation refuses its options.
        """
        from audit.conclusion import measured_with  # heavy: scipy

        model = self.benchmark.model
        sets = sorted({arm.features for arm in self.benchmark.mitigations if arm.features})
        return {
            "model": self.supply.model(model).fingerprint if model else None,
            "probes": {reader.name: reader.probe.fingerprint for reader in self.readers},
            "mitigations": {arm: made.fingerprint for arm, made in self.ready.items()},
            "features": {name: self._found_with(name) for name in sets},
            "encoders": {e.name: e.fingerprint for e in self.supply.encoders()},
            "truth": fingerprint(self.truth) if self.truth else None,
            "limit": self.limit,
            "input": self._input(),
            **measured_with(self.supply),
        }

    def _found_with(self, name: str) -> str:
        """Return a fingerprint of what a feature set is found with: model, labels, SAE given."""
        wanted = self._features(name)
        given = sorted(Path(wanted.sae.path).glob("*")) if wanted.sae.path else []
        return fingerprint(
            self.supply.model(wanted.model).fingerprint,
            self.supply.probe(wanted.probe).fingerprint,
            [(f.name, sha256(f)) for f in given if f.suffix in (".json", ".safetensors")],
        )

    def _features(self, name: str) -> Features:
        """Return a feature set of the spec, the path of a given SAE as it is seen from here."""
        wanted = self.spec.features[name]
        if wanted.sae.path is None:
            return wanted
        path = str(self.spec.folder / wanted.sae.path)
        return wanted.model_copy(update={"sae": wanted.sae.model_copy(update={"path": path})})

    def _input(self) -> str | None:
        """Return a digest of the files at hand: names, sizes and times of change."""
        benchmark = self.benchmark
        named = (benchmark.labels, benchmark.images, benchmark.people)
        paths = [self.spec.folder / name for name in named if isinstance(name, str)]
        if not paths:
            return None
        files = [f for p in paths for f in (sorted(p.rglob("*")) if p.is_dir() else [p])]
        states = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
        return fingerprint(*states)

    def fill(self, writing: RunFolder) -> None:
        """Write the tables: draw images, list a folder of them, or take over labels."""
        attributes = self.benchmark.attributes
        classes = [name for key in attributes for name in self.benchmark.classes_of(key)]
        if self.benchmark.labels is not None:
            path = self.spec.folder / self.benchmark.labels
            table = LabelTable(path, {key: self.benchmark.classes_of(key) for key in attributes})
            writing.update(store=self._from(writing, path.parent))
            with filling(writing.path, classes, path.parent, self.progress) as fill:
                fill.add_images(table.images())
                fill.add_labels(table.labels())
        elif isinstance(self.benchmark.images, str):
            found = image_folder(self.spec.folder / self.benchmark.images)
            writing.update(store=self._from(writing, found.root))
            with filling(writing.path, classes, found.root, self.progress) as fill:
                self._read(found, fill)
        else:
            writing.update(store=self._from(writing, self.store.root))
            place = (writing.path, classes, self.store.root, self.progress)
            with filling(*place, strict=self.strict) as fill:
                self._draw(fill)
                writing.update(seconds_per_image=fill.seconds)

    def _record(self, name: str, found: "Dissection") -> FeatureRecord:
        """Return a feature set as the results hold it."""
        extra: dict[str, Any] = {"name": name, "evidence": dict(found.evidence)}
        if name in self.calibrations:
            extra["calibrations"] = self.calibrations[name]
        if found.folder is not None:
            extra["images"] = os.path.relpath(found.folder / "images", self.store.root)
        return FeatureRecord.model_validate({**asdict(found.features), **extra})

    def _read(self, found: ImageFolder, fill: Filling) -> None:
        self.progress.begin("reading", len(found.images))
        fill.add_batches(found.read(), self.readers, self.store)
        self.missing, self.unread = fill.missing, fill.unread
        if self.missing > self.benchmark.statistics.max_failed:
            raise InputError(
                f"{found.root}: {len(found.unreadable)} of {len(found.images)} images cannot be"
                f" read: {'; '.join(found.unreadable[:5])}"
            )
        for arm in found.arms:
            fill.say(arm)
        self.warnings = [
            Warned(code=code, message=message, count=count)
            for code, message, count in (
                ("unreadable", "; ".join(found.unreadable[:5]), len(found.unreadable)),
                ("skipped", f"other formats: {', '.join(found.skipped)}", found.skipped.total()),
                ("mislabelled", "files of another format than their suffix", found.mislabelled),
            )
            if count
        ]

    @cached_property
    def truth(self) -> dict[str, dict[str, float]]:
        """Shares that are known to be planted in the model, by attribute; mostly nothing is."""
        name = self.benchmark.model
        truth = None if name is None else getattr(self.supply.model(name), "truth", None)
        if truth is None:
            return {}
        planted: dict[str, dict[str, float]] = truth(
            {request.prompt for request in plan(self.benchmark).requests}
        )
        return planted

    def _draw(self, fill: Filling) -> None:
        requests = limited(plan(self.benchmark).requests, self.limit)
        assert self.benchmark.model is not None, "the rules of a benchmark see to it"
        model = self.supply.model(self.benchmark.model)
        for component in self.benchmark.mitigations:
            if component.features is None:
                mitigation = self.ready[component.label]
            else:
                found = self.dissection(component.features)
                mitigation = self._mitigation(component, features=found)
            calibration = getattr(mitigation, "calibration", None)
            if component.features is not None and calibration is not None:
                arms = self.calibrations.setdefault(component.features, {})
                arms[component.label] = calibration.plain()
            arm = Arm(component.label, model, mitigation)
            self.warnings += self._guided(component, arm)
            self.progress.begin(f"arm {arm.name}", len(requests))
            batches = generate(arm, requests, self.store, self.batch_size)
            fill.add_batches(batches, self.readers, self.store)
            fill.say(arm.name)
        self.missing, self.unread = fill.missing, fill.unread
        self.warnings += _unlike(fill)

    def _guided(self, component: ArmSpec, arm: Arm) -> Iterator[Warned]:
        """Warn where an arm is judged by the probe that it follows."""
        attribute = getattr(arm.mitigation, "attribute", None)
        guide = getattr(arm.mitigation, "probe", None)
        if guide is None and component.features is not None:
            guide = self.supply.probe(self.spec.features[component.features].probe)
        if attribute is not None and guide is not None:
            judges = {reader.name: reader.probe for reader in self.readers}
            yield from warn_guided(arm.name, attribute, guide, judges)

    def dissection(self, name: str) -> "Dissection":
        """Return a feature set: found, or read from the store."""
        if name not in self.dissections:
            from audit.features.discovery import discover  # heavy: torch

            wanted = self._features(name)
            written = self.spec.models[wanted.model]
            self.dissections[name] = discover(
                self.supply.model(wanted.model),
                self.supply.probe(wanted.probe),
                wanted,
                folder=self.store.root / "features",
                steps=written.steps,
                guidance_scale=written.guidance_scale if wanted.prompts else 1.0,
                batch_size=self.batch_size,
                progress=self.progress.say,
            )
        return self.dissections[name]

    def conclude(self, writing: RunFolder) -> None:
        """Measure, decide, render; the manifest then says that the run is over."""
        from audit.conclusion import conclude  # heavy: scipy

        partial = "" if self.limit is None else f"limited to {self.limit} images an arm"
        if self.too_many_missing:
            partial = self.failures
        said = [one.model_dump() for one in self.warnings]
        writing.update(partial=partial, warnings=said, measured=folder.now())
        conclude(
            Run.open(writing.path),
            self.supply,
            self.store,
            self.progress,
            features=[self._record(*item) for item in self.dissections.items()],
        )
        render(writing.path)
        status = "partial" if partial else "complete"
        status = "incomplete" if self.too_many_missing else status
        writing.update(status=status, finished=folder.now())

    @staticmethod
    def _from(writing: RunFolder, root: Path) -> str:
        return os.path.relpath(root, writing.path)


def _unlike(fill: Filling) -> Iterator[Warned]:
    """Warn where pixels differ by more than seeds and arms."""
    if fill.mixture:
        yield Warned(code=MIXED_DRAWING, message=fill.mixture)
    for arm, count in fill.contested.items():
        message = (
            "drawn by two processes at once, and not alike; the first of each was kept. The model"
            " or the device does not draw the same twice"
        )
        yield Warned(code="nondeterministic_duplicate", message=message, count=count, arm=arm)


def limited(requests: Sequence[Request], limit: int | None) -> Sequence[Request]:
    """Return the first requests, taken from all prompts in turn; in the order of the plan."""
    if limit is None:
        return requests
    first = set(sorted(requests, key=lambda request: request.index)[:limit])
    return [request for request in requests if request in first]
