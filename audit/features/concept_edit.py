"""The closed-form edit of cross-attention that concepts are moved by, and its undoing.

Source: Unified Concept Editing, Gandikota et al. 2024 (arXiv:2308.14761).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def cross_attention(unet: nn.Module, width: int) -> dict[str, nn.Linear]:
    """Return the layers that make keys and values of a prompt, by name.

    Args:
        unet: Of a text-to-image pipeline.
        width: Channels of the embedded prompt.
    """
    return {
        name: module
        for name, module in unet.named_modules()
        if name.endswith(("attn2.to_k", "attn2.to_v"))
        and isinstance(module, nn.Linear)
        and module.in_features == width
    }


def edited(weight: Tensor, moved: Tensor, by: Tensor, kept: Tensor, ridge: float) -> Tensor:
    r"""Return the weights that send concepts elsewhere and others where they were.

    .. math:: W' = \Big(\lambda W + \sum_i v_i c_i^\top + \sum_p W c_p c_p^\top\Big)
        \Big(\lambda I + \sum_i c_i c_i^\top + \sum_p c_p c_p^\top\Big)^{-1},
        \quad v_i = W c_i + W d_i

    which is the minimum of the squared errors plus λ times the squared change of the weights.
    With no d it is W itself; with one concept and λ to 0, W' c = v.

    Args:
        weight: W [out, C].
        moved: c_i [I, C], the concepts.
        by: d_i [I, C], what is added to each of them before W; Σ_a α_ia c_a to make it fair.
        kept: c_p [P, C], what is held where it is; P may be 0.
        ridge: λ, above 0.

    Returns:
        [out, C] float64.
    """
    w, c, d, p = (part.double() for part in (weight, moved, by, kept))
    # W' = W + W (Σ d cᵀ)(λI + Σ c cᵀ + Σ p pᵀ)⁻¹: the same, without what cancels.
    gram = c.T @ c + p.T @ p + ridge * torch.eye(w.shape[1], dtype=torch.float64)
    moved_weight: Tensor = w + torch.linalg.solve(gram, c.T @ d @ w.T).T
    return moved_weight


@contextmanager
def swapped(layers: Mapping[str, Any], weights: Sequence[Tensor]) -> Iterator[None]:
    """Let layers use other weights while the block runs; then their own tensors, bit for bit.

    Args:
        layers: By name.
        weights: In the order of the layers.
    """
    own = [layer.weight.data for layer in layers.values()]
    try:
        for layer, weight in zip(layers.values(), weights, strict=True):
            layer.weight.data = weight
        yield
    finally:
        for layer, weight in zip(layers.values(), own, strict=True):
            layer.weight.data = weight
