"""A run, from spec to report: the steps in order, each going on where it stopped."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from audit import atomic, folder
from audit.classification import Reader
from audit.drawing import BATCH_SIZE, Arm
from audit.errors import IncompleteError, InputError, SpecError, unknown
from audit.filling import Filling, filling
from audit.folder import Run, RunFolder
from audit.generation import generate
from audit.interrupts import interruptible
from audit.label_table import LabelTable
from audit.planning import plan
from audit.progress import Progress, Silent
from audit.results import FeatureRecord, Warned
from audit.sources import ImageFolder, image_folder
from audit.spec import Benchmark, Spec
from audit.store import Store, default_root
from audit.supply import Supply
from audit.types import Request

if TYPE_CHECKING:
    from audit.dissection import Dissection


def run(
    spec: Spec,
    name: str,
    *,
    out: str | Path = "runs",
    store: str | Path | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    limit: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Run a benchmark, or go on with it, or just open it if it is finished.

    Args:
        spec: Where the benchmark stands.
        name: Of the benchmark.
        out: Folder of run folders.
        store: Folder of images and readings; `.bias-audit` beside the spec if not given.
        device: Where to draw and read; a GPU if there is one.
        batch_size: Images drawn at a time; halved when memory runs out.
        limit: Draw only so many images an arm; the run is then marked partial.
        fresh: Write a new run folder even if there is one; images in the store are used again.
        progress: Told what is being done.

    Raises:
        SpecError: there is no such benchmark, or a plugin cannot be used as it is asked to.
        InputError: images, labels or weights are corrupt or do not fit.
        ResourceError: memory, disk, a device or the lock of the folder is not to be had.
        IncompleteError: too many images failed; the results are written all the same.
        KeyboardInterrupt: SIGINT or SIGTERM; what was finished is kept.
    """
    if name not in spec.benchmarks:
        raise SpecError(unknown("benchmark", name, spec.benchmarks))
    job = _Job(
        spec=spec,
        name=name,
        store=Store(Path(store) if store else default_root(spec.folder)),
        supply=Supply(spec, spec.benchmarks[name], device),
        batch_size=batch_size or BATCH_SIZE,
        limit=limit,
        progress=progress or Silent(),
    )
    path = folder.place(Path(out), name, spec.digest(name), fresh=fresh)
    made_of = job.made_of()
    if _is_finished(path, made_of):
        return Run.open(path)
    atomic.folder(job.store.root)
    manifest = {
        "benchmark": name,
        "digest": spec.digest(name),
        "device": job.supply.device,
        "batch_size": job.batch_size,
        "overrides": dict(spec.overrides),
        "made_of": made_of,
        "spec_folder": os.path.relpath(spec.folder, path),
    }
    with interruptible(), RunFolder(path, manifest).written() as writing:
        plain = yaml.safe_dump(spec.resolved(name), sort_keys=False, allow_unicode=True)
        atomic.write(path / folder.SPEC, plain)
        job.fill(writing)
        job.conclude(writing)
    if job.missing > job.benchmark.statistics.max_failed:
        raise IncompleteError(
            f"{path}: {job.missing:.1%} of the images failed, more than the"
            f" {job.benchmark.statistics.max_failed:.1%} that the spec allows"
        )
    return Run.open(path)


@dataclass
class _Job:
    """One benchmark being run."""

    spec: Spec
    name: str
    store: Store
    supply: Supply
    batch_size: int
    limit: int | None
    progress: Progress
    dissections: dict[str, "Dissection"] = field(default_factory=dict)
    warnings: list[Warned] = field(default_factory=list)
    missing: float = 0.0

    @property
    def benchmark(self) -> Benchmark:
        """What is run."""
        return self.spec.benchmarks[self.name]

    @property
    def readers(self) -> list[Reader]:
        """The probes, by the names that the table calls them."""
        return [
            Reader(probe.label, self.supply.probe(probe), self.benchmark.attributes)
            for probe in self.benchmark.probes
        ]

    def made_of(self) -> dict[str, Any]:
        """Return fingerprints of all that makes the numbers, as far as no model is loaded."""
        model = self.benchmark.model
        return {
            "model": self.supply.model(model).fingerprint if model else None,
            "probes": {reader.name: reader.probe.fingerprint for reader in self.readers},
            "encoders": {e.name: e.fingerprint for e in self.supply.encoders()},
            "limit": self.limit,
        }

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
            with filling(writing.path, classes, self.store.root, self.progress) as fill:
                self._draw(fill)

    def _record(self, name: str, found: "Dissection") -> FeatureRecord:
        """Return a feature set as the results hold it."""
        extra = {"name": name, "evidence": dict(found.evidence)}
        return FeatureRecord.model_validate({**asdict(found.features), **extra})

    def _read(self, found: ImageFolder, fill: Filling) -> None:
        self.progress.begin("reading", len(found.images))
        fill.add_batches(found.read(), self.readers, self.store)
        self.missing = fill.missing
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
                ("duplicates", "files that repeat another of their arm", found.duplicates),
            )
            if count
        ]

    def _draw(self, fill: Filling) -> None:
        requests = limited(plan(self.benchmark).requests, self.limit)
        assert self.benchmark.model is not None, "the rules of a benchmark see to it"
        model = self.supply.model(self.benchmark.model)
        for component in self.benchmark.mitigations:
            found = (
                {}
                if component.features is None
                else {"features": self._dissection(component.features)}
            )
            arm = Arm(component.label, model, self.supply.mitigation(component, **found))
            self.progress.begin(f"arm {arm.name}", len(requests))
            batches = generate(arm, requests, self.store, self.batch_size)
            fill.add_batches(batches, self.readers, self.store)
            fill.say(arm.name)
        self.missing = fill.missing

    def _dissection(self, name: str) -> "Dissection":
        """Return a feature set: found, or read from the store."""
        if name not in self.dissections:
            from audit.discovery import discover  # heavy: torch

            wanted = self.spec.features[name]
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

        finished = Run.open(writing.path)
        features = [self._record(*item) for item in self.dissections.items()]
        conclude(
            finished, self.supply, self.store, self.progress,
            features=features, warnings=self.warnings,
        )  # fmt: skip
        report(writing.path)
        failed = self.missing > self.benchmark.statistics.max_failed
        status = "incomplete" if failed else "complete" if self.limit is None else "partial"
        writing.update(status=status, finished=folder.now())

    @staticmethod
    def _from(writing: RunFolder, root: Path) -> str:
        return os.path.relpath(root, writing.path)


def report(path: Path) -> None:
    """Render the report of a run folder and what stands beside it; no number is computed."""
    from reports import checklist, junit  # heavy: matplotlib
    from reports.render import page
    from reports.source import Source

    source = Source.open(path)
    atomic.write(path / folder.REPORT, page(source))
    atomic.write(path / folder.JUNIT, junit.junit(source))
    atomic.write(path / folder.CHECKLIST, checklist.markdown(source))


def limited(requests: Sequence[Request], limit: int | None) -> Sequence[Request]:
    """Return the first requests, taken from all prompts in turn; in the order of the plan."""
    if limit is None:
        return requests
    first = sorted(requests, key=lambda request: request.index)[:limit]
    return [request for request in requests if request in set(first)]


def _is_finished(path: Path, made_of: dict[str, Any]) -> bool:
    """Whether a folder holds this very run, finished by this version of the suite."""
    if not (path / folder.MANIFEST).is_file() or not (path / folder.RESULTS).is_file():
        return False
    manifest = folder.read_manifest(path)
    same = manifest.get("made_of") == made_of and manifest.get("suite") == folder.suite()
    return same and manifest.get("status") == "complete"
