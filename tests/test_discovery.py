import json
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import STEPS, Filtered, PlantedModel, PlantedProbe, random_sae, requests
from safetensors.torch import save_file

from audit.errors import InputError, SpecError
from audit.features import dissection
from audit.features.discovery import discover
from audit.features.dissecting import counterparts
from audit.features.evidence import auc, auc_interval, best_latents
from audit.features.reading import decided
from audit.features.recorded import ACTIVATIONS, IMAGES, LABELS
from audit.features.sae import SAE
from audit.features.study import Study
from audit.mitigations.controls import identity, random_features, reconstruction
from audit.mitigations.steer import steer
from audit.spec.component import Component
from audit.spec.feature_sets import Features, SAESpec

WANTED = Features.model_construct(
    **{
        "model": "planted",
        "attribute": "light",
        "hookpoint": "block",
        "images": 240,
        "top": 4,
        **{
            name: Features.model_fields[name].get_default()
            for name in ("ranking", "prompts", "seed")
        },
        "probe": {"name": "planted"},
        "sae": Features.model_fields["sae"].annotation(expansion=2, k=4, tokens=400_000),
    }
)
SMALL = WANTED.model_copy(
    update={"images": 60, "sae": WANTED.sae.model_copy(update={"tokens": 9000})}
)
EVEN = {"light": {"dark": 0.5, "bright": 0.5}}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dissections")
    return discover(
        PlantedModel(), PlantedProbe(), WANTED, folder=folder, steps=STEPS, scales=(1, 2, 4)
    )


def share(model, count=300):
    drawn = model.generate(requests(count, first=9000)).images
    labels = decided(PlantedProbe().read(drawn), "light")
    return float((labels == 1).mean())


def steered(mitigation, model=None):
    with mitigation.applied(model or PlantedModel()) as changed:
        return share(changed)


def test_the_latents_found_are_the_planted_directions(found):
    rotation = PlantedModel().rotation
    for name, column in (("bright", 0), ("dark", 8)):
        best = found.sae.decoder[found.features.latents[name][0]]
        assert float(best @ rotation[:, column]) > 0.8, name


def test_steering_moves_the_share_to_the_target_and_random_latents_do_not(found):
    before = share(PlantedModel())
    assert before < 0.35, "the model is biased"
    after = steered(steer(features=found, target=EVEN, scale="auto"))
    assert abs(after - 0.5) < 0.5 * abs(before - 0.5)
    skewed = steered(
        steer(features=found, target={"light": {"dark": 0.2, "bright": 0.8}}, scale="auto")
    )
    assert skewed > 0.65
    all_bright = {"light": {"bright": 1.0}}
    bright = steered(steer(features=found, target=all_bright, scale=4.0))
    controls = [
        steered(random_features(features=found, target=all_bright, scale=4.0, draws=draw))
        for draw in range(4)
    ]
    assert bright - before > 0.3
    # One set of random latents may hold some that are bright as well.
    assert abs(np.mean(controls) - before) < 0.5 * (bright - before)


def test_a_scale_of_one_and_the_identity_draw_the_very_pixels(found):
    model = PlantedModel()
    baseline = model.generate(requests(20)).images
    for same in (
        steer(features=found, target=EVEN, scale=1.0, mode="multiply"),
        steer(features=found, target=EVEN, scale=0.0, mode="add", others=1.0),
        identity(features=found),
    ):
        with same.applied(model) as changed:
            assert np.array_equal(changed.generate(requests(20)).images, baseline)
    with reconstruction(features=found).applied(model) as changed:
        assert not np.array_equal(changed.generate(requests(20)).images, baseline)


def test_the_window_and_the_positions_bound_the_edit(found):
    model, drawn = PlantedModel(), {}
    options = {
        "all": {},
        "late": {"start": 0.5},
        "early": {"stop": 0.5},
        "few": {"positions": [0, 1]},
    }
    for name, option in options.items():
        mitigation = steer(
            features=found, target={"light": {"bright": 1}}, scale=3, mode="multiply", **option
        )
        with mitigation.applied(model) as changed:
            drawn[name] = changed.generate(requests(40)).images.mean()
    assert drawn["all"] > max(drawn["late"], drawn["early"], drawn["few"])
    assert min(drawn.values()) > model.generate(requests(40)).images.mean()
    with pytest.raises(SpecError, match="need 0 <= from < to <= 1"):
        steer(features=found, target=EVEN, scale=2, start=0.9, stop=0.1)


