"""Tables of images and labels with planted counts, as a run would write them."""

import pandas as pd

from audit.spec.benchmark import Benchmark

CLASSES = {
    "gender": ("woman", "man"),
    "age": ("young", "adult", "old"),
    "race": ("Black", "Asian", "White", "Indian"),
}


def benchmark(**given):
    """A benchmark of a table of labels; gender alone unless more is asked for."""
    return Benchmark.model_validate({"labels": "table.csv", "attributes": ["gender"]} | given)


def tables(readings, *, attribute="gender", probe="probe", seeds=True):
    """Make both tables from `{arm: {prompt: [label or status, ...]}}`, in the order of indices."""
    images, labels = [], []
    for arm, prompts in readings.items():
        for prompt, row in prompts.items():
            for index, said in enumerate(row):
                key = {"arm": arm, "prompt_id": prompt, "index": index}
                read = said in CLASSES[attribute]
                images.append(
                    key
                    | {
                        "prompt": f"a {prompt}",
                        "seed": 1000 + index if seeds else None,
                        "path": f"{arm}/{prompt}/{index}.png",
                        "sha256": f"{arm}-{prompt}-{index}",
                        "status": "ok",
                    }
                )
                labels.append(
                    key
                    | {
                        "probe": probe,
                        "attribute": attribute,
                        "label": said if read else None,
                        "faces": 1 if read else 0,
                        "status": "ok" if read else said,
                    }
                )
    frame = pd.DataFrame(images)
    if len(frame):
        frame["seed"] = frame["seed"].astype("Int64")
    return frame, pd.DataFrame(labels)


def one(measured, metric, **about):
    """The one measurement that fits."""
    about = {"prompt": None, "class_": None} | about
    found = [
        m
        for m in measured.measurements
        if m.metric == metric and all(getattr(m, key) == value for key, value in about.items())
    ]
    assert len(found) == 1, f"{len(found)} measurements of {metric} {about}"
    return found[0]
