"""The edit of SAE latents that every SAE mitigation is made of: an affine map of some of them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from audit.errors import SpecError
from audit.features.sae import SAE
from audit.storage.weights import fingerprint
from audit.types import Moment, Request


class LatentEdit:
    """Replace latent f by `factor * f + amount`, as the class of each image has it.

    Only the change is decoded and added, `h + (z' - z) D`: what the SAE cannot reconstruct passes
    untouched, and where nothing changes the activation itself is returned, so that the image is
    the baseline's to the last bit. A factor acts on latents that fired; an amount switches on
    those that did not.
    """

    def __init__(
        self,
        sae: SAE,
        latents: Sequence[int],
        factors: Tensor,
        amounts: Tensor,
        *,
        class_of: Callable[[Request], int],
        window: tuple[float, float] = (0.0, 1.0),
        positions: Sequence[int] | None = None,
        leak: bool = False,
    ) -> None:
        """Make an edit.

        Args:
            sae: Of the hookpoint.
            latents: F ids, each once.
            factors: [K, F]; 1 changes nothing, 0 removes.
            amounts: [K, F] or, by position, [K, P, F]; in units of the activation. 0 changes
                nothing.
            class_of: Gives the row of a request.
            window: Part of the sampling steps that is edited; 0 is the noisiest step, 1 the end.
            positions: The ones edited, in reading order; all if not given, none of an empty list.
            leak: Adds the decoder's bias to every token, as DiffLens' code does by mistake.

        Raises:
            SpecError: the window is empty or reaches out of [0, 1], or a position is negative.
        """
        check_extent(window, positions)
        self.sae = sae
        self.latents = torch.tensor(latents, dtype=torch.long)
        self.factors = factors
        self.amounts = amounts
        self.class_of = class_of
        self.window = window
        self.positions = None if positions is None else torch.tensor(positions, dtype=torch.long)
        self.leak = leak
        self.fingerprint = fingerprint(
            sae.fingerprint, tuple(latents), tuple(window),
            None if positions is None else tuple(positions),
            factors.tolist(), amounts.tolist(), leak,
        )  # fmt: skip

    @torch.no_grad()
    def __call__(self, x: Tensor, moment: Moment) -> Tensor:
        """Edit an activation [N, C, H, W] or [N, P, C].

        Raises:
            SpecError: it has not all of the positions.
        """
        first, last = (round(part * moment.steps) for part in self.window)
        first = min(first, moment.steps - 1)
        if not first <= moment.step < max(last, first + 1):  # however few steps, one is edited
            return x
        rows = [self.class_of(request) for request in moment.requests]
        factors = self.factors[rows][:, None].to(x.device)
        amounts = self.amounts[rows].to(x.device)
        amounts = amounts[:, None] if amounts.ndim == 2 else amounts
        if not self.leak and bool((factors == 1).all() and (amounts == 0).all()):
            return x
        sae = self.sae.to(x.device)
        tokens = sae.tokens(x).float()
        latents = self.latents.to(x.device)
        z = sae.encode(tokens, latents)
        change = (z * (factors - 1) + amounts) @ sae.decoder[latents]
        if self.leak:
            change = change + sae.bias
        if self.positions is not None:
            if (most := max(self.positions.tolist(), default=0)) >= tokens.shape[1]:
                raise SpecError(f"position {most}: there are {tokens.shape[1]}, counted from 0")
            kept = torch.zeros_like(change)
            kept[:, self.positions] = change[:, self.positions]
            change = kept
        return x + sae.activation(change, like=x)


def check_extent(window: tuple[float, float], positions: Sequence[int] | None = None) -> None:
    """See that an edit has steps, and positions, if any are named, that there can be.

    Raises:
        SpecError: the window is empty or reaches out of [0, 1], or a position is negative.
    """
    if not 0 <= window[0] < window[1] <= 1:
        raise SpecError(f"steps from {window[0]:g} to {window[1]:g}: need 0 <= from < to <= 1")
    if (least := min(positions or (), default=0)) < 0:
        raise SpecError(f"position {least}: positions are counted from 0")
