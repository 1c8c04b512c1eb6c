"""Checkpoints of other programs, made here in their layouts, against independent formulas."""

import json

import pytest
import torch
from safetensors.torch import save_file

from audit.errors import InputError, RefusedError
from audit.features import sae_formats
from audit.features.sae_training import set_threshold

D, L, K = 12, 40, 5


@pytest.fixture
def weights():
    generator = torch.Generator().manual_seed(0)
    return {
        "encoder": torch.randn(L, D, generator=generator),
        "encoder_bias": 0.1 * torch.randn(L, generator=generator),
        "decoder": torch.randn(L, D, generator=generator),
        "bias": torch.randn(D, generator=generator),
        "threshold": 1 + torch.rand(L, generator=generator),
    }


@pytest.fixture
def x():
    return torch.randn(50, D, generator=torch.Generator().manual_seed(1))


def write(folder, config, tensors, *, names):
    (folder / names[0]).write_text(json.dumps(config))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / names[1])
    return folder


def before(x, w, *, pre_bias=True):
    return (x - w["bias"] * pre_bias) @ w["encoder"].T + w["encoder_bias"]


def top(values, k=K):
    """Keep the k largest entries of a row, and of them the positive ones."""
    bound = values.sort(dim=1, descending=True).values[:, k - 1 : k]
    return torch.where(values >= bound, values, 0).clamp(min=0)


def check(sae, x, code, decoder, bias):
    assert torch.allclose(sae.encode(x), code, atol=1e-5)
    assert torch.allclose(sae(x), code @ decoder + bias, atol=1e-4)
    assert not sae.training


def sparsify(folder, w, **config):
    written = {
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": L,
        "k": K,
        "d_in": D,
    }
    tensors = {"encoder.weight": w["encoder"], "encoder.bias": w["encoder_bias"],
               "W_dec": w["decoder"], "b_dec": w["bias"]}  # fmt: skip
    return write(folder, written | config, tensors, names=("cfg.json", "sae.safetensors"))


def saelens(folder, w, **config):
    written = {"d_in": D, "d_sae": L, "dtype": "float32", "normalize_activations": "none",
               "reshape_activations": "none", "apply_b_dec_to_input": True}  # fmt: skip
    tensors = {"W_enc": w["encoder"].T, "b_enc": w["encoder_bias"], "W_dec": w["decoder"],
               "b_dec": w["bias"], "threshold": w["threshold"]}  # fmt: skip
    return write(folder, written | config, tensors, names=("cfg.json", "sae_weights.safetensors"))


def test_sparsify(tmp_path, weights, x):
    sae = sae_formats.load(sparsify(tmp_path, weights, activation="topk", transcode=False))
    check(sae, x, top(before(x, weights)), weights["decoder"], weights["bias"])


def test_saeuron_with_topk_of_a_position(tmp_path, weights, x):
    config = {"batch_topk": False, "sample_topk": False, "input_unit_norm": False}
    sae = sae_formats.load(sparsify(tmp_path, weights, **config))
    check(sae, x, top(before(x, weights)), weights["decoder"], weights["bias"])


def test_saeuron_with_batch_topk_gets_its_threshold_from_tokens(tmp_path, weights, x):
    """The 5 * 50 largest of all entries are kept."""
    sae = sae_formats.load(sparsify(tmp_path, weights, batch_topk=True))
    assert sae.threshold.isnan()
    set_threshold(sae, x)
    flat = before(x, weights).clamp(min=0)
    bound = flat.flatten().sort(descending=True).values[K * len(x) - 1]
    check(sae, x, torch.where(flat >= bound, flat, 0), weights["decoder"], weights["bias"])
    assert int((sae.encode(x) > 0).sum()) == K * len(x)


@pytest.mark.parametrize("pre_bias", [True, False])
def test_saelens_topk(tmp_path, weights, x, pre_bias):
    folder = saelens(tmp_path, weights, architecture="topk", k=K, apply_b_dec_to_input=pre_bias)
    code = top(before(x, weights, pre_bias=pre_bias))
    check(sae_formats.load(folder), x, code, weights["decoder"], weights["bias"])


def test_saelens_topk_of_activations_rescaled_by_the_decoders_norm(tmp_path, weights, x):
    config = {"architecture": "topk", "k": K, "rescale_acts_by_decoder_norm": True}
    norm = weights["decoder"].norm(dim=1)
    code = top(before(x, weights) * norm)
    decoder = weights["decoder"] / norm[:, None]
    check(
        sae_formats.load(saelens(tmp_path, weights, **config)), x, code, decoder, weights["bias"]
    )


def test_saelens_topk_as_older_versions_wrote_it(tmp_path, weights, x):
    config = {
        "architecture": "standard",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
    }
    sae = sae_formats.load(saelens(tmp_path, weights, **config))
    check(sae, x, top(before(x, weights)), weights["decoder"], weights["bias"])


@pytest.mark.parametrize("architecture", ["jumprelu", "standard"])
def test_saelens_keeps_what_exceeds_a_latents_own_threshold(tmp_path, weights, x, architecture):
    sae = sae_formats.load(saelens(tmp_path, weights, architecture=architecture))
    values = before(x, weights)
    bound = weights["threshold"] if architecture == "jumprelu" else torch.zeros(L)
    check(sae, x, torch.where(values > bound, values, 0), weights["decoder"], weights["bias"])


def test_sdxl_unbox(tmp_path, weights, x):
    config = {"n_dirs": L, "d_model": D, "k": K, "auxk": 16, "dead_steps_threshold": 2441}
    tensors = {"encoder.weight": weights["encoder"], "latent_bias": weights["encoder_bias"],
               "decoder.weight": weights["decoder"].T, "pre_bias": weights["bias"],
               "stats_last_nonzero": torch.zeros(L, dtype=torch.long)}  # fmt: skip
    folder = write(tmp_path, config, tensors, names=("config.json", "state_dict.safetensors"))
    check(
        sae_formats.load(folder), x, top(before(x, weights)), weights["decoder"], weights["bias"]
    )


def test_what_is_read_is_kept_in_our_own_layout(tmp_path, weights, x):
    sae = sae_formats.load(saelens(tmp_path, weights, architecture="jumprelu"))
    sae.save(tmp_path / "own")
    again = sae_formats.load(tmp_path / "own")
    assert torch.equal(again.encode(x), sae.encode(x))
    assert again.fingerprint == sae.fingerprint


@pytest.mark.parametrize(
    ("make", "config", "reason"),
    [
        (sparsify, {"transcode": True}, "one that transcodes is not supported"),
        (sparsify, {"activation": "groupmax"}, "one with GroupMax is not supported"),
        (sparsify, {"input_unit_norm": True}, "tokens brought to unit norm is not supported"),
        (saelens, {"architecture": "gated"}, "of the architecture gated is not supported"),
        (saelens, {"normalize_activations": "layer_norm"}, "normalised by layer_norm is not"),
        (saelens, {"architecture": "topk"}, "lacks 'activation_fn_kwargs'"),
    ],
)
def test_what_is_not_supported_is_said(tmp_path, weights, make, config, reason):
    with pytest.raises(InputError, match=reason):
        sae_formats.load(make(tmp_path, weights, **config))


def test_pickles_are_refused_with_the_way_to_convert_them(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "state_dict.pth").write_bytes(b"\x80\x04.")
    with pytest.raises(
        RefusedError, match=r"never read; convert them .*'state_dict\.safetensors'"
    ):
        sae_formats.load(tmp_path)


def test_a_folder_without_one_says_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=r"expected cfg\.json with sae\.safetensors, "):
        sae_formats.load(tmp_path)
