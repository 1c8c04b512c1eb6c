"""The paired gallery: the same seed without and with each mitigation, chosen by a printed rule.

Nobody picks the pictures. A request is shown because its place in a hashed order says so, because
a mitigation changed what the probe read, because the probe was unsure, or because it has no
reading at all; the page prints which, and how many there were to choose from.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.thumbnails import COLUMNS, Thumbnails
from reports.words import PERCENT

LOT, CHANGED, UNSURE, MISSING = 8, 4, 4, 4
WALL = 64
"""Images of an arm in its wall."""
RULE = (
    f"Requests by lot: the first {LOT} in the order of the SHA-256 of prompt id and index. "
    f"Most changed: for each mitigation the {CHANGED} requests whose first attribute the probe "
    "reads as another class than in the baseline, by the largest move of probability. "
    f"Least sure: the {UNSURE} baseline images with the lowest top probability. "
    f"Without a reading: the first {MISSING} requests that some arm drew but the probe could not "
    "read. A request that several rules choose is shown once."
)

Key = tuple[str, int, str]
"""Prompt id, index and seed: arms that drew a request from one seed share it, no others do."""


@dataclass(frozen=True)
class Picture:
    """One arm's image of a request, with what the probe said."""

    arm: str
    source: str | None
    """Data URI; None where there is no picture to show."""
    status: str
    readings: tuple[tuple[str, str, bool], ...]
    """Attribute, words such as `woman 98 %`, and whether the class differs from the baseline."""
    alternative: str


@dataclass(frozen=True)
class Row:
    """One request in every arm."""

    reason: str
    prompt: str
    seed: str
    pictures: tuple[Picture, ...]


def rows(
    images: pd.DataFrame, labels: pd.DataFrame, arms: Sequence[str], thumbnails: Thumbnails
) -> list[Row]:
    """Return the requests that the rule chooses, each with its picture in every arm.

    Args:
        images: the columns of `images.parquet`.
        labels: rows of `labels.parquet`, of the one probe whose readings are shown.
        arms: in the order of the spec, the baseline first.
        thumbnails: makes the pictures.
    """
    if images.empty or not arms:
        return []
    keys = {(r.arm, r.prompt_id, r.index): _key(r) for r in _records(images)}
    drawn = {(r.arm, _key(r)): r for r in _records(images)}
    read: _Readings = {}
    for reading in _readings(labels):
        if (key := keys.get((reading.arm, *reading.request))) is not None:
            read.setdefault((reading.arm, key), {})[reading.attribute] = reading
    out = []
    for key, reason in _choose(images, read, arms).items():
        baseline = read.get((arms[0], key), {})
        pictures = tuple(
            _picture(drawn[arm, key], arm, read.get((arm, key), {}), baseline, thumbnails)
            for arm in arms
            if (arm, key) in drawn
        )
        first = drawn[pictures[0].arm, key]
        seed = "unknown" if pd.isna(first.seed) else f"{int(first.seed)}"
        out.append(Row(reason, str(first.prompt), seed, pictures))
    return out


