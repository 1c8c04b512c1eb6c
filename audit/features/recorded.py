"""What a recording pass leaves: activations, images, labels, and the SAEs trained on them.

Nothing here knows which attribute is asked for, so that all attributes of a model share it. A
recording serves every SAE of its hookpoint, and has its folder; an SAE has one inside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from audit.errors import InputError
from audit.features import sae as autoencoder
from audit.features import sae_training
from audit.features.reading import decided, read
from audit.features.recording import Recording, mixed
from audit.features.sae import SAE
from audit.features.study import Study
from audit.images.memory import fitting
from audit.spec.feature_sets import Features
from audit.storage import atomic
from audit.types import Request

HELD_OUT = 4
"""One image in so many measures the SAE and the heads and trains neither."""
TOKENS = 1_500_000
BATCH = 512
"""Tokens in a batch of SAE training: in a short training many updates matter most."""
THRESHOLD = 4096
"""Tokens that a BatchTopK without a threshold is given one by."""
SECOND_SEED = 1
"""Added to the seed of an SAE gives that of the one it is compared with."""
SECOND = "second"
"""Folder of that SAE, inside that of the first."""
ACTIVATIONS, IMAGES, LABELS, HEALTH = "activations.npy", "images.npy", "labels.json", "health.json"


@dataclass(frozen=True)
class Recorded:
    """What the recording pass leaves; attributes share it."""

    recording: Recording
    images: npt.NDArray[np.uint8]
    """[N, H, W, 3], mapped from disk."""
    labels: Mapping[str, npt.NDArray[np.int64]]
    """By attribute: [N] classes; -1 where the probe read none."""
    sae: SAE
    health: Mapping[str, Any]
    """`sae_training.Health` as plain values."""
    second: SAE | None = None
    """Trained on the same tokens from another seed, where stability is asked for."""


def held_out(count: int) -> npt.NDArray[np.bool_]:
    """Return [count] images that measure the SAE and the heads, and train neither."""
    # Drawn, not every fourth: prompts take turns.
    return np.asarray(np.random.default_rng(0).permutation(count) % HELD_OUT == 0)


def record(study: Study, requests: Sequence[Request], folder: Path) -> None:
    """Draw requests while recording the hookpoint; read the finished images.

    The labels are written last of a batch, when its rows of the other files have reached the disk:
    there are as many images as labels, and whatever stands behind them is drawn anew. Called again
    with the same, it goes on there.

    Args:
        study: Gives the model, the hookpoint, and the probe that labels every attribute it reads.
        requests: To draw.
        folder: Takes the files; it exists, empty or with what was recorded of the same requests.

    Raises:
        InputError: an activation is not finite in float16, or what was begun is damaged.
    """
    try:
        labels = _labels(folder) or {attribute: [] for attribute in study.probe.classes}
        start = min(map(len, labels.values()))
        recording = Recording(folder / ACTIVATIONS, requests, begun=start > 0)
        images = np.load(folder / IMAGES, "r+") if start else None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error
    with study.model.hooked(study.wanted.hookpoint, recording.edit):
        for batch, drawing in fitting(study.model, requests[start:], study.batch_size):
            if images is None:
                shape = (len(requests), *drawing.images.shape[1:])
                images = np.lib.format.open_memmap(folder / IMAGES, "w+", np.uint8, shape)
            images[start : start + len(batch)] = drawing.images
            start += len(batch)
            readings = read(study.probe, drawing)
            for attribute, known in labels.items():
                known += decided(readings, attribute).tolist()
            recording.flush()
            images.flush()
            atomic.write(folder / LABELS, json.dumps(labels) + "\n")


def _labels(folder: Path) -> dict[str, list[int]]:
    """Return the labels of the images that a folder holds so far, by attribute."""
    path = folder / LABELS
    read: dict[str, list[int]] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return read


def train_sae(wanted: Features, recording: Recording, folder: Path, *, seed: int) -> None:
    """Train an SAE on the recording of the images that are not held out; keep it in a folder."""
    tests = held_out(recording.file.shape[1])
    shape = recording.file.shape
    width = shape[2] if len(shape) == 5 else shape[-1]  # [T, N, C, H, W] or [T, N, P, C]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sae = SAE(width, width * wanted.sae.expansion, wanted.sae.k).to(recording.device)
    count = max(1, (wanted.sae.tokens or TOKENS) // BATCH)
    tokens = (
        sae.tokens(h).flatten(0, 1) for h in recording.maps(np.flatnonzero(~tests), seed=seed)
    )
    batches = mixed(tokens, size=BATCH, count=count, seed=seed)
    keep_sae(sae_training.train(sae, batches, total=count), recording, folder)


def keep_sae(sae: SAE, recording: Recording, folder: Path) -> None:
    """Measure an SAE on the images that are held out, and keep it in a folder.

    One that lacks its threshold is given it, on images that are not held out.

    Raises:
        InputError: it reads tokens of another width.
    """
    tests = held_out(recording.file.shape[1])
    sae.to(recording.device)
    if sae.threshold.isnan().any():
        maps = recording.maps(np.flatnonzero(~tests), seed=0)
        tokens = (sae.tokens(h).flatten(0, 1) for h in maps)
        sae_training.set_threshold(sae, next(mixed(tokens, size=THRESHOLD, count=1, seed=0)))
    rows = np.flatnonzero(tests)
    steps = (sae.tokens(recording.at(step, rows)).flatten(0, 1) for step in range(recording.steps))
    health = sae_training.health(sae, steps)
    sae.save(folder)
    (folder / HEALTH).write_text(json.dumps(asdict(health)) + "\n", "utf-8")


def open_recording(folder: Path, device: torch.device | str = "cpu") -> Recording:
    """Open the activations that `record` wrote, to be learnt from on a device.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return Recording(folder / ACTIVATIONS, device=device)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error


def open_recorded(recording: Recording, folder: Path, trained: Path, *, second: bool) -> Recorded:
    """Read what else `record` wrote into a folder, and `train_sae` into another.

    Args:
        recording: Opened from the folder; the SAEs go to its device.
        folder: Of the recording.
        trained: Of the SAE.
        second: Whether one from another seed is there to compare it with.

    Raises:
        InputError: a file is missing or damaged.
    """
    try:
        labels = json.loads((folder / LABELS).read_text("utf-8"))
        return Recorded(
            recording,
            np.load(folder / IMAGES, "r"),
            {attribute: np.array(read, np.int64) for attribute, read in labels.items()},
            autoencoder.load(trained).to(recording.device),
            json.loads((trained / HEALTH).read_text("utf-8")),
            autoencoder.load(trained / SECOND).to(recording.device) if second else None,
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error
