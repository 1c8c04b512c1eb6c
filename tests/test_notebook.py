"""What Python and a notebook get of a run: frames, figures, and a verdict at a glance."""

import json

import pytest
from report_run import occupations, unconditional
from test_report import Page

import audit
from audit.errors import InputError, SpecError
from audit.storage import results_file
from audit.storage.results import Results


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return audit.Run.open(unconditional(tmp_path_factory.mktemp("u"), images=48))


def test_a_frame_holds_every_number_and_nothing_else(run):
    frame = run.frame()
    plain = json.loads((run.folder / "results.json").read_text())["measurements"]
    assert len(frame) == len(plain)
    assert set(frame.columns) == set(results_file.schema()["$defs"]["Entry"]["properties"])
    for row, entry in zip(frame.to_dict("records"), plain, strict=True):
        assert row["value"] == entry["value"]
        assert (row["metric"], row["arm"]) == (entry["metric"], entry["arm"])
        assert row["class"] == entry["class"] or entry["class"] is None
    shares = frame.query("metric == 'share' and arm == 'none' and probe == 'portraits'")
    assert shares.groupby("attribute")["value"].sum().tolist() == pytest.approx([1, 1, 1])


def test_what_was_not_measured_is_missing_in_a_frame_and_not_zero(tmp_path):
    frame = audit.Run.open(occupations(tmp_path, images=4, unread=1.0)).frame()
    shares = frame[frame["metric"] == "share"]
    assert len(shares)
    assert shares["value"].isna().all()
    assert (shares["method"] == "no image has a reading").all()


@pytest.mark.parametrize("section", ["states", "comparisons", "flips", "gates", "agreement"])
def test_every_part_has_its_frame(run, section):
    assert len(run.frame(section)) == len(getattr(run.results, section))


def test_an_empty_part_keeps_its_columns(tmp_path):
    results_file.write(tmp_path / "results.json", Results(benchmark="b", arms=()))
    (tmp_path / "run.json").write_text("{}")
    frame = audit.Run.open(tmp_path).frame("gates")
    assert len(frame) == 0
    assert "verdict" in frame.columns


def test_an_unknown_part_is_named(run):
    with pytest.raises(SpecError, match="unknown section 'gate'; did you mean 'gates'"):
        run.frame("gate")
    with pytest.raises(InputError, match="not a run folder"):
        audit.Run.open(run.folder.parent)


def test_figures_are_shown_as_they_are_and_may_be_changed(run):
    from matplotlib.figure import Figure

    found = run.figures()
    assert {"shares-gender", "fd-race", "states-portraits", "truth-age"} <= set(found)
    assert list(found) == [chart.id for chart in found.values()]
    chart = found["shares-gender"]
    assert isinstance(chart.figure, Figure)
    assert chart._repr_html_().startswith("<figure")
    image = chart._repr_svg_()
    assert image.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    assert "29.0" in image or "%" in image


def test_a_run_shows_its_verdict_and_its_matrix(run):
    page = Page(run._repr_html_())
    assert "Fail" in page.text
    assert "1 gate of 2 failed." in page.text
    assert page.captions == page.tables == 2  # gates, matrix
    fd = run.frame().query("metric == 'fd' and probe == 'portraits' and prompt.isna()")
    assert set(fd["value"]) <= set(page.values)
    assert page.scripts == 0


def test_a_hostile_name_stays_text_in_a_notebook(tmp_path):
    arms = ("none", "<img src=x onerror=alert(1)>")
    page = Page(audit.Run.open(occupations(tmp_path, arms=arms, images=4))._repr_html_())
    assert not page.images
    assert "onerror=alert(1)" in page.text


def test_a_run_that_stopped_says_so_in_a_notebook(tmp_path):
    run = audit.Run.open(occupations(tmp_path, arms=("none",), images=4, status="interrupted"))
    assert "The run was interrupted" in Page(run._repr_html_()).text
    (run.folder / "results.json").unlink()
    early = audit.Run.open(run.folder)
    assert "there is no such file" in Page(early._repr_html_()).text
