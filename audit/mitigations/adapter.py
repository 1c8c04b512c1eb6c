"""Put a trained adapter into a model: LoRA weights, or the tokens of a textual inversion.

This is the door for methods that were trained elsewhere: fine-tuned fairness (Shen et al. 2024,
arXiv:2311.07604), concept sliders, learned inclusive tokens. Loading and unloading is diffusers'
own; what is read is safetensors alone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.images.rewriting import RewritingModel
from audit.placeholders import refuse_unknown
from audit.storage.weights import PICKLED, fingerprint, locate
from audit.types import Model

NAME = "bias-audit"
"""Of the adapter inside the pipeline."""
REMEDY = "an adapter is one .safetensors file, as diffusers' training scripts save it"
DOES_NOT_FIT = (ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError)
"""What diffusers and peft raise where tensors do not fit the model."""

Parts = dict[tuple[Any, str], Any]
"""By the place where they stand: what holds them, and their name in it."""


class Adapter:
    """Has an adapter in the model while it is applied; it is read and fitted in once."""

    def __init__(self, path: Path, sha256: str, scale: float, prompt: str) -> None:
        self.path = path
        self.scale = scale
        self.prompt = prompt
        self.fingerprint = fingerprint("adapter", sha256, scale, prompt)
        self._fitted: tuple[Any, Parts, str | None] | None = None
        """The pipeline that the adapter was last fitted to, what stands there in the places of
        its own parts, and the token that it then knows."""

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Yield the model with the adapter in it, asked for its tokens where it brings some.

        Raises:
            SpecError: pipelines of this kind take no such adapter.
            InputError: the tensors are no adapter, or none of this model.
        """
        pipe: Any = getattr(getattr(model, "pipeline", None), "pipe", None)
        if self._fitted is None or self._fitted[0] is not pipe:
            self._fitted = pipe, *self._fit(model, pipe)
        _, parts, token = self._fitted
        with _in_place(parts):
            if token is None:
                yield model
            else:
                yield RewritingModel(
                    model,
                    lambda request: self.prompt.format(prompt=request.prompt, token=token),
                )

    def _fit(self, model: Model, pipe: Any) -> tuple[Parts, str | None]:
        """Read the adapter; return what it changes, which is not there yet, and its token."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(self.path)
        except SafetensorError as error:
            raise InputError(f"{self.path}: damaged weights: {error}") from error
        lora = any("lora" in name for name in tensors)
        loader = "load_lora_weights" if lora else "load_textual_inversion"
        if not model.text_to_image or not hasattr(pipe, loader):
            kind = "LoRA weights" if lora else "a textual inversion"
            raise SpecError(f"adapter: this model is no text-to-image pipeline that takes {kind}")
        if lora:
            return self._layers(pipe, tensors), None
        if len(tensors) != 1:
            raise InputError(
                f"{self.path}: neither LoRA weights nor one token of a textual inversion"
            )
        ((name, vectors),) = tensors.items()
        token = name if name.startswith("<") else f"<{name}>"
        return self._vocabulary(pipe, token, vectors), token

    def _layers(self, pipe: Any, tensors: dict[str, Tensor]) -> Parts:
        """Return the layers with LoRA weights that take the places of the pipeline's own."""

        def load() -> None:
            pipe.load_lora_weights(tensors, adapter_name=NAME)
            pipe.set_adapters([NAME], adapter_weights=[self.scale])

        try:
            return self._changed(pipe, load)
        finally:
            pipe.unload_lora_weights()  # what diffusers notes of an adapter beside its layers

    def _vocabulary(self, pipe: Any, token: str, vectors: Tensor) -> Parts:
        """Return the tokenizer and the embeddings with one more token."""
        encoder = pipe.text_encoder
        if encoder.get_input_embeddings().weight.is_meta:
            raise SpecError("adapter: no token joins under `offload: sequential`: say `model`")

        def load() -> None:
            # Both grow in place, so copies do.
            pipe.tokenizer = deepcopy(pipe.tokenizer)
            encoder.set_input_embeddings(deepcopy(encoder.get_input_embeddings()))
            pipe.load_textual_inversion({token: self.scale * vectors}, token=token)

        return self._changed(pipe, load)

    def _changed(self, pipe: Any, load: Callable[[], None]) -> Parts:
        """Return the parts that `load` puts into a pipeline, which has its own again."""
        own = _parts(pipe)
        try:
            load()
            return {at: new for at, new in _parts(pipe).items() if own.get(at, new) is not new}
        except DOES_NOT_FIT as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(f"{self.path}: does not fit this model: {reason}") from error
        finally:
            _put({at: part for at, part in own.items() if getattr(*at) is not part})


def _parts(pipe: Any) -> Parts:
    """Return every component of a pipeline, and every module in them, by its place."""
    components = pipe.components.items()
    return {(pipe, name): part for name, part in components} | {
        (parent, name): child
        for _, part in components
        if isinstance(part, nn.Module)
        for parent in part.modules()
        for name, child in parent._modules.items()
        if child is not None
    }


def _put(parts: Parts) -> None:
    for (parent, name), part in parts.items():
        setattr(parent, name, part)


@contextmanager
def _in_place(parts: Parts) -> Iterator[None]:
    """Let parts take the places of others while the block runs."""
    own = {(parent, name): getattr(parent, name) for parent, name in parts}
    try:
        _put(parts)
        yield
    finally:
        _put(own)


def adapter(*, path: str, scale: float = 1.0, prompt: str = "{prompt} {token}") -> Adapter:
    """Load LoRA weights or a textual inversion into a text-to-image pipeline of diffusers.

    Args:
        path: A folder with one `.safetensors` file, or the file. Pickles are refused.
        scale: Of the LoRA weights, or of the token's vectors; a LoRA scaled by 0 changes nothing.
        prompt: How the token of a textual inversion joins a prompt.

    Raises:
        SpecError: the prompt has a placeholder that is not known.
        RefusedError: there are pickled weights.
        ResourceError: there is nothing at the path, or peft is not installed.
        InputError: there are several files, or none is safetensors.
    """
    from importlib.util import find_spec

    refuse_unknown("adapter: option 'prompt'", prompt, ["prompt", "token"])
    if find_spec("peft") is None:
        raise ResourceError("adapter needs the package peft: pip install peft")
    file, sha256 = locate(_only_file(Path(path)), formats=[".safetensors"], remedy=REMEDY)
    return Adapter(file, sha256, scale, prompt)


def _only_file(path: Path) -> Path:
    """Return the weight file of a folder; a path that is no folder is returned as it is."""
    path = path.expanduser()
    if not path.is_dir():
        return path
    files = sorted(path.iterdir())
    if pickled := [file for file in files if file.suffix.lower() in PICKLED]:
        raise RefusedError(
            f"{pickled[0]}: pickled weights can run code and are never read; {REMEDY}"
        )
    weights = [file for file in files if file.suffix == ".safetensors"]
    if len(weights) != 1:
        raise InputError(f"{path}: {len(weights)} files of weights; {REMEDY}")
    return weights[0]
