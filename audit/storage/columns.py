"""Foreign tables, CSV or Parquet, as text cells that know the line they stand in."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audit.errors import InputError

MAX_BYTES = 2**30


class Cells:
    """The rows of a table; every cell is text, and an empty one is missing."""

    def __init__(self, path: Path) -> None:
        """Open a table.

        Raises:
            InputError: it is missing, empty, damaged, too large, or neither CSV nor Parquet.
        """
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: there is no such table")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than {MAX_BYTES // 2**20} MB")
        if path.suffix.lower() == ".parquet":
            self.columns, self._rows = self._parquet()
        elif path.suffix.lower() == ".csv":
            self.columns, self._rows = self._csv()
        else:
            raise InputError(f"{path}: expected a .csv or .parquet table")
        if twice := {name for name in self.columns if self.columns.count(name) > 1}:
            raise InputError(f"{path}: column {min(twice)!r} stands there twice")

    def __iter__(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield where each row stands, as `file:line`, and its cells by column."""
        return self._rows

    def _csv(self) -> tuple[Sequence[str], Iterator[tuple[str, Mapping[str, str]]]]:
        try:
            text = self.path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: not UTF-8 text: {error}") from error
        # Lines end where CSV says: str.splitlines breaks at U+2028 and others, inside a cell too.
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise InputError(f"{self.path}:1: not CSV: {error}") from error
        if not header:
            raise InputError(f"{self.path}: the table is empty")

        def rows() -> Iterator[tuple[str, Mapping[str, str]]]:
            try:
                for row in reader:
                    where = f"{self.path}:{reader.line_num}"
                    if row and len(row) != len(header):
                        raise InputError(f"{where}: {len(row)} cells under {len(header)} columns")
                    if row:
                        yield where, dict(zip(header, (cell.strip() for cell in row), strict=True))
            except csv.Error as error:
                raise InputError(f"{self.path}:{reader.line_num}: not CSV: {error}") from error

        return header, rows()

    def _parquet(self) -> tuple[Sequence[str], Iterator[tuple[str, Mapping[str, str]]]]:
        try:
            file = pq.ParquetFile(self.path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{self.path}: not a readable Parquet table: {error}") from error

        def rows() -> Iterator[tuple[str, Mapping[str, str]]]:
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"{self.path}: row {number}", {k: _text(v) for k, v in row.items()}

        return list(file.schema_arrow.names), rows()


def _text(value: Any) -> str:
    missing = value is None or value != value
    return "" if missing else str(value)
