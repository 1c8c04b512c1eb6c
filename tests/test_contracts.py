"""Every registered plugin keeps the promises of its kind; the checks catch a broken one."""

import subprocess
import sys

import numpy as np
import pytest
import tiny_weights

from audit.registry import build, find, options, plugins
from audit.spec import gate_rules
from audit.testing import (
    check_encoder,
    check_metric,
    check_mitigation,
    check_model,
    check_probe,
    check_ranking,
)
from audit.types import FeatureSet, Readings, Request, State

FACES = np.concatenate([tiny_weights.portraits(), np.zeros((1, 64, 64, 3), np.uint8)])
REQUESTS = [Request(f"p{i}", "a nurse", i, 7561501971119465061 + i, 3, 3.0) for i in range(3)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Options that name weights, by kind and plugin: made when first asked for."""
    folder = tmp_path_factory.mktemp("weights")
    makers = {
        ("probes", "clip"): ("model", tiny_weights.clip),
        ("probes", "deepface"): ("weights", tiny_weights.deepface),
        ("probes", "fairface"): ("weights", tiny_weights.fairface),
        ("probes", "portraits"): ("weights", tiny_weights.classifier),
        ("encoders", "clip"): ("model", tiny_weights.clip),
        ("encoders", "inception"): ("weights", tiny_weights.inception),
        ("encoders", "portraits"): ("weights", tiny_weights.classifier),
    }

    def given(kind, name):
        if (kind, name) not in makers:
            return {}
        option, make = makers[kind, name]
        where = folder / f"{kind}-{name}"
        made = next(where.glob("*.safetensors"), None) if where.exists() else make(where)
        return {
            option: str(
                where if made is None or where.name.endswith(("clip", "portraits")) else made
            )
        }

    return given


@pytest.mark.parametrize("name", sorted(plugins("metrics")))
def test_what_gates_presume_of_a_metric(name):
    """Rules of a spec know metrics by name and module, since to import them takes a second."""
    metric, module = find("metrics", name), plugins("metrics")[name].module
    assert (name in gate_rules.NO_INTERVAL) == (metric.interval == "none")
    assert (name in gate_rules.OF_PAIRS) == ("pairs" in metric.columns)
    assert (name in gate_rules.DEBIASED) == (metric.interval == "debiased")
    if module == gate_rules.OF_SHARES:
        assert (name == gate_rules.SIGNED) == (metric.range[0] < 0)


@pytest.mark.parametrize("name", sorted(plugins("probes")))
def test_probes(name, weights):
    given = weights("probes", name)

    def other():
        changed = {"skin-tone": {"farthest": 1.0}, "constant": {"answer": "man"}}
        return build("probes", name, **given, **changed.get(name, {"abstain": 0.9}))

    images = FACES[2:] if name == "fairface" else FACES  # a ResNet-34 takes its time
    check_probe(lambda: build("probes", name, **given), images=images, others=[other])


@pytest.mark.parametrize("name", sorted(plugins("encoders")))
def test_encoders(name, weights, monkeypatch):
    if name == "portraits-clip":
        clip = weights("encoders", "clip")["model"]
        monkeypatch.setattr("audit.images.image_text.embedded", lambda _: tiny_weights.Path(clip))
    check_encoder(
        lambda: build("encoders", name, **weights("encoders", name)),
        images=FACES[:3],
    )


@pytest.mark.parametrize("name", ["ddpm", "ldm", "sd"])
def test_models(name, pipelines):
    check_model(
        lambda: build("models", "diffusers", pipeline=str(pipelines[name])), REQUESTS, tolerance=1
    )


@pytest.fixture(scope="module")
def model(pipelines):
    return build("models", "diffusers", pipeline=str(pipelines["sd"]))


@pytest.fixture(scope="module")
def dissection(model):
    """A feature set of an untrained SAE and untrained heads, as discovery would leave it."""
    import torch

    from audit.features.dissection import Dissection
    from audit.features.h_classifier import HClassifier
    from audit.features.sae import SAE

    torch.manual_seed(0)
    sizes = []
    with model.hooked("mid_block", lambda x, moment: sizes.append(x[0].numel()) or x):
        model.generate(REQUESTS[:1])
    heads = torch.randn(len(sizes), 2, sizes[0])
    heads = HClassifier(
        ("woman", "man"), heads, heads[..., 0], (0.5,) * len(sizes), directions=heads
    )
    sae = SAE(model.hookpoints["mid_block"], 32, 4)
    sae.mean_activation.copy_(torch.linspace(0.1, 1, 32))
    features = FeatureSet(
        attribute="gender",
        classes=("woman", "man"),
        hookpoint="mid_block",
        model=model.fingerprint,
        sae=sae.fingerprint,
        ranking="random",
        latents={"woman": (0, 1), "man": (2, 3)},
        effects={"woman": (2.0, 1.0), "man": (2.0, 1.0)},
    )
    typical = torch.ones(2, sizes[0] // sae.config["width"], 32)
    typical[0, :, 2:4] = typical[1, :, :2] = 0
    return Dissection(features, sae, heads, typical)


@pytest.mark.parametrize("name", sorted(plugins("mitigations")))
def test_mitigations(name, model, dissection, tmp_path):
    adapted = tiny_weights.lora(model.pipeline.pipe.unet, tmp_path / "lora")
    known = options(find("mitigations", name))
    possible = {
        "features": dissection,
        "target": {"gender": {"woman": 0.5, "man": 0.5}},
        "scale": 1.5,
        "prompts": ["a cook", "a pilot"],
        "concepts": ["nurse"],
        "alphas": {"nurse": {"woman": 0.5, "man": -0.5}},
        "path": str(adapted),
    }
    given = {option: possible[option] for option in possible if option in known}
    check_mitigation(lambda: build("mitigations", name, **given), model, REQUESTS, tolerance=1)


@pytest.mark.parametrize("name", sorted(plugins("rankings")))
def test_rankings(name):
    check_ranking(build("rankings", name))


@pytest.mark.parametrize("name", sorted(plugins("metrics")))
def test_metrics(name):
    rng = np.random.default_rng(0)
    features, reference, texts = (rng.standard_normal((40, 6)) for _ in range(3))
    check_metric(
        find("metrics", name),
        shares=[0.7, 0.3],
        first_share=[0.7, 0.3],
        soft_shares=[0.65, 0.35],
        cov=np.array([[0.21, -0.21], [-0.21, 0.21]]) / 100,
        target=[0.5, 0.5],
        joint=[[0.4, 0.1], [0.2, 0.3]],
        features=_unit(features),
        reference=_unit(reference),
        pairs=_unit(features + 0.1 * reference),
        texts=_unit(features + texts),
    )


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_looking_up_probes_and_encoders_loads_nothing_heavy():
    program = """
import sys
from audit.registry import find, options, plugins
for kind in ("probes", "encoders"):
    for name in plugins(kind):
        options(find(kind, name))
heavy = {"torch", "open_clip", "deepface", "dlib", "onnxruntime", "torchvision", "cv2"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# the checks themselves


class Broken:
    """A good probe, unless told what to break."""

    name = "broken"
    fingerprint = "1"

    def __init__(self, fault=""):
        self.fault = fault
        self.classes = {"gender": ("woman", "man")}

    def read(self, images):
        n = len(images)
        shares = np.tile(np.float32([0.25, 0.75]), (n, 1))
        states = (State.OK,) * n
        if self.fault == "sum":
            shares *= 2
        if self.fault == "dtype":
            shares = shares.astype(np.float64)
        if self.fault == "batch":
            shares[:] = [1 / (n + 1), n / (n + 1)]
        if self.fault == "order" and n:
            shares[0] = [1, 0]
        if self.fault == "stream":
            shares[:, 0] = np.random.random(n)  # noqa: NPY002 - the fault that is looked for
            shares[:, 1] = 1 - shares[:, 0]
        if self.fault == "guess":
            states = (State.NO_FACE,) * n
        if self.fault == "input":
            images[:] = 0
        return Readings({"gender": shares}, {"gender": states}, np.full(n, 1, np.int16))


@pytest.mark.parametrize(
    ("fault", "promise"),
    [
        ("sum", "sums are 1"),
        ("dtype", "probabilities are float32"),
        ("batch", "does not depend on the batch"),
        ("order", "does not depend on the"),
        ("stream", "no global random stream"),
        ("guess", "NaN where it was not read"),
        ("input", "images are not changed"),
    ],
)
def test_a_broken_promise_is_named(fault, promise):
    check_probe(Broken)
    with pytest.raises(AssertionError, match=promise):
        check_probe(lambda: Broken(fault))


def test_options_that_do_not_reach_the_fingerprint_are_found():
    with pytest.raises(AssertionError, match="other options have another fingerprint"):
        check_probe(Broken, others=[lambda: Broken("sum")])
