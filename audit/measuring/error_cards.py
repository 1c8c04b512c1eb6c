"""Error cards: what a probe reads on images whose class is known, as counts, in one JSON file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import InputError
from audit.statistics.correction import Calibration
from audit.storage import atomic

SHIPPED = Path(__file__).parents[2] / "probes" / "cards"
"""Cards of the probes that come with the suite."""

BESIDE_SPEC = "error-cards"
"""Folder beside a spec where cards of one's own are looked for; `calibrate` writes there."""

Counts = tuple[tuple[int, ...], ...]

Sureness = tuple[float, float]
"""Mean and standard deviation of the probability of the class that was read."""


class Confusion(BaseModel):
    """Readings of one attribute by true class."""

    model_config = ConfigDict(strict=False, extra="forbid", frozen=True)

    classes: tuple[str, ...] = Field(min_length=2)
    counts: Counts
    """[K][K]: row = true class, column = class read."""
    missing: tuple[int, ...]
    """[K]: images of each true class that the probe did not read: no face, unsure."""
    confidence: tuple[Sureness, ...] | None = None
    """[K]: of each true class, how sure the probe was of what it read; None if it says nothing."""
    groups: dict[str, dict[str, Counts]] = Field(default_factory=dict)
    """The same counts by class of another attribute: `{"race": {"Black": [[…], …]}}`."""

    @model_validator(mode="after")
    def _square(self) -> Self:
        k = len(self.classes)
        tables = [self.counts, *(t for by in self.groups.values() for t in by.values())]
        if any(len(t) != k or any(len(row) != k for row in t) for t in tables):
            raise ValueError(f"counts must be a table of {k} by {k}, one row a true class")
        if len(self.missing) != k:
            raise ValueError(f"missing must hold {k} numbers, one a true class")
        if self.confidence is not None and len(self.confidence) != k:
            raise ValueError(f"confidence must hold {k} pairs, one a true class")
        if min(n for t in tables for row in (*t, self.missing) for n in row) < 0:
            raise ValueError("counts are whole numbers from 0")
        return self

    @property
    def calibration(self) -> Calibration:
        """The table, as the corrections take it."""
        return Calibration(np.array(self.counts, np.int64))

    @property
    def accuracy(self) -> float | None:
        """Share of readings that are right; None without any."""
        table = np.array(self.counts)
        return float(np.trace(table) / table.sum()) if table.sum() else None

    def ordered(self, classes: tuple[str, ...]) -> "Confusion | None":
        """Return the same with classes in another order; None where they are other classes."""
        if sorted(classes) != sorted(self.classes):
            return None
        order = [self.classes.index(name) for name in classes]

        def table(counts: Counts) -> Counts:
            return tuple(tuple(counts[a][b] for b in order) for a in order)

        return Confusion(
            classes=classes,
            counts=table(self.counts),
            missing=tuple(self.missing[a] for a in order),
            confidence=self.confidence and tuple(self.confidence[a] for a in order),
            groups={
                name: {group: table(counts) for group, counts in by.items()}
                for name, by in self.groups.items()
            },
        )


class ErrorCard(BaseModel):
    """Errors of one probe, and where they were measured."""

    model_config = ConfigDict(strict=False, extra="forbid", frozen=True)

    version: int = 1
    probe: str
    fingerprint: str
    """Of the weights and options that made the readings."""
    data: str
    """The images: what they are, how many, at which size."""
    licence: str = "unknown"
    """Of the images."""
    images: int
    attributes: dict[str, Confusion]
    """By attribute, or by several joined with `+`: `gender`, `gender+race`."""

    def of(self, attribute: str) -> Confusion | None:
        """Return the table of an attribute, or of several in whatever order; None without one."""
        wanted = attribute.split("+")
        for name, table in self.attributes.items():
            own = name.split("+")
            if sorted(own) == sorted(wanted):
                order = [own.index(part) for part in wanted]
                cells = [cell.split("+") if len(own) > 1 else [cell] for cell in table.classes]
                classes = tuple("+".join(cell[i] for i in order) for cell in cells)
                return table.model_copy(update={"classes": classes})
        return None


def read(path: Path) -> ErrorCard:
    """Read a card.

    Raises:
        InputError: it is missing or does not fit; says where.
    """
    try:
        plain = json.loads(path.read_text("utf-8"))
        return ErrorCard.model_validate(plain)
    except FileNotFoundError:
        raise InputError(f"{path}: no such error card; `bias-audit calibrate` makes one") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "card"
        raise InputError(f"{path}: {place}: {first['msg']}") from None
    except ValueError as wrong:
        raise InputError(f"{path}: not a JSON document: {wrong}") from None


def write(path: Path, card: ErrorCard) -> None:
    """Write a card, whole."""
    atomic.write(atomic.folder(path.parent) / path.name, dumps(card))


def dumps(card: ErrorCard) -> str:
    """Return a card as JSON, one table row a line."""
    plain: dict[str, Any] = card.model_dump(mode="json")
    text = json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False)
    return _rows_on_one_line(text) + "\n"


def find(probe: str, fingerprint: str, folders: Iterable[Path] = ()) -> "ErrorCard | str":
    """Return the card of a probe with these very weights, or in words why there is none.

    Args:
        probe: Its name.
        fingerprint: Of the probe that read the images.
        folders: Looked through first, `*.json`; the shipped cards come last.
    """
    others = []
    for folder in (*folders, SHIPPED):
        for path in sorted(folder.glob("*.json")):
            card = read(path)
            if card.probe == probe and card.fingerprint == fingerprint:
                return card
            others += [path.name] * (card.probe == probe)
    if others:
        return f"error card {others[0]} is of other weights or options of probe {probe!r}"
    return f"no error card of probe {probe!r}; `bias-audit calibrate` makes one"


def _rows_on_one_line(text: str) -> str:
    """Join the numbers of innermost lists, which `json` spreads over lines."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        bare = line.strip()
        if inside and (bare.rstrip(",").lstrip("-").isdigit() or bare.startswith("]")):
            lines[-1] += bare if bare.startswith("]") or lines[-1].endswith("[") else f" {bare}"
            inside = not bare.startswith("]")
        else:
            lines.append(line)
            inside = bare.endswith("[")
    return "\n".join(lines)
