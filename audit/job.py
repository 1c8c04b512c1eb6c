"""One benchmark being run: tables filled from a model, a folder or a table; then its end."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from audit.arms import Arms
from audit.errors import InputError, SpecError
from audit.images.classification import Reader
from audit.images.drawing import BATCH_SIZE, Arm
from audit.images.filling import Filling, filling
from audit.images.generation import generate
from audit.images.label_table import LabelTable
from audit.images.sources import ImageFolder, image_folder
from audit.progress import Progress, Silent
from audit.rendering import render
from audit.spec.benchmark import Benchmark
from audit.spec.planning import plan
from audit.spec.spec import Spec
from audit.storage import folder
from audit.storage.folder import Run, RunFolder
from audit.storage.results import Warned
from audit.storage.store import Store
from audit.storage.weights import fingerprint
from audit.supply import Supply
from audit.types import Request

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
    warnings: list[Warned] = field(default_factory=list)
    missing: float = 0.0
    """Share of images that could not be drawn, or read from disk."""
    unread: float = 0.0
    """Share of images that are there and that a probe failed on."""

    @property
    def benchmark(self) -> Benchmark:
        """What is run."""
        return self.spec.benchmarks[self.name]

    @cached_property
    def arms(self) -> Arms:
        """What makes the mitigations."""
        return Arms(self.supply, self.store, self.batch_size, self.progress)

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

    def made_of(self) -> dict[str, Any]:
        """Return fingerprints of all that makes the numbers, as far as no model is loaded.

        Raises:
            SpecError: a mitigation refuses its options.
        """
        from audit.conclusion import measured_with  # heavy: scipy

        model = self.benchmark.model
        return {
            "model": self.supply.model(model).fingerprint if model else None,
            "probes": {reader.name: reader.probe.fingerprint for reader in self.readers},
            "mitigations": {arm: made.fingerprint for arm, made in self.arms.ready.items()},
            "features": self.arms.found_with(),
            "encoders": {e.name: e.fingerprint for e in self.supply.encoders()},
            "truth": fingerprint(self.truth) if self.truth else None,
            "limit": self.limit,
            "input": self._input(),
            **measured_with(self.supply),
        }

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
        judges = {reader.name: reader.probe for reader in self.readers}
        for component in self.benchmark.mitigations:
            arm = Arm(component.label, model, self.arms.mitigation(component))
            self.warnings += self.arms.guided(component, arm.mitigation, judges)
            self.progress.begin(f"arm {arm.name}", len(requests))
            batches = generate(arm, requests, self.store, self.batch_size)
            fill.add_batches(batches, self.readers, self.store)
            fill.say(arm.name)
        self.missing, self.unread = fill.missing, fill.unread
        self.warnings += _unlike(fill)

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
            features=self.arms.records(),
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
