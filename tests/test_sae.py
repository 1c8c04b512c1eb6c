import numpy as np
import pytest
import torch
from planted import random_sae, sparse_tokens

from audit.errors import InputError, SpecError
from audit.features import sae as autoencoder
from audit.features import sparse_linear
from audit.features.sae import SAE, fvu
from audit.features.sae_training import health, train


def test_gradients_of_sparse_maps_are_those_of_the_dense_formula():
    torch.manual_seed(0)
    x = torch.randn(300, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(20, 7, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(20, dtype=torch.float64, requires_grad=True)
    table = torch.randn(20, 9, dtype=torch.float64, requires_grad=True)
    goal = torch.randn(300, 9, dtype=torch.float64)
    parameters = (x, weight, bias, table)

    values, indices = sparse_linear.encode(x, weight, bias, 4)
    sparse = sparse_linear.decode(values, indices, table)
    ours = torch.autograd.grad((sparse - goal).square().sum(), parameters)

    before = torch.nn.functional.linear(x, weight, bias).relu()
    top = before.topk(4, dim=1)
    dense = torch.zeros_like(before).scatter(1, top.indices, top.values) @ table
    theirs = torch.autograd.grad((dense - goal).square().sum(), parameters)

    assert torch.allclose(sparse, dense, atol=1e-12)
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-9)


def test_a_code_has_at_most_k_latents_and_decodes_to_the_forward_pass():
    sae, x = random_sae(), torch.randn(6, 3, 12)
    z = sae.encode(x)
    assert z.shape == (6, 3, 40)
    assert ((z > 0).sum(-1) <= 5).all()
    assert torch.allclose(z @ sae.decoder + sae.bias, sae(x), atol=1e-5)


@pytest.mark.parametrize("selection", ["topk", "batch-topk", "jump-relu"])
def test_the_codes_of_some_latents_are_those_among_all(selection):
    sae = random_sae(width=16, latents=24, k=5, selection=selection)
    x, some = torch.randn(3, 7, 16), torch.tensor([20, 3, 11])
    assert torch.equal(sae.encode(x, some), sae.encode(x)[..., some])
    assert sae.encode(x, some[:0]).shape == (3, 7, 0)


def test_tokens_and_activation_are_each_others_inverse():
    x = torch.randn(2, 12, 3, 5)
    for layout, width in (("positions", 12), ("map", 12 * 15)):
        sae = SAE(width, 20, 2, layout=layout)
        tokens = sae.tokens(x)
        assert tokens.shape[-1] == width
        assert torch.equal(sae.activation(tokens, like=x), x)
    sequence = torch.randn(2, 15, 12)
    assert torch.equal(SAE(12, 20, 2).tokens(sequence), sequence)
    with pytest.raises(InputError, match="width 12, not 9"):
        SAE(12, 20, 2).tokens(torch.randn(2, 9, 3, 3))


def test_training_finds_planted_directions_and_folds_the_scale_in():
    tokens, directions = sparse_tokens(40_000)
    torch.manual_seed(0)
    sae = train(SAE(16, 48, 3), 3 * tokens.split(500), learning_rate=1e-2, total=240)
    test, _ = sparse_tokens(2000, seed=1)
    assert float(fvu(test, sae(test))) < 0.15
    assert torch.allclose(sae.decoder.norm(dim=1), torch.ones(48), atol=1e-5)
    best = (directions @ sae.decoder.T).amax(1)
    assert (best > 0.9).float().mean() > 0.8, "most planted directions are a decoder row"


def test_batch_topk_keeps_k_on_average_and_more_where_more_is_there():
    few, _ = sparse_tokens(20_000, active=1)
    many, _ = sparse_tokens(20_000, seed=2, active=5)
    tokens = torch.cat([few, many])[
        torch.randperm(40_000, generator=torch.Generator().manual_seed(0))
    ]
    torch.manual_seed(0)
    sae = train(
        SAE(16, 48, 3, selection="batch-topk"),
        3 * tokens.split(500),
        learning_rate=1e-2,
        total=240,
    )
    found = [float((sae.encode(x) > 0).float().sum(-1).mean()) for x in (few[:1000], many[:1000])]
    assert float(sae.threshold) > 0
    assert 2 < np.mean(found) < 4
    assert found[1] > found[0] + 1


def test_dead_latents_are_revived_by_the_auxiliary_loss(monkeypatch):
    from audit.features import sae_training

    tokens, _ = sparse_tokens(40_000)

    def dead_share(dead_after):
        monkeypatch.setattr(sae_training, "DEAD_AFTER", dead_after)
        torch.manual_seed(0)
        sae = SAE(16, 48, 3)
        with torch.no_grad():
            sae.encoder_bias[:24] = -2  # too low to be among the first three
        sae = train(sae, tokens.split(500), learning_rate=1e-2, total=80)
        return health(sae, [tokens[:5000]]).dead

    assert dead_share(10**9) > 0.25
    assert dead_share(2000) < 0.05


def test_health_counts_what_is_dead_and_what_is_double():
    sae = random_sae(width=4, latents=4, k=2)
    sae.decoder.copy_(torch.eye(4))
    sae.encoder.copy_(torch.eye(4))
    sae.bias.zero_()
    sae.encoder_bias.copy_(torch.tensor([0.0, 0, 0, -100]))
    tokens = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    tokens[:, 2] = 0
    found = health(sae, [tokens, tokens])
    assert found.dead == 0.5  # latent 2 has nothing to fire on, latent 3 is shut
    assert found.l0 == 2
    assert found.duplicates == 0
    assert torch.allclose(sae.mean_activation[:2], tokens.mean(0)[:2], atol=1e-6)
    sae.decoder[1] = sae.decoder[0]
    assert health(sae, [tokens]).duplicates == 1


def test_a_step_at_which_nothing_varies_is_explained_or_not():
    sae = random_sae()
    met = sae.bias.expand(50, -1)  # by no latent: what they add is switched off
    sae.encoder_bias.fill_(-1e6)
    assert health(sae, [met, met + 4]).fvu == (0.0, 1.0)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    sae = random_sae(selection="batch-topk")
    sae.threshold.fill_(0.3)
    sae.save(tmp_path)
    loaded = autoencoder.load(tmp_path)
    x = torch.randn(9, 12)
    assert loaded.fingerprint == sae.fingerprint
    assert torch.equal(loaded.encode(x), sae.encode(x))
    sae.decoder[0, 0] += 1
    assert sae.fingerprint != loaded.fingerprint
    (tmp_path / autoencoder.WEIGHTS).write_bytes(b"no weights")
    with pytest.raises(InputError, match="not an SAE of this suite"):
        autoencoder.load(tmp_path)


def test_what_cannot_be_trained_is_said():
    with pytest.raises(SpecError, match="did you mean 'topk'"):
        SAE(4, 8, 2, selection="topK")
    with pytest.raises(SpecError, match="k must be from 1 to 8"):
        SAE(4, 8, 9)
    with pytest.raises(InputError, match="constant"):
        train(SAE(4, 8, 2), [torch.ones(10, 4)])
