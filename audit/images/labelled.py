"""Images whose classes are known: folders by class, a CSV of paths, or Parquet with the pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.errors import InputError
from audit.storage.columns import Cells
from audit.storage.pictures import FORMATS, decode, decode_bytes, held_bytes
from audit.types import Images

PATH_COLUMNS = ("path", "file", "image")
SUFFIX = "_class"
"""`age_class` is read in place of `age`, which may hold years."""

Classes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Labelled:
    """One image with what is known of it."""

    pixels: Images
    """[H, W, 3], RGB."""
    truth: Mapping[str, str]
    """By attribute: the class; attributes that are not known are left out."""


def labelled(path: Path, classes: Classes, *, size: int | None = None) -> Iterator[Labelled]:
    """Yield labelled images.

    Args:
        path: A folder `<class>/…` or `<attribute>/<class>/…` of image files; a CSV with a column
            `path` and one for each attribute; a Parquet file, or a folder of them, with a column
            `image` (bytes, or a struct that holds them) and one for each attribute.
        classes: By attribute; a label that is none of them counts as not known.
        size: Side to which images are scaled down; None leaves them as they are.

    Raises:
        InputError: the path is none of these, or no label is known.
    """
    some = False
    for one in _read(path, classes):
        some = some or bool(one.truth)
        yield one if size is None else Labelled(_scaled(one.pixels, size), one.truth)
    if not some:
        wanted = "; ".join(f"{name}: {', '.join(known)}" for name, known in classes.items())
        raise InputError(f"{path}: no image has a label that the probe knows ({wanted})")


def _read(path: Path, classes: Classes) -> Iterator[Labelled]:
    if path.is_dir():
        tables = sorted(path.glob("*.parquet"))
        for table in tables:
            yield from _from_parquet(table, classes)
        if not tables:
            yield from _from_tree(path, classes)
    elif path.suffix == ".parquet" and path.is_file():
        yield from _from_parquet(path, classes)
    elif path.suffix == ".csv" and path.is_file():
        yield from _from_csv(path, classes)
    else:
        raise InputError(f"{path}: expected a folder, a .csv or a .parquet file")


def _from_tree(folder: Path, classes: Classes) -> Iterator[Labelled]:
    files = (p for p in sorted(folder.rglob("*")) if p.suffix.lower() in FORMATS)
    for file in files:
        parts = file.relative_to(folder).parts[:-1]
        named = [part for part in parts if part in classes]
        wanted = [named[-1]] if named else list(classes)
        truth = {a: part for a in wanted for part in parts if part in classes[a]}
        yield Labelled(decode(file).pixels, truth)


def _from_csv(path: Path, classes: Classes) -> Iterator[Labelled]:
    rows = Cells(path)
    place = next((name for name in PATH_COLUMNS if name in rows.columns), None)
    if place is None:
        raise InputError(f"{path}:1: no column `path`; found {', '.join(rows.columns)}")
    sources = _sources(rows.columns, classes)
    for where, row in rows:
        image = path.parent / row[place]
        if not image.is_file():
            raise InputError(f"{where}: no such file {row[place]!r}")
        yield Labelled(decode(image).pixels, _truth(row, sources, classes))


def _from_parquet(path: Path, classes: Classes) -> Iterator[Labelled]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: not a readable Parquet table: {error}") from error
    columns = file.schema_arrow.names
    if "image" not in columns:
        raise InputError(f"{path}: no column `image`; found {', '.join(columns)}")
    sources = _sources(columns, classes)
    batches = file.iter_batches(batch_size=256, columns=["image", *sources.values()])
    rows = (row for batch in batches for row in batch.to_pylist())
    for i, row in enumerate(rows):
        name = f"{path.name}[{i}]"
        pixels = decode_bytes(held_bytes(row["image"], name), name).pixels
        yield Labelled(pixels, _truth(row, sources, classes))


def _sources(columns: Sequence[str], classes: Classes) -> dict[str, str]:
    """Return the column of each attribute that has one."""
    found = {}
    for name in classes:
        for column in (name + SUFFIX, name):
            if column in columns:
                found[name] = column
                break
    return found


def _truth(row: Mapping[str, Any], sources: Mapping[str, str], classes: Classes) -> dict[str, str]:
    labels = {name: str(row[column]).strip() for name, column in sources.items()}
    return {name: label for name, label in labels.items() if label in classes[name]}


def _scaled(pixels: Images, size: int) -> Images:
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image)
