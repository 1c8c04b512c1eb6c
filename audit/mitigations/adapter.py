"""Put a trained adapter into a model: LoRA weights, or the tokens of a textual inversion.

This is the door for methods that were trained elsewhere: fine-tuned fairness (Shen et al. 2024,
arXiv:2311.07604), concept sliders, learned inclusive tokens. Loading and unloading is diffusers'
own; what is read is safetensors alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.images.rewriting import RewritingModel
from audit.storage.weights import PICKLED, fingerprint, locate
from audit.types import Model

NAME = "bias-audit"
"""Of the adapter inside the pipeline."""
REMEDY = "an adapter is one .safetensors file, as diffusers' training scripts save it"
DOES_NOT_FIT = (ValueError, RuntimeError, KeyError, IndexError, AttributeError, TypeError)
"""What diffusers and peft raise where tensors do not fit the model."""


class Adapter:
    """Loads an adapter while it is applied."""

    def __init__(self, path: Path, sha256: str, scale: float, prompt: str) -> None:
        self.path = path
        self.scale = scale
        self.prompt = prompt
        self.fingerprint = fingerprint("adapter", sha256, scale, prompt)

    @contextmanager
    def applied(self, model: Model) -> Iterator[Model]:
        """Yield the model with the adapter in it, asked for its tokens where it brings some.

        Raises:
            SpecError: pipelines of this kind take no such adapter.
            InputError: the tensors are no adapter, or none of this model.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(self.path)
        except SafetensorError as error:
            raise InputError(f"{self.path}: damaged weights: {error}") from error
        lora = any("lora" in name for name in tensors)
        loader = "load_lora_weights" if lora else "load_textual_inversion"
        pipe: Any = getattr(getattr(model, "pipeline", None), "pipe", None)
        if not model.text_to_image or not hasattr(pipe, loader):
            kind = "LoRA weights" if lora else "a textual inversion"
            raise SpecError(f"adapter: this model is no text-to-image pipeline that takes {kind}")
        if lora:
            with self._weights(pipe, tensors):
                yield model
        else:
            with self._token(pipe, tensors) as token:
                yield RewritingModel(
                    model,
                    lambda request: self.prompt.format(prompt=request.prompt, token=token),
                )

    @contextmanager
    def _weights(self, pipe: Any, tensors: dict[str, Tensor]) -> Iterator[None]:
        try:
            try:
                pipe.load_lora_weights(tensors, adapter_name=NAME)
                pipe.set_adapters([NAME], adapter_weights=[self.scale])
            except DOES_NOT_FIT as error:
                raise self._misfit(error) from error
            yield
        finally:
            pipe.unload_lora_weights()

    @contextmanager
    def _token(self, pipe: Any, tensors: dict[str, Tensor]) -> Iterator[str]:
        if len(tensors) != 1:
            raise InputError(
                f"{self.path}: neither LoRA weights nor one token of a textual inversion"
            )
        (token,) = tensors
        token = token if token.startswith("<") else f"<{token}>"
        try:
            vectors = next(iter(tensors.values()))
            pipe.load_textual_inversion({token: self.scale * vectors}, token=token)
        except DOES_NOT_FIT as error:
            raise self._misfit(error) from error
        try:
            yield token
        finally:
            pipe.unload_textual_inversion()

    def _misfit(self, error: Exception) -> InputError:
        reason = str(error).strip().partition("\n")[0]
        return InputError(f"{self.path}: does not fit this model: {reason}")


def adapter(*, path: str, scale: float = 1.0, prompt: str = "{prompt} {token}") -> Adapter:
    """Load LoRA weights or a textual inversion into a text-to-image pipeline of diffusers.

    Args:
        path: A folder with one `.safetensors` file, or the file. Pickles are refused.
        scale: Of the LoRA weights, or of the token's vectors; a LoRA scaled by 0 changes nothing.
        prompt: How the token of a textual inversion joins a prompt.

    Raises:
        SpecError: the text has a placeholder that is not known.
        RefusedError: there are pickled weights.
        ResourceError: there is nothing at the path, or peft is not installed.
        InputError: there are several files, or none is safetensors.
    """
    from importlib.util import find_spec

    try:
        prompt.format(prompt="", token="")
    except (KeyError, IndexError, ValueError) as error:
        raise SpecError(f"adapter: cannot fill in {prompt!r}: {error}") from error
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
