"""Edits of weights, adapters and guidance: their mathematics, and that nothing of them stays."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_weights
import torch
from safetensors.torch import save_file

from audit.errors import InputError, RefusedError, ResourceError, SpecError
from audit.features.concept_edit import cross_attention, edited
from audit.features.prompt_embeddings import embed
from audit.features.semantic_guidance import Strengths, guidance
from audit.images.assignment import Assignment
from audit.mitigations.adapter import adapter
from audit.mitigations.fair_guidance import FairGuidance, fair_guidance
from audit.mitigations.none import none
from audit.mitigations.rejection import rejection
from audit.mitigations.share_search import ShareSearch
from audit.mitigations.uce import uce
from audit.testing.models import check_mitigation
from audit.types import Drawing, Readings, Request, State
from models.diffusion import diffusion

EVEN = {"gender": {"woman": 0.5, "man": 0.5}}
WOMEN = {"gender": {"woman": 1.0, "man": 0.0}}
WORDS = {"gender": {"woman": "f", "man": "m"}}
NEEDS = "needs a text-to-image pipeline like Stable Diffusion 1 or 2"


@pytest.fixture(scope="module")
def sd(pipelines):
    return diffusion(pipeline=str(pipelines["sd"]))


@pytest.fixture(scope="module")
def unconditional(pipelines):
    return diffusion(pipeline=str(pipelines["ddpm"]))


def requests(count=2, steps=2, guidance=3.0):
    return [Request("p", "a nurse", i, 31 * i + 1, steps, guidance) for i in range(count)]


def weights(sd):
    parts = (sd.pipeline.pipe.unet, sd.pipeline.pipe.text_encoder)
    return {name: w.clone() for part in parts for name, w in part.state_dict().items()}


def unchanged(sd, before):
    after = weights(sd)
    return after.keys() == before.keys() and all(torch.equal(after[k], before[k]) for k in after)


# the closed form of UCE


def rows(count, seed):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_the_edit_is_the_papers_sum():
    w, c, d, p = torch.randn(4, 6).double(), *(rows(n, n).double() for n in (2, 2, 3))
    d = rows(2, 9).double()
    numerator, denominator = 0.5 * w, 0.5 * torch.eye(6, dtype=torch.float64)
    for i in range(2):
        numerator = numerator + torch.outer(w @ c[i] + w @ d[i], c[i])
        denominator = denominator + torch.outer(c[i], c[i])
    for one in p:
        numerator = numerator + torch.outer(w @ one, one)
        denominator = denominator + torch.outer(one, one)
    expected = numerator @ torch.linalg.inv(denominator)
    torch.testing.assert_close(edited(w, c, d, p, 0.5), expected)


def test_no_push_no_edit_and_one_concept_arrives_where_it_was_sent():
    w, c, d, none = torch.randn(4, 6), rows(1, 1), rows(1, 2), torch.zeros(0, 6)
    torch.testing.assert_close(edited(w, c, 0 * d, none, 0.5), w.double(), atol=0, rtol=0)
    moved = edited(w, c, d, none, 1e-9)
    torch.testing.assert_close(moved @ c[0].double(), (w @ (c + d)[0]).double(), atol=1e-5, rtol=0)
    across = c[0] * (d[0] @ c[0]) / (c[0] @ c[0])
    untouched = (d[0] - across).double()  # at right angles to the concept
    torch.testing.assert_close(moved @ untouched, w.double() @ untouched, atol=1e-5, rtol=1e-5)


def test_a_preserved_concept_moves_the_less():
    w, c, d = torch.randn(4, 6), rows(1, 1), rows(1, 2)
    near = c + 0.3 * rows(1, 3)
    moves = [
        float(((edited(w, c, d, kept, 0.1) - w) @ near[0].double()).norm())
        for kept in (torch.zeros(0, 6), near, near.repeat(9, 1))
    ]
    assert moves[0] > 2 * moves[1] > 4 * moves[2]


def test_uce_edits_keys_and_values_and_puts_the_weights_back_bit_for_bit(sd):
    before = weights(sd)
    pipe = sd.pipeline.pipe
    layers = cross_attention(pipe.unet, 16)
    assert {name.rpartition(".")[2] for name in layers} == {"to_k", "to_v"}
    mitigation = uce(concepts=["nurse"], target=EVEN, words=WORDS, alphas={"nurse": {"man": 0.8}})
    with mitigation.applied(sd):
        c, a = embed(pipe, ["nurse", "m"]).last
        name, layer = next(iter(layers.items()))
        w = before[f"{name}.weight"]
        # One concept: W' = W + W d cᵀ / (λ + cᵀ c), by Sherman and Morrison.
        expected = w + torch.outer(w @ (0.8 * a), c) / (0.5 + c @ c)
        torch.testing.assert_close(layer.weight, expected, atol=1e-6, rtol=1e-4)
        changed = {
            key for key, value in weights(sd).items() if not torch.equal(value, before[key])
        }
        assert changed == {f"{key}.weight" for key in layers}
    assert unchanged(sd, before)
    with pytest.raises(ZeroDivisionError), mitigation.applied(sd):
        raise ZeroDivisionError
    assert unchanged(sd, before)


def test_without_a_push_uce_draws_the_same_pixels(sd):
    plain = sd.generate(requests()).images
    with uce(concepts=["nurse"], target=EVEN, alphas={}).applied(sd):
        np.testing.assert_array_equal(sd.generate(requests()).images, plain)


class Thermometer:
    """Reads men, the fewer the farther the weights were pushed: a response that is known."""

    name = fingerprint = "thermometer"
    classes = {"gender": ("woman", "man")}

    def __init__(self, layer, original):
        self.layer, self.original, self.pushed = layer, original, []

    def read(self, images):
        n = len(images)
        self.pushed.append(float((self.layer.weight.data - self.original).norm()))
        women = min(round(n * self.share(len(self.pushed))), n)
        read = np.repeat(np.eye(2, dtype=np.float32), [women, n - women], axis=0)
        return Readings({"gender": read}, {"gender": (State.OK,) * n}, np.full(n, 1, np.int16))

    @staticmethod
    def share(round_):
        return {1: 0.0, 2: 0.25}.get(round_, 0.5)


def test_pushes_add_up_from_the_original_weights_until_the_interval_is_inside(sd, caplog):
    layer = next(iter(cross_attention(sd.pipeline.pipe.unet, 16).values()))
    original = layer.weight.data.clone()
    probe = Thermometer(layer, original)
    given = {"target": EVEN, "words": WORDS, "concepts": ["nurse"]}
    mitigation = uce(**given, probe=f"{__name__}:thermometer", steps=1, images=16)
    search = mitigation.search
    mitigation.search = ShareSearch(**{**vars(search), "probe": probe, "tolerance": 0.25})
    with caplog.at_level("INFO"), mitigation.applied(sd):
        found = layer.weight.data.clone()
    # 16 images: men .5 - 0, then .5 - .25 too few women at rate .5; half and half ends it.
    push = 0.5 * (0.5 + 0.25)
    alphas = {"nurse": {"woman": push, "man": -push}}
    assert f"uce: alphas: {alphas}" in caplog.text
    with uce(**given, alphas=alphas).applied(sd):
        torch.testing.assert_close(found, layer.weight.data)
    assert probe.pushed[0] == 0 < probe.pushed[1] < probe.pushed[2]
    assert probe.pushed[2] / probe.pushed[1] == pytest.approx(1.5, rel=1e-3)
    assert len(probe.pushed) == 3
    assert torch.equal(layer.weight.data, original)


def test_pushes_that_were_never_tried_are_not_taken(sd):
    layer = next(iter(cross_attention(sd.pipeline.pipe.unet, 16).values()))
    original = layer.weight.data.clone()
    probe = Thermometer(layer, original)
    mitigation = uce(
        target=EVEN, words=WORDS, concepts=["nurse"], probe=f"{__name__}:thermometer", steps=1,
        images=16, rounds=2,
    )  # fmt: skip
    search = mitigation.search
    mitigation.search = ShareSearch(**{**vars(search), "probe": probe})
    with mitigation.applied(sd):
        found = layer.weight.data.clone()
    assert len(probe.pushed) == 2
    assert float((found - original).norm()) == pytest.approx(probe.pushed[1], rel=1e-6)


def test_a_search_that_was_cut_off_goes_on_and_one_that_ended_is_not_repeated(sd, tmp_path):
    layer = next(iter(cross_attention(sd.pipeline.pipe.unet, 16).values()))
    original = layer.weight.data.clone()

    def searching(folder, probe):
        made = uce(
            target=EVEN, words=WORDS, concepts=["nurse"], probe=f"{__name__}:thermometer",
            steps=1, images=16, tolerance=0.25, folder=folder,
        )  # fmt: skip
        made.search = ShareSearch(**{**vars(made.search), "probe": probe})
        return made

    def weights(mitigation):
        with mitigation.applied(sd):
            return layer.weight.data.clone()

    def cut_off():
        raise KeyboardInterrupt

    straight = weights(searching(tmp_path / "straight", Thermometer(layer, original)))
    first = Thermometer(layer, original)
    first.share = lambda n: Thermometer.share(n) if n < 3 else cut_off()
    with pytest.raises(KeyboardInterrupt):
        weights(searching(tmp_path / "killed", first))
    assert torch.equal(layer.weight.data, original)
    second = Thermometer(layer, original)
    second.share = lambda n: Thermometer.share(n + 2)
    assert torch.equal(weights(searching(tmp_path / "killed", second)), straight)
    assert len(second.pushed) == 1, "of three readings two were kept"
    third = Thermometer(layer, original)
    assert torch.equal(weights(searching(tmp_path / "killed", third)), straight)
    assert third.pushed == []
    (kept,) = (tmp_path / "killed").iterdir()
    (kept / "pushes.json").write_text("[")
    with pytest.raises(InputError, match="damaged search, remove it"):
        weights(searching(tmp_path / "killed", third))


def test_a_guide_may_have_options():
    by_name = rejection(target=EVEN, probe="constant")
    tuned = rejection(target=EVEN, probe={"name": "constant", "answer": "woman"})
    assert by_name.fingerprint != tuned.fingerprint
    with pytest.raises(SpecError, match="needs a `name`"):
        rejection(target=EVEN, probe={"weights": "x"})


def thermometer():
    return Thermometer(SimpleNamespace(weight=torch.zeros(1)), torch.zeros(1))


def test_shares_are_of_images_that_came_out():
    class Stopped:
        def generate(self, requests):
            states = (State.OK, State.FILTERED, State.FAILED, State.OK)
            return Drawing(np.zeros((len(requests), 4, 4, 3), np.uint8), states)

    search = ShareSearch(thermometer(), "gender", EVEN["gender"], 4, 1, 0.5, 0.2, 1, 1.0, 0)
    counts = search.counts(Stopped(), "nurse")
    assert counts.tolist() == [0, 2]
    assert search.lacking(counts).tolist() == [0.5, -0.5]
    assert search.lacking(0 * counts).tolist() == [0, 0], "nothing read asks for nothing"


def test_a_share_settles_by_its_interval_not_by_itself():
    search = ShareSearch(thermometer(), "gender", EVEN["gender"], 32, 1, 0.5, 0.2, 1, 1.0, 0)
    half = np.array([1, 1])
    assert search.settled(16 * half)
    assert not search.settled(8 * half), "an even split of 16 may come from shares .27 to .73"
    assert not search.settled(0 * half)
    seeds = {search._request(c, "p", i).seed for c in ("nurse", "cook") for i in range(50)}
    assert len(seeds) == 100


# semantic guidance


STRENGTHS = Strengths(scale=4.0, threshold=0.75, warmup=0.0, momentum=0.0, decay=0.6)


def test_guidance_keeps_the_largest_of_each_channel_towards_one_prompt_and_away_from_another():
    first = torch.tensor([[1.0, -2], [3, -8]])  # the 75 % quantile of 1, 2, 3, 8 is 4.25
    second = torch.tensor([[4.0, 3], [2, 1]])  # of 4, 3, 2, 1: 3.25
    differences = torch.stack([first, second])[:, None, None]
    pushed = guidance(differences, torch.tensor([[1.0], [-1.0]]), STRENGTHS)
    # 4 (1/2) of -8 at the end and of -4 at the start
    assert pushed[0, 0].tolist() == [[-8.0, 0.0], [0.0, -16.0]]
    turned = guidance(differences, torch.tensor([[-1.0], [1.0]]), STRENGTHS)
    assert torch.equal(turned, -pushed)


def predictions(sd, mitigation, wanted):
    """Return what the pipeline is handed by the U-Net, call by call."""
    seen = []

    def record(module, args, output):
        seen.append(output[0].clone())

    with mitigation.applied(sd) if mitigation else nullcontext():
        handle = sd.pipeline.pipe.unet.register_forward_hook(record)
        sd.generate(wanted)
        handle.remove()
    return seen


def test_the_push_enters_the_conditional_half_scaled_by_the_guidance(sd):
    """Against predictions that are made one prompt at a time by the plain pipeline."""
    wanted = requests(steps=1)
    mitigation = fair_guidance(
        target=WOMEN, words=WORDS, threshold=0.0, warmup=0.0, momentum=0.0, scale=6.0
    )
    (plain,), (pushed,) = (predictions(sd, m, wanted) for m in (None, mitigation))
    assert torch.equal(pushed[:2], plain[:2]), "the unconditional half stays"
    noise = plain[:2]
    edits = [
        predictions(
            sd, None, [Request("p", f"{w} person", r.index, r.seed, 1, 3.0) for r in wanted]
        )
        for w in "fm"
    ]
    towards, away = (found[0][2:] - noise for found in edits)
    g = 6.0 * (towards - away) / 2
    torch.testing.assert_close(pushed[2:] - plain[2:], g / 3.0, atol=1e-4, rtol=1e-3)


def test_momentum_grows_in_the_warm_up_and_is_begun_anew_with_each_batch(sd):
    options = {"target": EVEN, "words": WORDS, "scale": 20.0}
    wanted = requests(steps=4)
    plain = predictions(sd, None, wanted)
    late = predictions(sd, fair_guidance(**options, warmup=0.5), wanted)
    assert torch.equal(late[0], plain[0])
    assert torch.equal(late[1], plain[1]), "nothing is pushed before half of the steps"
    assert not torch.equal(late[2], plain[2])
    mitigation = fair_guidance(**options, warmup=0.5)
    with mitigation.applied(sd):
        first, again = (sd.generate(wanted).images for _ in range(2))
    np.testing.assert_array_equal(first, again)
    without = predictions(sd, fair_guidance(**options, warmup=0.5, momentum=0.0), wanted)
    assert not torch.equal(late[2], without[2]), "what was gathered before counts"


def test_each_image_is_guided_to_its_own_class(sd):
    mitigation = fair_guidance(target=EVEN, words=WORDS)
    signs = [mitigation.signs(request) for request in requests(40)]
    assert all(sorted(pair) == [-1.0, 1.0] for pair in signs)
    assert abs(sum(pair[0] for pair in signs)) <= 4
    races = ("Black", "Asian", "White", "Indian")
    four = FairGuidance(races, Assignment(races, dict.fromkeys(races, 0.25)), mitigation.strengths)
    for request in requests(8):
        assert sum(four.signs(request)) == pytest.approx(0), "that all are people cancels"
        assert max(four.signs(request)) == 1
    check_mitigation(
        lambda: fair_guidance(target=EVEN, words=WORDS), sd, requests(3), tolerance=1,
        others=[lambda: fair_guidance(target=EVEN, words=WORDS, scale=5.0)],
    )  # fmt: skip
    plain = sd.generate(requests()).images
    with fair_guidance(target=EVEN, words=WORDS, scale=0.0).applied(sd):
        np.testing.assert_array_equal(sd.generate(requests()).images, plain)


# adapters


def test_lora_weights_act_while_applied_and_leave_the_model_as_it_was(sd, tmp_path):
    before, folder = weights(sd), tiny_weights.lora(sd.pipeline.pipe.unet, tmp_path / "lora")
    check_mitigation(
        lambda: adapter(path=str(folder)), sd, requests(3), tolerance=1,
        others=[lambda: adapter(path=str(folder), scale=0.5)],
    )  # fmt: skip
    assert unchanged(sd, before)
    plain = sd.generate(requests()).images
    with adapter(path=str(folder)).applied(sd) as model:
        assert not np.array_equal(model.generate(requests()).images, plain)
    with adapter(path=str(folder), scale=0.0).applied(sd) as model:
        np.testing.assert_array_equal(model.generate(requests()).images, plain)


def modules(sd):
    parts = (sd.pipeline.pipe.unet, sd.pipeline.pipe.text_encoder)
    return [named for part in parts for named in part.named_modules()]


def test_lora_weights_are_fitted_in_once_and_draw_what_diffusers_draws(sd, tmp_path, monkeypatch):
    pipe, folder = sd.pipeline.pipe, tiny_weights.lora(sd.pipeline.pipe.unet, tmp_path / "lora")
    pipe.load_lora_weights(folder, adapter_name="own")
    pipe.set_adapters(["own"], adapter_weights=[0.7])
    wanted = sd.generate(requests()).images
    pipe.unload_lora_weights()

    loads, load = [], type(pipe).load_lora_weights

    def counted(self, *args, **given):
        loads.append(1)
        load(self, *args, **given)

    monkeypatch.setattr(type(pipe), "load_lora_weights", counted)
    mitigation = adapter(path=str(folder), scale=0.7)
    for _ in range(3):
        with mitigation.applied(sd) as model:
            np.testing.assert_array_equal(model.generate(requests()).images, wanted)
    assert len(loads) == 1


def test_between_batches_nothing_of_an_adapter_is_in_the_model(sd, tmp_path):
    folder = tiny_weights.lora(sd.pipeline.pipe.unet, tmp_path / "lora")
    one, other = (adapter(path=str(folder), scale=scale) for scale in (1.0, 0.3))
    edit = uce(concepts=["nurse"], target=EVEN, words=WORDS, alphas={"nurse": {"man": 0.8}})
    before, own = weights(sd), modules(sd)

    def drawn(mitigation):
        with mitigation.applied(sd) as model:
            return model.generate(requests()).images

    first = [drawn(mitigation) for mitigation in (none(), edit, one, other)]
    assert len({images.tobytes() for images in first}) == 4
    for _ in range(2):
        for wanted, mitigation in zip(first, (none(), edit, one, other), strict=True):
            np.testing.assert_array_equal(drawn(mitigation), wanted)
            assert unchanged(sd, before)
            assert all(a is b for (_, a), (_, b) in zip(modules(sd), own, strict=True))
            assert not hasattr(sd.pipeline.pipe.unet, "peft_config")
    with pytest.raises(ZeroDivisionError), one.applied(sd):
        raise ZeroDivisionError
    assert unchanged(sd, before)


def test_an_adapter_is_fitted_to_each_model_that_it_is_applied_to(sd, pipelines, tmp_path):
    folder = tiny_weights.lora(sd.pipeline.pipe.unet, tmp_path / "lora")
    mitigation, again = adapter(path=str(folder)), diffusion(pipeline=str(pipelines["sd"]))
    images = []
    for model in (sd, again, sd):
        with mitigation.applied(model):
            images.append(model.generate(requests()).images)
    plain = sd.generate(requests()).images
    assert all(np.array_equal(one, images[0]) for one in images)
    assert not np.array_equal(plain, images[0])


def test_a_textual_inversion_brings_its_token_into_the_prompt(sd, tmp_path):
    before = weights(sd)
    save_file({"fair": torch.randn(16)}, tmp_path / "learned_embeds.safetensors")
    plain = sd.generate(requests()).images
    with adapter(path=str(tmp_path)).applied(sd) as model:
        assert model.rewrite(requests(1)[0]) == "a nurse <fair>"
        assert "<fair>" in sd.pipeline.pipe.tokenizer.get_vocab()
        assert not np.array_equal(model.generate(requests()).images, plain)
    assert "<fair>" not in sd.pipeline.pipe.tokenizer.get_vocab()
    assert unchanged(sd, before)
    np.testing.assert_array_equal(sd.generate(requests()).images, plain)


def test_a_textual_inversion_is_fitted_in_once(sd, tmp_path, monkeypatch):
    pipe = sd.pipeline.pipe
    loads, load = [], type(pipe).load_textual_inversion

    def counted(self, *args, **given):
        loads.append(1)
        load(self, *args, **given)

    monkeypatch.setattr(type(pipe), "load_textual_inversion", counted)
    save_file({"fair": torch.randn(2, 16)}, tmp_path / "learned_embeds.safetensors")
    mitigation, tokenizer, own = adapter(path=str(tmp_path)), pipe.tokenizer, modules(sd)
    before, images = weights(sd), []
    for _ in range(2):
        with mitigation.applied(sd) as model:
            images.append(model.generate(requests()).images)
        assert pipe.tokenizer is tokenizer
        assert "<fair>" not in tokenizer.get_vocab()
        assert unchanged(sd, before)
        assert all(a is b for (_, a), (_, b) in zip(modules(sd), own, strict=True))
    np.testing.assert_array_equal(*images)
    assert len(loads) == 1


def test_what_is_no_adapter_of_the_model_is_said(sd, unconditional, tmp_path):
    before = weights(sd)
    good = tiny_weights.lora(sd.pipeline.pipe.unet, tmp_path / "good")
    for build, model, error, says in (
        (lambda: adapter(path=str(good)), unconditional, SpecError, "takes LoRA weights"),
        (lambda: uce(concepts=["x"], target=EVEN, alphas={}), unconditional, SpecError, NEEDS),
        (lambda: fair_guidance(target=EVEN), unconditional, SpecError, NEEDS),
    ):
        with pytest.raises(error, match=says), build().applied(model):
            pass
    (tmp_path / "bad").mkdir()
    file = tmp_path / "bad" / "x.safetensors"
    for tensors, says in (
        ({"a": torch.zeros(2), "b": torch.zeros(2)}, "neither LoRA weights nor one token"),
        ({"fair": torch.zeros(5)}, "does not fit this model"),
        ({"unet.nowhere.to_k.lora_A.weight": torch.zeros(2, 3)}, "does not fit this model"),
    ):
        save_file(tensors, file)
        with pytest.raises(InputError, match=says), adapter(path=str(file)).applied(sd):
            pass
    assert unchanged(sd, before)
    (tmp_path / "bad" / "x.bin").write_bytes(b"\x80")
    for path, error, says in (
        (tmp_path / "bad", RefusedError, "pickled weights can run code"),
        (tmp_path / "bad" / "x.bin", RefusedError, "pickled weights can run code"),
        (tmp_path, InputError, "0 files of weights"),
        (tmp_path / "none.safetensors", ResourceError, "no such weights"),
    ):
        with pytest.raises(error, match=says):
            adapter(path=str(path))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: uce(concepts=[], target=EVEN), "at least one of `concepts`"),
        (lambda: uce(concepts=["x"], target=EVEN, ridge=0.0), "must be above 0"),
        (lambda: uce(concepts=["cook"], target=EVEN, alphas={"cok": {}}), "mean 'cook'"),
        (lambda: uce(concepts=["x"], target=EVEN, alphas={"x": {"men": 1}}), "mean 'man'"),
        (lambda: uce(concepts=["x"], target=EVEN, attribute="age"), "unknown attribute 'age'"),
        (lambda: fair_guidance(target=EVEN, warmup=1.0), "warmup must be from 0 to below 1"),
        (
            lambda: adapter(path="x", prompt="{prmpt}"),
            r"^adapter: option 'prompt': unknown placeholder '{prmpt}'; did you mean '{prompt}'\?"
            r" \(known: {prompt}, {token}\)$",
        ),
        (
            lambda: adapter(path="x", prompt="{prompt"),
            "^adapter: option 'prompt': '{prompt' has a brace that stands alone; a placeholder is"
            " written {name}, a brace that is meant as such {{ or }}$",
        ),
    ],
)
def test_options_out_of_range_are_refused(wrong, says):
    with pytest.raises(SpecError, match=says):
        wrong()


def test_guidance_of_nothing_is_refused_while_drawing(sd):
    with fair_guidance(target=EVEN).applied(sd), pytest.raises(SpecError, match="above 1"):
        sd.generate(requests(guidance=1.0))
