r"""Semantic guidance: further prompts push the predicted noise, where they differ from it most.

.. math:: \epsilon = \epsilon_u + s (\epsilon_c - \epsilon_u) + g, \quad
    g_t = \sum_e w_e\, m_e\, \sigma_e\, s_e (\epsilon_e - \epsilon_u) + s_m \nu_t, \quad
    \nu_{t+1} = \beta \nu_t + (1 - \beta)\, g_t

Each image has a row of the U-Net for every edit prompt e; :math:`m_e` keeps, by channel, the
largest of its magnitudes. A pipeline puts s (ε_c - ε_u) together itself, so it is handed
ε_c + g / s, and no call of a pipeline is copied.

Source: SEGA, Brack et al. 2023 (arXiv:2301.12247).
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audit.errors import SpecError
from audit.features.prompt_embeddings import HOOKPOINT
from audit.features.stock_pipeline import removed, repeated, stable_diffusion, with_sample
from audit.types import Model, Moment, Request


@dataclass(frozen=True)
class Strengths:
    """The constants of semantic guidance."""

    scale: float
    """s_e; 0 changes nothing."""
    threshold: float
    """Share of a channel's values that the mask leaves out, from 0 to below 1."""
    warmup: float
    """Part of the steps at the noisy end in which guidance is only gathered."""
    momentum: float
    """s_m."""
    decay: float
    """β, from 0 to below 1."""


class SemanticGuidance:
    """The edit prompts of a model that draws: rows that its U-Net gets, and the push they give."""

    def __init__(
        self,
        prompts: Tensor,
        signs_of: Callable[[Request], Sequence[float]],
        strengths: Strengths,
        method: str,
    ) -> None:
        """Prepare guidance; the arguments are those of `guided`."""
        self.prompts = prompts
        self.signs_of = signs_of
        self.strengths = strengths
        self.method = method
        self._moment = Moment(0, 1, 0.0, ())
        self._gathered: Tensor | None = None
        """[N, C, H, W]: momentum of the images being drawn."""

    def begin(self, x: Tensor, moment: Moment) -> Tensor:
        """Note the step that begins; an edit that changes nothing."""
        if moment.requests[0].guidance_scale <= 1:
            raise SpecError(f"{self.method} pushes guidance: set a `guidance_scale` above 1")
        # Solvers of second order come back to a step; momentum begins anew with other images only.
        if moment.requests is not self._moment.requests:
            self._gathered = None
        self._moment = moment
        return x

    def widen(self, unet: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        """Give the U-Net a row more for each image and edit prompt: a hook before it runs."""
        n, count = len(self._moment.requests), len(self.prompts)
        called = inspect.signature(unet.forward).bind(*args, **kwargs)
        embedded = called.arguments.pop(HOOKPOINT)
        edits = self.prompts.to(embedded).repeat_interleave(n, dim=0)
        called.arguments |= repeated(dict(called.arguments), len(embedded), n, count)
        called.arguments[HOOKPOINT] = torch.cat([embedded, edits])
        return (), dict(called.arguments)

    def push(self, unet: nn.Module, args: Any, output: Any) -> Any:
        """Take these rows away again, and push the conditional ones: a hook behind it."""
        moment, strengths, whole = self._moment, self.strengths, output[0]
        n, count = len(moment.requests), len(self.prompts)
        plain, edits = whole[: 2 * n].clone(), whole[2 * n :].float().unflatten(0, (count, n))
        signs = torch.tensor([self.signs_of(r) for r in moment.requests], device=whole.device).T
        change = guidance(edits - plain[:n].float(), signs, strengths)
        gathered = torch.zeros_like(change) if self._gathered is None else self._gathered
        change = change + strengths.momentum * gathered
        self._gathered = strengths.decay * gathered + (1 - strengths.decay) * change
        if moment.step >= round(strengths.warmup * moment.steps):
            plain[n:] += (change / moment.requests[0].guidance_scale).to(plain.dtype)
        return with_sample(output, plain)


@contextmanager
def guided(
    model: Model,
    prompts: Tensor,
    signs_of: Callable[[Request], Sequence[float]],
    strengths: Strengths,
    method: str,
) -> Iterator[None]:
    """While the block runs, guide the images of a model by further prompts.

    Args:
        model: Of a pipeline like Stable Diffusion 1 or 2.
        prompts: [E, T, C] embedded edit prompts.
        signs_of: Gives the σ of an image for each prompt: above 0 towards it, below 0 away from
            it; 1 is the whole push.
        strengths: The constants.
        method: What guides, as the spec calls it.

    Raises:
        SpecError: the model is of another kind, or images are asked for without guidance.
    """
    unet = stable_diffusion(model, method).unet
    semantic = SemanticGuidance(prompts, signs_of, strengths, method)
    with ExitStack() as hooks:
        hooks.enter_context(model.hooked(HOOKPOINT, semantic.begin))
        before = unet.register_forward_pre_hook(semantic.widen, with_kwargs=True)
        hooks.enter_context(removed(before))
        hooks.enter_context(removed(unet.register_forward_hook(semantic.push)))
        yield


def guidance(differences: Tensor, signs: Tensor, strengths: Strengths) -> Tensor:
    """Return the push of all edits before momentum, each of the same weight.

    Args:
        differences: ε_e - ε_u [E, N, C, H, W].
        signs: σ [E, N].
        strengths: The constants.

    Returns:
        [N, C, H, W]; where nothing but the largest values of a channel pass.
    """
    size = differences.abs()
    least = size.flatten(3).quantile(strengths.threshold, dim=3)[..., None, None]
    kept = torch.where(size >= least, differences, 0.0)
    return strengths.scale * (signs[..., None, None, None] * kept).mean(0)
