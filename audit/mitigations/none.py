"""The baseline."""

from collections.abc import Iterator
from contextlib import contextmanager

from audit.types import Model


class NoMitigation:
    """Leaves a model as it is."""

    fingerprint = "none"

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Yield the model itself."""
        yield model


def none() -> NoMitigation:
    """Build the baseline."""
    return NoMitigation()