def test_adding_reaches_images_in_which_the_latents_are_silent(found):
    """One unit replaces what the other class shows by what this class shows."""
    assert found.typical.shape == (2, 16, found.sae.decoder.shape[0])
    for row, name in enumerate(found.features.classes):
        latent = found.features.latents[name][0]
        assert found.typical[row, :, latent].mean() > found.typical[1 - row, :, latent].mean()
    read = {}
    for name in found.features.classes:
        mitigation = steer(features=found, target={"light": {name: 1.0}}, scale=1.0)
        with mitigation.applied(PlantedModel()) as model:
            read[name] = model.generate(requests(40)).images.mean(axis=(1, 2, 3))
    assert read["dark"].max() < read["bright"].min()


def test_evidence_is_plain_and_complete(found):
    evidence = found.evidence
    assert evidence["images"] == evidence["read"] == 240
    assert len(evidence["sae"]["fvu"]) == STEPS
    assert max(evidence["sae"]["fvu"]) < 0.2
    assert min(evidence["h_classifier"]["accuracy"]) > 0.7
    best = next(entry for entry in evidence["latents"] if entry["class"] == "bright")
    assert best["auc"] > 0.8
    assert len(best["steps"]) == STEPS
    assert len(best["positions"]) == 16
    assert evidence["grid"] == [4, 4]
    assert len(best["images"]) == 6
    assert [dose["scale"] for dose in evidence["doses"]] == [1, 2, 4]
    assert all(np.sum(dose["counts"]) == 40 for dose in evidence["doses"])
    assert set(evidence["response"]["classes"]) == {"dark", "bright"}


def test_doses_are_drawn_from_other_seeds_than_what_was_learnt_from(tmp_path, monkeypatch):
    seeds = []
    generate = PlantedModel.generate

    def noted(self, requests):
        seeds.append([request.seed for request in requests])
        return generate(self, requests)

    monkeypatch.setattr(PlantedModel, "generate", noted)
    study = Study(PlantedModel(), PlantedProbe(), WANTED, STEPS)
    wanted = ("discovery", "doses/1", "doses/2")
    drawn = {name: {r.seed for r in study.requests(name, 240)} for name in wanted}
    assert not drawn["discovery"] & (drawn["doses/1"] | drawn["doses/2"])
    discover(PlantedModel(), PlantedProbe(), SMALL, folder=tmp_path, steps=STEPS, scales=(1, 2))
    learnt, doses = {*seeds[0], *seeds[1]}, [seed for batch in seeds[2:] for seed in batch]
    assert learnt <= drawn["discovery"]
    assert set(doses) <= drawn["doses/1"] | drawn["doses/2"]
    assert len(doses) == 3 * 40
    assert len(set(doses)) == 2 * 40, "a dose has images of its own; the control repeats the last"


def test_two_seeds_find_the_same_latents_and_random_ones_do_not(found):
    """A planted direction each: the strongest latent of a class is found again, by both seeds."""
    stability = found.evidence["stability"]
    assert stability["seeds"] == [0, 1]
    assert stability["images"] == 60, "a quarter of all, which trained neither"
    for name in ("dark", "bright"):
        one = stability["classes"][name]
        assert one["found"] >= 1
        assert one["low"] <= one["share"] <= one["high"]
        assert one["share"] > one["chance"]
        assert one["cosine_low"] <= one["cosine"] <= one["cosine_high"]
        assert one["cosine"] > one["cosine_chance_high"]
        assert one["correlation_low"] <= one["correlation"] <= one["correlation_high"]
        assert one["correlation"] > one["correlation_chance_high"]
        assert one["within_low"] <= one["within"] <= one["within_high"]
    for best in found.evidence["best"]:
        assert best["low"] > 0.5, "one latent tells the class, on images it was not chosen on"
        assert best["low"] <= best["auc"] <= best["high"]


def test_stability_can_be_switched_off_and_on_again(tmp_path):
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": ()}
    without = SMALL.model_copy(update={"stability": False})
    first = discover(PlantedModel(), PlantedProbe(), without, **arguments)
    assert "stability" not in first.evidence
    found = discover(PlantedModel(), PlantedProbe(), SMALL, **arguments)
    assert "stability" in found.evidence
    assert found.features == first.features


