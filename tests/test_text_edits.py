"""Edits of embedded prompts: what they promise of any text encoder, on a tiny random one."""

import inspect

import numpy as np
import pytest
import torch

from audit.errors import SpecError
from audit.features.prompt_embeddings import HOOKPOINT, Embedded, TokenEdit, embed
from audit.mitigations.debias_vl import calibrated, debias_vl
from audit.mitigations.fair_pca import fair_components, fair_pca
from audit.mitigations.orthogonal_projection import orthogonal_projection
from audit.mitigations.text_edit import basis, contrasts
from audit.types import Request
from models.diffusion import diffusion

EVEN = {"gender": {"woman": 0.5, "man": 0.5}}
THREE = {"age": dict.fromkeys(("young", "adult", "old"), 1 / 3)} | EVEN
WORDS = {"gender": {"woman": "f", "man": "m"}, "age": {"young": "y", "adult": "d", "old": "o"}}
PROMPTS = ("a cook", "a pilot", "a clerk")
SHORT = {"prompts": PROMPTS, "words": WORDS}
FACTORIES = {
    "debias-vl": debias_vl,
    "orthogonal-projection": orthogonal_projection,
    "fair-pca": fair_pca,
}


@pytest.fixture(scope="module")
def sd(pipelines):
    return diffusion(pipeline=str(pipelines["sd"]))


def requests(count=3, guidance=3.0):
    return [Request("p", "a nurse", i, 31 * i + 1, 2, guidance) for i in range(count)]


def means(sd, words):
    """Mean embedding at the end token of the prompts, by word."""
    return [
        embed(sd.pipeline.pipe, [f"a {w} {p[2:]}" for p in PROMPTS]).whole.mean(0) for w in words
    ]


def test_the_matrix_of_debias_vl_is_symmetric_with_eigenvalues_up_to_one():
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(6, 10, generator=generator) for _ in range(2))
    p = calibrated(a, b, 500.0)
    torch.testing.assert_close(p, p.T)
    values = torch.linalg.eigvalsh(p)
    assert 0 < values.min() < 0.05, "what tells the pairs apart is shrunk"
    assert values.max() <= 1 + 1e-12
    # Four of ten directions lie in no pair's difference and pass untouched.
    assert (values > 1 - 1e-9).sum() == 4
    torch.testing.assert_close(calibrated(a, b, 0.0), torch.eye(10, dtype=torch.float64))


