"""What a file is known by, whoever asks: the sha256 of its bytes."""

import hashlib
from pathlib import Path


def of_file(path: Path) -> str:
    """Return the sha256 of a file in 64 hex digits, read in parts.

    Raises:
        OSError: it is missing or cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
