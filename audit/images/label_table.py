"""A table of labels made elsewhere, or of counts: the rows that probes would have made."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit.errors import InputError, nearest, unknown
from audit.images.classification import SUM_TOLERANCE
from audit.images.sources import BASELINE, Numbering, whole
from audit.spec.planning import UNCONDITIONAL
from audit.spec.prompts import ID, slug
from audit.storage.columns import Cells
from audit.storage.tables import PREFIX
from audit.types import State

PROBE = "labels"
"""What the table calls its reader where it names none."""
MAX_IMAGES = 2_000_000
MISTYPED = 0.8
"""How alike, of 1, a column is to one that is read to be refused; `image` and `age` are not."""
_COMMON = ("arm", "prompt", "prompt_id", "probe", "seed", "count")

Row = dict[str, Any]


@dataclass(frozen=True)
class _Line:
    """One line of the table: `count` images that were read alike."""

    where: str
    """As `file:line`."""
    arm: str
    prompt_id: str
    prompt: str
    seed: int | None
    probe: str
    count: int
    readings: Mapping[str, Row]
    """By attribute: the columns of `labels.parquet` that the line gives."""


class LabelTable:
    """A checked table of labels; the line that is wrong is named."""

    def __init__(self, path: Path, classes: Mapping[str, Sequence[str]]) -> None:
        """Read a table.

        Args:
            path: CSV or Parquet.
            classes: Class names by attribute; attributes that the table lacks are left out.

        Raises:
            InputError: a column or a cell is wrong, seeds do not tell images apart, or there are
                too many images.
        """
        cells = Cells(path)
        self.classes = {
            attribute: names
            for attribute, names in classes.items()
            if attribute in cells.columns or f"{PREFIX}{names[0]}" in cells.columns
        }
        self.ignored = _check_columns(cells, classes, self.classes)
        """Columns that are not read."""
        self._lines = [self._line(where, row) for where, row in cells]
        if not self._lines:
            raise InputError(f"{path}: the table has no rows")
        if (total := sum(line.count for line in self._lines)) > MAX_IMAGES:
            raise InputError(f"{path}: {total:,} images; at most {MAX_IMAGES:,} are audited")
        _check_seeds(self._lines)
        self.arms = tuple(dict.fromkeys(line.arm for line in self._lines))
        self.probes = tuple(dict.fromkeys(line.probe for line in self._lines))
        self.prompts = {line.prompt_id: line.prompt for line in self._lines}

    def images(self) -> Iterator[Row]:
        """Yield a row of `images.parquet` for each image; there are no files."""
        listed: dict[tuple[str, str], set[int]] = defaultdict(set)
        for line, index in self._numbered():
            known = listed[line.arm, line.prompt_id]
            if index not in known:  # another probe that read the image lists it again
                known.add(index)
                yield {**_key(line, index), "prompt": line.prompt, "seed": line.seed} | {
                    "status": State.OK
                }

    def labels(self) -> Iterator[Row]:
        """Yield the rows of `labels.parquet`."""
        for line, index in self._numbered():
            for attribute, reading in line.readings.items():
                yield {**_key(line, index), "probe": line.probe, "faces": -1} | {
                    "attribute": attribute,
                    **reading,
                }

    def _numbered(self) -> Iterator[tuple[_Line, int]]:
        numbering = Numbering()
        for line in self._lines:
            for _ in range(line.count):
                listing = (line.arm, line.probe)
                yield line, numbering.number(line.prompt_id, line.seed, listing)

    def _line(self, where: str, row: Mapping[str, str]) -> _Line:
        prompt = row.get("prompt", "")
        arm, probe = row.get("arm") or BASELINE, row.get("probe") or PROBE
        prompt_id = row.get("prompt_id") or (slug(prompt) if prompt else UNCONDITIONAL.id)
        for name in (arm, probe, prompt_id):
            if not ID.fullmatch(name) and name != UNCONDITIONAL.id:
                raise InputError(f"{where}: {name!r} must match [a-z0-9][a-z0-9._-]{{0,63}}")
        count = whole(where, "count", row.get("count", ""))
        readings = {name: self._reading(where, name, row) for name in self.classes}
        seed = whole(where, "seed", row.get("seed", ""))
        count = 1 if count is None else count
        return _Line(where, arm, prompt_id, prompt, seed, probe, count, readings)

    def _reading(self, where: str, attribute: str, row: Mapping[str, str]) -> Row:
        """Return what a row says of an attribute; an empty cell is a missing reading."""
        classes = self.classes[attribute]
        label = row.get(attribute, "")
        if label and label not in classes:
            raise InputError(f"{where}: {unknown(attribute, label, classes)}")
        given = {name: row.get(f"{PREFIX}{name}", "") for name in classes}
        if not any(given.values()):
            status = State.OK if label else State.ABSTAIN
            return {"label": label or None, "status": status}
        known = {name: _probability(where, name, cell) for name, cell in given.items()}
        if abs(sum(known.values()) - 1) > SUM_TOLERANCE:
            total = f"{sum(known.values()):.4g}"
            raise InputError(f"{where}: probabilities of {attribute} add up to {total}, not 1")
        if attribute in row and not label:
            return {"label": None, "status": State.ABSTAIN}
        label = label or max(known, key=known.__getitem__)
        return {"label": label, "status": State.OK} | {f"{PREFIX}{k}": p for k, p in known.items()}


def _check_columns(
    cells: Cells, wanted: Mapping[str, Sequence[str]], found: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """Return the columns that are not read; refuse those that look as if they were meant to be."""
    columns = {f"{PREFIX}{name}" for names in wanted.values() for name in names}
    known = [*_COMMON, *wanted, *sorted(columns)]
    absent = [column for column in known if column not in cells.columns]
    ignored = tuple(column for column in cells.columns if column not in known)
    for column in ignored:
        if column.startswith(PREFIX):
            raise InputError(f"{cells.path}: {unknown('column', column, known)}")
        if near := nearest(column, absent, alike=MISTYPED):
            raise InputError(
                f"{cells.path}: unknown column {column!r}; did you mean {near!r}? (a column of"
                " something else needs a name less alike)"
            )
    if not found:
        raise InputError(f"{cells.path}: has a column for none of {', '.join(wanted)}")
    for attribute, names in found.items():
        held = [name for name in names if f"{PREFIX}{name}" in cells.columns]
        if held and len(held) < len(names):
            lacking = next(name for name in names if name not in held)
            raise InputError(
                f"{cells.path}: column '{PREFIX}{lacking}' is missing; give the probability of"
                f" every class of {attribute}, or of none"
            )
    return ignored


def _check_seeds(lines: Iterable[_Line]) -> None:
    """Refuse lines whose images are not told apart by their seeds, in an arm that gives any."""
    seeded: dict[tuple[str, str], bool] = {}
    read: set[tuple[str, str, str, int]] = set()
    for line in lines:
        if not line.count:
            continue
        place = f"arm {line.arm!r}, prompt {line.prompt_id!r}"
        given = line.seed is not None
        if seeded.setdefault((line.arm, line.prompt_id), given) != given:
            others = "no seed" if given else "a seed"
            raise InputError(
                f"{line.where}: other lines of {place} have {others}; give one to each or to none"
            )
        if line.seed is None:
            continue
        if line.count > 1:
            raise InputError(
                f"{line.where}: {line.count} images of one seed; give each a line and a seed of"
                " its own, or no seed"
            )
        key = (line.arm, line.prompt_id, line.probe, line.seed)
        if key in read:
            raise InputError(
                f"{line.where}: a second reading of seed {line.seed} by {line.probe!r} in {place};"
                " each image needs a seed of its own"
            )
        read.add(key)


def _probability(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InputError(f"{where}: {PREFIX}{name} must be a number from 0 to 1, got {cell!r}")
    return value


def _key(line: _Line, index: int) -> Row:
    return {"arm": line.arm, "prompt_id": line.prompt_id, "index": index}
