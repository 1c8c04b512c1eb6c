"""Images a second of every probe and encoder, in one run on one machine.

    python benches/probe_speed.py [--images 64] [--folder DIR] [--size 64] [NAME ...]

Probes whose weights are not installed run on random ones of the same shape: the speed is that of
the real ones, the readings are noise and are not printed. The tiny networks that stand in for
deepface are not timed; its real ones are three VGG-16.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from audit.errors import ResourceError
from audit.registry import build

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import tiny_weights

NAMES = (
    *("probes/dlib", "probes/portraits", "probes/clip", "probes/skin-tone", "probes/fairface"),
    *("encoders/portraits", "encoders/portraits-clip", "encoders/inception"),
)


def pictures(folder: Path | None, count: int, size: int) -> np.ndarray:
    """Return `count` images [N, size, size, 3]: of a folder, or the portraits of the tests."""
    if folder is None:
        given = [Image.fromarray(face) for face in tiny_weights.portraits()]
    else:
        paths = sorted(p for p in folder.iterdir() if p.suffix in {".jpg", ".png", ".webp"})
        given = [Image.open(path).convert("RGB") for path in paths[:count]]
    scaled = [np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)) for image in given]
    return np.stack([scaled[i % len(scaled)] for i in range(count)])


def plugin(kind: str, name: str, folder: Path) -> tuple[Any, str]:
    """Build a plugin, on random weights where its own are not to be had."""
    makers = {"fairface": tiny_weights.fairface, "inception": tiny_weights.inception}
    if name in makers:
        return build(kind, name, weights=str(makers[name](folder / name))), "random weights"
    try:
        return build(kind, name), "own weights"
    except ResourceError as missing:
        return None, str(missing)


def rows(names: list[str], images: np.ndarray) -> Iterator[dict[str, object]]:
    """Yield one measurement each: the best of three passes, after one that loads."""
    with tempfile.TemporaryDirectory() as folder:
        for full in names:
            kind, name = full.split("/")
            made, note = plugin(kind, name, Path(folder))
            if made is None:
                yield {"plugin": full, "note": note}
                continue
            run = made.read if kind == "probes" else made.encode_images
            run(images[:2])
            wall, busy = [], []
            for _ in range(3):
                start, used = time.perf_counter(), time.process_time()
                run(images)
                wall.append(time.perf_counter() - start)
                busy.append(time.process_time() - used)
            yield {
                "plugin": full,
                "images_per_second": round(len(images) / min(wall), 1),
                "images_per_cpu_second": round(len(images) / min(busy), 1),
                "note": note,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--size", type=int, default=64)
    options = parser.parse_args()
    images = pictures(options.folder, options.images, options.size)
    print(json.dumps({"images": images.shape, "machine": platform.machine()}))
    for row in rows(options.names or list(NAMES), images):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
