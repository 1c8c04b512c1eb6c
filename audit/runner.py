"""Runs, whole: of a benchmark, of probes over a folder of images, of the numbers alone."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from audit import registry
from audit.errors import IncompleteError, InputError, SpecError, unknown
from audit.images.drawing import BATCH_SIZE
from audit.interrupts import interruptible
from audit.job import MIXED_DRAWING, Job
from audit.notebook import Run
from audit.progress import Progress, Silent
from audit.redaction import redacted
from audit.rendering import render
from audit.spec.benchmark import Benchmark
from audit.spec.component import Component
from audit.spec.prompts import slug
from audit.spec.spec import VERSION, Spec, load
from audit.storage import atomic, folder
from audit.storage.folder import RunFolder
from audit.storage.store import Store, default_root
from audit.supply import Supply
from audit.types import CLASSES


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
    strict: bool = False,
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
        strict: Refuse images that were drawn on several devices or by several versions, which
            are otherwise warned of.
        progress: Told what is being done.

    Raises:
        SpecError: there is no such benchmark, or a plugin cannot be used as it is asked to.
        InputError: images, labels or weights are corrupt or do not fit, or were drawn by unlike
            means under `strict`.
        ResourceError: memory, disk, a device or the lock of the folder is not to be had.
        IncompleteError: too many images could not be drawn or read; the results are written all
            the same, and the next run tries those images again.
        KeyboardInterrupt: SIGINT or SIGTERM; what was finished is kept.
    """
    if name not in spec.benchmarks:
        raise SpecError(unknown("benchmark", name, spec.benchmarks))
    job = Job(
        spec=spec,
        name=name,
        store=Store(Path(store) if store else default_root(spec.folder)),
        supply=Supply(spec, spec.benchmarks[name], device),
        batch_size=batch_size or BATCH_SIZE,
        limit=limit,
        strict=strict,
        progress=progress or Silent(),
    )
    return _finish(job, folder.place(Path(out), name, spec.digest(name), fresh=fresh))


def classify(
    images: str | Path,
    probes: Sequence[str],
    *,
    out: str | Path | None = None,
    store: str | Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """Read a folder of images with probes, and measure what they say.

    Args:
        images: The folder; a `manifest.csv` in it may give file, arm, prompt, seed and index.
        probes: Names of probe plugins, with their default options.
        out: The run folder; `runs/<name of the folder>-<hash8>` if not given.
        store: Folder of readings; `.bias-audit` in the working folder if not given.
        device: Where to read; a GPU if there is one.
        progress: Told what is being done.

    Raises:
        SpecError: there is no such probe.
        InputError: there is no such folder, or its images or manifest are corrupt.
        IncompleteError: a probe failed on too many images; the results are written all the same.
    """
    images = Path(images)
    known = registry.plugins("probes")
    for probe in probes:
        if ":" not in probe and probe not in known:
            raise SpecError(unknown("probe", probe, known))
    name = slug(images.resolve().name)
    spec = _spec_of(name, images.resolve(), [Component(name=probe) for probe in probes])
    job = Job(
        spec=spec,
        name=name,
        store=Store(Path(store) if store else default_root(Path.cwd())),
        supply=Supply(spec, spec.benchmarks[name], device),
        progress=progress or Silent(),
    )
    path = Path(out) if out else folder.place(Path("runs"), name, spec.digest(name))
    return _finish(job, path)


def measure(path: str | Path, *, progress: Progress | None = None) -> Run:
    """Compute the numbers of a run again from its tables, and render it; no model is loaded.

    Raises:
        InputError: it is no run folder, or its tables are not whole.
        ResourceError: another process is writing it.
    """
    from audit.conclusion import conclude, measured_with  # heavy: scipy

    path = Path(path)
    run = Run.open(path)
    old = folder.read_manifest(path, needed=folder.MEASURED_FROM)
    spec = load(path / folder.SPEC, folder=(path / old["spec_folder"]).resolve())
    supply = Supply(spec, spec.benchmarks[old["benchmark"]])
    before = run.results.features if (path / folder.RESULTS).is_file() else ()
    made_of = old["made_of"] | measured_with(supply)
    with folder.locked(path):
        writing = RunFolder(path, dict(old))
        writing.update(made_of=made_of, measured=folder.now(), **folder.environment())
        try:
            store = Store(path / old["cache"])
            conclude(Run.open(path), supply, store, progress or Silent(), features=before)
        except BaseException:
            writing.update(**old)  # its results are still the old ones
            raise
        render(path)
    return Run.open(path)


def _finish(job: Job, path: Path) -> Run:
    """Go on with a job in a run folder until it is done."""
    job.check_attributes()
    made_of = job.made_of()
    if _is_finished(path, made_of):
        done = Run.open(path)
        codes = {one["code"]: one["message"] for one in done.manifest["warnings"]}
        if job.strict and MIXED_DRAWING in codes:
            raise InputError(f"{path}: {codes[MIXED_DRAWING]}")
        return done
    job.arms.check()
    atomic.folder(job.store.root)
    manifest = {
        "benchmark": job.name,
        "digest": job.spec.digest(job.name),
        "device": job.supply.device,
        "batch_size": job.batch_size,
        "overrides": dict(job.spec.overrides),
        "made_of": made_of,
        "truth": job.truth,
        "spec_folder": os.path.relpath(job.spec.folder, path),
        "cache": os.path.relpath(job.store.root, path),
    }
    with interruptible(), RunFolder(path, manifest).written() as writing:
        plain = redacted(job.spec.resolved(job.name))
        written = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
        atomic.write(path / folder.SPEC, written)
        job.fill(writing)
        job.conclude(writing)
    if job.too_many_missing:
        raise IncompleteError(
            f"{path}: {job.failures}, more than the"
            f" {job.benchmark.statistics.max_failed:.1%} that the spec allows"
        )
    return Run.open(path)


def _spec_of(name: str, images: Path, probes: Sequence[Component]) -> Spec:
    """Return the spec that a folder and probes amount to: every attribute that is read."""
    found = [registry.build("probes", probe.name, **probe.options) for probe in probes]
    classes = {key: names for probe in found for key, names in probe.classes.items()}
    benchmark = Benchmark(
        title=f"Images in {images.name}",
        images=str(images),
        probes=tuple(probes),
        attributes=tuple(classes),
        classes={key: names for key, names in classes.items() if CLASSES.get(key) != names},
    )
    return Spec(version=VERSION, benchmarks={name: benchmark})


def _is_finished(path: Path, made_of: dict[str, Any]) -> bool:
    """Whether a folder holds this very run, finished by this version of the suite."""
    if not (path / folder.MANIFEST).is_file() or not (path / folder.RESULTS).is_file():
        return False
    manifest = folder.read_manifest(path)
    same = manifest.get("made_of") == made_of and manifest.get("suite") == folder.suite()
    return same and manifest.get("status") == "complete"
