"""Plugins as a spec names them: paths that stand beside the spec are found from anywhere."""

import yaml

from audit.spec.component import Component
from audit.spec.spec import load
from audit.supply import Supply


def plain(*, path="", model="", pipeline="", weights="", probe=None, words=""):
    """A plugin that is what it was given."""
    return locals()


def test_files_beside_the_spec_are_found_by_bare_names(tmp_path, monkeypatch):
    (tmp_path / "spec" / "mine").mkdir(parents=True)
    table = {"version": 1, "benchmarks": {"b": {"labels": "x.csv", "attributes": ["gender"]}}}
    (tmp_path / "spec" / "benchmarks.yaml").write_text(yaml.safe_dump(table))
    (tmp_path / "spec" / "x.csv").write_text("gender\nwoman\n")
    monkeypatch.chdir(tmp_path)
    spec = load("spec/benchmarks.yaml")
    supply = Supply(spec, spec.benchmarks["b"], "cpu")
    beside = str(tmp_path / "spec" / "mine")

    def built(**options):
        found = supply.build("mitigations", Component(name="test_supply:plain", **options))
        return {name: found[name] for name in options}

    for option in ("path", "model", "pipeline", "weights"):
        assert built(**{option: "mine"}) == {option: beside}
        assert built(**{option: "elsewhere"}) == {option: "elsewhere"}
    assert built(probe={"model": "mine"}) == {"probe": {"model": beside}}
    assert built(words="mine") == {"words": "mine"}, "a word that is also a folder stays a word"
    prompt = "blurry, 3/4 view, " * 300
    assert built(words=prompt) == {"words": prompt}, "a text too long for a path is none"
