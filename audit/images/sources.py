"""Images and labels that were made elsewhere: the same tables as of images drawn here."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from audit.errors import InputError, RefusedError, unknown
from audit.images.drawing import BATCH_SIZE
from audit.images.generation import Batch, ImageRecord
from audit.spec.planning import UNCONDITIONAL
from audit.spec.prompts import ID, slug
from audit.storage.columns import Cells
from audit.storage.pictures import FORMATS, decode
from audit.types import State

BASELINE = "none"
MANIFESTS = ("manifest.csv", "manifest.parquet")
COLUMNS = ("file", "arm", "prompt", "prompt_id", "seed", "index")
"""Of a manifest; `file` alone is required."""
_MAX_BATCH_PIXELS = 32_000_000


@dataclass(frozen=True)
class Listed:
    """An image file, before it is looked at."""

    path: Path
    arm: str = BASELINE
    prompt_id: str = UNCONDITIONAL.id
    prompt: str = ""
    seed: int | None = None
    index: int = 0


@dataclass
class ImageFolder:
    """A folder of images, with what is worth a warning about it."""

    root: Path
    images: tuple[Listed, ...]
    skipped: Counter[str] = field(default_factory=Counter)
    """Files of other formats, by suffix."""
    unreadable: list[str] = field(default_factory=list)
    """What is wrong with each file that could not be decoded."""
    mislabelled: int = 0
    pooled: tuple[str, ...] = ()
    """Sub-folders whose images were taken together, as there is no manifest."""

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms, in order of appearance; the first is the baseline."""
        return tuple(dict.fromkeys(image.arm for image in self.images))

    @property
    def prompts(self) -> dict[str, str]:
        """Text by prompt id, in order of appearance."""
        return {image.prompt_id: image.prompt for image in self.images}

    def read(self, batch_size: int = BATCH_SIZE) -> Iterator[Batch]:
        """Decode all images, in order; those that cannot be are recorded as unreadable.

        Raises:
            InputError: two arms hold the very same images.
        """
        seen: dict[str, list[str]] = defaultdict(list)
        records: list[ImageRecord] = []
        pixels: list[npt.NDArray[np.uint8] | None] = []
        for image in self.images:
            record, picture = self._read_one(image)
            if record.sha256:
                seen[image.arm].append(record.sha256)
            held = sum(p.size // 3 for p in pixels if p is not None)
            if len(records) == batch_size or held > _MAX_BATCH_PIXELS:
                yield Batch(tuple(records), tuple(pixels))
                records, pixels = [], []
            records.append(record)
            pixels.append(picture)
        yield Batch(tuple(records), tuple(pixels))
        self._compare(seen)

    def _read_one(self, image: Listed) -> tuple[ImageRecord, npt.NDArray[np.uint8] | None]:
        try:
            picture = decode(image.path)
        except InputError as error:
            self.unreadable.append(str(error))
            return _record(image, "", State.UNREADABLE), None
        self.mislabelled += picture.mislabelled
        blank = picture.pixels.std(axis=(0, 1)).max() < 1
        return _record(image, picture.sha256, State.BLANK if blank else State.OK), picture.pixels

    def _compare(self, seen: Mapping[str, Sequence[str]]) -> None:
        arms: dict[tuple[str, ...], str] = {}
        for arm, hashes in seen.items():
            if (other := arms.setdefault(tuple(sorted(hashes)), arm)) != arm:
                raise InputError(f"{self.root}: arms {other!r} and {arm!r} are the same images")


def image_folder(root: Path) -> ImageFolder:
    """List the images of a folder, by its manifest if it has one.

    Raises:
        InputError: there is no such folder, it holds no images, or its manifest is wrong.
        RefusedError: a link or a path leads out of the folder.
    """
    root = root.resolve()
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder of images")
    for name in MANIFESTS:
        if (root / name).is_file():
            return ImageFolder(root, _by_manifest(root, Cells(root / name)))
    images: list[Listed] = []
    skipped = Counter[str]()
    for path in sorted(root.rglob("*")):
        if any(part.startswith(".") for part in path.relative_to(root).parts) or path.is_dir():
            continue
        if path.suffix.lower() in FORMATS:
            images.append(Listed(_inside(root, path, str(path)), index=len(images)))
        else:
            skipped[path.suffix.lower() or path.name] += 1
    if not images:
        raise InputError(f"{root}: holds no images ({', '.join(FORMATS)})")
    folders = dict.fromkeys(image.path.parent.relative_to(root) for image in images)
    pooled = tuple(f.as_posix() for f in folders if f.parts) if len(folders) > 1 else ()
    return ImageFolder(root, tuple(images), skipped, pooled=pooled)


def _by_manifest(root: Path, manifest: Cells) -> tuple[Listed, ...]:
    for column in manifest.columns:
        if column not in COLUMNS:
            raise InputError(f"{manifest.path}: {unknown('column', column, COLUMNS)}")
    if "file" not in manifest.columns:
        raise InputError(f"{manifest.path}: column 'file' is missing")
    images = [_listed(root, where, row) for where, row in manifest]
    if not images:
        raise InputError(f"{manifest.path}: lists no images")
    if "index" not in manifest.columns:
        numbering = Numbering()
        images = [
            replace(image, index=numbering.number(image.prompt_id, image.seed, image.arm))
            for image in images
        ]
    places = Counter((image.arm, image.prompt_id, image.index) for image in images)
    (arm, prompt, index), most = places.most_common(1)[0]
    if most > 1:
        raise InputError(
            f"{manifest.path}: {most} images are number {index} of prompt {prompt!r} in arm"
            f" {arm!r}; each needs a seed or an index of its own"
        )
    return tuple(images)


def _listed(root: Path, where: str, row: Mapping[str, str]) -> Listed:
    path = root / row["file"]
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{where}: {row['file']!r} is not one of {', '.join(FORMATS)}")
    prompt, arm = row.get("prompt", ""), row.get("arm") or BASELINE
    prompt_id = row.get("prompt_id") or (slug(prompt) if prompt else UNCONDITIONAL.id)
    for name in (arm, prompt_id):
        if not ID.fullmatch(name) and name != UNCONDITIONAL.id:
            raise InputError(f"{where}: {name!r} must match [a-z0-9][a-z0-9._-]{{0,63}}")
    path = _inside(root, path, f"{where}: {row['file']!r}")
    if not path.is_file():
        raise InputError(f"{where}: there is no file {row['file']!r}")
    seed, index = (whole(where, name, row.get(name, "")) for name in ("seed", "index"))
    return Listed(path, arm, prompt_id, prompt, seed, index or 0)


class Numbering:
    """Numbers images within their prompt, as they are listed."""

    def __init__(self) -> None:
        self._seeds: dict[str, dict[int, int]] = defaultdict(dict)
        self._counts = Counter[tuple[str, Hashable]]()

    def number(self, prompt_id: str, seed: int | None, listing: Hashable) -> int:
        """Return the number of the next image of a prompt in a listing: that of an arm, say.

        Equal seeds get equal numbers in all listings; without a seed, images are counted.
        """
        index = self._counts[prompt_id, listing]
        self._counts[prompt_id, listing] += 1
        if seed is None:
            return index
        known = self._seeds[prompt_id]
        return known.setdefault(seed, len(known))


def _inside(root: Path, path: Path, named: str) -> Path:
    if not path.resolve().is_relative_to(root):
        raise RefusedError(f"{named} leads out of the folder {root}")
    return path


def _record(image: Listed, sha256: str, status: State) -> ImageRecord:
    return ImageRecord(
        image.arm,
        image.prompt_id,
        image.prompt,
        image.index,
        image.seed,
        image.path if sha256 else None,
        sha256,
        status,
    )


def whole(where: str, name: str, cell: str) -> int | None:
    """Return the whole number in a cell; None for an empty one.

    Raises:
        InputError: it is none, or negative.
    """
    if not cell:
        return None
    try:
        number = float(cell)
        if number.is_integer() and 0 <= number < 2**63:
            return int(cell) if cell.isdigit() else int(number)
    except ValueError:
        pass
    raise InputError(f"{where}: {name} must be a whole number from 0, got {cell!r}")
