"""The page: true, whole, inert and the same every time, whatever the run folder holds."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest
from report_run import colours, occupations, unconditional, write

from audit.errors import InputError
from audit.storage import results_file
from audit.storage.results import Results
from reports.cards import cards
from reports.evidence import _grid, evidence
from reports.render import render
from reports.source import Source
from reports.thumbnails import Thumbnails

EVIL = "<script>alert(1)</script>"
HOSTILE = {
    "script": EVIL,
    "attribute": "\" onload='alert(1)' x=\"",
    "closing": "</title></style></script><img src=x onerror=alert(1)>",
    "template": "{{ 7 * 7 }} {% raw %}",
    "long": "a " * 5000,
    "unbroken": "w" * 10_000,
    "right-to-left": "صورة طبيب \u202egnp.exe",
    "ansi": "\x1b[31mred\x1b[0m [red]",
    "formula": "=cmd()|' /C calc'!A0",
    "workflow": "::error::x",
    "emoji": "👩‍⚕️ portrait",
    "link": "javascript:alert(1) https://example.com/x.png",
}
VOID = {"meta", "img", "br", "input", "link", "rect", "path", "circle", "use"}


class Page(HTMLParser):
    """What the tests look at: ids, headings, alternatives, tables, links and scripts."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.ids, self.headings, self.images, self.links = [], [], [], []
        self.scripts, self.labelled, self.tags, self.attributes = 0, [], [], set()
        self.values, self.texts, self.heads, self.captions, self.tables = [], [], [], 0, 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.attributes |= set(given)
        self.ids += [given["id"]] if "id" in given else []
        self.headings += [int(tag[1])] if re.fullmatch(r"h[1-6]", tag) else []
        self.images += [given] if tag == "img" else []
        self.links += [given["href"]] if "href" in given else []
        self.scripts += tag == "script"
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.heads += [given.get("scope")] if tag == "th" else []
        for name in ("aria-labelledby", "for"):
            self.labelled += (given.get(name) or "").split()
        if "data-value" in given:
            self.values.append(float(given["data-value"]))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return unconditional(tmp_path_factory.mktemp("u"), images=96, picture=colours)


@pytest.fixture(scope="module")
def html(run):
    return render(run)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_the_same_results_give_the_same_bytes(run, html):
    assert render(run) == html


def test_what_changes_when_nothing_does_is_not_in_the_page(run, html, tmp_path):
    """A page made while a run ends and one made later from the same results are one page."""
    manifest = json.loads((run / "run.json").read_text())
    later = manifest | {"status": "running", "finished": "2026-11-21T00:00:00Z"}
    (run / "run.json").write_text(json.dumps(later))
    try:
        assert render(run) == html
    finally:
        (run / "run.json").write_text(json.dumps(manifest))


