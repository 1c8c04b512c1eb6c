"""Heads fitted on a recording, and latents ranked by what they do to the heads.

Tensors are where the SAE is: it encodes there. A ranking, which is a pure function of arrays, gets
in memory the few entries of a code that are not zero, a batch of images at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audit.features import h_classifier
from audit.features.adjustment import adjusted, effective
from audit.features.codes import SparseCodes, StepCodes
from audit.features.dissection import Dissection
from audit.features.evidence import Tally, best_latents, describe, grid
from audit.features.h_classifier import HClassifier
from audit.features.recorded import SECOND_SEED, Recorded, held_out, left_out
from audit.features.recording import Recording
from audit.features.sae import SAE
from audit.features.stability import Found, agreement
from audit.features.study import Study
from audit.registry import build
from audit.types import FeatureSet, Floats

POSITIONS = 8192
"""Encoded at a time: an SAE weighs all its latents before it keeps a few."""


@dataclass(frozen=True)
class _Seen:
    """The images of a recording that its probe gave a class."""

    images: npt.NDArray[np.int64]
    """[N] their numbers in the recording."""
    labels: npt.NDArray[np.int64]
    """[N] classes."""
    weights: Floats
    """[N] within their class."""
    held_out: npt.NDArray[np.bool_]
    """[N] of those that only judge what was found."""
    others: npt.NDArray[np.int64] | None
    """For each that is learnt from an image of another class, where such are the baseline."""


def dissect(study: Study, recorded: Recorded, folder: Path) -> Dissection:
    """Fit the heads on a recording, and rank the latents of its SAE.

    Args:
        study: What to find.
        recorded: The recording.
        folder: Takes the images that serve as evidence.
    """
    wanted, classes, sae = study.wanted, study.classes, recorded.sae
    seen = _seen(study, recorded)
    heads = _heads(study, recorded, seen)
    features, tally = _search(study, recorded.recording, sae, heads, seen)
    latents = describe(features, tally, seen.labels, seen.images.tolist(), seen.held_out)
    shown = {shot["image"] for entry in latents for shot in entry.get("images", ())}
    _keep_images(recorded.images, sorted(shown), folder / "images")
    effect = effective(seen.weights, seen.labels, len(classes))
    evidence = {
        "images": len(recorded.images),
        "read": len(seen.images),
        "left_out": dict(left_out(recorded.states)),
        "shares": {name: float((seen.labels == k).mean()) for k, name in enumerate(classes)},
        "probe": study.probe.name,
        "adjusted": {
            "for": list(wanted.adjust_for),
            "effective": dict(zip(classes, effect, strict=True)),
        },
        "sae": {**sae.config, **recorded.health},
        "h_classifier": {"accuracy": list(heads.accuracy), "chance": 1 / len(classes)},
        "latents": latents,
        "grid": grid(recorded.recording.file.shape[2:], recorded.images.shape[1:]),
        "best": best_latents(tally.by_image, seen.labels, seen.held_out, classes),
    }
    if recorded.second is not None:
        other, again = _search(study, recorded.recording, recorded.second, heads, seen)
        evidence["stability"] = {
            "seeds": [wanted.seed, wanted.seed + SECOND_SEED],
            **agreement(
                Found(features, sae, tally.by_image[seen.held_out]),
                Found(other, recorded.second, again.by_image[seen.held_out]),
                seen.labels[seen.held_out],
            ),
        }
    typical = torch.from_numpy(tally.by_class).float()
    return Dissection(features, sae, heads, typical, evidence=evidence)


def _seen(study: Study, recorded: Recorded) -> _Seen:
    """Return the images that have a class, weighed so that classes are adjusted as wanted."""
    read = recorded.labels[study.wanted.attribute]
    images = np.flatnonzero(read >= 0)
    labels = read[images]
    adjusted_for = [recorded.labels[attribute][images] for attribute in study.wanted.adjust_for]
    weights = adjusted(labels, adjusted_for, len(study.classes))
    tests = held_out(len(recorded.images))[images]
    others = None
    if study.wanted.baseline == "counter-class":
        learnt = images[~tests]
        prompts = learnt % max(1, len(study.wanted.prompts))  # which take turns
        others = learnt[counterparts(labels[~tests], prompts, seed=study.wanted.seed)]
    return _Seen(images, labels, weights, tests, others)


def _heads(study: Study, recorded: Recorded, seen: _Seen) -> HClassifier:
    """Return the heads fitted on what was recorded of the images, laid out as the SAE reads it."""
    recording, sae = recorded.recording, recorded.sae
    return h_classifier.fit(
        lambda step: recording.columns(step, seen.images), recording.steps,
        torch.from_numpy(seen.labels), study.classes,
        held_out=torch.from_numpy(seen.held_out), weights=torch.from_numpy(seen.weights),
        arranged=lambda rows: sae.tokens(rows.view(-1, *recording.file.shape[2:])).flatten(1),
    )  # fmt: skip


def _search(
    study: Study, recording: Recording, sae: SAE, heads: HClassifier, seen: _Seen
) -> tuple[FeatureSet, Tally]:
    """Return the strongest latents of an SAE, and the codes of all images added up."""
    # Latents that were ranked on the images that judge them would look good by chance alone.
    learnt, judging = np.flatnonzero(~seen.held_out), np.flatnonzero(seen.held_out)
    images, labels = seen.images[learnt], seen.labels[learnt]
    tally = Tally(seen.labels, len(study.classes), recording.steps, seen.weights)
    codes = step_codes(recording, images, labels, sae, heads, seen.others)
    features = _strongest(study, sae, _ranked(study, tally.passing(codes, learnt)))
    for step, part, z in encoded(recording, seen.images[judging], sae):
        tally.add(step, judging[part], z)
    return features, tally


def _ranked(study: Study, codes: Iterator[StepCodes]) -> Floats:
    """Return the effects [K, L] that the ranking asked for gives latents."""
    ranking = study.wanted.ranking
    effects: Floats = build("rankings", ranking.name, **ranking.options)(codes)
    return effects


def _strongest(study: Study, sae: SAE, effects: Floats) -> FeatureSet:
    """Return the latents with the largest positive effects on each class."""
    wanted, classes = study.wanted, study.classes
    order = np.argsort(-effects, axis=1, kind="stable")[:, : wanted.top]
    positive = [[int(i) for i in order[k] if effects[k, i] > 0] for k in range(len(classes))]
    return FeatureSet(
        attribute=wanted.attribute,
        classes=tuple(classes),
        hookpoint=wanted.hookpoint,
        model=study.model.fingerprint,
        sae=sae.fingerprint,
        ranking=wanted.ranking.name,
        latents={name: tuple(positive[k]) for k, name in enumerate(classes)},
        effects={name: tuple(effects[k, positive[k]].tolist()) for k, name in enumerate(classes)},
    )


def counterparts(
    labels: npt.NDArray[np.int64], prompts: npt.NDArray[np.int64], *, seed: int
) -> npt.NDArray[np.int64]:
    """Return [N] for each image one of another class, drawn from its own prompt's if it has any.

    Args:
        labels: [N] classes, at least two.
        prompts: [N] number of the prompt of each image.
        seed: Of the draw.
    """
    draw = np.random.default_rng(seed)
    found = []
    for label, prompt in zip(labels, prompts, strict=True):
        others = np.flatnonzero(labels != label)
        near = others[prompts[others] == prompt]
        found.append(draw.choice(near if len(near) else others))
    return np.array(found)


@torch.no_grad()
def step_codes(
    recording: Recording,
    images: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    sae: SAE,
    heads: HClassifier,
    others: npt.NDArray[np.int64] | None = None,
) -> Iterator[StepCodes]:
    """Yield the codes of some images of a recording, step by step.

    Their baseline is zero, or the codes of the `others`, image by image.
    """
    for step, parts in groupby(encoded(recording, images, sae), key=itemgetter(0)):
        directions, offsets = (tensor.cpu().numpy() for tensor in heads.fold(step, sae))
        for _, part, z in parts:
            baseline = SparseCodes.zeros(z.shape)
            if others is not None:
                baseline = sparse_codes(sae, recording.at(step, others[part]))
            yield StepCodes(step, z, baseline, labels[part], directions, offsets)


@torch.no_grad()
def encoded(
    recording: Recording, images: npt.NDArray[np.int64], sae: SAE
) -> Iterator[tuple[int, slice, SparseCodes]]:
    """Yield a step, a part of the images and its codes, step by step and part by part."""
    positions = sae.tokens(recording.at(0, images[:1])).shape[1]
    batch = max(1, POSITIONS // positions)
    for step in range(recording.steps):
        for start in range(0, len(images), batch):
            part = slice(start, start + batch)
            yield step, part, sparse_codes(sae, recording.at(step, images[part]))


def sparse_codes(sae: SAE, x: Tensor) -> SparseCodes:
    """Return the codes of activations [N, ...], encoded where the SAE is."""
    tokens = sae.tokens(x)
    n, positions, _ = tokens.shape
    found = sae.sparse(tokens.flatten(0, 1).to(sae.bias.dtype))
    values, indices = (tensor.cpu().numpy() for tensor in found)
    token, entry = np.nonzero(values)
    image, position = np.divmod(token, positions)
    shape = (n, positions, len(sae.encoder_bias))
    value = values[token, entry].astype(np.float32)
    return SparseCodes(shape, image, position, indices[token, entry], value)


def _keep_images(images: npt.NDArray[np.uint8], numbers: Sequence[int], folder: Path) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in numbers:
        Image.fromarray(images[number]).save(folder / f"{number:05d}.png")
