"""Sparse autoencoders of other programs, read into ours from their safetensors.

| layout | configuration | weights |
|---|---|---|
| this suite | `sae.json` | `sae.safetensors` |
| sparsify, SAeUron | `cfg.json` | `sae.safetensors` |
| SAELens | `cfg.json` | `sae_weights.safetensors` |
| sdxl-unbox | `config.json` | `state_dict.safetensors` |

All take the decoder's bias off before encoding. An autoencoder of sdxl-unbox was trained on what a
block adds to its input, while a hookpoint hands over what the block puts out: its directions can
be used, its codes are of something else, and the FVU says how far.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audit.errors import InputError, RefusedError
from audit.features import sae as autoencoder
from audit.features.sae import SAE
from audit.storage.weights import PICKLED

Tensors = dict[str, Tensor]
_CONVERT = (
    "convert them where you trust them:"
    " safetensors.torch.save_file(torch.load('{old}', weights_only=True), '{new}')"
)


def load(folder: Path) -> SAE:
    """Read an autoencoder of this suite, sparsify, SAELens, SAeUron or sdxl-unbox.

    A BatchTopK whose file holds no threshold has the threshold NaN: it is set on tokens.

    Raises:
        InputError: there is none in the folder, it is damaged, or of a kind not supported.
        RefusedError: its weights are pickled.
    """
    if (folder / autoencoder.CONFIG).is_file():
        return autoencoder.load(folder)
    for config, weights, read in _LAYOUTS:
        if (folder / config).is_file() and (folder / weights).is_file():
            return _read(folder / config, folder / weights, read)
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() in PICKLED:
            remedy = _CONVERT.format(old=path.name, new=f"{path.stem}.safetensors")
            raise RefusedError(
                f"{path}: pickled weights can run code and are never read; {remedy}"
            )
    known = ", ".join(f"{config} with {weights}" for config, weights, _ in _LAYOUTS)
    raise InputError(f"{folder}: no sparse autoencoder: expected {known}")


def _read(config: Path, weights: Path, read: "Reader") -> SAE:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        written = json.loads(config.read_text("utf-8"))
        tensors = {name: tensor.float() for name, tensor in load_file(weights).items()}
        sae = read(written, tensors)
    except KeyError as error:
        raise InputError(f"{weights.parent}: the autoencoder lacks {error}") from error
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{weights.parent}: the autoencoder cannot be read: {error}") from error
    return sae.eval().requires_grad_(False)


def _sparsify(config: Mapping[str, Any], tensors: Tensors) -> SAE:
    """Read sparsify's layout, and that of SAeUron, which is an older one with BatchTopK."""
    _refuse(
        ("that transcodes", bool(config.get("transcode"))),
        ("with a skip connection", bool(config.get("skip_connection")) or "W_skip" in tensors),
        ("with GroupMax", config.get("activation", "topk") != "topk"),
        ("with the k latents of an image, not of a position", bool(config.get("sample_topk"))),
        ("of tokens brought to unit norm", bool(config.get("input_unit_norm"))),
    )
    return _made(
        tensors["encoder.weight"],
        tensors["encoder.bias"],
        tensors["W_dec"],
        tensors["b_dec"],
        k=int(config["k"]),
        selection="batch-topk" if config.get("batch_topk") else "topk",
        threshold=torch.tensor(float("nan")) if config.get("batch_topk") else None,
    )


def _saelens(config: Mapping[str, Any], tensors: Tensors) -> SAE:
    """Read SAELens' layout: `topk`, `jumprelu` (also of BatchTopK training) and `standard`."""
    architecture = str(config.get("architecture", "standard"))
    if config.get("activation_fn_str", config.get("activation_fn")) == "topk":
        architecture = "topk"
    normalised = config.get("normalize_activations", "none")
    _refuse(
        (
            f"of the architecture {architecture}",
            architecture not in ("topk", "jumprelu", "standard"),
        ),
        (f"of activations normalised by {normalised}", normalised not in ("none", None)),
        ("of attention heads", config.get("reshape_activations", "none") not in ("none", None)),
    )
    encoder, bias, decoder = tensors["W_enc"].T, tensors["b_enc"], tensors["W_dec"]
    if config.get("rescale_acts_by_decoder_norm"):
        norm = decoder.norm(dim=1)
        encoder, bias, decoder = encoder * norm[:, None], bias * norm, decoder / norm[:, None]
    threshold, k, selection = None, len(bias), "jump-relu"
    if architecture == "topk":
        named = config["k"] if "k" in config else config["activation_fn_kwargs"]["k"]
        k, selection = int(named), "topk"
    elif architecture == "jumprelu":
        threshold = tensors["threshold"]
    return _made(
        encoder, bias, decoder, tensors["b_dec"], k=k, selection=selection, threshold=threshold,
        pre_bias=bool(config.get("apply_b_dec_to_input", True)),
    )  # fmt: skip


def _sdxl_unbox(config: Mapping[str, Any], tensors: Tensors) -> SAE:
    return _made(
        tensors["encoder.weight"],
        tensors["latent_bias"],
        tensors["decoder.weight"].T,
        tensors["pre_bias"],
        k=int(config["k"]),
    )


def _made(
    encoder: Tensor,
    encoder_bias: Tensor,
    decoder: Tensor,
    bias: Tensor,
    *,
    k: int,
    selection: str = "topk",
    threshold: Tensor | None = None,
    pre_bias: bool = True,
) -> SAE:
    """Return an SAE of given weights: encoder and decoder [L, D], biases [L] and [D]."""
    latents, width = decoder.shape
    sae = SAE(width, latents, k, selection=selection, pre_bias=pre_bias)
    weights = {
        "encoder": encoder,
        "encoder_bias": encoder_bias,
        "decoder": decoder,
        "bias": bias,
        "threshold": sae.threshold if threshold is None else threshold,
        "mean_activation": sae.mean_activation,
    }
    sae.load_state_dict(weights)
    return sae


def _refuse(*kinds: tuple[str, bool]) -> None:
    for words, met in kinds:
        if met:
            raise ValueError(f"one {words} is not supported")


Reader = Callable[[Mapping[str, Any], Tensors], SAE]
_LAYOUTS: tuple[tuple[str, str, Reader], ...] = (
    ("cfg.json", "sae.safetensors", _sparsify),
    ("cfg.json", "sae_weights.safetensors", _saelens),
    ("config.json", "state_dict.safetensors", _sdxl_unbox),
)
