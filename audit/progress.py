"""How a run tells what it does; the command line draws it, a library user need not."""

from typing import Protocol


class Progress(Protocol):
    """Told of stages that are begun and of items that are done."""

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of `total` items; the stage before it is over."""
        ...

    def advance(self, done: int, *, cached: int = 0, failed: int = 0) -> None:
        """Count items; `cached` of them were there already, `failed` could not be made."""
        ...

    def say(self, message: str) -> None:
        """Pass on something worth reading: a first number, a warning."""
        ...


class Silent:
    """Says nothing."""

    def begin(self, stage: str, total: int) -> None:
        """Do nothing."""

    def advance(self, done: int, *, cached: int = 0, failed: int = 0) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""
