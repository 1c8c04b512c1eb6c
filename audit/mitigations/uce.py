"""Edit keys and values of cross-attention so that concepts lean less towards a class.

Source: Unified Concept Editing, Gandikota et al. 2024 (arXiv:2308.14761), its form that debiases.
Every round starts from the weights as they were, with the pushes added up so far: to edit edited
weights, as the released code does, loses what was to be preserved.

What a search finds hangs on how many images are read as each class, and on nothing finer: images
that differ in rounding, drawn on another device or in other batches, give the same pushes, unless
one of them is read otherwise. It is kept beside the images: no process searches again, and one
that dies leaves what it read to the next.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audit.errors import InputError, SpecError, unknown
from audit.features.concept_edit import cross_attention, edited, swapped
from audit.features.prompt_embeddings import embed
from audit.features.stock_pipeline import stable_diffusion
from audit.images.wording import worded
from audit.mitigations.guide import guide
from audit.mitigations.share_search import Noted, ShareSearch
from audit.storage import atomic
from audit.storage.scratch import resumable
from audit.storage.weights import fingerprint
from audit.types import Floats, Model

COUNTS, PUSHES = "counts.json", "pushes.json"
"""What a search has read so far, and what it came to."""
log = logging.getLogger(__name__)


class ConceptEditing:
    """Moves the keys and values of concepts by those of words that say the classes."""

    def __init__(
        self,
        concepts: Sequence[str],
        words: Mapping[str, str],
        preserve: Sequence[str],
        ridge: float,
        *,
        pushes: Floats | None = None,
        search: ShareSearch | None = None,
        folder: Path | None = None,
    ) -> None:
        """Make an edit of pushes α [concepts, classes] that are given, or searched for.

        What a search finds is kept in a folder inside `folder`; nowhere if that is not given.
        """
        self.concepts = tuple(concepts)
        self.words = dict(words)
        self.preserve = tuple(preserve)
        self.ridge = ridge
        self.search = search
        self.folder = folder
        self.probe = search.probe if search else None
        """Reads the shares that pushes follow; None where pushes are given."""
        self.attribute = search.attribute if search else None
        self.fingerprint = fingerprint(
            "uce", 3, self.concepts, self.words, self.preserve, ridge,
            None if pushes is None else pushes.tolist(),
            search and (search.probe.fingerprint, {**vars(search), "probe": ""}),
        )  # fmt: skip
        self._pushes = pushes
        self._weights: dict[str, list[Tensor]] = {}

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Let `model` use edited weights while the block runs.

        Raises:
            SpecError: the model is not like Stable Diffusion 1 or 2.
            InputError: what is kept of a search is damaged.
        """
        pipe = stable_diffusion(model, "uce")
        if model.fingerprint not in self._weights:
            pushes = self._found(model) if self._pushes is None else self._pushes
            log.info("uce: alphas: %s", self._said(pushes))
            self._weights[model.fingerprint] = self.weights(pipe, pushes)
        with swapped(_layers(pipe), self._weights[model.fingerprint]):
            yield model

    @torch.no_grad()
    def weights(self, pipe: Any, pushes: Floats) -> list[Tensor]:
        """Return the edited weights of every layer, made from the weights that it has now."""
        parts = (self.concepts, tuple(self.words.values()), self.preserve)
        # In double precision, which not every device has: on the CPU.
        vectors = embed(pipe, [text for part in parts for text in part]).last
        concepts, classes, preserved = torch.split(vectors, [len(part) for part in parts])
        by = torch.from_numpy(pushes).to(classes.dtype) @ classes
        return [
            edited(layer.weight.cpu(), concepts, by, preserved, self.ridge).to(layer.weight)
            for layer in _layers(pipe).values()
        ]

    def _said(self, pushes: Floats) -> dict[str, dict[str, float]]:
        """Return pushes as a spec writes them."""
        rows = zip(self.concepts, pushes.tolist(), strict=True)
        return {concept: dict(zip(self.words, row, strict=True)) for concept, row in rows}

    def _found(self, model: Model) -> Floats:
        """Return the pushes of a search: of one that ended before, or of one that goes on.

        Raises:
            InputError: what is kept of it is damaged.
        """
        kept = tempfile.TemporaryDirectory() if self.folder is None else nullcontext(self.folder)
        with kept as place:
            home = Path(place) / f"uce-{fingerprint(self.fingerprint, model.fingerprint)}"
            with resumable(home) as begun:
                if begun is not None:
                    pushes = self._searched(model, Noted(begun / COUNTS))
                    atomic.write(begun / PUSHES, json.dumps(pushes.tolist()) + "\n")
            try:
                return np.array(json.loads((home / PUSHES).read_text("utf-8")), float)
            except (OSError, ValueError) as error:
                raise InputError(f"{home}: damaged search, remove it: {error}") from error

    def _searched(self, model: Model, noted: Noted) -> Floats:
        """Return pushes that bring every concept to the target, or the last that were tried."""
        assert self.search is not None
        pipe, search = stable_diffusion(model, "uce"), self.search
        pushes = np.zeros((len(self.concepts), len(self.words)))
        for last in reversed(range(search.rounds)):
            with swapped(_layers(pipe), self.weights(pipe, pushes)):
                # All of them: the pushes of one concept move the others too.
                read = [noted.next(partial(search.counts, model, c)) for c in self.concepts]
            left = [i for i, counts in enumerate(read) if not search.settled(counts)]
            if not left or not last:
                break
            for i in left:
                pushes[i] += search.rate * search.lacking(read[i])
        return pushes


