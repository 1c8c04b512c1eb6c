"""What the edits of embedded prompts share: texts that say each class, and the hook."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.prompt_embeddings import HOOKPOINT, Embedded, TokenEdit, embed
from audit.features.stock_pipeline import stable_diffusion
from audit.images.wording import saying, worded
from audit.storage.weights import fingerprint
from audit.types import Model

Learn = Callable[[Mapping[str, Sequence[Embedded]]], TokenEdit]
"""Given by attribute and class the same prompts with the class's word in them, return the edit."""
SAME = 1e-6
"""Relative change of embeddings below which words are said to make no difference."""


@dataclass(frozen=True)
class Texts:
    """Prompts, and the words that say each class in them."""

    method: str
    prompts: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]]
    """By attribute and class."""

    @classmethod
    def of(
        cls,
        method: str,
        prompts: Sequence[str],
        target: Mapping[str, Mapping[str, float]],
        attributes: Sequence[str] | None,
        words: Mapping[str, Mapping[str, str]] | None,
    ) -> "Texts":
        """Check what a spec says.

        Raises:
            SpecError: there is no prompt, an attribute is unknown, or a class has no word.
        """
        if not prompts:
            raise SpecError(f"{method}: needs at least one of `prompts`")
        return cls(method, tuple(prompts), worded(method, target, attributes, words))

    @property
    def said(self) -> dict[str, list[list[str]]]:
        """By attribute and class: the prompts with the word of the class."""
        return {name: saying(self.prompts, words) for name, words in self.words.items()}


class TextEdit:
    """Edits the embedded prompts of a model, by a map that is learned from its text encoder."""

    def __init__(self, texts: Texts, learn: Learn, *options: object) -> None:
        """Make a mitigation.

        Args:
            texts: What the edit is learned from.
            learn: Learns it; called once for each model.
            options: All else that the edit depends on.
        """
        self.texts = texts
        self.learn = learn
        self.fingerprint = fingerprint(texts.method, texts.said, *options)
        self._edits: dict[str, TokenEdit] = {}

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Edit the prompts of `model` while the block runs.

        Raises:
            SpecError: the model is not like Stable Diffusion 1 or 2, or its text encoder does
                not tell the words apart.
        """
        with model.hooked(HOOKPOINT, self.edit_of(model)):
            yield model

    def edit_of(self, model: Model) -> TokenEdit:
        """Return the edit that belongs to a model; learned when it is first asked for."""
        pipe = stable_diffusion(model, self.texts.method)
        if model.fingerprint not in self._edits:
            embedded = {
                name: [embed(pipe, texts) for texts in classes]
                for name, classes in self.texts.said.items()
            }
            for name, classes in embedded.items():
                self._check(name, classes)
            self._edits[model.fingerprint] = self.learn(embedded)
        return self._edits[model.fingerprint]

    def _check(self, attribute: str, classes: Sequence[Embedded]) -> None:
        found = torch.stack([one.whole for one in classes])
        if float((found - found[:1]).norm()) <= SAME * float(found.norm()):
            said = ", ".join(self.texts.words[attribute].values())
            raise SpecError(
                f"{self.texts.method}: the text encoder embeds {said} alike: give other `words`"
            )


def contrasts(means: Sequence[Tensor]) -> Tensor:
    """Return the means of classes [K, C] less the mean of all of them, in float64."""
    stacked = torch.stack(list(means)).double()
    return stacked - stacked.mean(0)


def basis(vectors: Tensor) -> Tensor:
    """Return an orthonormal basis [C, r] of the span of the rows of [n, C], in float64."""
    rows: Tensor
    _, values, rows = torch.linalg.svd(vectors.double(), full_matrices=False)
    return rows[values > values.max() * 1e-9].T
