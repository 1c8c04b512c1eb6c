"""Who chose classes and target is in the results, and said in every rendering."""

import pandas as pd
import pytest
from tables import benchmark, tables

from audit.measuring.measurement import measure
from audit.spec.benchmark import Benchmark
from audit.storage.results import Provenance, Results
from reports.background import provenance, scope
from reports.checklist import items
from reports.choices import Choice, choices, together
from reports.markdown import markdown
from reports.model_card import section
from reports.render import page
from reports.source import Source

ROWS = tables({"none": {"-": ["woman"] * 3 + ["man"] * 2}})
EVEN = {"gender": {"woman": 0.5, "man": 0.5}}


def chosen(spec):
    (estimand,) = measure(*ROWS, spec).estimands
    return estimand.classes_source, estimand.target_source


def test_the_results_say_who_chose():
    assert chosen(benchmark()) == ("suite", "uniform")
    # A target for a table of labels lists the classes of the table as well.
    assert chosen(benchmark(target=EVEN)) == ("spec", "the spec")
    assert chosen(benchmark(target=EVEN, target_reason="the board")) == ("spec", "the board")
    drawn = {"images": "photos", "probes": ["constant"], "attributes": ["gender"]}
    assert chosen(Benchmark.model_validate(drawn | {"target": EVEN}))[0] == "suite"
    own = drawn | {"classes": {"gender": ["woman", "man"]}}
    assert chosen(Benchmark.model_validate(own))[0] == "spec"


def test_the_reason_of_even_shares_is_kept_and_that_of_a_target_speaks_of_no_other():
    assert chosen(benchmark(target_reason="the board")) == ("suite", "the board")
    labels = ROWS[1].assign(attribute="age", label="young")
    both = benchmark(attributes=["gender", "age"], target=EVEN, target_reason="the board")
    found = measure(ROWS[0], pd.concat([ROWS[1], labels]), both).estimands
    said = {one.attribute: one.target_source for one in found}
    assert (said["gender"], said["age"]) == ("the board", "uniform")


@pytest.fixture
def source():
    spec = benchmark(target=EVEN, target_reason="Set by the board on 3 May.")
    found = measure(*ROWS, spec)
    return Source(
        Results(
            benchmark="b", arms=("none",), measurements=[m.__dict__ for m in found.measurements],
            probes=found.probes, provenance=Provenance(estimands=tuple(found.estimands)),
        )
    )  # fmt: skip


def test_every_rendering_says_who_chose(source):
    renderings = {
        "page": page(source),
        "pull request": markdown(source),
        "checklist": " ".join(item.answer for item in items(source)),
        "card": section(source),
    }
    for name, text in renderings.items():
        assert "Chosen in the spec, which says: Set by the board on 3 May." in text, name
        assert "Chosen in the spec. Everyone else is forced into one of these." in text, name


def test_a_chooser_is_named_once():
    some = [
        Choice("gender", "woman and man", "X."),
        Choice("age", "old", "X."),
        Choice("a", "b", "Y."),
    ]
    assert together(some) == "gender (woman and man); age (old): X. a (b): Y."


def test_results_of_before_say_that_it_is_not_known(source):
    (old,) = source.results.provenance.estimands
    old = old.model_copy(update={"classes_source": "", "target_source": "the spec"})
    found = source.results.model_copy(update={"provenance": Provenance(estimands=(old,))})
    ((classes, target),) = choices(Source(found))
    assert classes.by == "The results do not say who chose them."
    assert target.by == "Chosen in the spec, which does not say by whom or why (`target_reason`)."


def test_images_at_hand_are_not_said_to_be_drawn(source):
    said = dict(scope(source))
    assert said["Model"].startswith("Not known to this run")
    assert "pair" not in said.get("Images", "")
    text = page(source)
    assert "were drawn by the model" not in text
    assert "Images, or labels of images, were at hand." in text


def test_a_model_is_named_with_its_settings(source):
    model = {
        "name": "sd",
        "pipeline": "hub/sd",
        "steps": 20,
        "revision": "abc",
        "plugin": "diffusers",
    }
    extra = {"estimands": source.results.provenance.estimands, "model": model, "seed": 3}
    found = source.results.model_copy(update={"provenance": Provenance.model_validate(extra)})
    drawn = Source(found)
    assert dict(scope(drawn))["Model"] == "hub/sd (steps 20, revision abc)."
    groups = dict(provenance(drawn))
    assert ("seed", "3") in groups["Spec, seeds and suite"]
    assert ("model.revision", "abc") in groups["Model"]
    assert groups["Licences of the probes"] == [("probe", "not stated")]
