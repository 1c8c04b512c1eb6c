"""Embedded prompts: read from a model's text encoder, and edited where the denoiser gets them.

The hookpoint hands an edit the conditional rows alone, so whatever is done to a prompt leaves the
unconditional half of guidance as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.types import Moment, Request

HOOKPOINT = "encoder_hidden_states"
"""As the denoisers of diffusers call what the text encoder hands them."""

Shift = tuple[Tensor, Callable[[Request], int]]
"""Vectors [K, C], one for each class of an attribute, and what gives an image its class."""


@dataclass(frozen=True)
class Embedded:
    """N texts as the denoiser sees them."""

    tokens: Tensor
    """[N, T, C] float32 on the CPU, padding included."""
    ends: Tensor
    """[N] position of the end token, which in CLIP stands for the whole text."""

    @property
    def whole(self) -> Tensor:
        """[N, C] at the end token."""
        return self.tokens[torch.arange(len(self.ends)), self.ends]

    @property
    def last(self) -> Tensor:
        """[N, C] at the last token of the text itself."""
        return self.tokens[torch.arange(len(self.ends)), self.ends - 1]


@torch.no_grad()
def embed(pipe: Any, texts: Sequence[str]) -> Embedded:
    """Embed texts as a pipeline embeds its prompts.

    Args:
        pipe: A pipeline like Stable Diffusion 1 or 2.
        texts: One or more.

    Raises:
        SpecError: a text is empty, or has more tokens than the encoder reads.
    """
    most = pipe.tokenizer.model_max_length
    tokens, ends = [], []
    for text in texts:
        # Special tokens at both ends; the padding may be the end token again.
        length = len(pipe.tokenizer(text).input_ids)
        if not 2 < length <= most:
            raise SpecError(f"{text!r} has {length - 2} tokens; the model reads 1 to {most - 2}")
        # Where the pipeline itself would; its `device` is where offloaded weights wait.
        prompt, _ = pipe.encode_prompt([text], pipe._execution_device, 1, False)
        tokens.append(prompt.float().cpu())
        ends.append(length - 1)
    return Embedded(torch.cat(tokens), torch.tensor(ends))


class TokenEdit:
    """Map every token of the conditional prompt: z' = A z + b + what the image's classes add."""

    def __init__(self, matrix: Tensor, offset: Tensor, shifts: Sequence[Shift] = ()) -> None:
        """Make an edit.

        Args:
            matrix: A [C, C].
            offset: b [C].
            shifts: Further vectors, drawn by class; each attribute adds one of its own.
        """
        self.matrix = matrix.float()
        self.offset = offset.float()
        self.shifts = [(vectors.float(), class_of) for vectors, class_of in shifts]
        still = torch.equal(self.matrix, torch.eye(len(matrix)))
        nothing = [self.offset, *(vectors for vectors, _ in self.shifts)]
        self.changes = not still or any(bool(vector.any()) for vector in nothing)

    @torch.no_grad()
    def __call__(self, x: Tensor, moment: Moment) -> Tensor:
        """Edit embedded prompts [N, T, C]; return them themselves where nothing changes."""
        if not self.changes:
            return x
        y = x.float() @ self.matrix.T.to(x.device) + self.offset.to(x.device)
        for vectors, class_of in self.shifts:
            rows = [class_of(request) for request in moment.requests]
            y = y + vectors[rows][:, None].to(x.device)
        return y.to(x.dtype)
