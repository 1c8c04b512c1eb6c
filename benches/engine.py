"""What the engine adds to a bare loop over a pipeline, in time and in memory, in one run.

    python benches/engine.py [--pipeline FOLDER] [--images 64] [--batch-size 16] [--steps 10]

Time: the engine draws, encodes, writes and records N images; the bare loop calls the diffusers
pipeline for the same batches, with the same generators, and keeps nothing. Both are measured in
turns, in wall time and in processor time. Memory: the peak of a process that runs the engine over
a model which costs nothing, for 256 and for 4,096 images.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from audit.images.drawing import Arm
from audit.images.filling import filling
from audit.images.generation import generate
from audit.mitigations.none import none
from audit.progress import Silent
from audit.spec.planning import seed
from audit.storage.store import Store
from audit.types import Drawing, Request, State

ROUNDS = 3


class Cheap:
    """A model that costs nothing: noise of 64 px from the seed."""

    fingerprint = "cheap"
    hookpoints: dict[str, int] = {}
    text_to_image = False

    def generate(self, requests):
        images = [
            np.random.default_rng(r.seed).integers(0, 256, (64, 64, 3), np.uint8) for r in requests
        ]
        return Drawing(np.stack(images), (State.OK,) * len(requests))


def requests(count, steps, base=0):
    return [
        Request("-", "a portrait of a doctor", i, seed(base, "-", i), steps, 1.0)
        for i in range(count)
    ]


def engine(model, wanted, batch_size, folder):
    """Run the engine over requests until both tables are whole."""
    store = Store(folder / "store")
    with filling(folder, ["woman", "man"], store.root, Silent()) as fill:
        arm = Arm("none", model, none())
        fill.add_batches(generate(arm, wanted, store, batch_size), [], store)


def bare(pipe, wanted, batch_size, text_to_image):
    """Call the pipeline for the same batches."""
    import torch

    for start in range(0, len(wanted), batch_size):
        batch = wanted[start : start + batch_size]
        given = {
            "generator": [torch.Generator("cpu").manual_seed(r.seed) for r in batch],
            "num_inference_steps": batch[0].steps,
            "output_type": "np",
        }
        if text_to_image:
            given |= {"prompt": [r.prompt for r in batch], "guidance_scale": 1.0}
        else:
            given |= {"batch_size": len(batch)}
        pipe(**given)


def timed(work, *given):
    """Return the wall time and the processor time that a call takes, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(*given)
    return time.perf_counter() - wall, time.process_time() - cpu


def overhead(pipeline, images, batch_size, steps):
    """Return the ratio of the engine to the bare loop, each taken in turn."""
    from models.diffusion import diffusion

    model = diffusion(pipeline=str(pipeline))
    loaded = model.pipeline
    bare(loaded.pipe, requests(batch_size, steps), batch_size, loaded.text_to_image)  # warm up
    rows = []
    for turn in range(ROUNDS):
        wanted = requests(images, steps, base=turn)
        with tempfile.TemporaryDirectory() as folder:
            spent = {
                "bare": timed(bare, loaded.pipe, wanted, batch_size, loaded.text_to_image),
                "engine": timed(engine, model, wanted, batch_size, Path(folder)),
            }
        rows.append(spent)
    ratios = {
        kind: [row["engine"][i] / row["bare"][i] for row in rows]
        for i, kind in enumerate(("wall", "processor"))
    }
    return {
        "images": images,
        "batch_size": batch_size,
        "steps": steps,
        "bare_images_per_second": round(images / statistics.median(r["bare"][0] for r in rows), 2),
        **{f"ratio_{kind}": [round(r, 3) for r in found] for kind, found in ratios.items()},
        **{f"median_{k}": round(statistics.median(found), 3) for k, found in ratios.items()},
    }


def peak(images):
    """Return the peak memory in MB of a process that runs the engine over a cheap model."""
    code = (
        f"import resource, sys, tempfile; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        "import engine; from pathlib import Path;"
        "folder = tempfile.TemporaryDirectory();"
        f"engine.engine(engine.Cheap(), engine.requests({images}, 1), 16, Path(folder.name));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default="portraits/unconditional")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    small, large = peak(256), peak(4096)
    memory = {"peak_mb_256": small, "peak_mb_4096": large, "ratio": round(large / small, 3)}
    time_ = overhead(options.pipeline, options.images, options.batch_size, options.steps)
    print(json.dumps({"time": time_, "memory": memory}, indent=1))


if __name__ == "__main__":
    main()
