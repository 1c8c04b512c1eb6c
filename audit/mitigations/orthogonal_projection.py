"""Project the directions in which classes differ on average out of the embedded prompt.

The plain form of removing a concept from an embedding: Bolukbasi et al. 2016 (arXiv:1607.06520),
there for words. It is the control for what weighing (`debias-vl`) and keeping variance
(`fair-pca`) add.
"""

from collections.abc import Mapping, Sequence

import torch

from audit.features.prompt_embeddings import Embedded, TokenEdit
from audit.images.wording import PROMPTS
from audit.mitigations.text_edit import TextEdit, Texts, basis, contrasts


def orthogonal_projection(
    *,
    target: Mapping[str, Mapping[str, float]],
    attributes: Sequence[str] | None = None,
    prompts: Sequence[str] = PROMPTS,
    words: Mapping[str, Mapping[str, str]] | None = None,
) -> TextEdit:
    """Remove from every token of a prompt what lies along the classes' mean differences.

    z' = z - V Vᵀ z, with V an orthonormal basis of the differences of the classes' means at the
    end token: K - 1 directions for K classes. For text-to-image models like Stable Diffusion 1
    and 2. The shares of the target play no part.

    Args:
        target: By attribute: its classes.
        attributes: Those that are projected out; all of the target if not given.
        prompts: What the classes are said in.
        words: By attribute and class: the word for it, where there is no built-in one.

    Raises:
        SpecError: an attribute is unknown, or a class has no word.
    """
    texts = Texts.of("orthogonal-projection", prompts, target, attributes, words)

    def learn(embedded: Mapping[str, Sequence[Embedded]]) -> TokenEdit:
        differences = [contrasts([c.whole.mean(0) for c in cs]) for cs in embedded.values()]
        v = basis(torch.cat(differences))
        return TokenEdit(torch.eye(len(v), dtype=v.dtype) - v @ v.T, torch.zeros(len(v)))

    return TextEdit(texts, learn)
