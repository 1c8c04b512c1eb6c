"""Heads fitted on a recording, and latents ranked by what they do to the heads.

Tensors are where the SAE is: it encodes there. A ranking, which is a pure function of arrays, gets
in memory the few entries of a code that are not zero, a batch of images at a time.
"""

from collections.abc import Iterator, Sequence
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


def dissect(study: Study, recorded: Recorded, folder: Path) -> Dissection:
    """Fit the heads on a recording, and rank the latents of its SAE.

    Args:
        study: What to find.
        recorded: The recording.
        folder: Takes the images that serve as evidence.
    """
    wanted, classes = study.wanted, study.classes
    recording, sae = recorded.recording, recorded.sae
    labelled = np.flatnonzero(recorded.labels[wanted.attribute] >= 0)
    labels = recorded.labels[wanted.attribute][labelled]
    tests = held_out(len(recorded.images))[labelled]
    read = [recorded.labels[attribute][labelled] for attribute in wanted.adjust_for]
    weights = adjusted(labels, read, len(classes))
    heads = h_classifier.fit(
        lambda step: recording.columns(step, labelled), recording.steps,
        torch.from_numpy(labels), classes, held_out=torch.from_numpy(tests),
        weights=torch.from_numpy(weights),
        arranged=lambda rows: sae.tokens(rows.view(-1, *recording.file.shape[2:])).flatten(1),
    )  # fmt: skip
    learnt, tested = np.flatnonzero(~tests), np.flatnonzero(tests)
    others = None
    if wanted.baseline == "counter-class":
        # Prompts take turns.
        prompts = labelled[learnt] % max(1, len(wanted.prompts))
        others = labelled[learnt][counterparts(labels[learnt], prompts, seed=wanted.seed)]

    def search(sae: SAE) -> tuple[FeatureSet, Tally]:
        # Latents that were ranked on the images that judge them would look good by chance alone.
        tally = Tally(labels, len(classes), recording.steps, weights)
        codes = step_codes(recording, labelled[learnt], labels[learnt], sae, heads, others)
        features = _strongest(study, sae, _ranked(study, tally.passing(codes, learnt)))
        for step, part, z in encoded(recording, labelled[tested], sae):
            tally.add(step, tested[part], z)
        return features, tally

    features, tally = search(sae)
    latents = describe(features, tally, labels, labelled.tolist(), tests)
    shown = {shot["image"] for entry in latents for shot in entry.get("images", ())}
    _keep_images(recorded.images, sorted(shown), folder / "images")
    evidence = {
        "images": len(recorded.images),
        "read": len(labelled),
        "left_out": dict(left_out(recorded.states)),
        "shares": {name: float((labels == k).mean()) for k, name in enumerate(classes)},
        "probe": study.probe.name,
        "adjusted": {
            "for": list(wanted.adjust_for),
            "effective": dict(zip(classes, effective(weights, labels, len(classes)), strict=True)),
        },
        "sae": {**sae.config, **recorded.health},
        "h_classifier": {"accuracy": list(heads.accuracy), "chance": 1 / len(classes)},
        "latents": latents,
        "grid": grid(recording.file.shape[2:], recorded.images.shape[1:]),
        "best": best_latents(tally.by_image, labels, tests, classes),
    }
    if recorded.second is not None:
        other, again = search(recorded.second)
        evidence["stability"] = {
            "seeds": [wanted.seed, wanted.seed + SECOND_SEED],
            **agreement(
                Found(features, sae, tally.by_image[tests]),
                Found(other, recorded.second, again.by_image[tests]),
                labels[tests],
            ),
        }
    typical = torch.from_numpy(tally.by_class).float()
    return Dissection(features, sae, heads, typical, evidence=evidence)


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
