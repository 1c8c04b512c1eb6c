"""The run folder: one writer at a time, every file whole, a manifest that says how it went."""

import json
import os
import platform
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from audit.errors import InputError, ResourceError
from audit.redaction import redacted
from audit.storage import atomic

if TYPE_CHECKING:
    import pandas as pd

    from audit.storage.results import Results

SPEC, MANIFEST, IMAGES = "spec.yaml", "run.json", "images.parquet"
LABELS, RESULTS, REPORT = "labels.parquet", "results.json", "report.html"
JUNIT, CHECKLIST = "junit.xml", "checklist.md"
MITIGATIONS = "mitigations"
"""Stem of the table of all mitigations, which is written as Markdown and as CSV."""
MEASURED_FROM = (
    "benchmark", "cache", "digest", "made_of", "partial", "spec_folder", "store", "warnings",
)  # fmt: skip
"""Entries of `run.json` that the numbers of a run are computed with."""
LOCK, HOLDER = ".lock", ".lock.json"
PACKAGES = ("torch", "diffusers", "transformers", "numpy", "pandas", "scipy", "pillow")


class Run:
    """A run folder, read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a run folder.

        Raises:
            InputError: it is none.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            raise InputError(f"{folder}: not a run folder, it has no {MANIFEST}")
        return cls(folder)

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        """What `run.json` says: status, versions, fingerprints, device, times."""
        return read_manifest(self.folder)

    @cached_property
    def images(self) -> "pd.DataFrame":
        """One row an image."""
        from audit.storage import tables

        return tables.read_images(self.folder / IMAGES)

    @cached_property
    def labels(self) -> "pd.DataFrame":
        """One row an image, probe and attribute."""
        from audit.storage import tables

        return tables.read_labels(self.folder / LABELS)

    @cached_property
    def results(self) -> "Results":
        """Every number, from `results.json`."""
        from audit.storage import results_file

        return results_file.read(self.folder / RESULTS)

    @property
    def store(self) -> Path:
        """Folder that the paths of `images` start from."""
        return (self.folder / str(self.manifest["store"])).resolve()

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.manifest.get('status')})"


class RunFolder:
    """A run folder that this process writes."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @contextmanager
    def written(self) -> Iterator["RunFolder"]:
        """Hold the folder while the block runs; the manifest says in the end how it went.

        Raises:
            ResourceError: another process holds it, or it cannot be written.
            InputError: it holds a run of another spec.
        """
        atomic.folder(self.path)
        with locked(self.path):
            before = read_manifest(self.path) if (self.path / MANIFEST).is_file() else {}
            if before and before.get("digest") != self.manifest["digest"]:
                raise InputError(f"{self.path}: holds a run of another spec; choose another --out")
            self.update(status="running", started=now(), finished=None, **environment())
            try:
                yield self
            except BaseException as error:
                stopped = isinstance(error, KeyboardInterrupt)
                self.update(status="interrupted" if stopped else "failed", finished=now())
                raise

    def update(self, **entries: Any) -> None:
        """Change entries of `run.json`, and write it."""
        self.manifest |= entries
        plain = json.dumps(redacted(self.manifest), indent=1, sort_keys=True, allow_nan=False)
        atomic.write(self.path / MANIFEST, plain + "\n")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; the lock of a process that died is free.

    Raises:
        ResourceError: another process holds it, or the file system knows no locks.
    """
    from filelock import FileLock, Timeout

    lock, holder = FileLock(folder / LOCK, blocking=False), folder / HOLDER
    try:
        lock.acquire()
    except Timeout:
        raise ResourceError(
            f"{folder}: {_held_by(holder)} is writing this run; wait for it to end"
        ) from None
    except (NotImplementedError, OSError) as error:
        raise ResourceError(f"{folder}: cannot be locked: {error}") from error
    try:
        atomic.write(holder, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def place(out: Path, name: str, digest: str, *, fresh: bool = False) -> Path:
    """Return the folder of a run: the same spec, the same folder.

    Args:
        out: Folder of all runs.
        name: Of the benchmark.
        digest: Of its spec.
        fresh: Take the first of `-2`, `-3` … that does not exist yet, if the folder does.
    """
    path = out / f"{name}-{digest[:8]}"
    number = 2
    while fresh and path.exists():
        path = out / f"{name}-{digest[:8]}-{number}"
        number += 1
    return path


def read_manifest(folder: Path, *, needed: Collection[str] = ()) -> dict[str, Any]:
    """Read `run.json`.

    Args:
        folder: Of the run.
        needed: Entries that must be there.

    Raises:
        InputError: it is missing or damaged, or lacks an entry that is needed.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable manifest: {error}") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{path}: not a manifest")
    if lacking := [name for name in needed if name not in manifest]:
        raise InputError(
            f"{path}: lacks {', '.join(lacking)}; only a run that came to its end has them"
        )
    return manifest


def environment() -> dict[str, Any]:
    """Return what numbers may depend on besides the spec."""
    return {
        "suite": suite(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {name: version(name) for name in PACKAGES},
    }


def suite() -> str:
    """Return the version of this package."""
    return version("bias-audit")


def _held_by(holder: Path) -> str:
    try:
        found = json.loads(holder.read_bytes())
        return f"process {found['pid']} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def now() -> str:
    """Return the time as `run.json` writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
