"""A study: a model, the probe that reads what it draws, and how images are drawn to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from audit.errors import SpecError, unknown
from audit.features.reading import decided, read
from audit.images.batches import Array
from audit.images.memory import fitting
from audit.spec.feature_sets import AUTO, Features, Placed
from audit.spec.planning import UNCONDITIONAL, seed
from audit.types import Drawing, Model, Probe, Request


@dataclass(frozen=True)
class Study:
    """What a discovery works with."""

    model: Model
    probe: Probe
    """Labels the images drawn; should not be the only judge of a steered model."""
    wanted: Placed
    steps: int
    """Sampling steps."""
    guidance_scale: float = 1.0
    """1 for an unconditional model."""
    batch_size: int = 32
    """Images drawn at a time."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the attribute asked for."""
        return self.probe.classes[self.wanted.attribute]

    @property
    def device(self) -> torch.device:
        """Where what is recorded is learnt from: where the model draws, the CPU if it says none.

        No part of what is found: devices agree to rounding.
        """
        return torch.device(getattr(self.model, "device", "cpu"))

    @property
    def drawing(self) -> tuple[object, ...]:
        """What the pixels hang on, besides the purpose and the count: part of a fingerprint."""
        prompts = tuple((prompt.id, prompt.text) for prompt in self.wanted.prompts)
        return (
            self.model.fingerprint, self.probe.fingerprint, prompts, self.wanted.seed,
            self.steps, self.guidance_scale,
        )  # fmt: skip

    def requests(
        self, purpose: str, count: int, *, steps: int | None = None
    ) -> tuple[Request, ...]:
        """Return requests spread evenly over the prompts, from seeds of this purpose alone."""
        prompts = self.wanted.prompts or (UNCONDITIONAL,)
        return tuple(
            Request(
                prompt_id=prompt.id,
                prompt=prompt.text,
                index=i // len(prompts),
                # No prompt's id holds a slash: an audit never draws these seeds.
                seed=seed(self.wanted.seed, f"{purpose}/{prompt.id}", i // len(prompts)),
                steps=steps or self.steps,
                guidance_scale=self.guidance_scale,
            )
            for i, prompt in ((i, prompts[i % len(prompts)]) for i in range(count))
        )

    def read(self, drawing: Drawing) -> Array:
        """Return [N] the class of the attribute that the probe reads, -1 where it reads none."""
        return decided(read(self.probe, drawing), self.wanted.attribute)

    def draw(self, requests: Sequence[Request]) -> Array:
        """Draw requests with the model as it is, and return [N] what is read from them."""
        drawn = fitting(self.model, requests, self.batch_size)
        return np.concatenate([self.read(drawing) for _, drawing in drawn])


def placed(model: Model, probe: Probe, wanted: Features) -> Placed:
    """See that a feature set can be looked for, and return it at its hookpoint; draw nothing.

    A feature set that names no hookpoint is placed at the first of its model.

    Raises:
        SpecError: the probe does not read an attribute, prompts are missing where the model takes
            them, or the model has no such hookpoint.
    """
    for attribute in (wanted.attribute, *wanted.adjust_for):
        if attribute not in probe.classes:
            raise SpecError(f"probe {probe.name!r} does not read {attribute!r}")
    if wanted.attribute in wanted.adjust_for:
        raise SpecError(f"adjust_for: {wanted.attribute!r} is what is looked for itself")
    if model.text_to_image and not wanted.prompts:
        raise SpecError("a text-to-image model needs `prompts` to discover with")
    known = model.hookpoints
    if not known:
        raise SpecError("this model has no hookpoint that is known to be right: it is not edited")
    name = next(iter(known)) if wanted.hookpoint is None else wanted.hookpoint
    if name not in known and name != AUTO:
        raise SpecError(unknown("hookpoint", name, [AUTO, *known]))
    for candidate in wanted.candidates:
        if candidate not in known:
            raise SpecError(f"candidates: {unknown('hookpoint', candidate, known)}")
    return Placed.model_construct(**{**dict(wanted), "hookpoint": name})
