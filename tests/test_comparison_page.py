"""The page of a comparison: true, whole, inert and the same every time."""

import json
import re
from html import unescape

import pytest
from report_run import occupations
from stored_run import run
from test_report import HOSTILE, Page

from audit.comparison.side_by_side import compare
from audit.storage import results_file
from audit.storage.results import GUIDE_JUDGES, Warned
from reports.comparison import csv, markdown, page
from reports.source import Source

HALF = ["woman", "man"] * 6
SKEWED = ["woman"] * 2 + ["man"] * 10
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three runs of hostile prompts and arms."""
    root = tmp_path_factory.mktemp("runs")
    prompts = {name: HOSTILE[name] for name in ("script", "right-to-left", "unbroken", "formula")}

    def rows(readings):
        return dict.fromkeys(prompts.values(), readings)

    arms = {"none": rows(SKEWED), EVIL: rows(HALF)}
    first = run(root / "one", arms)
    worse = run(root / "two", {"none": rows(SKEWED), EVIL: rows(["no_face"] * 12)})
    return compare(worse, run(root / "three", arms), baseline=first).source


@pytest.fixture(scope="module")
def html(source):
    return page(source)


@pytest.fixture(scope="module")
def seen(html):
    return Page(html)


def test_the_same_comparison_gives_the_same_bytes(source, html):
    again = Source(results=results_file.parse(json.loads(results_file.dumps(source.results))))
    assert page(again) == html


def test_ids_headings_and_alternatives(seen, html):
    assert len(seen.ids) == len(set(seen.ids))
    inside = {link[1:] for link in seen.links if link.startswith("#")}
    assert inside | set(seen.labelled) <= set(seen.ids)
    assert seen.headings[0] == 1
    steps = zip(seen.headings, seen.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)
    figures = re.findall(r'<svg[^>]*role="img"[^>]*>(.*?)</svg>', html, flags=re.S)
    assert figures
    assert all("<title" in figure and "<desc" in figure for figure in figures)
    assert all("<table" in c for c in re.findall(r"<figure id=.*?</figure>", html, flags=re.S))
    assert seen.captions == seen.tables
    assert set(seen.heads) <= {"row", "col"}


def test_the_numbers_of_the_tables_are_those_of_the_results(source, seen):
    plain = json.loads(results_file.dumps(source.results))
    known = set()

    def collect(value):
        if isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                collect(inner)
        elif isinstance(value, int | float):
            known.add(float(value))

    collect(plain)
    moved = {
        float(sum(n for i, row in enumerate(f["counts"]) for j, n in enumerate(row) if i != j))
        for f in plain["flips"]
    }
    assert len(seen.values) > 50
    assert set(seen.values) <= known | moved
    told = {d["value"] for d in plain["comparisons"] if d["metric"] == "fd_debiased"} - {None}
    assert told <= set(seen.values)


def test_hostile_prompts_and_arms_are_shown_and_do_nothing(seen, html):
    assert seen.scripts == 1
    assert not seen.images
    assert not [name for name in seen.attributes if name.startswith("on") or name == "style"]
    assert not {"iframe", "object", "embed", "base", "form", "link"} & set(seen.tags)
    assert "<script>alert(1)</script>" in " ".join(seen.texts)
    assert EVIL in " ".join(seen.texts)
    assert "more characters" in html
    assert "default-src 'none'" in unescape(html)
    assert not {"\u202e"} & set(html)


def test_an_arm_without_a_face_is_not_measured_and_never_better(source, seen):
    gates = {(g.arm, g.verdict) for g in source.results.gates}
    assert (f"B/{EVIL}", "inconclusive") in gates
    assert ("B/none", "pass") in gates  # the same images
    assert "not measured: no pair was read on both sides" in seen.text
    hidden = [d for d in source.results.comparisons if d.arm == f"B/{EVIL}" and d.prompt is None]
    rate = next(d for d in hidden if d.metric == "detection_rate" and d.baseline.startswith("A/"))
    assert rate.value == -1


def test_markdown_and_csv_are_inert(source):
    text = markdown(source)
    assert "<script>" not in text
    assert "<img" not in text
    rows = csv(source)
    assert "\n=cmd" not in rows
    assert ",=cmd" not in rows


def test_many_arms_and_prompts_stay_small_and_whole(tmp_path):
    """Twelve arms and 500 prompts: every line is there."""
    arms = ("none", *(f"arm-{i}" for i in range(11)))
    folder = occupations(tmp_path, prompts={"p": "a portrait"}, arms=arms, images=2)
    found = results_file.read(folder / "results.json")
    share = next(d for d in found.comparisons if d.metric == "share")
    rows = [share.model_copy(update={"prompt": f"p{i}"}) for i in range(500)]
    texts = {f"p{i}": f"a portrait of person number {i}" for i in range(500)}
    update = {"comparisons": (*found.comparisons, *rows), "prompts": texts}
    html = page(Source(results=found.model_copy(update=update)))
    assert len(html) < 3_000_000
    assert all(f"person number {i}<" in html for i in range(500))
    assert Page(html).text.count("arm-10") > 3


def test_seconds_and_guides_stand_with_the_arms_where_they_were_recorded(tmp_path):
    made = run(tmp_path / "one", {"none": {"-": SKEWED}, "steer": {"-": HALF}})
    manifest = json.loads((made.folder / "run.json").read_text())
    manifest["seconds_per_image"] = {"none": 0.625}
    (made.folder / "run.json").write_text(json.dumps(manifest))
    guided = Warned(code=GUIDE_JUDGES, message="steer follows its judge", arm="steer")
    found = made.results
    provenance = found.provenance.model_copy(update={"warnings": (guided,)})
    results_file.write(
        made.folder / "results.json", found.model_copy(update={"provenance": provenance})
    )
    seen = Page(page(compare(made.folder).source))
    assert "Seconds an image" in seen.text
    assert 0.625 in seen.values
    assert "steer follows its judge" in seen.text