def test_what_was_found_is_read_the_second_time(found, tmp_path, monkeypatch):
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": ()}
    first = discover(PlantedModel(), PlantedProbe(), SMALL, **arguments)
    monkeypatch.setattr(PlantedModel, "generate", None)
    again = discover(PlantedModel(), PlantedProbe(), SMALL, **arguments)
    assert again.features == first.features
    assert again.sae.fingerprint == first.sae.fingerprint
    (home,) = (path for path in tmp_path.iterdir() if (path / dissection.FILE).exists())
    assert len(list((home / "images").glob("*.png"))) > 0
    assert len(list(tmp_path.iterdir())) == 2, "a recording, a dissection, no scratch"
    (home / dissection.FILE).write_text("{")
    with pytest.raises(InputError, match="not a feature set"):
        discover(PlantedModel(), PlantedProbe(), SMALL, **arguments)


def test_images_that_a_filter_took_are_read_as_nobody(tmp_path):
    """A third of them, all black: were they read, so many more would be dark."""
    wanted = SMALL.model_copy(update={"stability": False})
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": (4,)}
    found = discover(Filtered(), PlantedProbe(), wanted, **arguments)
    study = Study(Filtered(), PlantedProbe(), wanted, STEPS)
    asked = study.requests("discovery", 60)
    fine = [request for request in asked if Filtered.passes(request)]
    bright = PlantedModel().generate(fine).images.mean(axis=(1, 2, 3)) > 127.5
    assert 30 < found.evidence["read"] == len(fine) < 50
    assert found.evidence["shares"]["bright"] == pytest.approx(bright.mean())
    assert (study.draw(asked) >= 0).tolist() == [request in fine for request in asked]
    left = [r for r in study.requests("doses/4", 40) if Filtered.passes(r)]
    assert np.sum(found.evidence["doses"][0]["counts"]) == len(left)
    assert found.evidence["left_out"] == {"filtered": 60 - len(fine)}


class Overflowing(PlantedModel):
    """The activations of some images are too large for float16, at one step."""

    fingerprint = "planted-overflowing"

    def __init__(self, every):
        super().__init__()
        self.every = every

    @contextmanager
    def hooked(self, hookpoint, edit):
        def overflowing(x, moment):
            broken = [r.index % self.every == 0 for r in moment.requests]
            edit(torch.where(torch.tensor(broken)[:, None, None, None], 1e6, x), moment)
            return x

        with super().hooked(hookpoint, overflowing):
            yield


def test_nothing_is_learnt_from_activations_that_overflow(tmp_path, caplog):
    arguments = {"steps": STEPS, "scales": ()}
    found = discover(Overflowing(5), PlantedProbe(), SMALL, folder=tmp_path, **arguments)
    assert found.evidence["left_out"] == {"failed": 12}
    cause = "the activations at block are too large for float16: name another hookpoint, or draw"
    assert f"60 images recorded; of 12 {cause} in bfloat16" in caplog.text
    assert found.evidence["read"] == 48
    assert max(found.evidence["sae"]["fvu"]) < 1, "no zeros were trained on or measured"
    many = {"folder": tmp_path / "many", "batch_size": 16, **arguments}
    for _ in range(2):
        said = f"too few of 60 images to learn from: 32 failed; of 32 {cause} in bfloat16"
        with pytest.raises(InputError, match=said):
            discover(Overflowing(1), PlantedProbe(), SMALL, **many)


def test_an_image_may_be_compared_with_one_of_another_class(tmp_path):
    """Against zeros the weighting changes nothing; against another image's codes it does."""
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": ()}
    effects = {}
    for baseline in ("zero", "counter-class"):
        for weight in ("signed", "absolute"):
            ranking = Component.model_validate({"name": "integrated-gradients", "weight": weight})
            update = {"stability": False, "baseline": baseline, "ranking": ranking}
            found = discover(
                PlantedModel(), PlantedProbe(), SMALL.model_copy(update=update), **arguments
            )
            effects[baseline, weight] = found.features.effects
    assert effects["zero", "signed"] == effects["zero", "absolute"]
    assert len({str(effect) for effect in effects.values()}) == 3


def test_counterparts_are_of_another_class_and_of_the_same_prompt_where_there_is_one():
    labels, prompts = np.arange(60) // 2 % 3, np.arange(60) % 2
    prompts[labels == 2] = 1
    found = counterparts(labels, prompts, seed=0)
    assert (labels[found] != labels).all()
    assert (prompts[found] == prompts).all()
    assert len(set(found)) > 20, "drawn, not the first"
    prompts[labels == 2] = 2
    lone = counterparts(labels, prompts, seed=0)
    assert (labels[lone] != labels).all(), "no other class has this prompt"


