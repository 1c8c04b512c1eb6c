"""Images and probes in, label rows out; an image is read once by each probe, in whatever run."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from audit.errors import AuditError, InputError
from audit.images.generation import Batch, ImageRecord
from audit.storage.store import Store, key
from audit.storage.tables import PREFIX
from audit.types import Probe, Readings, State

Pixels = npt.NDArray[np.uint8]
Reading = Mapping[str, Any]
"""What a probe says of one image, as plain JSON: `faces`, and by attribute `status`, `value` and
`probabilities` by class, both null where there are none."""

SUM_TOLERANCE = 1e-3
"""How far from 1 the probabilities of an image may add up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reader:
    """A probe as one benchmark uses it."""

    name: str
    """What the table calls it."""
    probe: Probe
    attributes: tuple[str, ...]
    """Of the benchmark; those among them that the probe reads make rows."""

    def key(self, image: ImageRecord) -> str:
        """Return the key of a reading: the pixels and the probe, and nothing else."""
        return key(kind="reading", image=image.sha256, probe=self.probe.fingerprint)


def classify(batch: Batch, readers: Iterable[Reader], store: Store) -> Iterator[dict[str, Any]]:
    """Yield the rows of `labels.parquet` for a batch: image by image, reader by reader.

    An image that is not OK passes its own state on to its readings and is not read.
    """
    readings = [(reader, _readings(batch, reader, store)) for reader in readers]
    for i, image in enumerate(batch.records):
        for reader, of in readings:
            yield from _rows(image, reader, of[i])


def _readings(batch: Batch, reader: Reader, store: Store) -> list[Reading | None]:
    """Return what a probe says of each image; None for an image that cannot be read."""
    of: list[Reading | None] = [None] * len(batch.records)
    lacking: dict[tuple[int, ...], list[int]] = defaultdict(list)
    pixels: dict[int, Pixels] = {}
    for i, image in enumerate(batch.records):
        if image.status is not State.OK:
            continue
        if (kept := store.get(reader.key(image))) is not None:
            of[i] = kept.record
            continue
        known = batch.pixels[i]
        pixels[i] = known if known is not None else _decode(image)
        lacking[pixels[i].shape].append(i)
    for group in lacking.values():
        found = _read(reader, [pixels[i] for i in group])
        for i, reading in zip(group, found, strict=True):
            of[i] = reading
            if reading is not None:
                store.put(reader.key(batch.records[i]), reading)
    return of


def _read(reader: Reader, images: Sequence[Pixels]) -> list[Reading | None]:
    """Read images of one shape; where the probe fails, one by one, to lose no other."""
    try:
        return _plain(reader, reader.probe.read(np.stack(images)), len(images))
    except AuditError:
        raise
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        if len(images) > 1:
            return [reading for image in images for reading in _read(reader, [image])]
        log.warning("probe %s failed: %s: %s", reader.name, type(error).__name__, error)
        return [None]


def _plain(reader: Reader, readings: Readings, n: int) -> list[Reading | None]:
    """Check readings, and take them apart image by image.

    Raises:
        InputError: the probe gives other shapes than its classes say.
    """
    plain: list[dict[str, Any]] = [{"faces": int(count), "of": {}} for count in readings.faces]
    for attribute, classes in reader.probe.classes.items():
        probabilities = readings.probabilities[attribute]
        if probabilities.shape != (n, len(classes)):
            raise InputError(
                f"probe {reader.name}: {attribute} has shape {probabilities.shape} for {n} images"
                f" and {len(classes)} classes"
            )
        values = readings.values.get(attribute)
        for i, row in enumerate(probabilities):
            status = readings.states[attribute][i]
            if status is State.OK and not abs(float(row.sum()) - 1) <= SUM_TOLERANCE:
                status = State.FAILED
            value = None if values is None or np.isnan(values[i]) else float(values[i])
            known = dict(zip(classes, map(float, row), strict=True))
            plain[i]["of"][attribute] = {
                "status": status,
                "value": value,
                "probabilities": None if np.isnan(row).any() else known,
            }
    return list(plain)


def _rows(image: ImageRecord, reader: Reader, reading: Reading | None) -> Iterator[dict[str, Any]]:
    common = {
        "arm": image.arm,
        "prompt_id": image.prompt_id,
        "index": image.index,
        "probe": reader.name,
        "faces": reading["faces"] if reading else -1,
    }
    unread = State.FAILED if image.status is State.OK else image.status
    for attribute in reader.attributes:
        if attribute not in reader.probe.classes:
            continue
        if reading is None:
            yield {**common, "attribute": attribute, "status": unread}
            continue
        one = reading["of"][attribute]
        known = one["probabilities"] if one["status"] == State.OK else None
        yield {
            **common,
            "attribute": attribute,
            "status": one["status"],
            "label": max(known, key=known.__getitem__) if known else None,
            "value": one["value"],
            **{f"{PREFIX}{name}": p for name, p in (known or {}).items()},
        }


def _decode(image: ImageRecord) -> Pixels:
    assert image.path is not None, "an image that is OK has a file"
    with Image.open(image.path) as file:
        return np.asarray(file.convert("RGB"))
