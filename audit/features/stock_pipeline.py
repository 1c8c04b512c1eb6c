"""How methods reach into a stock pipeline of diffusers where hookpoints do not suffice.

Asyrp and semantic guidance let the U-Net draw more rows than there are images; edits of weights
and of prompts need the parts by name. What is here says which pipelines those methods support.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.types import Model


def unet_pipeline(model: Model, method: str) -> Any:
    """Return the loaded pipeline of a model with a U-Net.

    Args:
        model: Any model.
        method: What asks for it, as the spec calls it.

    Raises:
        SpecError: the model is of another kind.
    """
    # Models of diffusers load their pipeline when it is first asked for.
    pipe: Any = getattr(getattr(model, "pipeline", None), "pipe", None)
    if getattr(pipe, "unet", None) is None:
        raise SpecError(f"{method} needs a pipeline of diffusers with a U-Net")
    return pipe


def stable_diffusion(model: Model, method: str) -> Any:
    """Return the loaded pipeline of a model like Stable Diffusion 1 or 2.

    That is a U-Net with cross-attention to one text encoder of CLIP. SDXL, which hands its U-Net a
    pooled embedding beside the tokens, is another kind.

    Raises:
        SpecError: the model is of another kind.
    """
    pipe = getattr(getattr(model, "pipeline", None), "pipe", None)
    parts = [getattr(pipe, name, None) for name in ("unet", "tokenizer", "text_encoder")]
    second = getattr(pipe, "text_encoder_2", None)
    if not model.text_to_image or None in parts or second is not None:
        raise SpecError(
            f"{method} needs a text-to-image pipeline like Stable Diffusion 1 or 2, with a U-Net"
            " and one text encoder"
        )
    return pipe


def repeated(value: Any, rows: int, n: int, times: int = 1) -> Any:
    """Append the last n rows, so many times, to every tensor of `rows` rows in a value.

    Tensors with other numbers of rows, and all that is no tensor, stay as they are.
    """
    if isinstance(value, Tensor):
        lacking = value.ndim > 0 and len(value) == rows
        return torch.cat([value, *[value[-n:]] * times]) if lacking else value
    if isinstance(value, tuple | list):
        return type(value)(repeated(part, rows, n, times) for part in value)
    if isinstance(value, dict):
        return {key: repeated(part, rows, n, times) for key, part in value.items()}
    return value


def with_sample(output: Any, sample: Tensor) -> Any:
    """Return a denoiser's output with another prediction in it."""
    if isinstance(output, tuple):
        return (sample, *output[1:])
    output.sample = sample
    return output


@contextmanager
def removed(handle: Any) -> Iterator[None]:
    """Remove a hook when the block ends."""
    try:
        yield
    finally:
        handle.remove()
