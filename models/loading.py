"""A pipeline of diffusers from its folder: safetensors only, on its device, with its scheduler.

Under `offload` the weights wait in main memory, and hooks of accelerate bring them to the device
when they are needed. Those hooks wrap `forward`, inside the hooks of torch that edits are.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.utils import logging

from audit.errors import InputError, ResourceError, SpecError, unknown
from audit.images.memory import out_of_memory


def load(
    folder: Path,
    *,
    variant: str | None,
    dtype: str,
    scheduler: str | None,
    device: str,
    offload: str | None,
) -> Any:
    """Load the pipeline in `folder` for a device, silent and ready to draw.

    Args:
        folder: A folder of diffusers.
        variant: Which weight files to take.
        dtype: Of the weights, as torch names it.
        scheduler: Class that takes the place of the pipeline's own.
        device: Where to draw.
        offload: What is brought to the device at a time: whole models (`model`) or single layers
            (`sequential`); everything, once and for all, if not given.

    Raises:
        SpecError: the scheduler does not exist or does not fit, or the pipeline is not offloaded.
        InputError: the components do not fit together.
        ResourceError: there is no such device, or the pipeline does not fit into memory.
    """
    for library in (logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
    with _device_errors(device):
        torch.empty(0, device=device)
    read: Any = diffusers.DiffusionPipeline.from_pretrained
    with _memory_errors(folder, device, dtype, offload):
        try:
            pipe = read(
                folder,
                variant=variant,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            if out_of_memory(error):
                raise
            raise InputError(f"{folder}: the pipeline cannot be loaded: {error}") from error
        if scheduler is not None:
            pipe.scheduler = _scheduler(scheduler, pipe)
        pipe.set_progress_bar_config(disable=True)
        _placed(pipe, device, offload)
    return pipe


def _placed(pipe: Any, device: str, offload: str | None) -> None:
    """Put a pipeline on its device, or let it come there in parts while it draws."""
    if offload is None:
        pipe.to(device)
        return
    if pipe.model_cpu_offload_seq is None:
        raise SpecError(f"offload: {type(pipe).__name__} is not made for it; leave it out")
    if offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.enable_model_cpu_offload(device=device)
    # Where memory is short, a batch is decoded image by image. Tiles would show in the pixels.
    if hasattr(getattr(pipe, "vae", None), "enable_slicing"):
        pipe.vae.enable_slicing()


def _scheduler(name: str, pipe: Any) -> Any:
    """Return the pipeline's scheduler turned into another class, of those it can turn into."""
    fitting = {
        kind.__name__: kind
        for kind in pipe.scheduler.compatibles
        if not hasattr(kind, "_backends")  # a placeholder for one whose package is missing
    }
    if name not in fitting:
        raise SpecError(unknown("scheduler", name, fitting))
    scheduler = fitting[name].from_config(pipe.scheduler.config)
    seeded = "generator" in inspect.signature(scheduler.step).parameters
    plain = isinstance(pipe, diffusers.DDPMPipeline)
    if plain and not (seeded and float(scheduler.init_noise_sigma) == 1):
        raise SpecError(f"scheduler {name} scales its input, which DDPMPipeline does not do")
    return scheduler


@contextmanager
def _device_errors(device: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ResourceError(
            f"device {device!r} cannot be used here: {reason}; see `bias-audit doctor`"
        ) from error


@contextmanager
def _memory_errors(folder: Path, device: str, dtype: str, offload: str | None) -> Iterator[None]:
    """Tell a model that does not fit from a batch that does not: it is in vain to halve that."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not out_of_memory(error):
            raise
        advice = ["take a larger device"]
        if device != "cpu":
            halves = ["say `dtype: float16`"] if dtype == "float32" else []
            less = {None: ["say `offload: model`"], "model": ["say `offload: sequential`"]}
            advice = [*halves, *less.get(offload, []), *advice]
        raise ResourceError(
            f"{folder}: the model does not fit into memory on {device!r}: {', or '.join(advice)}"
        ) from error
