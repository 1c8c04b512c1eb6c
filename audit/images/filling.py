"""The two tables of a run, filled as images and readings come."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from audit.errors import InputError
from audit.images.classification import Reader, classify
from audit.images.generation import Batch
from audit.images.overlap import overlapped
from audit.progress import Progress
from audit.storage import tables
from audit.storage.folder import IMAGES, LABELS
from audit.storage.store import Store
from audit.storage.tables import Writer
from audit.types import State

MISSING = (State.FAILED, State.UNREADABLE)
"""States of an image that count against the tolerance of a run."""


class Filling:
    """Writes both tables and counts what goes through."""

    def __init__(
        self,
        images: Writer,
        labels: Writer,
        root: Path,
        progress: Progress,
        *,
        strict: bool = False,
    ) -> None:
        self.root = root
        self.strict = strict
        self.states = Counter[State]()
        self.drawn_with = Counter[str]()
        """Images by the device and libraries that drew them, as far as that is known."""
        self.contested = Counter[str]()
        """Images by arm that another process drew at the same time, and otherwise."""
        self._failed_readings = 0
        self._images = images
        self._labels = labels
        self._progress = progress
        self._read = Counter[tuple[str, str, str, str]]()
        self._seconds: dict[str, list[float]] = {}

    @property
    def missing(self) -> float:
        """Share of images that could not be drawn or read from disk."""
        count = sum(self.states[state] for state in MISSING)
        return count / max(self.states.total(), 1)

    @property
    def unread(self) -> float:
        """Share of images that are there and that a probe failed on."""
        return self._failed_readings / max(self.states.total(), 1)

    @property
    def mixture(self) -> str:
        """What the images were drawn with, in words; empty where that is one and the same."""
        if len(self.drawn_with) < 2:
            return ""
        said = "; ".join(f"{n} with {what}" for what, n in sorted(self.drawn_with.items()))
        return f"images drawn on several devices or by several versions: {said}"

    @property
    def seconds(self) -> dict[str, float]:
        """Median seconds that an image of an arm took to draw, by arm."""
        return {arm: round(median(times), 4) for arm, times in self._seconds.items()}

    def add_batches(
        self, batches: Iterable[Batch], readers: Sequence[Reader], store: Store
    ) -> None:
        """Read the images of batches while the next batch is made, and add their rows.

        Raises:
            InputError: under `strict`, images are drawn by unlike means.
        """

        def read(batch: Batch) -> tuple[Batch, list[dict[str, Any]]]:
            return batch, list(classify(batch, readers, store))

        for batch, rows in overlapped(read, batches):
            self._images.add(record.row(self.root) for record in batch.records)
            self.add_labels(rows)
            for record in batch.records:
                if record.seconds is not None:
                    self._seconds.setdefault(record.arm, []).append(record.seconds)
            known = (record.drawn_with for record in batch.records)
            self.drawn_with.update(filter(None, known))
            if self.strict and self.mixture:
                raise InputError(self.mixture)
            self.contested.update(record.arm for record in batch.records if record.contested)
            self._failed_readings += _failed_readings(batch, rows)
            states = Counter(record.status for record in batch.records)
            self.states += states
            failed = sum(states[state] for state in MISSING)
            self._progress.advance(len(batch.records), cached=batch.cached, failed=failed)

    def add_images(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows of images that are not looked at."""
        self._images.add(rows)

    def add_labels(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows of labels."""
        for row in rows:
            self._labels.add([row])
            if row.get("label") is not None:
                self._read[row["arm"], row["attribute"], row["probe"], row["label"]] += 1

    def say(self, arm: str) -> None:
        """Tell the plain shares of an arm, as first numbers; the results have the intervals."""
        groups = dict.fromkeys(place[1:3] for place in self._read if place[0] == arm)
        for attribute, probe in groups:
            counts = {k[3]: n for k, n in self._read.items() if k[:3] == (arm, attribute, probe)}
            total = sum(counts.values())
            shares = ", ".join(f"{name} {n / total:.0%}" for name, n in sorted(counts.items()))
            self._progress.say(f"{arm}: {attribute} by {probe}: {shares} (n = {total})")


def _failed_readings(batch: Batch, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many images of a batch are there and have a reading that failed."""
    places = {(row["prompt_id"], row["index"]) for row in rows if row["status"] == State.FAILED}
    return sum(
        record.status is State.OK and (record.prompt_id, record.index) in places
        for record in batch.records
    )


@contextmanager
def filling(
    folder: Path,
    classes: Iterable[str],
    root: Path,
    progress: Progress,
    *,
    strict: bool = False,
) -> Iterator[Filling]:
    """Yield what fills the tables of a run folder; they appear when the block ends well.

    Args:
        folder: The run folder.
        classes: Of all attributes, in order: columns of the table of labels.
        root: Folder that the paths of images start from.
        progress: Told of every batch.
        strict: Whether images that were drawn by unlike means are refused.
    """
    with (
        tables.writing(folder / IMAGES, tables.IMAGES) as images,
        tables.writing(folder / LABELS, tables.labels(classes)) as labels,
    ):
        yield Filling(images, labels, root, progress, strict=strict)
