import pytest
import torch
from planted import random_sae

from audit.errors import InputError
from audit.features import h_classifier

CLASSES = ("a", "b", "c")


def toy(steps=3, count=120):
    """Tokens [2, 6] whose class stands in another dimension at every step."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    tokens = 0.5 * torch.randn(steps, count, 2, 6, generator=generator)
    for step in range(steps):
        for k in range(3):
            tokens[step, labels == k, step % 2, k] += 3
    return tokens, labels, torch.arange(count) % 4 == 0


def parts(tokens, size=5):
    """Cut the activations of every step into parts, as a recording hands them out."""
    return lambda step: tokens[step].flatten(1).split(size, dim=1)


def test_parts_of_any_size_and_order_give_the_same_heads():
    """And the heads of the whole at once, fitted in as many dimensions as there are."""
    tokens, labels, held_out = toy()
    given = {"labels": labels, "classes": CLASSES, "held_out": held_out}
    heads = h_classifier.fit(parts(tokens), 3, **given)
    whole = h_classifier.fit(parts(tokens, 12), 3, **given)
    turned = h_classifier.fit(
        parts(tokens.flip(3)), 3, **given, arranged=lambda r: r.view(-1, 2, 6).flip(2).flatten(1)
    )
    for other in (whole, turned):
        assert other.accuracy == heads.accuracy
        for name in h_classifier.TENSORS:
            torch.testing.assert_close(
                getattr(other, name), getattr(heads, name), rtol=1e-3, atol=1e-4
            )
    learnt = tokens[0, ~held_out].flatten(1)
    means = torch.stack([learnt[labels[~held_out] == k].mean(0) for k in range(3)])
    torch.testing.assert_close(heads.directions[0], means - means.mean(0))
    centred = learnt - learnt.mean(0)
    weight, bias = torch.zeros(3, 12, requires_grad=True), torch.zeros(3, requires_grad=True)
    size = centred.square().sum(1).mean()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(centred @ weight.T + bias, labels[~held_out])
        value = value + 0.03 * size * weight.square().sum() / 2
        value.backward()
        return value

    optimizer.step(loss)
    logits = (tokens[0, held_out].flatten(1) - learnt.mean(0)) @ weight.T + bias
    torch.testing.assert_close(heads.logits(0, tokens[0, held_out]), logits, rtol=1e-2, atol=1e-2)


def test_every_step_has_the_head_of_that_step():
    tokens, labels, held_out = toy()
    heads = h_classifier.fit(parts(tokens), 3, labels, CLASSES, held_out=held_out)
    assert min(heads.accuracy) > 0.95
    right = [(heads.logits(s, tokens[s]).argmax(1) == labels).float().mean() for s in range(3)]
    wrong = [(heads.logits(1 - s, tokens[s]).argmax(1) == labels).float().mean() for s in range(2)]
    assert min(right) > 0.95
    assert max(wrong) < 0.6


def test_folding_with_the_decoder_gives_the_logits_of_the_reconstruction():
    tokens, labels, held_out = toy()
    heads = h_classifier.fit(parts(tokens), 3, labels, CLASSES, held_out=held_out)
    sae = random_sae(width=6, latents=30, k=4)
    z = sae.encode(tokens[1])
    directions, offsets = heads.fold(1, sae)
    assert directions.shape == (3, 2, 30)
    folded = torch.einsum("npl,kpl->nk", z, directions) + offsets
    assert torch.allclose(folded, heads.logits(1, sae(tokens[1])), atol=1e-4)


def test_accuracy_is_by_class_so_that_always_the_common_one_is_chance():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 1, 3, generator=generator)
    labels = (torch.arange(400) % 10 == 0).long()
    held_out = torch.arange(400) % 3 == 0
    heads = h_classifier.fit(parts(noise[None]), 1, labels, ("x", "y"), held_out=held_out)
    assert heads.accuracy[0] == pytest.approx(0.5, abs=0.2)


def test_a_class_without_images_is_said():
    tokens, labels, held_out = toy()
    with pytest.raises(InputError, match="too few images read as 'c'"):
        h_classifier.fit(parts(tokens), 3, labels.clamp(max=1), CLASSES, held_out=held_out)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    tokens, labels, held_out = toy()
    heads = h_classifier.fit(parts(tokens), 3, labels, CLASSES, held_out=held_out)
    heads.save(tmp_path)
    loaded = h_classifier.load(tmp_path)
    assert torch.equal(loaded.logits(2, tokens[2]), heads.logits(2, tokens[2]))
    assert (loaded.classes, loaded.accuracy) == (heads.classes, heads.accuracy)
    with pytest.raises(InputError, match="not an h-classifier"):
        h_classifier.load(tmp_path / "nowhere")
