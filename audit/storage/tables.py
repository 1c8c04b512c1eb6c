"""The two tables of a run: their columns, written as a stream and checked when read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError
from audit.storage import atomic

VERSION = "1"
ROWS = 1024
"""Rows of a row group: what is held in memory while a table is written or streamed."""

IMAGES = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("index", pa.int64(), nullable=False),
        pa.field("seed", pa.int64()),
        pa.field("path", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("status", pa.string(), nullable=False),
    ],
    metadata={"bias-audit": f"images {VERSION}"},
)
"""One row an image. `seed` is null for images that were not drawn here; `path` and `sha256` are
null where there is no file. Paths start from the folder that `run.json` calls `store`."""

_LABELS = [
    pa.field("arm", pa.string(), nullable=False),
    pa.field("prompt_id", pa.string(), nullable=False),
    pa.field("index", pa.int64(), nullable=False),
    pa.field("probe", pa.string(), nullable=False),
    pa.field("attribute", pa.string(), nullable=False),
    pa.field("label", pa.string()),
    pa.field("value", pa.float32()),
    pa.field("faces", pa.int16(), nullable=False),
    pa.field("status", pa.string(), nullable=False),
]
PREFIX = "p_"
"""Of the probability columns: `p_<class>`."""


def labels(classes: Iterable[str]) -> pa.Schema:
    """Return the columns of the table of labels: one row an image, probe and attribute.

    `label` is null unless `status` is `ok`. `p_<class>` holds the probability of a class of the
    row's attribute and null elsewhere; `value` a continuous reading where there is one; `faces` is
    -1 where the probe does not look for faces.
    """
    columns = [pa.field(f"{PREFIX}{name}", pa.float32()) for name in dict.fromkeys(classes)]
    return pa.schema([*_LABELS, *columns], metadata={"bias-audit": f"labels {VERSION}"})


class Writer:
    """Takes rows as they come; at most one row group of them is in memory."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._rows: list[Mapping[str, Any]] = []

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows; a column that a row lacks is null."""
        for row in rows:
            self._rows.append(row)
            if len(self._rows) == ROWS:
                self.flush()

    def flush(self) -> None:
        """Write the rows at hand as a row group."""
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, schema=self._file.schema))
            self._rows = []


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Yield a writer of a table, which appears at `path` when the block ends well.

    Raises:
        ResourceError: the disk is full or cannot be written.
    """
    with atomic.replacing(path) as part, pq.ParquetWriter(part, schema) as file:
        writer = Writer(file)
        yield writer
        writer.flush()


def read_images(path: Path) -> pd.DataFrame:
    """Read `images.parquet`.

    Raises:
        InputError: it is missing, damaged, or has other columns.
    """
    return _frame(_read(path, IMAGES))


def read_labels(path: Path) -> pd.DataFrame:
    """Read `labels.parquet`.

    Raises:
        InputError: it is missing, damaged, or has other columns.
    """
    table = _read(path, pa.schema(_LABELS))
    for name, kind in zip(table.schema.names, table.schema.types, strict=True):
        if name.startswith(PREFIX) and kind != pa.float32():
            raise InputError(f"{path}: column {name!r} is {kind}, expected float")
    return _frame(table)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    if "seed" in frame:
        frame["seed"] = frame["seed"].astype("Int64")
    return frame


def _read(path: Path, expected: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such table") from error
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error
    _check(path, table.schema, expected)
    return table


def _check(path: Path, found: pa.Schema, expected: pa.Schema) -> None:
    wrong: Sequence[str] = [
        f"{field.name!r} is {found.field(field.name).type}, expected {field.type}"
        if field.name in found.names
        else f"{field.name!r} is missing"
        for field in expected
        if field.name not in found.names or found.field(field.name).type != field.type
    ]
    if wrong:
        raise InputError(f"{path}: columns do not fit: {'; '.join(wrong)}")
