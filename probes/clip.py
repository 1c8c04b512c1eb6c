"""Perceived attributes by zero-shot CLIP: which of the class prompts fits an image best.

CLIP was trained on captions of the web and shares their bias: a reading of this kind wants a
second opinion more than any other.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError
from audit.images.image_text import EMBEDDED, ImageText, resolve
from audit.storage.weights import fingerprint
from audit.types import Images, Readings, State
from probes import groups
from probes.outcomes import settle, softmax

TEMPLATES = ("a portrait of {}", "a photo of {}", "a headshot of {}")
PROMPTS: Mapping[str, Mapping[str, str]] = {
    "gender": {"woman": "a woman", "man": "a man"},
    "age": {"young": "a young person", "adult": "a middle-aged person", "old": "an old person"},
    "race": {race: f"{'an' if race[0] in 'AI' else 'a'} {race} person" for race in groups.RACE},
}


class ClipProbe:
    """Softmax over the cosines of an image and the class prompts, at the model's own temperature.

    Each class is the mean of its prompt in every template, scaled back to unit length. The whole
    image is read; no face is looked for.
    """

    name = "clip"

    def __init__(
        self,
        model: ImageText,
        prompts: Mapping[str, Mapping[str, str]],
        templates: Sequence[str],
        abstain: float,
    ) -> None:
        self.model = model
        self.prompts = prompts
        self.templates = templates
        self.abstain = abstain
        self.classes = {attribute: tuple(phrases) for attribute, phrases in prompts.items()}
        phrases = [(attribute, list(classes.items())) for attribute, classes in prompts.items()]
        self.fingerprint = fingerprint(model.source.fingerprint, phrases, list(templates), abstain)

    @cached_property
    def _anchors(self) -> dict[str, npt.NDArray[np.float32]]:
        """By attribute, [K, D]: one unit vector a class."""
        anchors = {}
        for attribute, phrases in self.prompts.items():
            texts = [t.format(phrase) for phrase in phrases.values() for t in self.templates]
            vectors = self.model.texts(texts).reshape(len(phrases), len(self.templates), -1)
            means = vectors.mean(axis=1)
            anchors[attribute] = means / np.linalg.norm(means, axis=1, keepdims=True)
        return anchors

    def read(self, images: Images) -> Readings:
        """Read every image."""
        vectors = self.model.images(images)
        scale = self.model.scale
        shares = {
            attribute: softmax(scale * _cosines(vectors, anchors))
            for attribute, anchors in self._anchors.items()
        }
        count = len(images)
        return settle(shares, [State.OK] * count, [-1] * count, abstain=self.abstain)


def _cosines(
    vectors: npt.NDArray[np.float32], anchors: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    # Not a matrix product, whose order of summation depends on the number of images.
    products: npt.NDArray[np.float64] = (vectors[:, None].astype(np.float64) * anchors).sum(axis=2)
    return products


def clip(
    *,
    model: str = EMBEDDED,
    weights: str = "",
    revision: str = "",
    prompts: Mapping[str, Mapping[str, str]] | None = None,
    templates: Sequence[str] = TEMPLATES,
    abstain: float = 0.0,
    device: str = "cpu",
) -> ClipProbe:
    """Any attribute, zero-shot: the class whose words a CLIP model finds nearest to the image.

    Args:
        model: `portraits/clip`, a folder in open_clip's local form, a hub id, or an architecture
            of open_clip with `weights`.
        weights: A safetensors file for an architecture.
        revision: Branch, tag or commit of a hub id.
        prompts: By attribute, what stands for each class; empty takes gender, age and race.
        templates: Patterns with `{}` for the prompt; their embeddings are averaged.
        abstain: Below this largest probability the probe declines; 0 reads every image.
        device: Where the model runs.
    """
    chosen = prompts or PROMPTS
    for attribute, phrases in chosen.items():
        if len(phrases) < 2:
            raise SpecError(f"clip: prompts.{attribute} needs at least two classes")
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not templates:
        raise SpecError(f"clip: every template needs one {{}}, got {list(templates)}")
    return ClipProbe(
        ImageText(resolve(model, weights, revision), device), chosen, templates, abstain
    )
