"""What is said of a calibration: why that scale, and what is assigned rather than drawn."""

import pytest

from reports.dose_charts import calibrations


def point(scale, fd):
    return {"scale": scale, "fd": fd, "low": 0.0, "high": 0.1, "shares": [0.7, 0.3]}


CURVE = [point(0.5, 0.09), point(0.65, 0.0627), point(0.85, 0.054), point(1.0, 0.06)]


@pytest.mark.parametrize(
    ("place", "within", "said"),
    [
        (1, False, "No scale is expected to bring the FD of new images within 0.05. Best is 0.054 "
                   "at scale 0.85; chosen is the smallest scale that comes near it: 0.063 at scale"
                   " 0.65."),
        (2, False, "No scale is expected to bring the FD of new images within 0.05; best: 0.054 at"
                   " scale 0.85."),
        (3, True, "The smallest scale that is expected to bring the FD of new images within 0.05: "
                  "0.060 at scale 1."),
    ],
)  # fmt: skip
def test_the_choice_is_told_with_its_numbers(place, within, said):
    found = {
        "classes": ["woman", "man"], "limit": 0.05, "within": within, "chosen": CURVE[place],
        "curve": CURVE,
    }  # fmt: skip
    (chart,) = calibrations("f", {"steer": found, "random-features": found})
    assert chart.title == "How strongly to steer"
    assert chart.finding.startswith(said)
    assigned = "Assigned, not drawn: it steers 70.0\xa0% of the images to woman and 30.0\xa0%"
    assert assigned in chart.finding
    assert chart.table.rows[0][1].text == "0.5"
