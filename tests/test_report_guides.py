"""A gate that the guide of its arm judges says so, and what the other probes read."""

from types import SimpleNamespace

import pytest

from audit.measuring.guides import warn_guided
from audit.storage.results import (
    GUIDE_JUDGES,
    Entry,
    GateEntry,
    Provenance,
    Results,
    Warned,
)
from reports.markdown import markdown
from reports.model_card import section
from reports.render import page
from reports.source import Source
from reports.verdicts import gate_rows, verdict

GATE = GateEntry(
    id="g", metric="fd_debiased", attribute="gender", probe="portraits", arm="steer", side="max",
    limit=0.15, value=0.05, ci_low=0.0, ci_high=0.13, bound=0.1212649, bound_level=0.95,
    bound_side="upper", p=0.007, p_adjusted=0.007, family=1, n=384, verdict="pass",
    reason="the 95 % upper bound is 0.1213, the limit at most 0.15",
)  # fmt: skip


def probe(name):
    return SimpleNamespace(name=name, classes={"gender": ("woman", "man")})


def entry(name, value, low, high, **more):
    about = {"arm": "steer", "attribute": "gender", "probe": name, "metric": "fd_debiased"}
    return Entry(
        **about | more, value=value, ci_low=low, ci_high=high, n=336, method="m", direction="lower"
    )


def source(*gates, low=0.115, high=0.26, judges=("portraits", "dlib")):
    warned = warn_guided("steer", "gender", probe("portraits"), {n: probe(n) for n in judges})
    return Source(
        Results(
            benchmark="b", arms=("none", "steer"), gates=gates,
            measurements=(
                entry("portraits", 0.05, 0.0, 0.13),
                entry("dlib", 0.186, low, high),
                entry("portraits", 0.6, 0.5, 0.7, metric="share", class_="woman"),
                entry("dlib", 0.576, 0.5, 0.6, metric="share", class_="woman"),
            ),
            provenance=Provenance(warnings=tuple(warned)),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.115, 0.26, "the limit lies inside the interval, so it is open"),
        (0.16, 0.26, "beyond the limit"),
        (0.01, 0.12, "within the limit"),
    ],
)
def test_the_gate_says_who_judges_and_what_others_read(low, high, said):
    found = source(GATE, low=low, high=high)
    (row,) = gate_rows(found)
    assert row.caveat.startswith("Judged by its own guide: steer follows portraits in gender")
    assert f"dlib reads 0.186 [{low:.3f}, {high:.3f}] in 336 images: {said}." in row.caveat
    sentence = "The gate passed, judged by the probe that guided the arm."
    assert verdict(found).sentence == sentence
    for text in (page(found), markdown(found), section(found)):
        assert sentence in text
        assert "Judged by its own guide" in text


def test_what_another_probe_or_another_arm_is_held_to_has_no_guide():
    other = GATE.model_copy(update={"id": "h", "probe": "dlib"})
    third = GATE.model_copy(update={"id": "i", "arm": "suffix"})
    found = source(GATE, other, third)
    assert [bool(row.caveat) for row in gate_rows(found)] == [True, False, False]
    said = "All 3 gates passed, 1 of them judged by the probe that guided the arm."
    assert verdict(found).sentence == said


def test_shares_stand_probe_by_probe():
    text = page(source())
    assert "Share of each class by every probe" in text
    assert "57.6\xa0%" in text
    assert "60.0\xa0%" in text


def test_every_probe_that_guided_is_told_of_what_it_reads_itself():
    gates = [
        GATE.model_copy(update={"id": p, "probe": p}) for p in ("portraits", "strict", "dlib")
    ]
    judges = {"portraits": probe("portraits"), "strict": probe("portraits"), "dlib": probe("dlib")}
    warned = warn_guided("steer", "gender", probe("portraits"), judges)
    found = Results(
        benchmark="b", arms=("none", "steer"), gates=gates,
        provenance=Provenance(warnings=tuple(warned)),
    )  # fmt: skip
    caveats = [row.caveat for row in gate_rows(Source(found))]
    assert "where portraits reads the result" in caveats[0]
    assert "where strict reads the result" in caveats[1]
    assert caveats[2] == ""


def test_a_warning_that_names_no_probe_holds_for_all_of_the_arm():
    old = Warned(code=GUIDE_JUDGES, message="steer follows its judge", arm="steer")
    unread = {"id": "i", "metric": "fid@x", "attribute": None, "probe": None}
    others = [{"id": "h", "arm": "suffix"}, unread]
    arms = [GATE, *(GATE.model_copy(update=other) for other in others)]
    found = Results(
        benchmark="b", arms=("none", "steer"), gates=arms, provenance=Provenance(warnings=(old,))
    )
    assert [bool(row.caveat) for row in gate_rows(Source(found))] == [True, False, False]


def test_a_reason_is_written_like_the_number_it_is_about():
    asked = GATE.model_copy(
        update={"metric": "obeyed", "side": "min", "limit": 0.9, "bound": 0.9634762,
                "bound_side": "lower"}
    )  # fmt: skip
    (row,) = gate_rows(source(asked))
    said = "The 95 % lower bound is 96.3\xa0%, the limit at least 90.0\xa0%."
    assert row.reason == f"{said} p = 0.007."
    two = asked.model_copy(update={"family": 2})
    assert next(gate_rows(source(two))).reason == f"{said} p = 0.007 after Holm over 2."
    open_ = asked.model_copy(
        update={"verdict": "inconclusive", "doubt": "cannot tell", "n_needed": 4000}
    )
    doubted = f"Cannot tell; t{said[1:-1]}; about 4,000 images an arm would decide. p = 0.007."
    assert next(gate_rows(source(open_))).reason == doubted


def test_a_reason_of_older_results_stands_as_it_was_written():
    old = GATE.model_copy(update={"bound_side": None})
    (row,) = gate_rows(source(old))
    assert row.reason == "The 95 % upper bound is 0.1213, the limit at most 0.15. p = 0.007."
    unread = {"bound": None, "reason": "no decision: the probe read no image", "p_adjusted": None}
    (row,) = gate_rows(source(old.model_copy(update=unread)))
    assert row.reason == "No decision: the probe read no image."
