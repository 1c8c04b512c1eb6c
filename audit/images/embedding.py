"""Embeddings of images by an encoder, each computed once and kept in the store."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from audit.errors import InputError, SpecError
from audit.images.sources import image_folder
from audit.storage.pictures import decode, decode_bytes, held_bytes
from audit.storage.store import Store, key
from audit.types import Encoder, State

BATCH = 64

Vectors = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Seen = tuple[str, Callable[[], Pixels]]
"""sha256 of an image, and what reads its pixels when they are needed."""


def of_images(frame: pd.DataFrame, root: Path, encoder: Encoder, store: Store) -> Vectors:
    """Return [N, D]: row i is of row i of the table of images; NaN where there is none to see.

    Args:
        frame: As in `images.parquet`.
        root: Folder that its paths start from.
        encoder: Embeds the images.
        store: Keeps the embeddings.

    Raises:
        InputError: a file is missing, or is not the one that the table names.
    """
    usable = np.flatnonzero((frame["status"] == State.OK) & frame["path"].notna())
    seen = [
        (sha256, lambda at=root / path, sha256=sha256: _named(at, sha256))
        for sha256, path in frame[["sha256", "path"]].iloc[usable].itertuples(index=False)
    ]
    vectors = np.full((len(frame), encoder.dimensions), np.nan, np.float32)
    for start in range(0, len(seen), BATCH):
        vectors[usable[start : start + BATCH]] = _embed(
            seen[start : start + BATCH], encoder, store
        )
    return vectors


def _named(file: Path, sha256: str) -> Pixels:
    """Return the pixels of a file, if it is still the one that was drawn or read."""
    picture = decode(file)
    if picture.sha256 != sha256:
        raise InputError(f"{file}: has changed since the run read it; run again to read it anew")
    return picture.pixels


def of_reference(place: Path, encoder: Encoder, store: Store) -> Vectors:
    """Return [M, D] of the images that a distance is measured from.

    Args:
        place: A folder of images, or a Parquet file whose column `image` holds encoded ones.
        encoder: Embeds the images.
        store: Keeps the embeddings.

    Raises:
        InputError: there is no such folder or file, or it holds no images.
    """
    return (
        _of_packed(place, encoder, store)
        if place.suffix == ".parquet"
        else _of_folder(place, encoder, store)
    )


def _of_packed(file: Path, encoder: Encoder, store: Store) -> Vectors:
    try:
        cells = pd.read_parquet(file, columns=["image"])["image"]
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a Parquet file with a column `image`: {error}") from error
    if cells.empty:
        raise InputError(f"{file}: holds no images")
    parts = []
    for start in range(0, len(cells), BATCH):
        some = cells.iloc[start : start + BATCH]
        seen = [_packed(cell, f"{file.name}[{row}]") for row, cell in some.items()]
        parts.append(_embed(seen, encoder, store))
    return np.concatenate(parts)


def _packed(cell: object, name: str) -> Seen:
    content = held_bytes(cell, name)
    return hashlib.sha256(content).hexdigest(), lambda: decode_bytes(content, name).pixels


def _of_folder(folder: Path, encoder: Encoder, store: Store) -> Vectors:
    parts = []
    for batch in image_folder(folder).read(BATCH):
        seen = [
            (record.sha256, lambda pixels=pixels: pixels)
            for record, pixels in zip(batch.records, batch.pixels, strict=True)
            if record.status is State.OK
        ]
        parts.append(_embed(seen, encoder, store))
    return np.concatenate(parts)


def of_prompts(prompts: Mapping[str, str], encoder: Encoder) -> Mapping[str, Vectors]:
    """Return [D] by prompt id; nothing where the encoder knows no text."""
    texts = {name: text for name, text in prompts.items() if text}
    if not texts:
        return {}
    try:
        vectors = encoder.encode_texts(list(texts.values()))
    except SpecError:
        return {}
    return dict(zip(texts, vectors, strict=True))


def _embed(images: Sequence[Seen], encoder: Encoder, store: Store) -> Vectors:
    """Return [n, D] of some images; those of one shape are embedded together."""
    vectors = np.empty((len(images), encoder.dimensions), np.float32)
    lacking: dict[tuple[int, ...], list[tuple[int, Pixels]]] = defaultdict(list)
    for i, (sha256, pixels) in enumerate(images):
        if (kept := store.get(_key(sha256, encoder))) is not None:
            vectors[i] = np.frombuffer(base64.b64decode(kept.record["float32"]), np.float32)
        else:
            found = pixels()
            lacking[found.shape].append((i, found))
    for group in lacking.values():
        rows = [i for i, _ in group]
        vectors[rows] = encoder.encode_images(np.stack([pixels for _, pixels in group]))
        for i in rows:
            plain = base64.b64encode(vectors[i].astype("<f4").tobytes()).decode()
            store.put(_key(images[i][0], encoder), {"float32": plain})
    return vectors


def _key(sha256: str, encoder: Encoder) -> str:
    return key(kind="embedding", image=sha256, encoder=encoder.fingerprint)
