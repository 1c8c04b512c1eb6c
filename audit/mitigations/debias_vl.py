"""Shrink the directions in which words of different classes differ in the embedded prompt.

Source: Debiasing Vision-Language Models via Biased Prompts, Chuang et al. 2023 (arXiv:2302.00070),
the calibrated projection of its section 4. Their variant for classifiers first projects out the
words alone; images are drawn without it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.prompt_embeddings import Embedded, TokenEdit
from audit.images.wording import PROMPTS
from audit.mitigations.text_edit import TextEdit, Texts


def debias_vl(
    *,
    target: Mapping[str, Mapping[str, float]],
    attributes: Sequence[str] | None = None,
    strength: float = 500.0,
    prompts: Sequence[str] = PROMPTS,
    words: Mapping[str, Mapping[str, str]] | None = None,
) -> TextEdit:
    """Multiply every token of a prompt by a matrix that keeps all but what tells classes apart.

    For text-to-image models like Stable Diffusion 1 and 2. The shares of the target play no part:
    the model is left to decide without the words' difference.

    Args:
        target: By attribute: its classes.
        attributes: Those whose differences are shrunk; all of the target if not given.
        strength: λ; 0 changes nothing.
        prompts: What the classes are said in.
        words: By attribute and class: the word for it, where there is no built-in one.

    Raises:
        SpecError: an option is out of range, or a class has no word.
    """
    if strength < 0:
        raise SpecError(f"debias-vl: strength must be at least 0, not {strength:g}")
    texts = Texts.of("debias-vl", prompts, target, attributes, words)

    def learn(embedded: Mapping[str, Sequence[Embedded]]) -> TokenEdit:
        pairs = [
            (first.whole, second.whole)
            for classes in embedded.values()
            for first, second in combinations(classes, 2)
        ]
        first, second = (torch.cat(side) for side in zip(*pairs, strict=True))
        matrix = calibrated(first, second, strength)
        return TokenEdit(matrix, torch.zeros(len(matrix)))

    return TextEdit(texts, learn, strength)


def calibrated(first: Tensor, second: Tensor, strength: float) -> Tensor:
    r"""Return the matrix that pulls pairs of texts together.

    .. math:: P = (I + \lambda M)^{-1}, \quad M = \tfrac1n \sum_i (a_i - b_i)(a_i - b_i)^\top

    with a and b of unit length; it is the least change of embeddings under a penalty of λ on the
    distance within pairs. Symmetric and positive definite, with eigenvalues in (0, 1].

    Args:
        first: a [n, C].
        second: b [n, C]: the same texts with the word of another class.
        strength: λ, at least 0.

    Returns:
        [C, C] float64.

    Example:
        >>> a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        >>> calibrated(a, b, 0.5)  # M = [[1, -1], [-1, 1]]: 1/(1 + λ 2) along (1, -1)
        tensor([[0.7500, 0.2500],
                [0.2500, 0.7500]], dtype=torch.float64)
    """
    unit = torch.nn.functional.normalize
    change = unit(first.double(), dim=1) - unit(second.double(), dim=1)
    values, vectors = torch.linalg.eigh(change.T @ change / len(change))
    matrix: Tensor = (vectors / (1 + strength * values.clamp_min(0))) @ vectors.T
    return matrix
