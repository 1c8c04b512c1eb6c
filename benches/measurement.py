"""How long the numbers of a large run take: 100,000 readings, 12 arms, 150 prompts."""

import argparse
import resource
import time

import numpy as np
import pandas as pd

from audit.measuring.measurement import measure
from audit.spec.benchmark import Benchmark

CLASSES = {
    "gender": ("woman", "man"),
    "age": ("young", "adult", "old"),
    "race": ("Black", "Asian", "White", "Indian"),
}
BUDGET = 60.0
"""Seconds on two cores."""


def tables(rows: int, arms: int, prompts: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw readings of one probe and three attributes; one in twenty has no face."""
    rng = np.random.default_rng(0)
    each = rows // (arms * prompts * len(CLASSES))
    grid = np.stack(np.meshgrid(range(arms), range(prompts), range(each), indexing="ij"), -1)
    arm, prompt, index = grid.reshape(-1, 3).T
    images = pd.DataFrame(
        {
            "arm": np.array(["none", *(f"arm{i}" for i in range(1, arms))])[arm],
            "prompt_id": np.array([f"p{j}" for j in range(prompts)])[prompt],
            "prompt": "",
            "index": index,
            "seed": prompt * 10_000 + index,
            "status": "ok",
        }
    )
    parts = []
    for attribute, classes in CLASSES.items():
        scores = rng.dirichlet(np.ones(len(classes)), len(images))
        missing = rng.random(len(images)) < 0.05
        label = np.array(classes, dtype=object)[scores.argmax(axis=1)]
        label[missing] = None
        part = images[["arm", "prompt_id", "index"]].assign(
            probe="probe",
            attribute=attribute,
            label=label,
            status=np.where(missing, "no_face", "ok"),
        )
        for k, name in enumerate(classes):
            part[f"p_{name}"] = np.where(missing, np.nan, scores[:, k])
        parts.append(part)
    return images, pd.concat(parts, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--arms", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=150)
    given = parser.parse_args()
    images, labels = tables(given.rows, given.arms, given.prompts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    found = measure(images, labels, Benchmark.model_validate({"labels": "table.csv"}))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(labels):,} readings, {given.arms} arms, {given.prompts} prompts")
    print(f"{len(found.scored):,} measurements, {len(found.comparisons):,} paired differences")
    print(f"{wall:.1f} s, {cpu:.1f} s of processor (budget {BUDGET:.0f} s)")
    print(f"memory {peak:.0f} MB, {peak - before:.0f} MB of it for the numbers")


if __name__ == "__main__":
    main()