def test_k_may_hold_on_average_only(tmp_path):
    sae = SMALL.sae.model_copy(update={"selection": "batch-topk", "tokens": 30_000})
    wanted = SMALL.model_copy(update={"stability": False, "sae": sae})
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": ()}
    found = discover(PlantedModel(), PlantedProbe(), wanted, **arguments)
    assert found.sae.config["selection"] == "batch-topk"
    assert found.evidence["sae"]["l0"] == pytest.approx(sae.k, rel=0.3)
    active = (found.sae.encode(torch.randn(200, 16)) > 0).sum(1)
    assert len(active.unique()) > 1, "tokens differ in how many are active"


class Mortal(PlantedModel):
    """Dies within a batch when more images than so many are asked for."""

    def __init__(self, lives):
        super().__init__()
        self.lives = lives
        self.asked = []

    def generate(self, requests):
        self.asked += requests
        if len(self.asked) <= self.lives:
            return super().generate(requests)
        with self.hooked("block", self.die):  # after the recording of the same step
            return super().generate(requests)

    def die(self, x, moment):
        if moment.step == 2:
            raise KeyboardInterrupt
        return x


def test_a_recording_that_was_cut_off_goes_on_where_it_stopped(tmp_path):
    """Of 60 images in batches of 16 two are whole; half a third one is not kept."""
    wanted = SMALL.model_copy(update={"stability": False})
    arguments = {"steps": STEPS, "scales": (), "batch_size": 16}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    straight = discover(PlantedModel(), PlantedProbe(), wanted, folder=whole, **arguments)
    with pytest.raises(KeyboardInterrupt):
        discover(Mortal(40), PlantedProbe(), wanted, folder=killed, **arguments)
    (begun,) = killed.glob(".*.part")
    assert len(json.loads((begun / LABELS).read_text())["labels"]["light"]) == 32
    model = Mortal(1000)
    found = discover(model, PlantedProbe(), wanted, folder=killed, **arguments)
    assert [request.index for request in model.asked] == list(range(32, 60))
    assert found.features == straight.features
    assert sorted(path.name for path in killed.iterdir()) == sorted(
        path.name for path in whole.iterdir()
    ), "nothing is left of what was begun"
    for name in (ACTIVATIONS, IMAGES, LABELS):
        (one,), (other,) = whole.glob(f"*/{name}"), killed.glob(f"*/{name}")
        assert one.read_bytes() == other.read_bytes(), name


def _all_latents(found):
    """The feature set that lists most latents for both classes."""
    some = tuple(range(len(found.sae.decoder) - 5))
    listed = dict.fromkeys(found.features.classes, some)
    return replace(found, features=replace(found.features, latents=listed))


def test_an_sae_that_cannot_fit_is_refused_before_anything_is_drawn(found, tmp_path, monkeypatch):
    SAE(width=5, latents=20, k=2).save(tmp_path / "sae")
    given = SMALL.model_copy(update={"sae": SAESpec(path=str(tmp_path / "sae"))})
    monkeypatch.setattr(PlantedModel, "generate", None)
    with pytest.raises(InputError, match="tokens of width 5, and block has 16"):
        discover(PlantedModel(), PlantedProbe(), given, folder=tmp_path, steps=STEPS)


class InTokens(PlantedModel):
    """The planted model as a transformer would show it: [N, P, C]."""

    fingerprint = "planted-tokens"

    @contextmanager
    def hooked(self, hookpoint, edit):
        def on_tokens(x, moment):
            tokens = x.flatten(2).transpose(1, 2)
            return edit(tokens, moment).transpose(1, 2).reshape(x.shape)

        with super().hooked(hookpoint, on_tokens):
            yield


def test_tokens_of_a_transformer_are_dissected_alike(tmp_path):
    arguments = {"steps": STEPS, "scales": ()}
    maps = discover(PlantedModel(), PlantedProbe(), SMALL, folder=tmp_path / "m", **arguments)
    tokens = discover(InTokens(), PlantedProbe(), SMALL, folder=tmp_path / "t", **arguments)
    assert tokens.features.latents == maps.features.latents


