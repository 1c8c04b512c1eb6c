"""Rendering a data set: rows of pictures and labels in Parquet shards, by many processes.

Row `index` of a set depends on `(seed, index)` alone. A shard is written whole under a temporary
name and then renamed, so that a set that was stopped holds only finished shards and goes on with
the first that is missing.
"""

import io
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import InputError
from models.portraits import truth
from models.portraits.render.person import AGE_RANGE, Person
from models.portraits.render.sampling import draw

VERSION = 1  # of the renderer: raised by every change that moves a pixel or a label
SIZE = 128  # pixels
QUALITY = 94  # WebP; at this the compression is below the grain
SHARD = 500  # rows, about 2 MB
RECORD = "render.json"
AGE_BOUNDS = {"young": (AGE_RANGE[0], 35.0), "adult": (35.0, 60.0), "old": (60.0, AGE_RANGE[1])}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # one a process


@dataclass(frozen=True)
class Job:
    """A data set to render."""

    assets: Path
    body: Path
    out: Path
    images: int
    seed: int
    workers: int
    population: str | None = None
    """A planted population of `truth.yaml` to draw from; evenly without one."""


def person_at(seed: int, index: int, population: str | None = None) -> Person:
    """The person of row `index` of the set `seed`, drawn evenly or as a population was planted."""
    rng = np.random.default_rng([seed, index])
    if population is None:
        return draw(rng)
    planted = truth.population(population)
    gender = _pick(rng, planted.gender)
    young, old = AGE_BOUNDS[_pick(rng, planted.age[gender])]
    age = float(rng.uniform(young, old))
    return draw(rng, gender=gender, age=age, race=_pick(rng, planted.race))


def _pick(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def labels(person: Person) -> dict[str, Any]:
    """The label columns of one row."""
    return {
        "gender": person.gender,
        "age": round(person.age, 1),
        "age_class": person.age_class,
        "race": person.race,
        "monk": round(person.monk, 2),
        "occupation": person.occupation,
        "hair": person.hair.style,
        "hair_color": person.hair.color,
        "beard": person.hair.beard,
        "glasses": person.dress.glasses,
        "smile": round(person.smile, 2),
        "headwear": person.headwear,
        "earring": person.dress.earring,
        "makeup": round(person.dress.makeup, 2),
        "yaw": round(person.shot.yaw, 1),
    }


def shard_path(job: Job, shard: int) -> Path:
    """The file of a shard."""
    return job.out / f"portraits-{shard:03d}.parquet"


def rows(job: Job, shard: int) -> range:
    """The rows of a shard; the last may be shorter."""
    return range(shard * SHARD, min((shard + 1) * SHARD, job.images))


def missing(job: Job) -> list[int]:
    """Shards that are not written yet, or were the short end of a smaller set."""
    return [
        shard
        for shard in range(-(-job.images // SHARD))
        if _written(shard_path(job, shard)) < len(rows(job, shard))
    ]


def _written(path: Path) -> int:
    """Number of rows in a shard, 0 where there is none."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows) if path.exists() else 0


def produce(job: Job) -> Iterator[int]:
    """Render what is missing; yields the number of every shard as it is written.

    Raises:
        InputError: the folder holds a set of another seed, size or version of the renderer, or
            the meshes are not where they should be.
        ResourceError: there is no body model yet and anny is not installed.
    """
    _claim(job)
    if not job.body.exists():
        from models.portraits.render.export import export

        export(job.body)
    lacking = missing(job)
    if job.workers == 1:
        _open(job)
        yield from map(_render_shard, lacking)
        return
    for name in THREADS:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")  # so that numpy reads the lines above
    with context.Pool(min(job.workers, len(lacking) or 1), _open, (job,)) as pool:
        yield from pool.imap_unordered(_render_shard, lacking)


def _claim(job: Job) -> None:
    """Record what the folder holds, or check that it holds the same."""
    record = {
        "seed": job.seed,
        "images": job.images,
        "size": SIZE,
        "rows_per_shard": SHARD,
        "renderer": VERSION,
        "population": job.population,
    }
    path = job.out / RECORD
    if path.exists():
        found = json.loads(path.read_text())
        differing = [key for key in record if key != "images" and found.get(key) != record[key]]
        if differing:
            key = differing[0]
            raise InputError(
                f"{path}: the set was rendered with {key} {found.get(key)}, not {record[key]}; "
                "choose another folder"
            )
    _write(path, json.dumps(record, indent=1).encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(content)
    partial.replace(path)


_studio: Any = None  # of this process
_job: Any = None


def _open(job: Job) -> None:
    """Prepare a process: one thread, its own meshes."""
    global _studio, _job
    from models.portraits.render.portrait import Studio

    _job, _studio = job, Studio.furnish(job.assets, job.body)


def _render_shard(shard: int) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table: list[dict[str, Any]] = []
    for index in rows(_job, shard):
        person = person_at(_job.seed, index, _job.population)
        name = f"{_job.seed:03d}-{index:06d}.webp"
        table.append(
            {"image": {"bytes": _webp(_studio.render(person, SIZE)), "path": name}}
            | labels(person)
            | {"seed": _job.seed, "index": index}
        )
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(table), sink, compression="zstd")
    _write(shard_path(_job, shard), sink.getvalue())
    return shard


def _webp(picture: Any) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    pixels = (picture * 255 + 0.5).astype(np.uint8)
    Image.fromarray(pixels).save(sink, "WEBP", quality=QUALITY, method=4)
    return sink.getvalue()


def timed(job: Job) -> Iterator[str]:
    """Progress of `produce` in lines of text."""
    start, lacking = time.monotonic(), len(missing(job))
    for done, shard in enumerate(produce(job), 1):
        rate = done * SHARD / (time.monotonic() - start)
        left = (lacking - done) * SHARD / rate / 60
        yield f"{shard_path(job, shard).name}: {rate:.1f} images/s, {left:.0f} min left"
