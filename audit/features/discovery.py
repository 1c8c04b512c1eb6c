"""Discovery: draw under a recording edit, label, train an SAE, fit heads, rank latents.

The one difference to an ordinary run is the edit at the hookpoint, which notes what passes. What
is found is kept in a folder named after everything that made it, and read from there next time.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from audit.errors import SpecError
from audit.features import dissection, h_classifier
from audit.features.dissection import Dissection
from audit.features.dose_response import with_doses
from audit.features.evidence import Tally, describe
from audit.features.h_classifier import HClassifier
from audit.features.recorded import (
    ACTIVATIONS,
    TOKENS,
    Recorded,
    held_out,
    open_recorded,
    record,
    train_sae,
)
from audit.features.recording import Recording
from audit.features.sae import SAE
from audit.registry import build
from audit.spec.planning import UNCONDITIONAL, seed
from audit.spec.spec import Features
from audit.storage.weights import fingerprint
from audit.types import FeatureSet, Model, Probe, Request, StepCodes

SCHEME = 2
"""Enters the name of the folder; raised when this code finds other things in the same model."""
SCALES = (1.5, 2.0, 3.0)
"""Of the dose-response, in units of what a latent typically shows in images of its class."""
DOSE_IMAGES = 64
log = logging.getLogger(__name__)


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
            drawn = requests("discovery", wanted.images)
            record(model, probe, wanted, drawn, scratch, batch_size)
            progress("training the sparse autoencoder")
            train_sae(wanted, Recording(scratch / ACTIVATIONS), scratch)
    with _whole(found_in) as scratch:
        progress(f"ranking latents for {wanted.attribute}")
        found = dissect(model, probe, wanted, open_recorded(home), scratch)
        if scales:
            progress(f"dose-response of {wanted.attribute} over {len(scales)} scales")
            doses = requests("doses", DOSE_IMAGES)
            found = with_doses(model, probe, found, doses, scales, batch_size)
        found.save(scratch)
    return replace(found, folder=found_in)


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
    tally = Tally(labels, len(classes), recording.steps)
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
    typical = torch.from_numpy(tally.by_class).float()
    return Dissection(features, sae, heads, typical, evidence=evidence)


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


def _keep_images(images: npt.NDArray[np.uint8], numbers: Sequence[int], folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(images[number]).save(folder / f"{number:05d}.png")
