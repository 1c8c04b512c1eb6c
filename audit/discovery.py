"""Discovery: draw under a recording edit, label, train an SAE, fit heads, rank latents.

The one difference to an ordinary run is the edit at the hookpoint, which notes what passes. What
is found is kept in a folder named after everything that made it, and read from there next time.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from audit import dissection, h_classifier, sae_training
from audit import sae as autoencoder
from audit.dissection import Dissection
from audit.dose_response import Response, decided, respond
from audit.errors import InputError, SpecError
from audit.evidence import Tally, describe
from audit.h_classifier import HClassifier
from audit.mitigations.steer import steer
from audit.planning import UNCONDITIONAL, seed
from audit.recording import Recording, mixed
from audit.registry import build
from audit.sae import SAE
from audit.spec import Features
from audit.types import FeatureSet, Model, Probe, Request, StepCodes
from audit.weights import fingerprint

SCHEME = 1
"""Enters the name of the folder; raised when this code finds other things in the same model."""
SCALES = (1.0, 2.0, 4.0, 8.0)
DOSE_IMAGES = 48
HELD_OUT = 4
"""One image in so many measures the heads and the SAE and trains neither."""
TOKENS = 1_500_000
BATCH = 512
"""Tokens in a batch of SAE training: in a short training many updates matter most."""
ACTIVATIONS, IMAGES, LABELS, HEALTH = "activations.npy", "images.npy", "labels.json", "health.json"

log = logging.getLogger(__name__)


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


def discover(
    model: Model,
    probe: Probe,
    wanted: Features,
    *,
    folder: Path,
    steps: int,
    guidance_scale: float = 1.0,
    batch_size: int = 32,
    scales: Sequence[float] = SCALES,
    progress: Callable[[str], None] = log.info,
) -> Dissection:
    """Find the latents of a model that carry an attribute, or read what was found before.

    Args:
        model: To dissect.
        probe: Labels the images drawn; should not be the only judge of a steered model.
        wanted: Hookpoint, SAE, ranking and how many images.
        folder: Where recordings and dissections are kept, one folder each.
        steps: Sampling steps.
        guidance_scale: 1 for an unconditional model.
        batch_size: Images drawn at a time.
        scales: Of the dose-response; empty for none.
        progress: Told what is being done.

    Raises:
        SpecError: the attribute or the hookpoint is unknown, or prompts are missing.
        InputError: the images show too few of a class, or activations are not finite.
    """
    if wanted.attribute not in probe.classes:
        raise SpecError(f"probe {probe.name!r} does not read {wanted.attribute!r}")
    if model.text_to_image and not wanted.prompts:
        raise SpecError("features: a text-to-image model needs `prompts` to discover with")
    prompts = tuple((prompt.id, prompt.text) for prompt in wanted.prompts)
    drawing = (prompts, wanted.images, wanted.seed, steps, guidance_scale)
    sae = (wanted.sae.model_dump_json(), TOKENS)
    made_of = (SCHEME, model.fingerprint, probe.fingerprint, wanted.hookpoint, drawing, sae)
    ranking = (wanted.ranking.name, sorted(wanted.ranking.options.items()), wanted.top)
    found_in = folder / fingerprint(*made_of, wanted.attribute, ranking, tuple(scales))
    if (found_in / dissection.FILE).is_file():
        return dissection.load(found_in)

    def requests(purpose: str, count: int) -> tuple[Request, ...]:
        return plan(wanted, purpose, count, steps, guidance_scale)

    home = folder / fingerprint(*made_of)
    if not home.is_dir():
        with _whole(home) as scratch:
            progress(f"drawing {wanted.images} images to dissect the model")
            _record(
                model, probe, wanted, requests("discovery", wanted.images), scratch, batch_size
            )
            progress("training the sparse autoencoder")
            _train_sae(wanted, Recording(scratch / ACTIVATIONS), scratch)
    with _whole(found_in) as scratch:
        progress(f"ranking latents for {wanted.attribute}")
        found = dissect(model, probe, wanted, _open(home), scratch)
        if scales:
            progress(f"dose-response of {wanted.attribute} over {len(scales)} scales")
            doses = requests("doses", DOSE_IMAGES)
            found = _with_doses(model, probe, found, doses, scales, batch_size)
        found.save(scratch)
    return found


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield a scratch folder that takes the place of `folder` when the block ends well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".discovery-", dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        yield made
        if not folder.exists():
            made.replace(folder)


def plan(
    wanted: Features, purpose: str, images: int, steps: int, guidance_scale: float
) -> tuple[Request, ...]:
    """Return requests spread evenly over the prompts, from seeds of this purpose alone."""
    prompts = wanted.prompts or (UNCONDITIONAL,)
    return tuple(
        Request(
            prompt_id=prompt.id,
            prompt=prompt.text,
            index=i // len(prompts),
            # No prompt's id holds a slash: an audit never draws these seeds.
            seed=seed(wanted.seed, f"{purpose}/{prompt.id}", i // len(prompts)),
            steps=steps,
            guidance_scale=guidance_scale,
        )
        for i, prompt in ((i, prompts[i % len(prompts)]) for i in range(images))
    )


def held_out(count: int) -> npt.NDArray[np.bool_]:
    """Return [count] images that measure the SAE and the heads, and train neither."""
    return np.asarray(np.arange(count) % HELD_OUT == 0)


def _record(
    model: Model,
    probe: Probe,
    wanted: Features,
    requests: Sequence[Request],
    folder: Path,
    batch_size: int,
) -> None:
    """Draw requests while recording the hookpoint; read the finished images."""
    recording = Recording(folder / ACTIVATIONS, requests)
    images: npt.NDArray[np.uint8] | None = None
    labels: dict[str, list[int]] = {attribute: [] for attribute in probe.classes}
    for start in range(0, len(requests), batch_size):
        batch = requests[start : start + batch_size]
        with model.hooked(wanted.hookpoint, recording.edit):
            pixels = model.generate(batch).images
        if images is None:
            shape = (len(requests), *pixels.shape[1:])
            images = np.lib.format.open_memmap(folder / IMAGES, "w+", np.uint8, shape)
        images[start : start + len(batch)] = pixels
        readings = probe.read(pixels)
        for attribute, read in labels.items():
            read += decided(readings, attribute).tolist()
    (folder / LABELS).write_text(json.dumps(labels) + "\n", "utf-8")


def _train_sae(wanted: Features, recording: Recording, folder: Path) -> None:
    """Train an SAE on the recording of the images that are not held out."""
    tests = held_out(recording.file.shape[1])
    width = recording.file.shape[2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(wanted.seed)
        sae = SAE(width, width * wanted.sae.expansion, wanted.sae.k)
    count = max(1, (wanted.sae.tokens or TOKENS) // BATCH)
    tokens = (
        sae.tokens(h).flatten(0, 1)
        for h in recording.maps(np.flatnonzero(~tests), seed=wanted.seed)
    )
    batches = mixed(tokens, size=BATCH, count=count, seed=wanted.seed)
    sae = sae_training.train(sae, batches, total=count)
    rows = np.flatnonzero(tests)
    steps = (sae.tokens(recording.at(step, rows)).flatten(0, 1) for step in range(recording.steps))
    health = sae_training.health(sae, steps)
    sae.save(folder)
    (folder / HEALTH).write_text(json.dumps(asdict(health)) + "\n", "utf-8")


def _open(folder: Path) -> Recorded:
    try:
        labels = json.loads((folder / LABELS).read_text("utf-8"))
        return Recorded(
            Recording(folder / ACTIVATIONS),
            np.load(folder / IMAGES, "r"),
            {attribute: np.array(read, np.int64) for attribute, read in labels.items()},
            autoencoder.load(folder),
            json.loads((folder / HEALTH).read_text("utf-8")),
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: damaged recording, remove it: {error}") from error


def dissect(
    model: Model, probe: Probe, wanted: Features, recorded: Recorded, folder: Path
) -> Dissection:
    """Fit the heads on a recording, and rank the latents of its SAE.

    Args:
        model: That was recorded.
        probe: That labelled the images.
        wanted: What to find.
        recorded: The recording.
        folder: Takes the images that serve as evidence.
    """
    classes = probe.classes[wanted.attribute]
    recording, sae = recorded.recording, recorded.sae
    labelled = np.flatnonzero(recorded.labels[wanted.attribute] >= 0)
    labels = recorded.labels[wanted.attribute][labelled]
    tests = held_out(len(recorded.images))[labelled]
    heads = h_classifier.fit(
        lambda step: sae.tokens(recording.at(step, labelled)), recording.steps,
        torch.from_numpy(labels), classes, held_out=torch.from_numpy(tests),
    )  # fmt: skip
    tally = Tally(len(labelled), recording.steps)
    rank = build("rankings", wanted.ranking.name, **wanted.ranking.options)
    effects = rank(tally.passing(step_codes(recording, labelled, labels, sae, heads)))
    order = np.argsort(-effects, axis=1, kind="stable")[:, : wanted.top]
    positive = [[int(i) for i in order[k] if effects[k, i] > 0] for k in range(len(classes))]
    features = FeatureSet(
        attribute=wanted.attribute,
        classes=tuple(classes),
        hookpoint=wanted.hookpoint,
        model=model.fingerprint,
        sae=sae.fingerprint,
        ranking=wanted.ranking.name,
        latents={name: tuple(positive[k]) for k, name in enumerate(classes)},
        effects={name: tuple(effects[k, positive[k]].tolist()) for k, name in enumerate(classes)},
    )
    latents = describe(features, tally, labels, labelled.tolist(), tests)
    shown = {shot["image"] for entry in latents for shot in entry.get("images", ())}
    _keep_images(recorded.images, sorted(shown), folder / "images")
    evidence = {
        "images": len(recorded.images),
        "read": len(labelled),
        "shares": {name: float((labels == k).mean()) for k, name in enumerate(classes)},
        "probe": probe.name,
        "sae": {**sae.config, **recorded.health},
        "h_classifier": {"accuracy": list(heads.accuracy), "chance": 1 / len(classes)},
        "latents": latents,
    }
    return Dissection(features, sae, heads, evidence=evidence)


@torch.no_grad()
def step_codes(
    recording: Recording,
    images: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    sae: SAE,
    heads: HClassifier,
    batch: int = 64,
) -> Iterator[StepCodes]:
    """Yield the codes of some images of a recording, step by step, with a baseline of zero."""
    zero = np.zeros((1, 1, 1), np.float32)
    for step in range(recording.steps):
        directions, offsets = (tensor.numpy() for tensor in heads.fold(step, sae))
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            z = sae.encode(sae.tokens(recording.at(step, images[part]))).numpy()
            yield StepCodes(step, z, zero, labels[part], directions, offsets)


def _with_doses(
    model: Model,
    probe: Probe,
    found: Dissection,
    requests: Sequence[Request],
    scales: Sequence[float],
    batch_size: int,
) -> Dissection:
    """Return the dissection with its dose-response, steering to every class equally often."""
    attribute = found.features.attribute
    even = steer(features=found, target={}, scale=1.0)
    responses: list[Response] = list(
        respond(
            model, probe, lambda scale: steer(features=found, target={}, scale=scale),
            even.assignment, requests, scales, attribute=attribute, batch_size=batch_size,
        )
    )  # fmt: skip
    evidence = {
        **found.evidence,
        "doses": [
            {"scale": r.dose.scale, "counts": r.dose.counts, "shares": r.shares} for r in responses
        ],
    }
    return replace(found, doses=tuple(r.dose for r in responses), evidence=evidence)


def _keep_images(images: npt.NDArray[np.uint8], numbers: Sequence[int], folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(images[number]).save(folder / f"{number:05d}.png")
