"""Folders made whole: under another name until all is in them, so none is seen half made.

One kind is begun anew by every process, the other goes on where a process that died left it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import ResourceError
from audit.storage import atomic

LOCK = ".lock"
"""Suffix of the lock beside a folder that is being made."""
_ANEW = ".discovery-"
"""Prefix of a folder that no other process goes on with."""


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder that takes the place of `folder` when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=_ANEW, dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        yield made
        if not folder.exists():
            made.replace(folder)


@contextmanager
def resumable(folder: Path) -> Iterator[Path | None]:
    """Yield the folder of what was begun before; it takes the place of `folder` at a good end.

    A process that makes the same is waited for, and None is yielded where it has made it. If the
    block raises, or the process dies, what is there is there the next time.

    Raises:
        ResourceError: the file system knows no locks.
    """
    from filelock import FileLock

    begun = folder.with_name(f".{folder.name}{atomic.PART}")
    begun.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f".{folder.name}{LOCK}"))
    try:
        lock.acquire()
    except (NotImplementedError, OSError) as error:
        raise ResourceError(f"{folder.parent}: cannot be locked: {error}") from error
    try:
        if folder.is_dir():
            yield None
            return
        begun.mkdir(exist_ok=True)
        yield begun
        begun.replace(folder)
    finally:
        lock.release()
        if folder.is_dir():  # nobody waits for the lock of what is made
            Path(lock.lock_file).unlink(missing_ok=True)


def unfinished(place: Path) -> Iterator[Path]:
    """Yield what processes that died left at any depth of a folder: what is half made, and locks.

    A folder that is `resumable` is among it, though the next process would go on there.
    """
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        hidden = path.name.startswith(".")
        if hidden and (path.suffix in (atomic.PART, LOCK) or path.name.startswith(_ANEW)):
            yield path
        elif path.is_dir():
            yield from unfinished(path)
