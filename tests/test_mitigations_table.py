"""The table of all mitigations: one row an arm, in the report, in Markdown and in CSV."""

import csv
import io
import json
from dataclasses import replace

import pytest
from report_run import occupations, unconditional

from audit.storage.results import Difference, Warned
from reports.effects import side_effects
from reports.mitigations import comma_separated, markdown, overview
from reports.source import Source

ARMS = ("none", "steer", "random-features")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = unconditional(tmp_path_factory.mktemp("u"), images=96)
    manifest = json.loads((folder / "run.json").read_text())
    manifest["seconds_per_image"] = {"none": 0.5, "steer": 0.5251}
    (folder / "run.json").write_text(json.dumps(manifest))
    return Source.open(folder)


def rows_of(source):
    return list(csv.DictReader(io.StringIO(comma_separated(source))))


def test_every_arm_has_its_fairness_its_side_effects_its_quality_and_its_cost(source):
    rows = rows_of(source)
    assert [row["arm"] for row in rows] == list(ARMS)
    for row, arm in zip(rows, ARMS, strict=True):
        fd = source.one("fd_debiased", arm, "gender", None, "portraits")
        assert float(row["fd_debiased.gender.portraits"]) == fd.value
        assert float(row["fd_debiased.gender.portraits.ci_low"]) == fd.ci_low
        for entry in source.general():
            if entry.arm == arm:
                assert float(row[entry.metric]) == entry.value
    assert [row["seconds_per_image"] for row in rows] == ["0.5", "0.5251", ""]
    assert rows[0]["p_of_change.gender.portraits"] == ""
    for row in rows[1:]:
        (tested,) = [
            f for f in source.results.flips if (f.arm, f.attribute) == (row["arm"], "gender")
        ]
        p = tested.p if tested.p_adjusted is None else tested.p_adjusted
        assert float(row["p_of_change.gender.portraits"]) == p
    assert "fd_debiased.age.portraits" not in rows[0], "the benchmark is about gender"


def test_the_change_of_the_discrepancy_stands_with_its_paired_interval(source):
    paired = Difference(
        metric="fd_debiased", arm="steer", baseline="none", attribute="gender", probe="portraits",
        value=-0.25, ci_low=-0.4, ci_high=-0.125, level=0.95, method="paired-mover", n=90,
    )  # fmt: skip
    results = source.results.model_copy(update={"comparisons": (paired,)})
    none, steer, random = rows_of(replace(source, results=results))
    key = "change_of_fd_debiased.gender.portraits"
    assert (steer[key], steer[f"{key}.ci_low"], steer[f"{key}.ci_high"]) == (
        "-0.25",
        "-0.4",
        "-0.125",
    )
    assert none[key] == random[key] == ""


def test_the_side_effect_is_the_share_that_moved_most(source):
    moved = {
        d.class_: d
        for d in source.results.comparisons
        if (d.metric, d.arm, d.attribute, d.prompt) == ("share", "steer", "gender", None)
    }
    biggest = max(moved.values(), key=lambda d: abs(d.value))
    turned = replace(
        source, results=source.results.model_copy(update={"features": (), "gates": ()})
    )
    assert turned.subjects == ("gender", "age", "race"), "about nothing: about everything"
    only_age = tuple(
        f.model_copy(update={"attribute": "age"}) for f in source.results.features[:1]
    )
    about = source.results.model_copy(update={"features": only_age, "gates": ()})
    (row,) = [r for r in rows_of(replace(source, results=about)) if r["arm"] == "steer"]
    assert float(row["largest_share_change.gender"]) == biggest.value
    assert float(row["largest_share_change.gender.ci_high"]) == biggest.ci_high


def test_the_markdown_has_the_rows_of_the_table(source):
    shown = overview(source)
    assert all([row[0].text for row in each.rows] == list(ARMS) for each in shown)
    text = markdown(source)
    assert text.startswith("## ")
    assert sum(
        line.startswith(tuple(f"| {arm} " for arm in ARMS)) for line in text.split("\n")
    ) == 3 * len(shown)
    assert "Seconds an image" in text


def test_an_arm_judged_by_its_guide_is_marked(source):
    warned = Warned(code="guide_judges", message="m", arm="steer")
    provenance = source.results.provenance.model_copy(update={"warnings": (warned,)})
    results = source.results.model_copy(update={"provenance": provenance})
    rows = rows_of(replace(source, results=results))
    assert [row["judged_by_its_guide"] for row in rows] == ["no", "yes", "no"]
    assert "judged_by_its_guide" not in rows_of(source)[0]


def test_one_arm_is_nothing_to_compare_and_no_formula_gets_into_the_csv(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    alone = Source.open(occupations(tmp_path / "one", arms=("none",), images=4))
    assert overview(alone) == ()
    assert markdown(alone) == ""
    evil = Source.open(occupations(tmp_path / "two", arms=("none", "=cmd()"), images=4))
    assert "\n'=cmd()," in comma_separated(evil)


def test_margins_are_told_of_where_the_spec_gives_some(source):
    change = Difference(
        metric="clip_i@tiny", arm="steer", baseline="none", value=-0.01, ci_low=-0.02, ci_high=0.0,
        level=0.95, method="paired-t", n=90,
    )  # fmt: skip
    judged = change.model_copy(update={"margin": 0.05, "equivalent": True, "p_margin": 0.001})

    def shown(found):
        results = source.results.model_copy(update={"comparisons": (found,)})
        (quality,) = side_effects(replace(source, results=results))
        return quality

    assert "Unchanged within" not in shown(change).head
    assert shown(judged).head[-1] == "Unchanged within"
    assert shown(judged).rows[0][-1].text == "±0.05: shown, p 0.001"
    assert "rules nothing out" in shown(judged).caption