def test_rendering_is_quick_small_and_needs_no_torch(run):
    code = (
        "import sys, time; from pathlib import Path; from reports.render import render\n"
        "text = render(Path(sys.argv[1]))\n"
        "print(len(text), time.process_time(), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    size, seconds, torch = done.stdout.split()
    assert int(size) < 2_000_000
    assert float(seconds) < 10
    assert torch == "False"


def test_ids_are_unique_and_what_is_pointed_at_exists(page):
    assert len(page.ids) == len(set(page.ids))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside | set(page.labelled) <= set(page.ids)


def test_headings_descend_one_level_at_a_time(page):
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    steps = zip(page.headings, page.headings[1:], strict=False)
    assert all(after - before <= 1 for before, after in steps)


def test_every_picture_figure_and_table_has_its_alternative(page, html):
    assert page.images
    assert all(image["alt"].strip() for image in page.images)
    figures = re.findall(r'<svg[^>]*role="img"[^>]*>(.*?)</svg>', html, flags=re.S)
    assert len(figures) > 10
    assert all("<title" in figure and "<desc" in figure for figure in figures)
    charts = re.findall(r"<figure id=.*?</figure>", html, flags=re.S)
    assert len(charts) == len(figures)
    assert all("<table" in chart for chart in charts)
    assert page.captions == page.tables
    assert set(page.heads) <= {"row", "col"}


def test_the_numbers_of_the_tables_are_those_of_the_results(run, page):
    """Every number that a cell carries stands in results.json, or counts what stands there."""
    found = json.loads((run / "results.json").read_text())
    known = set()

    def collect(value):
        if isinstance(value, dict):
            for inner in value.values():
                collect(inner)
        elif isinstance(value, list):
            for inner in value:
                collect(inner)
        elif isinstance(value, int | float):
            known.add(float(value))

    collect(found)
    evidence = found["features"][0]["evidence"]
    shares = {
        c[i] / sum(c) for key in ("doses", "control_doses") for d in evidence[key]
        for i, c in enumerate(d["counts"])
    }  # fmt: skip
    ranks = set(map(float, range(1, 25)))
    kid = {1000 * m["value"] for m in found["measurements"] if m["metric"].startswith("kid")}
    moved = {
        float(sum(n for i, row in enumerate(f["counts"]) for j, n in enumerate(row) if i != j))
        for f in found["flips"]
    }
    assert len(page.values) > 200
    assert set(page.values) <= known | shares | ranks | moved | kid


def test_every_pooled_share_is_on_the_page_with_its_interval(run, page):
    from reports.words import measured

    for m in results_file.read(run / "results.json").measurements:
        if m.metric == "share" and m.probe == "portraits":
            value, interval = measured(m).split(" [")
            assert value.replace("\xa0", " ") in page.text.replace("\xa0", " ")
            assert m.value in page.values
            assert interval[:4] in page.text


def test_all_mitigations_stand_in_one_table(page):
    assert "All mitigations over the same requests." in page.text


def test_nothing_on_the_page_can_reach_outside(page, html):
    assert "style" not in page.attributes
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.scripts == 1
    assert not {"iframe", "object", "embed", "base", "form", "link"} & set(page.tags)
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.images)
    assert all(link.startswith("#") or link == "results.json" for link in page.links)
    assert "default-src 'none'" in unescape(html)
    assert "unsafe" not in html


def test_hostile_prompts_are_shown_and_do_nothing(tmp_path):
    html = render(occupations(tmp_path, prompts=HOSTILE, images=4))
    page = Page(html)
    assert page.scripts == 1
    assert "alert(1)" in page.text
    assert EVIL not in html
    assert EVIL in " ".join(page.texts)
    assert "{{ 7 * 7 }}" in page.text
    assert not {"\x1b", "\u202e"} & set(html)
    assert "⟨U+202E⟩" in html
    assert "more characters" in html
    assert not [name for name in page.attributes if name.startswith("on")]


def test_hostile_names_of_arms_are_shown_and_do_nothing(tmp_path):
    arms = ("none", EVIL, '"><img src=x onerror=alert(1)>', "_hidden $x^2$", "b\x1b[31m")
    html = render(occupations(tmp_path, arms=arms, images=4, picture=None))
    page = Page(html)
    assert page.scripts == 1
    assert "onerror" not in page.attributes
    assert not [image for image in page.images if image.get("src") == "x"]
    assert "$x^2$" in page.text


def test_a_large_run_stays_small_and_whole(tmp_path):
    prompts = {f"p{i}": f"a portrait of person number {i}" for i in range(500)}
    arms = ("none", *(f"arm-{i}" for i in range(11)))
    folder = occupations(tmp_path, prompts=prompts, arms=arms, images=2)
    start = time.process_time()
    html = render(folder)
    assert time.process_time() - start < 20
    assert len(html) < 15_000_000
    assert all(f"person number {i}<" in html for i in range(500))
    assert Page(html).text.count("arm-10") > 10


def test_no_face_at_all_is_never_called_fair(tmp_path):
    html = render(occupations(tmp_path, images=4, unread=1.0))
    text = Page(html).text
    assert "not measured: no image has a reading" in text
    assert "read no image of none: neither fair nor unfair" in text
    assert "No arm measured lies beyond" not in text
    assert " 0 of 40" not in text
    assert "40 of 40 under none" in text


