"""Training of sparse autoencoders on a stream of tokens, and their health on held-out ones."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from audit.errors import InputError
from audit.features.sae import SAE, fvu

AUXILIARY = 1 / 32
"""Weight of AuxK (Gao et al. 2024)."""
DEAD_AFTER = 200_000
"""Tokens without firing after which a latent counts as dead in training."""
HEALTH_BATCH = 8192
"""Tokens encoded at a time while health is measured."""
THRESHOLD_RATE = 0.01
"""Of the moving average that becomes BatchTopK's threshold."""


@dataclass(frozen=True)
class Health:
    """How well an SAE describes tokens that it was not trained on."""

    fvu: tuple[float, ...]
    """By step: fraction of variance unexplained; where nothing varies 0 if it is met, 1 if not."""
    l0: float
    """Latents active in a token, on average."""
    dead: float
    """Share of latents that never fire."""
    duplicates: float
    """Share of latents whose decoder row has a cosine above 0.9 with another's."""


def train(
    sae: SAE, batches: Iterable[Tensor], *, learning_rate: float = 3e-3, total: int | None = None
) -> SAE:
    """Train on batches of tokens [N, D]; return the same SAE, ready to use.

    The loss is the FVU plus AuxK: latents that have not fired for long are asked to explain what
    the others left over. Biases start at the mean of the first batch, which should be mixed. The
    tokens are brought to a mean square of 1 while training, and the scale is folded into the
    weights at the end, so that the SAE reads and writes activations as they are.

    Args:
        sae: Untrained.
        batches: Float32 tokens.
        learning_rate: Of Adam; falls linearly to 0 if `total` is given.
        total: Number of batches.

    Raises:
        InputError: the tokens are constant, or not finite.
    """
    optimizer = torch.optim.Adam(sae.parameters(), learning_rate, eps=6.25e-10)
    idle = torch.zeros_like(sae.encoder_bias, dtype=torch.long)
    scale = 1.0
    sae.train()
    for number, batch in enumerate(batches):
        if number == 0:
            scale = _start(sae, batch)
        x = batch / scale
        if total:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * (1 - number / total)
        values, indices = sae.sparse(x)
        reconstruction = sae.decode(values, indices)
        loss = fvu(x, reconstruction)
        fired = torch.zeros_like(idle, dtype=torch.bool)
        fired[indices[values > 0]] = True
        idle = torch.where(fired, 0, idle + len(x))
        dead = idle > DEAD_AFTER
        if dead.any():
            loss = loss + AUXILIARY * _auxiliary(sae, x, (x - reconstruction).detach(), dead)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sae.project_gradient()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()
        sae.unit_norm()
        if sae.config["selection"] == "batch-topk":
            smallest = values[values > 0].min().detach()
            rate = THRESHOLD_RATE if number else 1.0
            sae.threshold.lerp_(smallest, rate)
    with torch.no_grad():
        for folded in (sae.encoder_bias, sae.bias, sae.threshold):
            folded.mul_(scale)
    return sae.eval().requires_grad_(False)


def _start(sae: SAE, batch: Tensor) -> float:
    """Set the bias to the mean; return the root mean square of what varies."""
    scale = (batch - batch.mean(0)).square().mean().sqrt().item()
    if not (math.isfinite(scale) and scale > 0):
        raise InputError("the activations are constant or not finite: an SAE learns nothing here")
    with torch.no_grad():
        sae.bias.copy_(batch.mean(0) / scale)
    return scale


def _auxiliary(sae: SAE, x: Tensor, residual: Tensor, dead: Tensor) -> Tensor:
    """Return the FVU of the residual under the dead latents that come nearest to firing."""
    x = x - sae.bias if sae.config["pre_bias"] else x
    before = torch.addmm(sae.encoder_bias[dead], x, sae.encoder[dead].T)
    k = min(x.shape[1] // 2, before.shape[1])
    values, indices = before.topk(k, dim=1, sorted=False)
    code = torch.zeros_like(before).scatter(1, indices, values.relu())
    return fvu(residual, code @ sae.decoder[dead])


@torch.no_grad()
def set_threshold(sae: SAE, tokens: Tensor) -> None:
    """Give a BatchTopK the threshold above which tokens [N, D] have k latents on average."""
    sae.threshold.zero_()
    values, _ = sae.sparse(tokens)
    kept = values.flatten().topk(min(sae.k * len(tokens), values.numel())).values
    sae.threshold.copy_(kept[-1])


@torch.no_grad()
def health(sae: SAE, steps: Iterable[Tensor]) -> Health:
    """Measure an SAE on held-out tokens; fills in its `mean_activation`.

    Args:
        sae: Trained.
        steps: For each sampling step, tokens [N, D].
    """
    # In double precision, which not every device has: on the CPU.
    total = torch.zeros(len(sae.encoder_bias), dtype=torch.float64)
    unexplained, active, count = [], 0, 0
    for x in steps:
        left = 0.0
        for part in torch.split(x, HEALTH_BATCH):
            values, indices = sae.sparse(part)
            left += float((part - sae.decode(values, indices)).square().sum())
            total.index_add_(0, indices.flatten().cpu(), values.flatten().cpu().double())
            active += int((values > 0).sum())
        off = x - x[0]  # where nothing varies these are zeros, and the mean has no rounding
        varies = float((off - off.mean(0)).square().sum())
        unexplained.append(left / varies if varies else float(left > 0))
        count += len(x)
    sae.mean_activation.copy_(total / count)
    # Those of other programs need not be of length 1.
    live = torch.nn.functional.normalize(sae.decoder[sae.mean_activation > 0], dim=1)
    near = (live @ live.T).fill_diagonal_(0).amax(1) if len(live) else live[:, 0]
    return Health(
        fvu=tuple(unexplained),
        l0=active / count,
        dead=1 - len(live) / len(sae.decoder),
        duplicates=float((near > 0.9).float().mean()) if len(live) else 0.0,
    )
