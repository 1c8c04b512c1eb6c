"""A loaded diffusers pipeline that draws requests and lets its hookpoints be edited."""

import inspect
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from audit.errors import InputError, SpecError, unknown
from audit.types import Drawing, Edit, Moment, Request, State
from models.hookpoints import TEXT, TRANSFORMERS, hookpoints, of_text, stream

FLAT = 1.0
"""Standard deviation, in units of 1/255, below which an image shows nothing."""


class PipelineModel:
    """Draws with the pipeline's own call, so that any pipeline of diffusers can be audited.

    Each image has a CPU generator of its own, seeded by its request. It therefore starts from the
    same noise whatever the batch, the order or the arm; its pixels can differ between batch sizes
    by what the kernels round.
    """

    def __init__(
        self,
        pipe: Any,
        *,
        size: int | Sequence[int] | None = None,
        negative_prompt: str | None = None,
    ) -> None:
        """Draw with a pipeline that is loaded.

        Args:
            pipe: Of diffusers.
            size: Side of square images in pixels, or height and width; its own if not given.
            negative_prompt: What guidance leads away from.

        Raises:
            SpecError: it does not draw from a prompt or from noise, or takes no such option.
        """
        accepted = inspect.signature(pipe.__call__).parameters
        self.pipe = pipe
        self.text_to_image = "prompt" in accepted
        self._requests: Sequence[Request] = ()
        name = type(pipe).__name__
        if "image" in accepted or not ({"prompt", "batch_size"} & set(accepted)):
            raise SpecError(f"{name} does not draw from a prompt or from noise alone")
        denoiser = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
        if denoiser is None:
            raise SpecError(f"{name} has neither a U-Net nor a transformer to draw with")
        self.denoiser: nn.Module = denoiser
        self.hookpoints = hookpoints(denoiser)
        if self.text_to_image and self.hookpoints:
            self.hookpoints |= of_text(denoiser)
        self._ignores_guidance = (
            "true_cfg_scale" in accepted
            and getattr(denoiser.config, "guidance_embeds", None) is False
        )
        self._given = _options(name, accepted, size, negative_prompt)

    def generate(self, requests: Sequence[Request]) -> Drawing:
        """Draw one image for each request, in order; out of memory is left to the caller."""
        images: list[npt.NDArray[np.uint8]] = []
        states: list[State] = []
        for (steps, guidance), group in groupby(
            requests, key=lambda request: (request.steps, request.guidance_scale)
        ):
            batch = tuple(group)
            pixels, flagged = self._call(batch, steps, guidance)
            images.append(_to_uint8(pixels))
            states += [_state(*pair) for pair in zip(pixels, flagged, strict=True)]
        return Drawing(np.concatenate(images), tuple(states))

    @contextmanager
    def hooked(self, hookpoint: str, edit: Edit) -> Iterator[None]:
        """While the block runs, pass the output of a module of the denoiser through `edit`.

        Or, at `encoder_hidden_states`, the embedded prompts that the denoiser is handed.

        Under guidance the edit is handed the conditional rows only. An edit that returns its
        argument leaves every pixel as it was. Several edits apply in the order they were hooked.

        Raises:
            SpecError: the denoiser has no such hookpoint, is not known well enough to be edited,
                or is called more than once a step.
        """
        if not self.hookpoints:
            known = ", ".join(sorted(TRANSFORMERS))
            raise SpecError(
                f"{type(self.denoiser).__name__} is drawn with and not edited: what its blocks"
                f" return is not known (known: U-Nets, {known})"
            )
        if hookpoint not in self.hookpoints:
            raise SpecError(unknown("hookpoint", hookpoint, self.hookpoints))
        signature = inspect.signature(self.denoiser.forward)
        moment, calls = Moment(0, 0, 0.0, self._requests), 0

        def note(module: nn.Module, args: tuple[Any, ...]) -> None:
            nonlocal moment, calls
            calls = calls + 1 if moment.requests is self._requests else 1
            moment = self._moment(calls)

        def replace(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            x, put = stream(output)
            edited = self._edit(x, edit, moment)
            return output if edited is x else put(edited)

        def prompted(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            called = signature.bind(*args, **kwargs)
            called.arguments[TEXT] = self._edit(called.arguments[TEXT], edit, moment)
            return called.args, called.kwargs

        handles = []
        try:
            before = self.denoiser.register_forward_pre_hook
            handles.append(before(note))
            if hookpoint == TEXT:
                handles.append(before(prompted, with_kwargs=True))
            else:
                module = self.denoiser.get_submodule(hookpoint)
                handles.append(module.register_forward_hook(replace))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _edit(self, x: Tensor, edit: Edit, moment: Moment) -> Tensor:
        """Edit the conditional rows; return `x` itself where the edit changed nothing."""
        n = len(self._requests)
        if len(x) not in (n, 2 * n):
            raise InputError(f"the hookpoint gave {len(x)} rows for {n} images")
        # Every pipeline of diffusers that guides in one call stacks [unconditional, conditional].
        rows = x[-n:]
        edited = edit(rows, moment)
        if edited is rows:
            return x
        if edited.shape != rows.shape:
            raise InputError(f"an edit made {tuple(edited.shape)} of {tuple(rows.shape)}")
        return torch.cat([x[:-n], edited.to(x.dtype)])

    def _moment(self, calls: int) -> Moment:
        """Return where in sampling so many calls of the denoiser have led.

        Every pipeline goes through the scheduler's timesteps in order, calling the denoiser at
        each; solvers of second order have some of them twice, which are one step. What the
        denoiser is handed does not tell: Flux divides it, and rounds it until neighbours agree.

        Raises:
            SpecError: there are more calls than timesteps.
        """
        times = self.pipe.scheduler.timesteps.tolist()
        if calls > len(times):
            raise SpecError(
                f"{type(self.pipe).__name__} calls its denoiser more than once a step, and"
                " which call is the conditional one is not known: it cannot be edited"
            )
        timestep, steps = times[calls - 1], list(dict.fromkeys(times))
        return Moment(steps.index(timestep), len(steps), float(timestep), self._requests)

    def _call(
        self, batch: tuple[Request, ...], steps: int, guidance: float
    ) -> tuple[npt.NDArray[np.float32], Sequence[bool]]:
        """Return pixels [N, H, W, 3] in [0, 1], NaN where drawing gave NaN, and safety flags."""
        if self._ignores_guidance and guidance > 1:
            raise SpecError(
                f"guidance_scale: this {type(self.pipe).__name__} takes none; say"
                " `guidance_scale: 1`"
            )
        generators = [torch.Generator("cpu").manual_seed(request.seed) for request in batch]
        given = {**self._given, "num_inference_steps": steps, "generator": generators}
        if self.text_to_image:
            given |= {"prompt": [request.prompt for request in batch], "guidance_scale": guidance}
            if "negative_prompt" in given:
                given["negative_prompt"] = [given["negative_prompt"]] * len(batch)
        else:
            given |= {"batch_size": len(batch)}
        self._requests = batch
        try:
            with _seeded(self.pipe.scheduler, generators):
                drawn = self.pipe(**given, output_type="np")
        except BaseException:
            self.pipe.maybe_free_model_hooks()  # as at its end: what is offloaded leaves the GPU
            raise
        finally:
            self._requests = ()
        pixels = np.asarray(drawn.images, np.float32)
        if pixels.shape[-1] == 1:
            pixels = pixels.repeat(3, axis=-1)
        return pixels, getattr(drawn, "nsfw_content_detected", None) or [False] * len(batch)


def _options(
    name: str,
    accepted: Collection[str],
    size: int | Sequence[int] | None,
    negative_prompt: str | None,
) -> dict[str, Any]:
    """Return what is handed to every call of a pipeline that accepts the arguments given."""
    given: dict[str, Any] = {}
    if size is not None:
        if not {"height", "width"} <= set(accepted):
            raise SpecError(f"option 'size': {name} draws in one size only")
        height, width = (size, size) if isinstance(size, int) else size
        given |= {"height": height, "width": width}
    if negative_prompt is not None:
        if "negative_prompt" not in accepted:
            raise SpecError(f"option 'negative_prompt': {name} takes none")
        if "true_cfg_scale" in accepted:
            raise SpecError(
                f"option 'negative_prompt': {name} heeds it under true_cfg_scale alone, which is"
                " not supported; leave it out"
            )
        given["negative_prompt"] = negative_prompt
    return given


@contextmanager
def _seeded(scheduler: Any, generators: list[torch.Generator]) -> Iterator[None]:
    """Give a scheduler that adds noise the images' own generators; LDMPipeline gives it none."""
    step = scheduler.step
    if "generator" not in inspect.signature(step).parameters:
        yield
        return
    scheduler.step = partial(step, generator=generators)
    try:
        yield
    finally:
        del scheduler.step


def _to_uint8(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.nan_to_num(pixels * 255).round().astype(np.uint8)


def _state(pixels: npt.NDArray[np.float32], flagged: bool) -> State:
    if not np.isfinite(pixels).all():
        return State.FAILED
    if flagged:
        return State.FILTERED
    return State.BLANK if pixels.std(axis=(0, 1)).max() * 255 < FLAT else State.OK
