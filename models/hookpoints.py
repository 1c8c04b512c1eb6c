"""Where a denoiser can be edited: blocks, text, and the image stream in what a block returns."""

import inspect
import re
from typing import Any

from torch import Tensor, nn

TEXT = "encoder_hidden_states"
"""Hookpoint of what the text encoders hand the denoiser: [N, tokens, C], named as its argument."""
_BLOCK = re.compile(r"(mid_block|(down|up)_blocks\.(\d+))(\.(attentions|resnets)\.\d+)?")
_LAYER = re.compile(r"(single_)?transformer_blocks\.\d+")
TRANSFORMERS = frozenset(
    {
        "FluxTransformer2DModel",
        "PixArtTransformer2DModel",
        "SanaTransformer2DModel",
        "SD3Transformer2DModel",
    }
)
"""Those that can be edited: their blocks return the image alone or (text, image), and their
pipelines guide in one call. Of others neither is sure: some return (image, text), or both as one
tensor, and some guide in two calls. They are drawn with and not edited."""


def hookpoints(denoiser: nn.Module) -> dict[str, int]:
    """Return the blocks of a denoiser with their channels; the first is the default.

    The default is `mid_block` in a U-Net and the middle block of a transformer. None of a
    transformer that cannot be edited.
    """
    config: Any = denoiser.config
    names = [name for name, _ in denoiser.named_modules()]
    if hasattr(config, "block_out_channels"):
        widths = list(config.block_out_channels)
        of = {"down": widths, "up": widths[::-1]}
        blocks = [match for name in names if (match := _BLOCK.fullmatch(name))]
        blocks.sort(key=lambda match: not match[0].startswith("mid_block"))
        return {m[0]: of[m[2]][int(m[3])] if m[2] else widths[-1] for m in blocks}
    if type(denoiser).__name__ not in TRANSFORMERS:
        return {}
    layers = [name for name in names if _LAYER.fullmatch(name)]
    layers.insert(0, layers.pop(len(layers) // 2))
    return dict.fromkeys(layers, config.num_attention_heads * config.attention_head_dim)


def of_text(denoiser: nn.Module) -> dict[str, int]:
    """Return the hookpoint of the embedded prompts, if the denoiser is handed any."""
    widths = ("cross_attention_dim", "joint_attention_dim", "caption_channels")
    found = [getattr(denoiser.config, name, None) for name in widths]
    width = next((width for width in found if isinstance(width, int)), None)
    takes = TEXT in inspect.signature(denoiser.forward).parameters
    return {TEXT: width} if takes and width is not None else {}


def stream(output: Any) -> tuple[Tensor, Any]:
    """Return the image stream in a module's output, and how to put another in its place.

    Blocks return a tensor, (image, skips), or, in joint transformers, (text, image).
    """
    if isinstance(output, Tensor):
        return output, lambda x: x
    at = 1 if len(output) == 2 and isinstance(output[1], Tensor) else 0
    return output[at], lambda x: (*output[:at], x, *output[at + 1 :])
