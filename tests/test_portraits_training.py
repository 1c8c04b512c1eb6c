"""The recipes: a resumed run is the run it would have been, and the parts fit together."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import nn

from models.portraits.dataset import Renders
from models.portraits.redraw import redraw_from
from models.portraits.train import architectures, objective, planting
from models.portraits.train.autoencoder import (
    CHANNELS,
    Standardised,
    build,
    distance,
    lines,
    refine,
)
from models.portraits.train.loop import cosine, follow, train
from models.portraits.train.objective import Velocity, weight
from models.portraits.train.planting import encode, encoded
from models.portraits.train.reading import read


def run(folder, stops):
    """Train a regression to the end; every stop loses what the checkpoint does not hold."""
    for attempt, stop in enumerate(stops):
        torch.manual_seed(attempt)
        model = nn.Linear(3, 1)

        def loss(step, generator, model=model, stop=stop):
            if step == stop:
                raise KeyboardInterrupt
            x = torch.randn(8, 3, generator=generator)
            return (model(x) - x.sum(1, keepdim=True)).square().mean()

        with suppress(KeyboardInterrupt):
            return train(
                model, loss, folder / "c.pt", steps=20, learning_rate=0.1, warmup=5, every=5
            )
    raise AssertionError


def test_a_stopped_run_ends_where_an_undisturbed_one_does(tmp_path, capsys):
    for name in "ab":
        (tmp_path / name).mkdir()
    whole, resumed = run(tmp_path / "a", [20]), run(tmp_path / "b", [7, 13, 20])
    assert torch.equal(whole.weight, resumed.weight)
    assert torch.equal(whole.bias, resumed.bias)
    assert "step 20/20" in capsys.readouterr().err


def test_the_average_forgets_a_random_start():
    model, average = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    nn.init.constant_(average.weight, 100.0)
    for step in range(200):
        follow(average, model, step, 0.9999)
    # A fixed decay of 0.9999 would have left it near 98.
    assert average.weight.item() == pytest.approx(1, abs=0.01)


def test_the_learning_rate_rises_and_falls():
    assert [round(cosine(step, 110, 10), 3) for step in (0, 9, 10, 60, 110)] == [0.1, 1, 1, 0.5, 0]


def test_latents_of_the_folded_autoencoder_are_standardised():
    torch.manual_seed(0)
    model = Standardised(build())
    # A fresh encoder's variance would drown in the epsilon of the norm.
    nn.init.normal_(model.vae.encoder.layers[-1].weight)
    model.norm.momentum = 1.0
    images = torch.rand(64, 3, 32, 32) * 2 - 1
    model(images, torch.zeros(1))
    model.eval()
    expected = model(images, torch.zeros(1))
    vae = model.folded()
    latents = vae.encode(images).latents
    assert latents.shape == (64, CHANNELS, 8, 8)
    assert latents.mean((0, 2, 3)).abs().max() < 0.05
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 0.05
    assert torch.allclose(vae.decode(latents).sample, expected, atol=1e-4)


def test_latents_are_kept_and_belong_to_their_pixels_and_their_autoencoder(tmp_path, monkeypatch):
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    renders, others = (
        Renders(random.integers(0, 256, (3, 16, 16, 3), np.uint8), pd.DataFrame(index=range(3)))
        for _ in range(2)
    )
    vae, again = build().eval(), build().eval()
    latents = encode(renders, vae, tmp_path)
    plain = encoded(renders.images, vae)
    assert torch.equal(latents[0], plain.half())
    assert not torch.equal(encode(others, vae, tmp_path), latents)
    assert not torch.equal(encode(renders, again, tmp_path), latents)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(planting, "encoded", None)
    assert torch.equal(encode(renders, vae, tmp_path), latents)


def test_the_conditional_unet_can_start_from_the_unconditional_one():
    source = architectures.unconditional_unet().state_dict()
    target = architectures.conditional_unet().state_dict()
    fitting = [k for k, v in target.items() if k in source and source[k].shape == v.shape]
    # Residual blocks, samplers, time embedding, both ends: all but attention and the pooled text.
    heard = ("attentions", "add_embedding")
    assert {k for k in target if not any(part in k for part in heard)} == set(fitting)


def test_the_loss_neither_vanishes_in_noise_nor_dwells_on_the_last_grain():
    assert weight(torch.tensor([0.0, 1.0, 99.0])).tolist() == pytest.approx([1, 1, 0.05])


def deviation_kept(scheduler, variance: float, steps: int) -> float:
    """Return sampled over true standard deviation of Gaussian data, denoised without error."""
    scheduler.set_timesteps(steps)
    x = torch.ones(1, 1)  # everything is linear: what becomes of a deviation of one
    for t in scheduler.timesteps:
        a = scheduler.alphas_cumprod[int(t)]
        clean = x * a.sqrt() * variance / (a * variance + 1 - a)
        noise = (x - a.sqrt() * clean) / (1 - a).sqrt()
        velocity = a.sqrt() * noise - (1 - a).sqrt() * clean
        x = scheduler.step(velocity, t, x).prev_sample
    return abs(x.item()) / variance**0.5


@pytest.mark.parametrize("variance", [0.1, 1, 30, 340])  # the latents' largest component: 338
def test_twenty_steps_draw_large_and_small_components_in_full(variance):
    assert deviation_kept(architectures.scheduler(), variance, 20) == pytest.approx(1, abs=0.06)


def test_twenty_steps_of_a_cosine_schedule_would_halve_the_largest_component():
    changes = {"beta_schedule": "squaredcos_cap_v2"}
    cosine = DPMSolverMultistepScheduler.from_config(architectures.scheduler().config, **changes)
    assert deviation_kept(cosine, 340, 20) < 0.6


def test_the_noisiest_level_is_a_step_of_the_schedule(monkeypatch):
    class Echo(nn.Module):
        def forward(self, sample, steps):
            seen.extend(steps.tolist())
            return SimpleNamespace(sample=sample)

    seen = []
    # In single precision the square of the smallest distance to 1 vanishes.
    monkeypatch.setattr(torch, "rand", lambda n, generator: torch.full((n,), 1 - 1e-7))
    Velocity(Echo())(torch.zeros(4, 8, 16, 16), None, torch.Generator())
    assert seen[-1] == 999


def test_the_same_words_have_the_same_ids_in_every_training(tmp_path):
    words = ["a portrait of a nurse", "an old man"]
    first, again = (architectures.tokenizer(words).get_vocab() for _ in range(2))
    assert first == again
    assert sorted(first.values()) == list(range(len(first)))
    architectures.tokenizer(["another"]).save_pretrained(tmp_path)
    gone_on = architectures.tokenizer_of(tmp_path, words).get_vocab()
    assert "another</w>" in gone_on
    assert architectures.tokenizer_of(tmp_path / "none", words).get_vocab() == first


def test_known_words_are_one_token_and_any_text_can_be_spelled():
    words = ["a", "portrait", "of", "nurse", "middle-aged"]
    tokens = architectures.tokenizer(words)
    assert tokens.tokenize("a portrait of a nurse") == [
        "a</w>",
        "portrait</w>",
        "of</w>",
        "a</w>",
        "nurse</w>",
    ]
    assert tokens.tokenize("middle-aged") == ["middle</w>", "-</w>", "aged</w>"]
    spelled = tokens("zebra 42!").input_ids
    assert spelled[0] == tokens.bos_token_id
    assert tokens.eos_token_id not in spelled[:-1]


def test_the_tokenizer_survives_a_round_trip(tmp_path):
    from transformers import CLIPTokenizer

    tokens = architectures.tokenizer(["a", "portrait", "of", "nurse"])
    tokens.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    text = "a portrait of a nurse, smiling"
    assert again(text).input_ids == tokens(text).input_ids
    assert again.model_max_length == architectures.TOKENS
    padded = again([text, "a"], padding="max_length").input_ids
    assert [len(row) for row in padded] == [architectures.TOKENS] * 2


class Told:
    """Two renders, a nurse and a cook, each told by its occupation."""

    labels = [
        {"gender": g, "age_class": "old", "race": "White", "glasses": False, "beard": "none"}
        | {"occupation": occupation}
        for g, occupation in (("woman", "nurse"), ("man", "cook"))
    ]

    def captioned(self, count, generator):
        rows = torch.randint(2, (count,), generator=generator)
        return rows, [f"a portrait of a {self.labels[row]['occupation']}" for row in rows]


def test_the_text_encoder_learns_to_tell_captions_apart(tmp_path):
    tokens = architectures.tokenizer(["a", "portrait", "of", "nurse", "cook"])
    ids = tokens(
        ["a portrait of a nurse", "a portrait of a cook"],
        padding="max_length",
        return_tensors="pt",
    ).input_ids

    def apart(encoder):
        with torch.no_grad():
            nurse, cook = encoder(ids)[0].mean(1)
        return float((nurse - cook).norm() / nurse.norm())

    torch.manual_seed(0)
    fresh = apart(architectures.text_encoder(tokens))
    learned = apart(read(Told(), tokens, tmp_path / "c.pt", steps=60, batch=8))
    assert learned > 5 * fresh


@pytest.mark.parametrize("first", [8, 10, 15])
def test_what_is_redrawn_is_what_the_model_believes(first):
    """A network that knows the clean latents draws them from any step on."""
    clean = torch.randn(3, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    scheduler = architectures.scheduler()

    def knowing(x, time):
        a = scheduler.alphas_cumprod[int(time)]
        noise = (x - a.sqrt() * clean) / (1 - a).sqrt()
        return SimpleNamespace(sample=a.sqrt() * noise - (1 - a).sqrt() * clean)

    pipe = SimpleNamespace(scheduler=scheduler, unet=knowing)
    drawn = redraw_from(pipe, clean, first, torch.Generator().manual_seed(1))
    assert torch.allclose(drawn, clean, atol=1e-3)


def test_faces_are_drawn_most_often_and_no_step_is_left_out():
    drawn = objective.levels((torch.arange(4000) + 0.5) / 4000)
    low, high = objective.FACES
    often = ((drawn > low) & (drawn < high)).float().mean()
    even = 1 - objective.OFTEN
    assert often == pytest.approx(objective.OFTEN + even * (high - low), abs=1e-3)
    counts = torch.histc(drawn, bins=20, min=0, max=1)
    assert counts.min() == pytest.approx(even * 4000 / 20, abs=1)


def test_an_error_in_the_face_counts_more_and_the_mean_weight_is_one():
    weights = objective.emphasis(16, 16)
    assert weights.mean().item() == pytest.approx(1)
    assert (weights[7, 8] / weights[0, 0]).item() == pytest.approx(objective.EMPHASIS)


def test_a_faint_line_counts_like_a_strong_one_and_in_the_face_more():
    true = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    flat = torch.zeros_like(true)
    assert lines(true, true) == 0
    strong, faint = lines(flat, true), lines(0.3 * flat, 0.3 * true)
    assert faint.item() == pytest.approx(strong.item(), rel=0.05)
    face, wall = true.clone(), true.clone()
    face[..., 20:28, 20:28] = 0
    wall[..., 20:28, 52:60] = 0
    assert lines(face, true).item() == pytest.approx(
        objective.EMPHASIS * lines(wall, true).item(), rel=0.1
    )


def test_the_decoder_learns_on_while_latents_stay_what_they_are(tmp_path):
    torch.manual_seed(0)
    vae = build().eval()
    images = torch.full((12, 3, 64, 64), 40, dtype=torch.uint8)
    images[:, :, 20:40, 20:40] = 210
    true = images.float() / 127.5 - 1
    with torch.no_grad():
        latents = vae.encode(true).latents
        before = distance(vae.decode(latents).sample, true)
    refine(vae, images, tmp_path / "decoder.pt", steps=30)
    with torch.no_grad():
        assert torch.equal(vae.encode(true).latents, latents)
        assert distance(vae.decode(latents).sample, true) < 0.5 * before
