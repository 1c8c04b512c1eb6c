"""Files written whole: a reader finds the old one or the new one, never a half."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import ResourceError

PART = ".part"
"""Suffix of a file still being written; what a killed process leaves behind."""
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.ENAMETOOLONG: "the path is too long",
    errno.ENOTDIR: "a file is where a folder should be",
}


def write(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """Put `content` in the place of `path`.

    Args:
        path: Its folder must exist.
        content: Text is written as UTF-8.
        durable: Whether to wait for the disk. Files that carry a hash need not: after a loss of
            power a damaged one is found out and made again.

    Raises:
        ResourceError: the disk is full or cannot be written; `path` is as it was.
    """
    with replacing(path, durable=durable) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a new file beside `path` that takes its place when the block ends well.

    Raises:
        ResourceError: the disk is full or cannot be written; `path` is as it was.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}{PART}")
    try:
        with explained(path):
            part.touch(exist_ok=False)
            yield part
            if durable:
                _flush(part)
            part.replace(path)
            if durable:
                _flush(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says of a write into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REASONS:
            raise
        raise ResourceError(f"{path}: cannot be written: {_REASONS[error.errno]}") from error


def folder(path: Path) -> Path:
    """Make a folder with all above it, and see that it can be written.

    Raises:
        ResourceError: it cannot.
    """
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".{secrets.token_hex(8)}{PART}"
        probe.touch()
        probe.unlink()
    return path


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
