"""Labelled images + a probe -> its error card."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product

import numpy as np

from audit.errors import InputError
from audit.images.labelled import Labelled
from audit.measuring.error_cards import Confusion, ErrorCard, Sureness
from audit.types import Probe, State

BATCH = 64

Read = Mapping[str, str | None]
"""By attribute: the class that was read, or None."""
Sure = Mapping[str, float]
"""By attribute: the probability of the class that was read; NaN without one."""
Case = tuple[Mapping[str, str], Read, Sure]
"""What is known of an image, what the probe read, and how sure it was."""


def calibrate(
    probe: Probe, images: Iterable[Labelled], *, data: str, licence: str = "unknown"
) -> ErrorCard:
    """Count what a probe reads on images whose classes are known.

    The card holds a table for each attribute, split by the classes of the others, and one for
    each pair of attributes, since errors on one may depend on the other.

    Args:
        probe: What is calibrated.
        images: Best such as those that will be audited: errors elsewhere may be others.
        data: Says what the images are.
        licence: Of the images.

    Raises:
        InputError: there is no image of which an attribute of the probe is known.
    """
    cases: list[Case] = []
    count = 0
    for batch in _batches(images):
        count += len(batch)
        readings = _readings(probe, batch)
        cases += ((one.truth, *read) for one, read in zip(batch, readings, strict=True))
    known = [a for a in probe.classes if any(a in truth for truth, _, _ in cases)]
    if not known:
        raise InputError("no image has a label that the probe knows")
    tables = {name: _table(cases, [name], probe, known) for name in known}
    for pair in combinations(known, 2):
        tables["+".join(pair)] = _table(cases, pair, probe, ())
    return ErrorCard(
        probe=probe.name,
        fingerprint=probe.fingerprint,
        data=f"{data} ({count} images)",
        licence=licence,
        images=count,
        attributes=tables,
    )


def _batches(images: Iterable[Labelled]) -> Iterator[list[Labelled]]:
    """Yield batches of images of one shape, in order."""
    batch: list[Labelled] = []
    for image in images:
        if batch and (len(batch) == BATCH or image.pixels.shape != batch[0].pixels.shape):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _readings(probe: Probe, batch: Sequence[Labelled]) -> Iterator[tuple[Read, Sure]]:
    found = probe.read(np.stack([one.pixels for one in batch]))
    for i in range(len(batch)):
        read: dict[str, str | None] = {}
        sure: dict[str, float] = {}
        for name, classes in probe.classes.items():
            ok = found.states[name][i] is State.OK
            row = found.probabilities[name][i]
            read[name] = classes[int(row.argmax())] if ok else None
            sure[name] = float(row.max()) if ok else np.nan
        yield read, sure


def _table(
    cases: Sequence[Case], names: Sequence[str], probe: Probe, groups: Sequence[str]
) -> Confusion:
    """Count readings of one attribute, or of several at once, by true class."""
    classes = ["+".join(parts) for parts in product(*(probe.classes[name] for name in names))]
    rows: dict[tuple[str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    missing: Counter[str] = Counter()
    certain: dict[str, list[float]] = defaultdict(list)
    for truth, read, sure in cases:
        if any(name not in truth for name in names):
            continue
        is_, said = (_joined(source, names) for source in (truth, read))
        if is_ is None or said is None:
            missing[str(is_)] += 1
            continue
        rows["", ""][is_, said] += 1
        certain[is_].append(sure[names[0]])
        for group in groups:
            if group not in names and group in truth:
                rows[group, truth[group]][is_, said] += 1

    def counts(table: Counter[tuple[str, str]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(table[a, b] for b in classes) for a in classes)

    split: dict[str, dict[str, tuple[tuple[int, ...], ...]]] = defaultdict(dict)
    for group, name in sorted(key for key in rows if key != ("", "")):
        split[group][name] = counts(rows[group, name])
    return Confusion(
        classes=tuple(classes),
        counts=counts(rows["", ""]),
        missing=tuple(missing[name] for name in classes),
        confidence=_sureness(certain, classes) if len(names) == 1 else None,
        groups=dict(split),
    )


def _sureness(
    certain: Mapping[str, Sequence[float]], classes: Sequence[str]
) -> tuple[Sureness, ...] | None:
    """Return mean and standard deviation of each class; None where one has not two readings."""
    found = [np.array(certain.get(name, ())) for name in classes]
    if min(map(len, found)) < 2:
        return None
    return tuple((round(float(x.mean()), 4), round(float(x.std(ddof=1)), 4)) for x in found)


def _joined(source: Read, names: Sequence[str]) -> str | None:
    parts = [source[name] for name in names]
    return None if None in parts else "+".join(map(str, parts))