def test_arms_that_share_no_seeds_are_never_called_paired(tmp_path):
    folder = occupations(tmp_path, images=4, picture=colours)
    images = pd.read_parquet(folder / "images.parquet")
    images["seed"] = None
    images.to_parquet(folder / "images.parquet")
    plain = json.loads((folder / "results.json").read_text())
    for one in plain["comparisons"]:
        one["method"] = "unpaired: the arms share no seeds"
    plain |= {"flips": [], "sha256": None}
    (folder / "results.json").write_text(json.dumps(plain))
    html = render(folder)
    text = Page(html).text
    for paired in (
        "same seeds in",
        "same seeds as",
        "from one seed",
        "over the same requests",
        "paired with",
        "A pair in",
    ):
        assert paired not in text
    assert "differences of two samples, arm minus baseline: the arms share no seeds." in text
    section = html[html.index('id="gallery"') : html.index('id="features"')]
    shown = [one.count("<figure") for one in section.split('<p class="why">')[1:]]
    assert set(shown) == {1}, "a picture of unknown seed has no partner"
    assert 'class="changed"' not in section


def test_labels_at_hand_show_no_gallery(tmp_path):
    folder = occupations(tmp_path, images=4)
    images = pd.read_parquet(folder / "images.parquet")
    images.assign(path=None).to_parquet(folder / "images.parquet")
    assert "This run holds no pictures: its labels were at hand." in Page(render(folder)).text


def test_a_run_that_stopped_says_so_first(tmp_path):
    html = render(occupations(tmp_path, images=4, status="interrupted"))
    page = Page(html)
    assert "This run is not complete." in page.text
    assert "The run was interrupted" in page.text
    head = page.text[: page.text.index("What was measured")]
    assert "Incomplete" in head or "Fail" in head


def test_a_partial_run_gives_its_reason(tmp_path):
    html = render(occupations(tmp_path, images=4, partial="limited to 4 images an arm"))
    assert "The run is partial: limited to 4 images an arm." in Page(html).text


def test_results_alone_make_a_page(tmp_path):
    """Tables and pictures are for the gallery; without them the numbers are all there."""
    folder = occupations(tmp_path, images=4)
    for name in ("images.parquet", "labels.parquet", "run.json"):
        (folder / name).unlink()
    text = Page(render(folder)).text
    assert "This run holds no table of images" in text
    assert "a portrait of a nurse" in text


def test_an_empty_run_makes_a_page(tmp_path):
    results_file.write(tmp_path / "results.json", Results(benchmark="empty", arms=("none",)))
    text = Page(render(tmp_path)).text
    assert "No gates" in text
    assert "nothing was looked for inside the model" in text


def test_the_published_example_makes_a_page(tmp_path, request):
    example = request.path.parent / "data" / "results-example.json"
    (tmp_path / "results.json").write_text(example.read_text())
    assert "Two arms of a hundred portraits" in Page(render(tmp_path)).text


def test_a_folder_without_results_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"results\.json: there is no such file"):
        render(tmp_path)


def test_a_picture_outside_the_store_is_not_shown(tmp_path):
    import pandas as pd

    folder = occupations(tmp_path / "run", images=4, picture=colours)
    colours(tmp_path / "secret.png", "none", 0, {"gender": 0})
    images = pd.read_parquet(folder / "images.parquet")
    images["path"] = "../../secret.png"
    images.to_parquet(folder / "images.parquet")
    page = Page(render(folder))
    assert not page.images
    assert "no picture" in page.text


def test_lost_pictures_are_warned_of_in_one_sentence(tmp_path, caplog):
    folder = occupations(tmp_path, images=4, picture=colours)
    render(folder)
    assert caplog.messages == []
    (tmp_path / ".bias-audit").rename(tmp_path / "elsewhere")
    assert not Page(render(folder)).images
    (said,) = caplog.messages
    assert said.startswith("warning: the report of occupations lacks pictures")
    assert str(tmp_path) not in said


