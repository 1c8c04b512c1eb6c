"""Keep of the embedded prompt what does not tell the means of classes apart, then draw a class.

Sources: fair PCA, Kleindessner et al. 2023 (arXiv:2302.13319); its use on prompts with empirical
noise: FairImagen, Fu et al. 2025. They edit the pooled embedding of Stable Diffusion 3; models
like Stable Diffusion 1 and 2 see tokens alone, so here the tokens are the data.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.prompt_embeddings import Embedded, TokenEdit
from audit.images.assignment import Assignment
from audit.images.wording import PROMPTS
from audit.mitigations.text_edit import TextEdit, Texts, basis, contrasts


def fair_pca(
    *,
    target: Mapping[str, Mapping[str, float]],
    attributes: Sequence[str] | None = None,
    components: int | None = None,
    noise: float = 1.0,
    prompts: Sequence[str] = PROMPTS,
    words: Mapping[str, Mapping[str, str]] | None = None,
    seed: int = 0,
) -> TextEdit:
    """Project every token of a prompt away from the classes; add back the one drawn per image.

    z' = μ + Q (z - μ) + noise (μ_a - μ), with Q of `fair_components` and the class a of the image.
    For text-to-image models like Stable Diffusion 1 and 2.

    Args:
        target: By attribute: the share wanted of each class.
        attributes: Those that are made fair; all of the target if not given.
        components: Dimensions kept, those of largest variance; all that are fair if not given.
        noise: Of the drawn class's mean that is added; 0 only removes.
        prompts: What the classes are said in.
        words: By attribute and class: the word for it, where there is no built-in one.
        seed: Of the draw.

    Raises:
        SpecError: an option is out of range, or a class has no word.
    """
    if components is not None and components < 1:
        raise SpecError(f"fair-pca: components must be at least 1, not {components}")
    texts = Texts.of("fair-pca", prompts, target, attributes, words)
    draws = {
        name: Assignment(tuple(said), target[name], seed=seed, stream=stream)
        for stream, (name, said) in enumerate(texts.words.items())
    }

    def learn(embedded: Mapping[str, Sequence[Embedded]]) -> TokenEdit:
        rows = {
            name: [c.tokens.flatten(0, 1).double() for c in classes]
            for name, classes in embedded.items()
        }
        found = {name: contrasts([c.mean(0) for c in cs]) for name, cs in rows.items()}
        points = torch.cat([c for classes in rows.values() for c in classes])
        mean, matrix = points.mean(0), fair_components(points, list(found.values()), components)
        groups = [(noise * found[name], draws[name]) for name in found]
        return TokenEdit(matrix, mean - matrix @ mean, groups)

    drawn = [draw.fingerprint for draw in draws.values()]
    return TextEdit(texts, learn, components, noise, drawn)


def fair_components(points: Tensor, differences: Sequence[Tensor], count: int | None) -> Tensor:
    r"""Return the projection onto the principal components that no class mean differs along.

    .. math:: Q = R\,U U^\top R^\top

    R is a basis of what is orthogonal to all differences of means, and U has the eigenvectors of
    :math:`R^\top X^\top X R` with the largest eigenvalues, X being the centred points.

    Args:
        points: [n, C].
        differences: By attribute: [K, C] class means less the mean of all.
        count: Columns of U; all if None.

    Returns:
        [C, C] float64, symmetric and idempotent; Q times any difference is 0.
    """
    removed = basis(torch.cat(list(differences)))
    everything: Tensor = torch.linalg.qr(removed, mode="complete").Q
    fair = everything[:, removed.shape[1] :]
    if count is None or count >= fair.shape[1]:
        return fair @ fair.T
    seen = (points.double() - points.double().mean(0)) @ fair
    kept: Tensor = fair @ torch.linalg.eigh(seen.T @ seen).eigenvectors[:, -count:]
    return kept @ kept.T
