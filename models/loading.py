"""A pipeline of diffusers from its folder: safetensors only, on its device, with its scheduler."""

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


def load(
    folder: Path, *, variant: str | None, dtype: str, scheduler: str | None, device: str
) -> Any:
    """Load the pipeline in `folder` onto a device, silent and ready to draw.

    Raises:
        SpecError: the scheduler does not exist or does not fit.
        InputError: the components do not fit together.
        ResourceError: there is no such device.
    """
    for library in (logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()
    with _device_errors(device):
        torch.empty(0, device=device)
    read: Any = diffusers.DiffusionPipeline.from_pretrained
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
        raise InputError(f"{folder}: the pipeline cannot be loaded: {error}") from error
    if scheduler is not None:
        pipe.scheduler = _scheduler(scheduler, pipe)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


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
