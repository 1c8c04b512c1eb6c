"""Missing readings are told of probe by probe, with what they could change at worst."""

from audit.storage.results import Entry, Results
from reports.distributions import states
from reports.missing import bounds, said
from reports.source import Source


def state(probe, attribute, lost, arm="none"):
    about = {"arm": arm, "probe": probe, "attribute": attribute, "n": 384}
    about |= {"ci_low": 0.0, "ci_high": 1.0, "level": 0.95}
    return [
        about | {"state": "ok", "count": 384 - lost, "share": 1 - lost / 384},
        about | {"state": "no_face", "count": lost, "share": lost / 384},
    ]


def entry(metric, value, **more):
    about = {"arm": "none", "attribute": "gender", "probe": "dlib", "n": 297, "method": "m"}
    return Entry(metric=metric, value=value, direction="none", **about | more)


SOURCE = Source(
    Results.model_validate(
        {
            "benchmark": "b",
            "arms": ["none"],
            "states": [*state("portraits", "gender", 0), *state("portraits", "age", 0),
                       *state("dlib", "gender", 80), *state("dlib", "age", 87)],
            "measurements": [
                entry("share", 0.576, class_="woman"),
                entry("share_missing_low", 0.445, class_="woman"),
                entry("share_missing_high", 0.672, class_="woman"),
                entry("fd_missing_low", 0.0),
                entry("fd_missing_high", 0.243),
                entry("share_missing_low", 0.3, class_="woman", probe="portraits"),
                entry("share_missing_high", 0.3, class_="woman", probe="portraits"),
            ],
        }
    )
)  # fmt: skip


def test_no_probe_hides_behind_another():
    assert said(SOURCE).replace("\xa0", " ") == (
        "Without a reading by portraits of gender: 0 of 384 (0.0 %) under none. "
        "Without a reading by dlib of age, which it misses most: 87 of 384 (22.7 %) under none."
    )
    charts = list(states(SOURCE))
    assert [chart.id for chart in charts] == ["states-portraits", "states-dlib"]
    assert "Without a reading of age by dlib: 87 of 384 under none." in charts[1].finding


def test_the_worst_cases_stand_where_something_is_missing():
    found = bounds(SOURCE)
    assert [[cell.text.replace("\xa0", " ") for cell in row[1:]] for row in found.rows] == [
        ["fairness discrepancy", "dlib", "none", "\N{EN DASH}", "0.000", "0.243"],
        ["woman", "dlib", "none", "57.6 %", "44.5 %", "67.2 %"],
    ]
    assert bounds(Source(Results(benchmark="b", arms=("none",)))) is None
