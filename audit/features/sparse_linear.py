"""Linear maps into and out of k-sparse codes, whose gradients cost k columns and not all of them.

A code is a pair of values and indices, both [N, k]; an index may occur with the value 0.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag

_CHUNK = 256
"""Rows whose k vectors are gathered at once: as much as a processor's cache holds."""


def encode(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k largest entries of relu(weight x + bias), as values and indices [N, k].

    Args:
        x: [N, D].
        weight: [L, D].
        bias: [L].
        k: Entries kept; where fewer are positive the rest have the value 0.
    """
    values, indices = _Encode.apply(x, weight, bias, k)
    return values, indices


def decode(values: Tensor, indices: Tensor, table: Tensor) -> Tensor:
    """Return the sum of `values[n, j] * table[indices[n, j]]` over j, [N, D].

    Args:
        values: [N, k].
        indices: [N, k], rows of `table`.
        table: [L, D].
    """
    decoded: Tensor = _Decode.apply(values, indices, table)
    return decoded


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, k: int) -> Any:
        values, indices = torch.addmm(bias, x, weight.T).relu_().topk(k, dim=1, sorted=False)
        ctx.save_for_backward(x, weight, values, indices)
        ctx.mark_non_differentiable(indices)
        return values, indices

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, weight, values, indices = ctx.saved_tensors
        grad = grads[0] * (values > 0)
        to_x = _bag(grad, indices, weight) if ctx.needs_input_grad[0] else None
        to_bias = torch.zeros_like(weight[:, 0]).index_add_(0, indices.flatten(), grad.flatten())
        return to_x, _transposed_bag(grad, indices, x, len(weight)), to_bias, None


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, indices: Tensor, table: Tensor) -> Any:
        ctx.save_for_backward(values, indices, table)
        return _bag(values, indices, table)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        values, indices, table = ctx.saved_tensors
        grad = grads[0].contiguous()
        to_values = torch.cat(
            [
                torch.einsum("nd,nkd->nk", some, embedding(which, table))
                for some, which in zip(grad.split(_CHUNK), indices.split(_CHUNK), strict=True)
            ]
        )
        return to_values, None, _transposed_bag(values, indices, grad, len(table))


def _bag(values: Tensor, indices: Tensor, table: Tensor) -> Tensor:
    return embedding_bag(indices, table, mode="sum", per_sample_weights=values)


def _transposed_bag(values: Tensor, indices: Tensor, rows: Tensor, size: int) -> Tensor:
    """Return [size, D]: for each latent the sum of the rows it fired in, times its values.

    The gradient of a bag is a bag too, of the transposed code; torch's own is ten times slower.
    """
    flat = indices.flatten()
    order = flat.argsort(stable=True)
    ends = flat.bincount(minlength=size).cumsum(0)
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    row = order.div(indices.shape[1], rounding_mode="floor")
    weights = values.flatten()[order]
    return embedding_bag(row, rows, starts, mode="sum", per_sample_weights=weights)
