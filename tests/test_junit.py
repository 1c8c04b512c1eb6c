"""Gates for CI: JUnit that the common schema takes, Markdown as text, and the checklist."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import xmlschema
from report_run import occupations, unconditional

from audit.storage.results import GateEntry, Results
from reports.checklist import items
from reports.checklist import markdown as checklist
from reports.junit import junit
from reports.markdown import LIMIT, bounded, escaped, markdown
from reports.source import Source

GATE = {
    "metric": "fd", "attribute": "gender", "arm": "steer", "side": "max", "limit": 0.1,
    "bound_level": 0.95, "p": 0.3, "p_adjusted": 0.3, "family": 3, "n": 100,
}  # fmt: skip


def gate(name, verdict, **more):
    return GateEntry(
        **GATE | {"id": name, "verdict": verdict, "reason": f"because {verdict}",
                  "value": 0.2, "bound": 0.3} | more
    )  # fmt: skip


@pytest.fixture
def source():
    gates = (
        gate("one", "pass"),
        gate("two", "fail"),
        gate("three", "inconclusive", n_needed=840, reason="about 840 images would decide"),
        gate("four", "fail", attribute=None, metric="fid@inception-v3"),
    )
    return Source(Results(benchmark="faces", arms=("none", "steer"), gates=gates))


def test_a_suite_for_each_attribute_and_a_case_for_each_gate(source):
    root = ET.fromstring(junit(source))
    suites = {s.get("name"): s for s in root}
    assert set(suites) == {"faces.gender", "faces.quality"}
    gender = suites["faces.gender"]
    assert [c.get("name") for c in gender.iter("testcase")] == ["one", "two", "three"]
    counts = {k: gender.get(k) for k in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "3", "failures": "1", "errors": "0", "skipped": "1"}


def test_a_failure_says_value_limit_and_reason(source):
    failure = next(ET.fromstring(junit(source)).iter("failure"))
    assert failure.get("message") == (
        "Fairness discrepancy under steer: 0.200, promised at most 0.100; because fail"
    )
    skipped = next(ET.fromstring(junit(source)).iter("skipped"))
    assert skipped.get("message").startswith("inconclusive: ")
    assert skipped.get("message").endswith("; about 840 images would decide")


def test_how_many_images_would_decide_is_a_property(source):
    root = ET.fromstring(junit(source))
    needed = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert needed["n_needed.three"] == "840"
    assert "n_needed.one" not in needed


def test_what_cannot_be_decided_can_count_as_a_failure(source):
    root = ET.fromstring(junit(source, inconclusive="fail"))
    assert len(list(root.iter("failure"))) == 3
    assert not list(root.iter("skipped"))


@pytest.fixture(scope="module")
def schema():
    return xmlschema.XMLSchema11(str(Path(__file__).parent / "data" / "junit.xsd"))


def test_it_fits_the_common_schema(source, schema, tmp_path):
    stopped = Source(source.results, {"status": "interrupted"})
    nothing = Source(Results(benchmark="faces", arms=("none",)))
    real = Source.open(occupations(tmp_path, images=4, unread=1.0))
    for one in (source, stopped, nothing, real):
        for inconclusive in ("skip", "fail"):
            schema.validate(junit(one, inconclusive=inconclusive))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="one" ', ""),
        ('tests="3"', 'tests="three"'),
        ('type="fail"', ""),
        ("<properties>", "<testcase/><properties>"),
        ('time="0"', 'time="soon"'),
    ],
)
def test_the_schema_sees_what_does_not_fit(source, schema, old, new):
    text = junit(source)
    assert old in text
    assert schema.is_valid(text)
    assert not schema.is_valid(text.replace(old, new, 1))


def test_text_that_xml_cannot_hold_is_replaced():
    bad = gate("a\x00b\x1b<&\"'>\ud800", "fail", reason="x\x0b")
    results = Results(benchmark="b\x00", arms=("none", "a"), gates=(bad,))
    case = next(ET.fromstring(junit(Source(results))).iter("testcase"))
    assert case.get("name") == "a\ufffdb\ufffd<&\"'>\ufffd"


def test_a_run_that_stopped_is_an_error_of_its_own(source):
    stopped = Source(source.results, {"status": "interrupted"})
    error = next(ET.fromstring(junit(stopped)).iter("error"))
    assert error.get("message").startswith("The run was interrupted")


def test_the_same_run_gives_the_same_xml(source):
    assert junit(source) == junit(source)


def test_markdown_holds_verdict_gates_and_summary(tmp_path):
    text = markdown(Source.open(unconditional(tmp_path, images=24)))
    assert text.startswith("## ✕ Fail: Portraits drawn without a prompt")
    assert "| **pass** |" in text
    assert "| gender | none |" in text
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| gender |")}
    assert len(widths) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", r"a\|b"),
        ("<script>", "&lt;script&gt;"),
        ("`x` *y* [z](u)", r"\`x\` \*y\* \[z\]\(u\)"),
        ("::error::x", ":\u200b:error:\u200b:x"),
        ("two\nlines", "two lines"),
        ("ping @octocat", "ping @\u200boctocat"),
    ],
)
def test_markdown_shows_text_as_text(text, shown):
    assert escaped(text) == shown


def test_a_summary_never_exceeds_what_an_upload_takes():
    text = bounded("ä line\n" * 200_000)
    assert len(text.encode()) <= LIMIT
    assert text.endswith("*truncated: the whole report is in report.html*\n")
    assert bounded("short\n") == "short\n"


def test_the_checklist_answers_what_it_can_and_leaves_signatures_open(tmp_path):
    source = Source.open(occupations(tmp_path, images=8))
    text = checklist(source)
    assert "10 prompts are measured one by one." in text
    assert "[prompts](report.html#prompts)" in text
    assert "| Release owner |  |  |  |" in text
    answers = {item.question: item.answer for item in items(source)}
    assert [question for question, answer in answers.items() if not answer] == [
        "Are the pictures themselves looked at by people?",
        "Is it said in the model card what was not measured?",
    ]
    chosen = answers["Who chose the classes, and whom do they leave out?"]
    assert chosen.startswith("gender (woman and man): The default of the suite")
    assert "That is a choice, not a fact." in answers["Who chose the target, and why?"]
    assert (
        "Probes: portraits: CC0-1.0."
        in answers["Do the licences of model and probes permit the release?"]
    )
    assert text.count("\u2610") == len(answers)
    assert "\u2611" not in text


def test_the_checklist_counts_readings_and_not_images(tmp_path):
    """Of an arm, 3 of 10 readings are missing; the images themselves are counted elsewhere."""
    about = {"ci_low": 0.0, "ci_high": 1.0, "level": 0.95, "arm": "none", "n": 10}
    reading = about | {"attribute": "gender", "probe": "dlib"}
    states = [
        reading | {"state": "ok", "count": 7, "share": 0.7},
        reading | {"state": "no_face", "count": 3, "share": 0.3},
        about | {"state": "ok", "count": 10, "share": 1.0},
    ]
    found = Results.model_validate({"benchmark": "b", "arms": ["none"], "states": states})
    answers = {item.question: item.answer for item in items(Source(found))}
    said = answers["Is missing data small, and alike in the arms?"].replace("\xa0", " ")
    assert said == "Without a reading by dlib of gender: 3 of 10 (30.0 %) under none."


def test_the_checklist_says_what_each_row_is_evidence_for(tmp_path):
    text = checklist(Source.open(occupations(tmp_path, images=2)))
    for item in items(Source.open(tmp_path / "runs" / "occupations-0123abcd")):
        assert all(f"- **{short}**: " in text for short in item.maps_to.split("; "))
    assert "not a statement of conformity" in text


def test_the_checklist_points_at_sections_that_are_there(tmp_path):
    from reports.render import page

    source = Source.open(unconditional(tmp_path, images=8))
    html = page(source)
    assert all(f'<section id="{i.evidence}"' in html for i in items(source))
