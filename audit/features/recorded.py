"""What a recording pass leaves: activations, images, labels, and the SAEs trained on them.

Nothing here knows which attribute is asked for, so that all attributes of a model share it. A
recording serves every SAE of its hookpoint, and has its folder; an SAE has one inside it.
"""

import json
import logging
from collections import Counter
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
from audit.features.recording import Recording, mapped, mixed
from audit.features.sae import SAE
from audit.features.study import Study
from audit.images.memory import fitting
from audit.spec.feature_sets import Features
from audit.storage import atomic
from audit.types import Drawing, Request, State

HELD_OUT = 4
"""One image in so many measures the SAE and the heads and trains neither."""
MOST_LEFT_OUT = 0.5
"""Part of the images that may be left out because they or their activations did not come out."""
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
OVERFLOWN = "overflown"
"""Key, among the labels, of the number of images that a recording in float16 could not hold."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorded:
    """What the recording pass leaves; attributes share it."""

    recording: Recording
    images: npt.NDArray[np.uint8]
    """[N, H, W, 3], mapped from disk."""
    labels: Mapping[str, npt.NDArray[np.int64]]
    """By attribute: [N] classes; -1 where the probe read none."""
    states: tuple[State, ...]
    """Of the images; nothing is learnt from one that is not OK."""
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
    with the same, it goes on there. An image whose activations are not finite, or too large for
    float16 where they are kept in it, counts as failed; the latter is said.

    Args:
        study: Gives the model, the hookpoint, and the probe that labels every attribute it reads.
        requests: To draw.
        folder: Takes the files; it exists, empty or with what was recorded of the same requests.

    Raises:
        InputError: too many images did not come out, the hookpoint did not run at every step, or
            what was begun is damaged.
        ResourceError: the disk is full.
    """
    try:
        noted = _noted(folder) or {"states": [], "labels": {a: [] for a in study.probe.classes}}
        start, before = len(noted["states"]), noted.get(OVERFLOWN, 0)
        recording = Recording(folder / ACTIVATIONS, requests, begun=start > 0)
        images = np.load(folder / IMAGES, "r+") if start else None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error
    with study.model.hooked(study.wanted.hookpoint, recording.edit):
        for batch, drawing in fitting(study.model, requests[start:], study.batch_size):
            if images is None:
                shape = (len(requests), *drawing.images.shape[1:])
                images = mapped(folder / IMAGES, np.uint8, shape)
            images[start : start + len(batch)] = drawing.images
            states = tuple(
                State.FAILED if start + i in recording.broken else state
                for i, state in enumerate(drawing.states)
            )
            start += len(batch)
            noted["states"] += states
            noted[OVERFLOWN] = before + len(recording.overflown)
            if (lost := left_out(noted["states"])).total() > MOST_LEFT_OUT * len(requests):
                counts = ", ".join(f"{n} {state}" for state, n in lost.items())
                said = f"too few of {len(requests)} images to learn from: {counts}"
                raise InputError(said + _overflow(study, noted))
            readings = read(study.probe, Drawing(drawing.images, states))
            for attribute, known in noted["labels"].items():
                known += decided(readings, attribute).tolist()
            recording.flush()
            images.flush()
            atomic.write(folder / LABELS, json.dumps(noted) + "\n")
    if overflow := _overflow(study, noted):
        log.warning("%d images recorded%s", len(requests), overflow)


def _overflow(study: Study, noted: Mapping[str, Any]) -> str:
    """Say at how many images float16 is too narrow, and what to do; nothing if at none."""
    if not (count := noted.get(OVERFLOWN, 0)):
        return ""
    return (
        f"; of {count} the activations at {study.wanted.hookpoint} are too large for float16: name"
        " another hookpoint, or draw in bfloat16"
    )


def left_out(states: Sequence[State]) -> Counter[str]:
    """Count the images that nothing is learnt from, by their states."""
    return Counter(str(state) for state in states if state != State.OK)


def _noted(folder: Path) -> dict[str, Any]:
    """Return the states and labels of the images that a folder holds so far, or nothing."""
    path = folder / LABELS
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def train_sae(wanted: Features, recording: Recording, folder: Path, *, seed: int) -> None:
    """Train an SAE on the recording of the images that are not held out; keep it in a folder."""
    learnt, _ = _rows(recording)
    shape = recording.file.shape
    width = shape[2] if len(shape) == 5 else shape[-1]  # [T, N, C, H, W] or [T, N, P, C]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sae = SAE(
            width, width * wanted.sae.expansion, wanted.sae.k, selection=wanted.sae.selection
        ).to(recording.device)
    count = max(1, (wanted.sae.tokens or TOKENS) // BATCH)
    tokens = (sae.tokens(h).flatten(0, 1) for h in recording.maps(learnt, seed=seed))
    batches = mixed(tokens, size=BATCH, count=count, seed=seed)
    keep_sae(sae_training.train(sae, batches, total=count), recording, folder)


def keep_sae(sae: SAE, recording: Recording, folder: Path) -> None:
    """Measure an SAE on the images that are held out, and keep it in a folder.

    One that lacks its threshold is given it, on images that are not held out.

    Raises:
        InputError: it reads tokens of another width.
    """
    learnt, tests = _rows(recording)
    sae.to(recording.device)
    if sae.threshold.isnan().any():
        maps = recording.maps(learnt, seed=0)
        tokens = (sae.tokens(h).flatten(0, 1) for h in maps)
        sae_training.set_threshold(sae, next(mixed(tokens, size=THRESHOLD, count=1, seed=0)))
    steps = (
        sae.tokens(recording.at(step, tests)).flatten(0, 1) for step in range(recording.steps)
    )
    health = sae_training.health(sae, steps)
    sae.save(folder)
    (folder / HEALTH).write_text(json.dumps(asdict(health)) + "\n", "utf-8")


def _rows(recording: Recording) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the images that an SAE is trained on, and those that it is measured on."""
    tests = held_out(len(recording.kept))
    return np.flatnonzero(recording.kept & ~tests), np.flatnonzero(recording.kept & tests)


def open_recording(folder: Path, device: torch.device | str = "cpu") -> Recording:
    """Open the activations that `record` wrote, to be learnt from on a device.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        kept = np.array([state == State.OK for state in _noted(folder)["states"]], bool)
        return Recording(folder / ACTIVATIONS, device=device, kept=kept)
    except (OSError, ValueError, KeyError) as error:
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
        noted = _noted(folder)
        return Recorded(
            recording,
            np.load(folder / IMAGES, "r"),
            {attribute: np.array(read, np.int64) for attribute, read in noted["labels"].items()},
            tuple(map(State, noted["states"])),
            autoencoder.load(trained).to(recording.device),
            json.loads((trained / HEALTH).read_text("utf-8")),
            autoencoder.load(trained / SECOND).to(recording.device) if second else None,
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error
