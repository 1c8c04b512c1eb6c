"""The store: blobs under keys that say what made them, shared by runs, never made twice."""

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from audit.errors import InputError
from audit.storage import atomic, digests

SCHEME = 1
"""Enters every key; raised when what a key stands for changes."""
MAX_ATTEMPTS = 3
FOLDER = ".bias-audit"


@dataclass(frozen=True)
class Blob:
    """A committed entry: what its side-car says, and the file where there is one."""

    key: str
    record: Mapping[str, Any]
    path: Path | None
    """None for an entry that is a record alone."""
    sha256: str
    """Of the file; empty where there is none."""
    contested: bool = False
    """Whether it was offered again with another file: what its key says does not determine it."""


def key(**made_of: Any) -> str:
    """Return the key of what is made of these parts: the sha256 of canonical JSON, text in NFC."""
    parts = {"scheme": SCHEME, **made_of}
    plain = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(unicodedata.normalize("NFC", plain).encode()).hexdigest()


def default_root(beside: Path) -> Path:
    """Return `$BIAS_AUDIT_STORE`, or the folder `.bias-audit` in `beside`."""
    given = os.environ.get("BIAS_AUDIT_STORE")
    return Path(given).expanduser() if given else beside / FOLDER


class Store:
    """Blobs on disk, each committed by a side-car that is written last and holds its sha256.

    Processes may share a store without locks: what two of them make under one key is the same, and
    the first to commit is kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.blobs = self.root / "store"

    def get(self, key: str) -> Blob | None:
        """Return a committed entry; None where there is none, or where its file is damaged."""
        try:
            side = json.loads(self._side(key).read_bytes())
            name, sha256, record = side["file"], side["sha256"], side["record"]
            path = self._side(key).with_name(f"{key}{name}") if name else None
            if path is not None and digests.of_file(path) != sha256:
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Blob(key, record, path, sha256)

    def put(
        self, key: str, record: Mapping[str, Any], content: bytes = b"", suffix: str = ""
    ) -> Blob:
        """Commit an entry, unless it is there already; return the one that counts.

        Args:
            key: What made it.
            record: Kept beside it; plain JSON.
            content: Of its file; an entry with no `suffix` is a record alone.
            suffix: Of its file, such as `.png`.

        Raises:
            ResourceError: the disk is full, or the store cannot be written.
        """
        sha256 = hashlib.sha256(content).hexdigest() if suffix else ""
        if (kept := self.get(key)) is not None:
            return replace(kept, contested=kept.sha256 != sha256)
        side = self._side(key)
        with atomic.explained(side):
            side.parent.mkdir(parents=True, exist_ok=True)
        path = side.with_name(f"{key}{suffix}") if suffix else None
        if path is not None:
            atomic.write(path, content, durable=False)
        committed = {"key": key, "file": suffix, "sha256": sha256, "record": dict(record)}
        plain = json.dumps(committed, sort_keys=True, allow_nan=False)
        atomic.write(side, plain, durable=False)
        self.forget_attempts(key)
        return Blob(key, record, path, sha256)

    def note_attempt(self, key: str) -> None:
        """Count an attempt before it begins, so that one that kills the process counts too."""
        tries = self._tries(key)
        with atomic.explained(tries):
            tries.parent.mkdir(parents=True, exist_ok=True)
            with tries.open("ab") as file:
                file.write(b".")

    def attempts(self, key: str) -> int:
        """Return how many attempts began and did not commit."""
        try:
            return self._tries(key).stat().st_size
        except FileNotFoundError:
            return 0

    def forget_attempts(self, key: str) -> None:
        """Count no attempt against this key: it was committed, or not at fault."""
        self._tries(key).unlink(missing_ok=True)

    def relative(self, path: Path) -> str:
        """Return a path in the store as tables hold it."""
        return path.relative_to(self.root).as_posix()

    def path(self, relative: str) -> Path:
        """Return the file that a table names.

        Raises:
            InputError: the path leads out of the store.
        """
        path = (self.root / relative).resolve()
        if not path.is_relative_to(self.root):
            raise InputError(f"{relative}: leads out of the store {self.root}")
        return path

    def damaged(self) -> Iterator[Path]:
        """Yield the side-cars of entries whose file is missing or has another hash."""
        for side in sorted(self.blobs.glob("*/*/*.json")):
            if self.get(side.stem) is None:
                yield side

    def orphans(self) -> Iterator[Path]:
        """Yield files that no side-car commits: what killed processes left."""
        for path in sorted(self.blobs.glob("*/*/*")):
            key = path.name.partition(".")[0]
            if path.suffix == atomic.PART or not self._side(key).is_file():
                yield path

    def _side(self, key: str) -> Path:
        return self.blobs / key[:2] / key[2:4] / f"{key}.json"

    def _tries(self, key: str) -> Path:
        return self._side(key).with_suffix(".tries")