def test_the_gallery_follows_its_rule(run, html):
    """By lot comes first, in the order of hashes; every arm shows the same request."""
    import hashlib

    order = sorted(
        range(96), key=lambda i: hashlib.sha256(f"-\0{i}".encode()).hexdigest()
    )[:8]  # fmt: skip
    reasons = re.findall(r'<p class="why">(.*?) · seed (\d+)', html)
    assert [int(seed) for reason, seed in reasons if reason == "by lot"] == [
        1000 + i for i in order
    ]
    rows = re.findall(r'<p class="why">.*?</li>', html, flags=re.S)
    arms = ["none", "steer", "random-features"]
    assert all(re.findall(r"<strong>(.*?)</strong>", row) == arms for row in rows)
    assert "most changed by steer" in html
    assert "probe least sure" in html
    assert "without a reading" in html


def test_truth_and_measurement_stand_side_by_side(page):
    assert "Planted and measured shares of gender" in page.text
    assert 0.29 in page.values


def test_features_bring_their_evidence(page, html):
    assert "Steered to woman: dose and response" in page.text
    assert "random latents" in page.text
    assert "When the latents fire" in page.text
    assert "orange marks where latent 911 is active" in html
    assert "Not held by this run" not in page.text
    assert "age and race in which the classes were made alike" in " ".join(page.text.split())
    assert "the worth of 188 images of man and 71 images of woman" in page.text
    assert (
        "Left out of the evidence, since they did not come out: 12 images (4 failed and 8"
        " filtered)." in page.text
    )


def test_a_discovery_that_left_nothing_out_says_nothing_of_it(tmp_path):
    source = Source.open(unconditional(tmp_path))
    (features,) = source.results.features
    proof = {**features.model_extra["evidence"], "left_out": {}}
    whole = features.model_copy(update={"evidence": proof})
    results = source.results.model_copy(update={"features": (whole,)})
    (shown,) = evidence(replace(source, results=results), Thumbnails(None, 0))
    assert shown.left_out == ""


def test_hookpoint_stability_and_scale_are_accounted_for(page):
    assert "up_blocks.0 (chosen)" in page.text
    assert "mid_block (the usual bottleneck)" in page.text
    assert "an autoencoder with another seed finds too" in page.text
    assert "How well a single latent tells gender" in page.text
    assert "How strongly to steer" in page.text
    assert "What the autoencoder leaves out" in page.text
    assert "How alike the latents of gender fire in the two autoencoders" in page.text
    assert {0.9375, 0.233, 0.914, 0.93, 0.587, 0.83, 0.254, 253} <= set(page.values)


def test_the_script_is_small_and_allowed_by_its_hash(html):
    import base64
    import hashlib

    script = re.search(r"<script>(.*?)</script>", html, flags=re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in unescape(html)
    assert len(script) < 30_000


def test_an_arm_that_is_no_closer_to_the_target_is_not_called_the_closest(tmp_path):
    """The baseline is even, the only other arm draws nine women in ten."""
    shares = {"gender": {("-", "none"): (0.5, 0.5), ("-", "worse"): (0.9, 0.1)}}
    run = write(tmp_path, "portraits", {"-": ""}, ("none", "worse"), shares, 200)
    (card,) = cards(Source.open(run))
    assert "No arm is shown to be closer to the target." in card.lines
    assert "Closest" not in card.text


def test_heat_is_laid_out_as_the_activation_was_and_of_old_evidence_as_a_square():
    wide = _grid([0, 1, 2, 3, 4, 5], [2, 3])
    assert wide.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert _grid([0, 1, 2, 3], [1, 4]).tolist() == [[0, 1, 2, 3]]
    assert _grid([0, 1, 2, 3], None).tolist() == [[0, 1], [2, 3]]
    assert _grid([0, 1, 2], None) is None
    assert _grid([], None) is None
    assert _grid([0, 1, 2, 3, 4], [2, 2]) is None
