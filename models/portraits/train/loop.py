"""The training loop that every recipe shares: seeded, resumable, averaged over steps."""

import copy
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

Trained = TypeVar("Trained", bound=nn.Module)
Loss = Callable[[int, torch.Generator], Tensor]


def cosine(step: int, steps: int, warmup: int) -> float:
    """Return the factor on the learning rate: linear warm-up, then half a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move `average` towards `model`; at first quickly, so that the random start is forgotten.

    The decay after n steps is min(decay, (1 + n) / (10 + n)). Buffers are copied.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
    for kept, new in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(new)


def train(
    model: Trained,
    loss: Loss,
    checkpoint: Path,
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.01,
    warmup: int = 200,
    average: float = 0.999,
    seed: int = 0,
    every: int = 250,
    snapshot: Callable[[Trained, int], None] | None = None,
) -> Trained:
    """Minimise `loss` and return the exponential moving average of `model`.

    A run that was stopped goes on from `checkpoint`. The generator handed to `loss` is seeded by
    the step, so a resumed run sees the batches that it would have seen.

    Args:
        model: what is trained, in place.
        loss: called with (step, generator on the CPU); returns a scalar.
        checkpoint: file to go on from and to write to.
        steps: optimiser steps in all; the learning rate falls to zero at the last.
        learning_rate: peak, for AdamW with betas (0.9, 0.99).
        weight_decay: of AdamW.
        warmup: steps until the peak.
        average: decay per step of the moving average, ramped up over the first steps.
        seed: of the batches.
        every: steps between checkpoints, which are written whole.
        snapshot: called with the averaged model and the step after each checkpoint.
    """
    averaged = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=weight_decay
    )
    start = _restore(checkpoint, model, averaged, optimizer)
    began, seen, total = time.monotonic(), 0, 0.0
    model.train()
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * cosine(step, steps, warmup)
        generator = torch.Generator().manual_seed((seed << 32) + step)
        value = loss(step, generator)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        follow(averaged, model, step, average)
        seen, total = seen + 1, total + value.item()
        if (step + 1) % every == 0 or step + 1 == steps:
            rate = seen / (time.monotonic() - began)
            print(
                f"step {step + 1}/{steps}  loss {total / seen:.5f}  {rate:.2f} steps/s",
                file=sys.stderr,
                flush=True,
            )
            began, seen, total = time.monotonic(), 0, 0.0
            _save(checkpoint, model, averaged, optimizer, step + 1)
            if snapshot is not None:
                snapshot(averaged, step + 1)
    return averaged


def take_over(model: nn.Module, start: Path, prefix: str = "") -> None:
    """Load what fits by name and shape from another run, in place.

    Args:
        model: What takes over.
        start: Checkpoint of another run, of which the moving average counts, or safetensors.
        prefix: What the names in a file of safetensors are short of.
    """
    if start.suffix == ".safetensors":
        state = {prefix + name: value.float() for name, value in load_file(start).items()}
    else:
        state = torch.load(start, map_location="cpu", weights_only=True)["averaged"]
    own = model.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    print(f"took over {len(fitting)} of {len(own)} tensors from {start}", file=sys.stderr)


def _restore(
    path: Path, model: nn.Module, averaged: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Load what `_save` wrote, in place, and return the step to go on from; 0 without a file."""
    if not path.exists():
        return 0
    device = next(model.parameters()).device
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    averaged.load_state_dict(state["averaged"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(
    path: Path, model: nn.Module, averaged: nn.Module, optimizer: torch.optim.Optimizer, step: int
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "averaged": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
        },
        temporary,
    )
    temporary.replace(path)
