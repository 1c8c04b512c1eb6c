"""Weight files: found or missed in one sentence, never unpickled, known by their sha256."""

import hashlib
import re
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from audit.errors import InputError, RefusedError, ResourceError
from audit.storage import digests

PICKLED = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pt2", ".pth"})
"""Suffixes of formats that run code when they are read."""


def locate(
    path: str | Path, *, formats: Collection[str], remedy: str, sha256: str = ""
) -> tuple[Path, str]:
    """Return a weight file and its sha256, read from its bytes; nothing is deserialised.

    Args:
        path: Where the file should be; `~` is the home folder.
        formats: Suffixes that the caller reads, such as `.safetensors`.
        remedy: What to fetch and where to put it, or how to convert; ends a sentence.
        sha256: What the file must hash to, in hex; empty accepts any.

    Raises:
        RefusedError: the file is of a pickled format.
        ResourceError: there is no such file.
        InputError: the format is another one, or the hash differs.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() in PICKLED:
        raise RefusedError(f"{path}: pickled weights can run code and are never read; {remedy}")
    if not path.is_file():
        raise ResourceError(f"{path}: no such weights; {remedy}")
    if path.suffix.lower() not in formats:
        allowed = ", ".join(sorted(formats))
        raise InputError(f"{path}: weights must be {allowed}; {remedy}")
    found = digests.of_file(path)
    if sha256 and found != sha256.lower():
        raise InputError(f"{path}: sha256 is {found}, expected {sha256}; {remedy}")
    return path, found


def sha256(path: Path) -> str:
    """Return the sha256 of a file; the hub's cache names a large one after it already."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else digests.of_file(path)


def embedded(name: str) -> Path:
    """Return the folder of a model that ships with the package `models`, present or not."""
    package = find_spec("models")
    if package is None or not package.submodule_search_locations:
        raise ResourceError("the package `models` is not installed; reinstall bias-audit")
    return Path(package.submodule_search_locations[0]) / name


def fingerprint(*parts: object) -> str:
    """Return 16 hex digits that identify what the parts say: weights, versions, options.

    Weights are given as bytes, and their sha256 stands for them.

    >>> fingerprint("a", 1) == fingerprint("a", 1) != fingerprint("a", 2)
    True
    """
    said = tuple(
        hashlib.sha256(part).hexdigest() if isinstance(part, bytes) else part for part in parts
    )
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]
