"""Figures: accessible SVG text, the same every time, legible in both colour schemes."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from report_run import unconditional

from reports import canvas, figures
from reports.canvas import Curve, Mark
from reports.charts import part
from reports.distributions import discrepancy, shares
from reports.source import Source
from reports.strips import strip
from reports.svg import svg
from reports.trade_offs import pareto, trade_offs

STYLE = Path(figures.__file__).parent / "templates" / "style.css"
MARKS = [Mark("none", 0.3, 0.2, 0.4, 0.1), Mark("steer", 0.05, 0.0, 0.12, 0.1)]
DRAWN = {
    "shares": lambda: figures.shares({"woman": MARKS, "man": MARKS}, {"woman": 0.5}),
    "intervals": lambda: figures.intervals(MARKS, "distance"),
    "stacks": lambda: figures.stacks({"none": {"ok": 9.0, "no face": 1.0}}, "images"),
    "trade-off": lambda: figures.trade_off([(MARKS[0], MARKS[1], True)] * 2, "x", "y"),
    "confusion": lambda: figures.confusion([[9, 1], [2, 8]], ["woman", "man"]),
    "curves": lambda: figures.curves([Curve("a", [0, 1], [0, 1], [0, 0], [1, 1])], "x", "y", at=1),
}


def drawn(name):
    return svg(DRAWN[name](), name, "A title", "What is to be seen")


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_an_accessible_element_of_the_page(name):
    root = ET.fromstring(drawn(name))
    assert root.tag == "svg"
    assert root.get("role") == "img"
    first, second = list(root)[:2]
    assert (first.tag, first.text) == ("title", "A title")
    assert (second.tag, second.text) == ("desc", "What is to be seen")
    assert root.get("aria-labelledby").split() == [first.get("id"), second.get("id")]
    assert float(root.get("width")) <= canvas.WIDTH


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_in_a_figure_needs_an_inline_style_or_the_clock(name):
    text = drawn(name)
    assert "style" not in text
    assert "<metadata" not in text
    assert not re.search(r"20\d\d-", text)
    assert "http" not in text
    attributes = re.findall(r' [a-z-]+="([^"]*)"', text)
    assert not [a for a in attributes if re.search(r"\d\.\d{3}", a)]  # of a pixel


def test_text_stays_text():
    assert ">steer<" in drawn("intervals")
    assert ">0.050<" in drawn("intervals")


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_figure_is_the_same_bytes(name):
    assert drawn(name) == drawn(name)


def test_ids_of_two_figures_never_meet():
    one, two = (svg(DRAWN["curves"](), name, "t", "d") for name in ("one", "two"))
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("name", DRAWN)
def test_what_a_figure_refers_to_is_inside_it(name):
    text = drawn(name)
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids


@pytest.mark.parametrize("name", DRAWN)
def test_every_colour_has_a_counterpart_in_dark_mode(name):
    used = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{6})"', drawn(name)))
    known = set(re.findall(r'\[(?:fill|stroke)="(#[0-9a-f]{6})"\]', STYLE.read_text()))
    assert used - {"#000000"} <= known


def contrast(one, two):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_a_known_pair():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def schemes():
    """Return the variables of the style sheet, light and dark."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE.read_text(), flags=re.S)
    light, dark = (dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", b)) for b in blocks[:2])
    return [light, dark]


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_text_and_marks_stand_out_from_the_paper(scheme):
    for paper in ("paper", "raised"):
        for text in ("ink", "muted", "accent"):
            assert contrast(scheme[text], scheme[paper]) >= 4.5
    for kind in ("pass", "fail", "open", "rest"):
        assert contrast(scheme[kind], scheme[f"{kind}-wash"]) >= 4.5
    for arm in range(8):
        assert contrast(scheme[f"arm-{arm}"], scheme["paper"]) >= 3


def test_the_style_sheet_has_the_colours_of_the_figures():
    light = schemes()[0]
    assert tuple(light[f"arm-{i}"] for i in range(8)) == canvas.ARMS
    assert tuple(light[f"shade-{i}"] for i in range(8)) == canvas.SHADES


def test_two_arms_of_one_colour_have_two_markers():
    assert len({canvas.style(i) for i in range(24)}) == 24


@pytest.mark.parametrize("label", ["$x^2$", "_x", "a\x1bb", "صورة", "👩", "x" * 500, "</text><x>"])
def test_a_label_can_be_anything(label):
    marks = [Mark(label, 0.3, 0.2, 0.4, 0.1)]
    for figure in (
        figures.intervals(marks, "u"),
        figures.shares({label: marks}, {}),
        figures.stacks({label: {label: 1.0}}, "u"),
        figures.curves([Curve(label, [0, 1], [0, 1]), Curve("b", [0, 1], [1, 0])], "x", "y"),
    ):
        text = svg(figure, "f", label, label)
        assert "\x1b" not in text
        assert "<x>" not in text
        ET.fromstring(text)


def test_what_was_not_measured_is_said_and_not_drawn_as_zero():
    figure = figures.intervals([Mark("none", None)], "distance")
    assert "not measured" in svg(figure, "f", "t", "d")
    figure = figures.shares({"woman": [Mark("none", None)]}, {"woman": 0.5})
    assert "not measured" in svg(figure, "g", "t", "d")


def test_the_pareto_set_by_hand():
    points = [(0.3, 2.0), (0.1, 2.5), (0.2, 2.6), (None, 1.0), (0.3, 2.0)]
    assert pareto(points, higher=False) == (True, True, False, False, True)
    assert pareto([(0.1, 0.9), (0.2, 0.8)], higher=True) == (True, False)


def test_a_strip_puts_values_where_they_belong():
    drawn = strip([Mark("", 0.5, 0.25, 1.0, None)], 1.0, aim=0.5)
    assert "M40 6H145" in drawn
    assert 'cx="75"' in drawn
    assert "M75 0V12" in drawn
    assert 'aria-hidden="true"' in drawn


def test_ids_are_made_of_names_without_their_dangers():
    assert part("gender") == "gender"
    assert re.fullmatch(r"x[0-9a-f]{10}", part('"><script>'))


def test_a_notebook_gets_figures_and_their_numbers(tmp_path):
    from matplotlib.figure import Figure

    source = Source.open(unconditional(tmp_path, images=24))
    for chart in (shares(source, "gender"), discrepancy(source, "age"), *trade_offs(source)):
        assert isinstance(chart.figure, Figure)
        assert chart.table.rows
        assert chart._repr_html_().startswith("<figure ")
