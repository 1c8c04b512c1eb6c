"""Asyrp: an edit of the middle block that acts on the predicted image and not on the direction.

    x_{t-1} = α_{t-1} x0(edited) + σ_{t-1} ε(plain)

Source: Kwon et al. 2022 (arXiv:2210.10960). A DDIM step is affine in what the denoiser puts out,
so the same step is taken, without touching the scheduler, by handing it

    plain + w (edited - plain),   w = α_{t-1} σ_t / (α_{t-1} σ_t - α_t σ_{t-1})

The down blocks and the middle block run once: behind it the edited rows are stacked below the
plain ones, and the up blocks, which get their skip tensors repeated, run over both.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import SpecError
from audit.features.stock_pipeline import removed, repeated, unet_pipeline, with_sample
from audit.types import Edit, Model, Moment

HOOKPOINT = "mid_block"


@contextmanager
def split(model: Model, edit: Edit) -> Iterator[None]:
    """While the block runs, edit the middle block of a U-Net in the manner of Asyrp.

    Under guidance the unconditional rows are computed once, like all others.

    Args:
        model: Of a diffusers pipeline with a U-Net and `DDIMScheduler`.
        edit: Of `mid_block`; where it returns its argument the step is the plain one.

    Raises:
        SpecError: the model is of another kind, or its scheduler clips.
    """
    pipe = unet_pipeline(model, "asyrp")
    denoiser, scheduler = pipe.unet, pipe.scheduler
    if type(scheduler).__name__ != "DDIMScheduler":
        raise SpecError(
            f"asyrp needs the scheduler DDIMScheduler, not {type(scheduler).__name__}: set"
            " `scheduler` of the model"
        )
    if scheduler.config.clip_sample or scheduler.config.thresholding:
        raise SpecError("asyrp needs a scheduler that does not clip the predicted image")

    edited: Tensor | None = None
    """Rows to stack below the plain ones; None where nothing was edited."""
    timestep, rows = 0.0, 0

    def capture(x: Tensor, moment: Moment) -> Tensor:
        nonlocal edited, timestep
        result = edit(x, moment)
        edited, timestep = (None if result is x else result), moment.timestep
        return x

    def stack(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        nonlocal rows
        rows = len(output)
        return output if edited is None else torch.cat([output, edited.to(output.dtype)])

    def repeat(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if edited is None:
            return args, kwargs
        return repeated((args, kwargs), rows, len(edited))

    def merge(module: nn.Module, args: Any, output: Any) -> Any:
        if edited is None:
            return output
        n, whole = len(edited), output[0]
        plain = whole[:-n].clone()
        plain[-n:] += amplification(scheduler, timestep) * (whole[-n:] - plain[-n:])
        return with_sample(output, plain)

    with ExitStack() as hooks:
        hooks.enter_context(model.hooked(HOOKPOINT, capture))
        hooks.enter_context(removed(denoiser.mid_block.register_forward_hook(stack)))
        for block in denoiser.up_blocks:
            handle = block.register_forward_pre_hook(repeat, with_kwargs=True)
            hooks.enter_context(removed(handle))
        hooks.enter_context(removed(denoiser.register_forward_hook(merge)))
        yield


def amplification(scheduler: Any, timestep: float) -> float:
    """Return w of a DDIM step without noise: by how much the change of an output counts."""
    before = int(timestep) - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    now = float(scheduler.alphas_cumprod[int(timestep)])
    then = float(
        scheduler.alphas_cumprod[before] if before >= 0 else scheduler.final_alpha_cumprod
    )
    own = (then * (1 - now)) ** 0.5
    return float(own / (own - (now * (1 - then)) ** 0.5))
