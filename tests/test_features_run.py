"""A whole run with a feature set: spec, discovery, arms, results; on the planted model."""

import json

import pytest
from planted import PlantedModel, PlantedProbe

from audit.errors import SpecError
from audit.job import Job
from audit.runner import run
from audit.spec.spec import load
from audit.storage.store import Store
from audit.supply import Supply

SPEC = """
version: 1
models:
  planted: {name: "planted:planted_model", as: planted, steps: 4}
features:
  light:
    model: planted
    attribute: light
    probe: {name: "planted:planted_probe", as: planted}
    hookpoint: block
    sae: {expansion: 2, k: 4, tokens: 200000}
    top: 4
    images: 160
benchmarks:
  planted:
    model: planted
    images: 120
    classes: {light: [dark, bright]}
    attributes: [light]
    probes: [{name: "planted:planted_probe", as: planted}]
    mitigations:
      - none
      - {name: steer, features: light, scale: auto}
      - {name: random-features, features: light, scale: auto}
      - {name: identity, features: light}
"""


def test_a_run_discovers_steers_and_reports(tmp_path):
    (tmp_path / "benchmarks.yaml").write_text(SPEC)
    spec = load(tmp_path / "benchmarks.yaml")
    done = run(spec, "planted", out=tmp_path / "runs", store=tmp_path / "store", device="cpu")
    results = json.loads((done.folder / "results.json").read_text())
    shares = {
        m["arm"]: m["value"]
        for m in results["measurements"]
        if m["metric"] == "share" and m["class"] == "bright" and m["prompt"] is None
    }
    assert shares["identity"] == shares["none"] < 0.4
    assert abs(shares["steer"] - 0.5) < abs(shares["none"] - 0.5)
    (features,) = results["features"]
    assert features["name"] == "light"
    assert len(features["evidence"]["doses"]) > 2
    assert set(features["calibrations"]) == {"steer", "random-features"}
    chosen = features["calibrations"]["steer"]["chosen"]
    assert chosen in features["calibrations"]["steer"]["curve"]
    assert set(features["evidence"]["stability"]["classes"]) == {"dark", "bright"}
    shot = features["evidence"]["latents"][0]["images"][0]["image"]
    assert (tmp_path / "store" / features["images"] / f"{shot:05d}.png").is_file()
    page = (done.folder / "report.html").read_text()
    assert "sparse autoencoder" in page
    assert "How strongly to steer" in page
    hashes = done.images.pivot(index="index", columns="arm", values="sha256")
    assert (hashes["none"] == hashes["identity"]).all()
    assert (hashes["none"] != hashes["steer"]).any()


def test_a_run_knows_what_its_feature_sets_are_found_with(tmp_path, monkeypatch):
    given = SPEC.replace("{expansion: 2, k: 4, tokens: 200000}", "{path: mine}")
    (tmp_path / "benchmarks.yaml").write_text(given)
    (tmp_path / "mine").mkdir()
    spec = load(tmp_path / "benchmarks.yaml")

    def made_of():
        supply = Supply(spec, spec.benchmarks["planted"], "cpu")
        return Job(spec, "planted", Store(tmp_path / "store"), supply).made_of()["features"]

    weights = tmp_path / "mine" / "sae.safetensors"
    weights.write_bytes(b"one")
    before = made_of()
    assert list(before) == ["light"]
    assert made_of() == before
    weights.write_bytes(b"two")
    trained = made_of()
    assert trained != before
    monkeypatch.setattr(PlantedProbe, "fingerprint", "another")
    assert made_of() not in (before, trained)


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        (
            "hookpoint: block",
            "hookpoint: blok",
            "features.light: unknown hookpoint 'blok'; did you",
        ),
        (
            "hookpoint: block",
            "hookpoint: auto\n    candidates: [blok]",
            "features.light: candidates: u",
        ),
        (
            "scale: auto}",
            "scale: {dark: 1, brite: 2}}",
            "unknown class 'brite'; did you mean 'brig",
        ),
        (
            "scale: auto}",
            "scale: {dark: 1}}",
            "scale: give a number for every class: 'bright' has",
        ),
        (
            "scale: auto}",
            "scale: 1, start: 0.6, stop: 0.5}",
            "steps from 0.6 to 0.5: need 0 <= fr",
        ),
        (
            "scale: auto}",
            "scale: 1, positions: [-1]}",
            "position -1: positions are counted from 0",
        ),
        ("scale: auto}", "scale: auto, top: 3}", "`scale: auto` is calibrated for mode add"),
        (
            "scale: auto}",
            "scale: 1, asyrp: true}",
            "asyrp edits mid_block, and the feature set is",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_drawn(
    tmp_path, monkeypatch, right, wrong, says
):
    (tmp_path / "benchmarks.yaml").write_text(SPEC.replace(right, wrong, 1))
    spec = load(tmp_path / "benchmarks.yaml")

    monkeypatch.setattr(PlantedModel, "generate", None)
    with pytest.raises(SpecError) as refused:
        run(spec, "planted", out=tmp_path / "runs", store=tmp_path / "store", device="cpu")
    assert says in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_options_of_a_control_are_refused_as_early(tmp_path, monkeypatch):
    wrong = "- {name: random-features, features: light, scale: {dark: 1}}"
    right = "- {name: random-features, features: light, scale: auto}"
    (tmp_path / "benchmarks.yaml").write_text(SPEC.replace(right, wrong))
    spec = load(tmp_path / "benchmarks.yaml")
    monkeypatch.setattr(PlantedModel, "generate", None)
    with pytest.raises(SpecError, match="give a number for every class"):
        run(spec, "planted", out=tmp_path / "runs", store=tmp_path / "store", device="cpu")
