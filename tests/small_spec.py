"""A small valid spec, and a way to change it and run the command line on it."""

import copy
from pathlib import Path

import yaml

from audit.cli import main

TOP = {"version", "default", "include", "models", "features", "benchmarks"}
VALID = {
    "version": 1,
    "models": {
        "faces": {"pipeline": "portraits/unconditional", "steps": 25},
        "jobs": {"pipeline": "portraits/text-to-image", "steps": 20, "guidance_scale": 4.0},
    },
    "features": {"gender_set": {"model": "faces", "attribute": "gender", "probe": "portraits"}},
    "benchmarks": {
        "portraits": {
            "model": "faces",
            "images": 8,
            "probes": ["portraits", "dlib"],
            "attributes": ["gender", "age"],
            "mitigations": ["none", {"name": "steer", "features": "gender_set", "scale": 0.5}],
            "target": {"gender": {"woman": 0.5, "man": 0.5}},
            "gates": [
                {"metric": "fd_debiased", "attribute": "gender", "arm": "steer", "max": 0.1}
            ],
        },
        "occupations": {
            "model": "jobs",
            "prompts": {"template": "a portrait of a {job}", "job": ["doctor", "nurse"]},
            "images_per_prompt": 3,
            "probes": ["portraits"],
        },
    },
}


def changed(**by_path):
    """Return the valid spec with values replaced: `portraits__images=3`; None removes a key."""
    spec = copy.deepcopy(VALID)
    for path, value in by_path.items():
        *way, last = path.split("__")
        node = spec if path.split("__")[0] in TOP else spec["benchmarks"]
        for step in way:
            node = node[step]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return yaml.safe_dump(spec, sort_keys=False)


def write(folder: Path, text: str) -> Path:
    path = folder / "benchmarks.yaml"
    path.write_text(text, "utf-8")
    return path


def run(*args):
    """Run the command line in this process; return its exit status."""
    try:
        main([str(arg) for arg in args])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def tree(folder: Path):
    """Return every file below a folder with its bytes: what a test compares before and after."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