def uce(
    *,
    concepts: Sequence[str],
    target: Mapping[str, Mapping[str, float]],
    attribute: str = "gender",
    alphas: Mapping[str, Mapping[str, float]] | None = None,
    preserve: Sequence[str] = (),
    ridge: float = 0.5,
    words: Mapping[str, Mapping[str, str]] | None = None,
    probe: str | Mapping[str, Any] = "dlib",
    images: int = 32,
    rounds: int = 10,
    rate: float = 0.5,
    tolerance: float = 0.2,
    steps: int = 50,
    guidance_scale: float = 7.5,
    device: str = "cpu",
    seed: int = 0,
    folder: str | Path | None = None,
) -> ConceptEditing:
    """Edit concepts of a text-to-image model like Stable Diffusion 1 and 2 towards the target.

    Args:
        concepts: What is edited: "nurse", "chief executive".
        target: By attribute: the share wanted of each class.
        attribute: The one that is made fair.
        alphas: By concept and class: the pushes, where they are known; 0 where one is missing.
            The log tells what a search found: written here, it is what every machine uses.
        preserve: Concepts that are held where they are.
        ridge: λ of the closed form: how much the weights resist.
        words: By attribute and class: the word for it, where there is no built-in one.
        probe: Plugin that reads the shares if `alphas` is not given, by its name or with options;
            should not judge the result.
        images: Drawn of each concept and round, from seeds of their own.
        rounds: At most.
        rate: Push for each unit of share that is lacking.
        tolerance: Distance from the target within which both ends of the intervals must lie.
        steps: Of the images drawn.
        guidance_scale: Of the images drawn.
        device: Of the probe.
        seed: Of the images drawn.
        folder: Where a search is kept, so that it is made once; given by the run.

    Raises:
        SpecError: an option is out of range, or a concept, class or attribute is unknown.
    """
    said = worded("uce", target, [attribute], words)[attribute]
    if not concepts:
        raise SpecError("uce: needs at least one of `concepts`")
    if min(ridge, images, rounds, rate, tolerance) <= 0:
        raise SpecError("uce: ridge, images, rounds, rate and tolerance must be above 0")
    if alphas is not None:
        given = _given(concepts, list(said), alphas)
        return ConceptEditing(concepts, said, preserve, ridge, pushes=given)
    reader = guide("uce", probe, attribute, device, said)
    search = ShareSearch(
        reader, attribute, target[attribute], images, rounds, rate, tolerance, steps,
        guidance_scale, seed,
    )  # fmt: skip
    place = None if folder is None else Path(folder)
    return ConceptEditing(concepts, said, preserve, ridge, search=search, folder=place)


def _given(
    concepts: Sequence[str], classes: Sequence[str], alphas: Mapping[str, Mapping[str, float]]
) -> Floats:
    pushes = np.zeros((len(concepts), len(classes)))
    for concept, by_class in alphas.items():
        if concept not in concepts:
            raise SpecError(f"uce: alphas: {unknown('concept', concept, concepts)}")
        for name, push in by_class.items():
            if name not in classes:
                raise SpecError(f"uce: alphas: {unknown('class', name, classes)}")
            pushes[concepts.index(concept), classes.index(name)] = push
    return pushes


def _layers(pipe: Any) -> dict[str, Any]:
    found = cross_attention(pipe.unet, pipe.text_encoder.config.hidden_size)
    if not found:
        raise SpecError("uce edits cross-attention, and this U-Net has none of the usual names")
    if any(layer.weight.is_meta for layer in found.values()):
        raise SpecError("uce edits weights, which `offload: sequential` hides: say `model`")
    return found