def walls(
    images: pd.DataFrame, arms: Sequence[str], thumbnails: Thumbnails
) -> list[tuple[str, str, int]]:
    """Return arm, one picture of its first images in hashed order, and how many it shows."""
    keys = _by_lot({(r.prompt_id, r.index, "") for r in _records(images)})[:WALL]
    if len(keys) > COLUMNS:
        keys = keys[: len(keys) // COLUMNS * COLUMNS]  # rows that are full
    paths = {(r.arm, (r.prompt_id, r.index, "")): _path(r) for r in _records(images)}
    out = []
    for arm in arms:
        chosen = [paths[arm, key] for key in keys if (arm, key) in paths]
        if chosen and (source := thumbnails.wall(chosen)):
            out.append((arm, source, len(chosen)))
    return out


@dataclass(frozen=True)
class _Reading:
    arm: str
    request: tuple[str, int]
    """Prompt id and index."""
    attribute: str
    label: str
    status: str
    probabilities: dict[str, float]

    @property
    def top(self) -> float:
        return max(self.probabilities.values(), default=float("nan"))

    @property
    def words(self) -> str:
        if self.status != "ok" or not self.label:
            return self.status.replace("_", " ")
        sure = self.probabilities.get(self.label)
        return self.label if sure is None else f"{self.label} {100 * sure:.0f}{PERCENT}"


_Readings = dict[tuple[str, Key], dict[str, _Reading]]
"""By arm and key, then by attribute."""


class _Image:
    """The columns of one row of `images.parquet`, by name."""

    arm: str
    prompt_id: str
    prompt: str
    index: int
    seed: Any
    path: Any
    status: str


def _key(image: _Image) -> Key:
    """Return what an image is called; one of unknown seed has its arm in place of it."""
    seed = f"of {image.arm}" if pd.isna(image.seed) else str(image.seed)
    return image.prompt_id, image.index, seed


def _path(image: _Image) -> str | None:
    return image.path if isinstance(image.path, str) else None


def _differ(label: str, other: str) -> bool:
    """Say whether two readings differ; a missing one is no reading, hence no change."""
    return bool(label and other) and label != other


def _records(images: pd.DataFrame) -> list[_Image]:
    return list(images.itertuples(index=False, name="Record"))  # type: ignore[arg-type]


def _readings(labels: pd.DataFrame) -> list[_Reading]:
    columns = {c: c.removeprefix("p_") for c in labels.columns if c.startswith("p_")}
    out = []
    for row in labels.to_dict("records"):
        known = {name: float(row[c]) for c, name in columns.items() if not pd.isna(row[c])}
        label = "" if pd.isna(row["label"]) else str(row["label"])
        request = (str(row["prompt_id"]), int(row["index"]))
        attribute, status = str(row["attribute"]), str(row["status"])
        out.append(_Reading(str(row["arm"]), request, attribute, label, status, known))
    return out


def _by_lot(keys: set[Key]) -> list[Key]:
    def place(key: Key) -> tuple[str, str]:
        return hashlib.sha256(f"{key[0]}\0{key[1]}".encode()).hexdigest(), key[2]

    return sorted(keys, key=place)


def _choose(
    images: pd.DataFrame,
    read: _Readings,
    arms: Sequence[str],
) -> dict[Key, str]:
    """Return the requests to show, with the rule that chose each, in the order of the rules."""
    keys = _by_lot({_key(r) for r in _records(images)})
    attribute = next((a for readings in read.values() for a in readings), "")

    def reading(arm: str, key: Key) -> _Reading | None:
        return read.get((arm, key), {}).get(attribute)

    def change(arm: str, key: Key) -> float:
        """Return how much less likely the class of the baseline became; 0 where it is the same."""
        old, new = reading(arms[0], key), reading(arm, key)
        if old is None or new is None or "" in (old.label, new.label) or old.label == new.label:
            return 0.0
        return abs(old.probabilities.get(old.label, 1.0) - new.probabilities.get(old.label, 0.0))

    chosen = dict.fromkeys(keys[:LOT], "by lot")
    for arm in arms[1:]:
        by = {key: moved for key in keys if (moved := change(arm, key)) > 0}
        for key in sorted(by, key=by.__getitem__, reverse=True)[:CHANGED]:
            chosen.setdefault(key, f"most changed by {arm}")
    sure = {k: r.top for k in keys if (r := reading(arms[0], k)) and r.status == "ok"}
    for key in sorted((k for k in sure if sure[k] == sure[k]), key=sure.__getitem__)[:UNSURE]:
        chosen.setdefault(key, "probe least sure")
    bad = [k for k in keys if any((r := reading(a, k)) and r.status != "ok" for a in arms)]
    for key in bad[:MISSING]:
        chosen.setdefault(key, "without a reading")
    return chosen


def _picture(
    image: _Image,
    arm: str,
    readings: dict[str, _Reading],
    baseline: dict[str, _Reading],
    thumbnails: Thumbnails,
) -> Picture:
    said = tuple(
        (name, r.words, name in baseline and _differ(r.label, baseline[name].label))
        for name, r in readings.items()
    )
    told = "; ".join(f"{name}: {words}" for name, words, _ in said) or "no reading"
    prompt = f"prompt {image.prompt_id}, " if image.prompt_id != "-" else ""
    return Picture(
        arm=arm,
        source=thumbnails.small(_path(image)),
        status=image.status,
        readings=said,
        alternative=f"Generated image, {prompt}index {image.index}, arm {arm}. "
        f"The probe says {told}.",
    )