def test_the_matrix_of_debias_vl_solves_its_equation():
    """P (I + λ M) = I with M summed by hand, at unit length whatever the length given."""
    a, b = torch.tensor([[3.0, 0, 0], [0, 2, 0]]), torch.tensor([[0.0, 5, 0], [0, 0, 1]])
    m = torch.tensor([[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]]).double() / 2
    product = calibrated(a, b, 7.0) @ (torch.eye(3, dtype=torch.float64) + 7.0 * m)
    torch.testing.assert_close(product, torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("name", ["orthogonal-projection", "fair-pca"])
@pytest.mark.parametrize(("target", "removed"), [(EVEN, 1), (THREE, 3)])
def test_projections_are_idempotent_and_remove_a_direction_less_than_there_are_classes(
    sd, name, target, removed
):
    matrix = FACTORIES[name](target=target, **SHORT).edit_of(sd).matrix.double()
    torch.testing.assert_close(matrix @ matrix, matrix, atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix, matrix.T, atol=1e-6, rtol=0)
    assert float(matrix.trace()) == pytest.approx(16 - removed, abs=1e-4)


def test_after_the_projection_class_means_do_not_differ(sd):
    edit = orthogonal_projection(target=EVEN, **SHORT).edit_of(sd)
    woman, man = means(sd, "fm")
    before, after = woman - man, edit.matrix @ (woman - man)
    assert float(before.norm()) > 1e-2
    assert float(after.norm()) < 1e-5 * float(before.norm())


def test_fair_pca_removes_differences_of_means_and_keeps_the_largest_variance():
    generator = torch.Generator().manual_seed(1)
    spread = torch.tensor([9.0, 5, 3, 2, 1, 0.5])
    points = torch.randn(80, 6, generator=generator).double() * spread
    points[:40, 2] += 8
    groups = points[:40], points[40:]
    difference = contrasts([group.mean(0) for group in groups])
    for count in (None, 2):
        q = fair_components(points, [difference], count)
        torch.testing.assert_close(q @ q, q)
        a, b = (group @ q.T for group in groups)
        torch.testing.assert_close(a.mean(0), b.mean(0), atol=1e-9, rtol=0)
        assert float(q.trace()) == pytest.approx(count or 5)
    fair = points - (points @ basis(difference)) @ basis(difference).T
    centred = fair - fair.mean(0)
    kept = ((centred @ q) ** 2).sum() / (centred**2).sum()
    other = torch.linalg.svdvals(centred) ** 2
    assert float(kept) == pytest.approx(float(other[:2].sum() / other.sum())), "no two keep more"


def test_fair_pca_adds_the_mean_of_the_class_drawn(sd):
    woman = {"gender": {"woman": 1.0, "man": 0.0}}
    edits = [fair_pca(target=woman, noise=noise, **SHORT).edit_of(sd) for noise in (0.0, 0.5, 1.0)]
    seen = []
    for edit in edits:
        with sd.hooked(HOOKPOINT, edit), sd.hooked(HOOKPOINT, lambda x, m: seen.append(x) or x):
            sd.generate([Request("p", "a nurse", 0, 1, 1, 1.0)])
    added = seen[2] - seen[0]
    torch.testing.assert_close(seen[1] - seen[0], added / 2, atol=1e-5, rtol=1e-4)
    assert float(added.std(1).max()) < 1e-5, "every token alike"
    texts = [[f"a {w} {p[2:]}" for p in PROMPTS] for w in "fm"]
    tokens = [embed(sd.pipeline.pipe, group).tokens.flatten(0, 1).mean(0) for group in texts]
    torch.testing.assert_close(added[0, 0], (tokens[0] - tokens[1]) / 2, atol=1e-5, rtol=1e-3)


def test_fair_pca_of_five_attributes_draws_each_for_itself():
    target = {name: {"x": 0.5, "y": 0.5} for name in "abcde"}
    words = {name: {"x": f"{name}x", "y": f"{name}y"} for name in target}
    generator = torch.Generator().manual_seed(0)
    embedded = {
        name: [
            Embedded(torch.randn(3, 4, 16, generator=generator), torch.full((3,), 3)) for _ in "xy"
        ]
        for name in target
    }
    edit = fair_pca(target=target, words=words, prompts=PROMPTS).learn(embedded)
    asked = [Request("p", "a nurse", i, i, 4, 1.0) for i in range(100)]
    drawn = {tuple(class_of(request) for request in asked) for _, class_of in edit.shifts}
    assert len(drawn) == 5


@pytest.mark.parametrize("name", FACTORIES)
def test_the_unconditional_half_is_left_as_it_was(sd, name):
    handed = []

    def record(module, args, kwargs):
        called = inspect.signature(module.forward).bind(*args, **kwargs)
        handed.append(called.arguments[HOOKPOINT])

    def draw():
        handle = sd.pipeline.pipe.unet.register_forward_pre_hook(record, with_kwargs=True)
        sd.generate(requests())
        handle.remove()
        return handed.pop()

    plain = draw()
    with FACTORIES[name](target=EVEN, **SHORT).applied(sd):
        edited = draw()
    assert torch.equal(edited[:3], plain[:3])
    assert (edited[3:] - plain[3:]).abs().amax((1, 2)).min() > 1e-3


def test_an_edit_that_changes_nothing_draws_the_same_pixels(sd):
    plain = sd.generate(requests()).images
    with debias_vl(target=EVEN, strength=0.0, **SHORT).applied(sd):
        np.testing.assert_array_equal(sd.generate(requests()).images, plain)
    still = TokenEdit(torch.eye(16), torch.zeros(16))
    x = torch.randn(2, 3, 16)
    assert still(x, None) is x


def test_what_cannot_be_done_is_said_in_one_sentence(sd, pipelines):
    unconditional = diffusion(pipeline=str(pipelines["ddpm"]))
    needs = "{} needs a text-to-image pipeline like Stable Diffusion 1 or 2, with a U-Net"
    for name, factory in FACTORIES.items():
        with (
            pytest.raises(SpecError, match=needs.format(name)),
            factory(target=EVEN).applied(unconditional),
        ):
            pass
    alike = {"gender": {"woman": "x", "man": "x"}}
    for options, says in (
        (
            {"words": alike, "prompts": PROMPTS},
            "debias-vl: the text encoder embeds x, x alike: give other `words`",
        ),
        ({"prompts": ["a very long description"]}, "has 26 tokens; the model reads 1 to 14"),
    ):
        with pytest.raises(SpecError, match=says), debias_vl(target=EVEN, **options).applied(sd):
            pass
    for wrong, says in (
        (lambda: debias_vl(target=EVEN, strength=-1.0), "strength must be at least 0"),
        (lambda: fair_pca(target=EVEN, components=0), "components must be at least 1"),
        (lambda: fair_pca(target=EVEN, prompts=[]), "at least one of `prompts`"),
        (lambda: orthogonal_projection(target={"hat": {"on": 1.0}}), "no word for hat 'on'"),
        (lambda: debias_vl(target=EVEN, attributes=["gendr"]), "did you mean 'gender'"),
    ):
        with pytest.raises(SpecError, match=says):
            wrong()