def test_another_sae_learns_from_the_same_recording(tmp_path, monkeypatch):
    arguments = {"folder": tmp_path, "steps": STEPS, "scales": ()}
    discover(PlantedModel(), PlantedProbe(), SMALL, **arguments)
    monkeypatch.setattr(PlantedModel, "generate", None)
    other = SMALL.model_copy(update={"sae": SMALL.sae.model_copy(update={"k": 3})})
    assert discover(PlantedModel(), PlantedProbe(), other, **arguments).sae.k == 3


def test_what_does_not_fit_is_said(found, tmp_path):
    other = PlantedModel()
    other.fingerprint = "another"
    for mitigation in (steer(features=found, target=EVEN, scale=2), identity(features=found)):
        with pytest.raises(SpecError, match="another model"), mitigation.applied(other):
            pass
    with pytest.raises(SpecError, match="did you mean 'multiply'"):
        steer(features=found, target=EVEN, scale=2, mode="multiplly")
    with pytest.raises(SpecError, match="calibrated for mode add"):
        steer(features=found, target=EVEN, mode="multiply")
    with pytest.raises(SpecError, match="without asyrp"):
        steer(features=found, target=EVEN, asyrp=True)
    with pytest.raises(SpecError, match=r"random-features: needs \d+ latents that fire"):
        random_features(features=_all_latents(found), target=EVEN, scale=1.0)
    with pytest.raises(SpecError, match="needs a dose-response"):
        steer(features=replace(found, doses=()), target=EVEN)
    with pytest.raises(SpecError, match="does not read 'age'"):
        discover(
            PlantedModel(), PlantedProbe(), WANTED.model_copy(update={"attribute": "age"}),
            folder=tmp_path, steps=STEPS,
        )  # fmt: skip


def test_an_autoencoder_of_another_program_is_dissected_in_place_of_a_trained_one(tmp_path):
    """Its latents are the planted directions: the found ones are those of the class."""
    rotation = PlantedModel().rotation
    written = tmp_path / "sae"
    written.mkdir()
    (written / "cfg.json").write_text('{"d_in": 16, "k": 16, "expansion_factor": 1}')
    rows = rotation.T.contiguous()
    tensors = {"encoder.weight": rows, "encoder.bias": torch.zeros(16),
               "W_dec": rows.clone(), "b_dec": torch.zeros(16)}  # fmt: skip
    save_file(tensors, written / "sae.safetensors")
    wanted = SMALL.model_copy(update={"sae": SAESpec(path=str(written))})
    arguments = {"folder": tmp_path / "found", "steps": STEPS, "scales": ()}
    found = discover(PlantedModel(), PlantedProbe(), wanted, **arguments)
    assert found.features.latents["bright"][0] == 0
    assert found.features.latents["dark"][0] == 8
    assert max(found.evidence["sae"]["fvu"]) < 1e-3
    assert "stability" not in found.evidence, "there is no second seed to compare with"
    narrow = tmp_path / "narrow"
    random_sae(12, 24, 4).save(narrow)
    misfit = SMALL.model_copy(update={"sae": SAESpec(path=str(narrow))})
    with pytest.raises(InputError, match="reads tokens of width 12, and block has 16"):
        discover(PlantedModel(), PlantedProbe(), misfit, **arguments)


def test_the_interval_of_an_auc_covers_and_is_never_empty():
    """Two normal scores a standard deviation apart: AUC = Phi(1 / sqrt 2) = 0.7602."""
    rng = np.random.default_rng(0)
    truth, held, trials = 0.7602, 0, 300
    positive = np.arange(50) < 20
    for _ in range(trials):
        scores = rng.standard_normal(50) + positive
        low, high = auc_interval(auc(scores, positive), 20, 30)
        held += low <= truth <= high
    assert held / trials > 0.92
    low, high = auc_interval(1.0, 10, 10)
    assert 0.7 < low < 0.9
    assert high == 1


def test_the_best_latent_is_chosen_on_other_images_than_it_is_judged_on():
    """Of 2,000 latents of noise the best has an AUC near one half where it was not chosen."""
    rng = np.random.default_rng(0)
    labels, tests = np.arange(80) % 2, np.arange(80) % 4 < 2
    (first, second) = best_latents(rng.random((80, 2000)), labels, tests, ("a", "b"))
    assert all(best["low"] < 0.5 < best["high"] for best in (first, second))
    planted = rng.random((80, 2000))
    planted[:, 7] += labels
    assert best_latents(planted, labels, tests, ("a", "b"))[1]["latent"] == 7
