"""Guide each image towards the class drawn for it, and away from the others, by words.

Source: Fair Diffusion, Friedrich et al. 2023 (arXiv:2302.10893), on semantic guidance. Here the
class is drawn per image, evenly spread, and an attribute may have more than two classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor

from audit.errors import SpecError
from audit.features.prompt_embeddings import embed
from audit.features.semantic_guidance import Strengths, guided
from audit.features.stock_pipeline import stable_diffusion
from audit.images.assignment import Assignment
from audit.images.wording import worded
from audit.storage.weights import fingerprint
from audit.types import Model, Request

NOUN = "person"
"""What the word of a class is said of: "female person"."""


class FairGuidance:
    """Pushes the noise predicted for an image towards its class."""

    def __init__(
        self, prompts: Sequence[str], assignment: Assignment, strengths: Strengths
    ) -> None:
        self.prompts = tuple(prompts)
        self.assignment = assignment
        self.strengths = strengths
        self.fingerprint = fingerprint(
            "fair-guidance", 2, self.prompts, assignment.fingerprint, strengths
        )
        self._embedded: dict[str, Tensor] = {}

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Guide `model` while the block runs.

        Raises:
            SpecError: the model is not like Stable Diffusion 1 or 2; while drawing, that images
                are asked for without guidance.
        """
        pipe = stable_diffusion(model, "fair-guidance")
        if self.strengths.scale == 0:
            yield model
            return
        if model.fingerprint not in self._embedded:
            self._embedded[model.fingerprint] = embed(pipe, self.prompts).tokens
        prompts = self._embedded[model.fingerprint]
        with guided(model, prompts, self.signs, self.strengths, "fair-guidance"):
            yield model

    def signs(self, request: Request) -> list[float]:
        """Return 1 for the class that a request is drawn, and what makes it 0 in all for others.

        So what all classes have in common, that they say a person, is pushed neither way.
        """
        own, others = self.assignment(request), len(self.prompts) - 1
        return [1.0 if i == own else -1.0 / others for i in range(others + 1)]


def fair_guidance(
    *,
    target: Mapping[str, Mapping[str, float]],
    attribute: str = "gender",
    scale: float = 4.0,
    threshold: float = 0.95,
    warmup: float = 0.1,
    momentum: float = 0.5,
    decay: float = 0.6,
    words: Mapping[str, Mapping[str, str]] | None = None,
    seed: int = 0,
) -> FairGuidance:
    """Guide images of a text-to-image model like Stable Diffusion 1 and 2, drawn with guidance.

    The U-Net computes a row more for each class and image.

    Args:
        target: By attribute: the share wanted of each class.
        attribute: The one that is made fair.
        scale: Of the push, beside the guidance of the prompt; 0 changes nothing.
        threshold: Share of each channel's values that is left alone, from 0 to below 1.
        warmup: Part of the steps, from the noisiest on, that passes before the push begins.
        momentum: Of the pushes so far that is added to a push.
        decay: Of the pushes so far that is kept at each step, from 0 to below 1.
        words: By attribute and class: the word for it, where there is no built-in one.
        seed: Of the draw.

    Raises:
        SpecError: an option is out of range, or the attribute is unknown.
    """
    for name, value in {"threshold": threshold, "warmup": warmup, "decay": decay}.items():
        if not 0 <= value < 1:
            raise SpecError(f"fair-guidance: {name} must be from 0 to below 1, not {value:g}")
    said = worded("fair-guidance", target, [attribute], words)[attribute]
    strengths = Strengths(scale, threshold, warmup, momentum, decay)
    assignment = Assignment(tuple(said), target[attribute], seed=seed)
    return FairGuidance([f"{word} {NOUN}" for word in said.values()], assignment, strengths)
