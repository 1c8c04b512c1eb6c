"""Two arms, of one run or of two: paired where requests are shared, or refused with the field."""

import json

import pytest
from stored_run import AFTER, BEFORE, run

from audit.comparison.contrasts import contrast
from audit.comparison.sides import side
from audit.errors import InputError
from audit.storage.folder import Run
from audit.storage.results import Entry


def share(found):
    return next(d for d in found.differences if (d.metric, d.class_) == ("share", "woman"))


def test_two_arms_of_one_run_are_paired(tmp_path):
    both = run(tmp_path / "run", {"none": {"-": BEFORE}, "steer": {"-": AFTER}})
    found = contrast(side(both), side(both, "steer"))
    assert (found.first, found.second) == ("run/none", "run/steer")
    assert found.flips[0].p == pytest.approx(0.022656, abs=1e-6)  # KA-32
    assert share(found).value == pytest.approx(0.12)
    back = contrast(side(both, "steer"), side(both, "none"))
    assert share(back).value == pytest.approx(-0.12)


def test_two_runs_with_the_same_seeds_are_paired_and_others_are_not(tmp_path):
    first = run(tmp_path / "one", {"none": {"-": BEFORE}})
    second = run(tmp_path / "two", {"none": {"-": AFTER}})
    assert len(contrast(side(first), side(second)).flips) == 1
    foreign = run(tmp_path / "three", {"none": {"-": AFTER}}, seeds=False)
    found = contrast(side(first), side(foreign))
    assert found.flips == ()
    assert share(found).method == "unpaired: the arms share no seeds"
    assert share(found).value == pytest.approx(0.12)
    distance = next(d for d in found.differences if d.metric == "fd_debiased")
    assert distance.ci_low < distance.value < distance.ci_high


def test_only_the_same_images_are_known_not_to_have_changed(tmp_path):
    first = run(tmp_path / "one", {"none": {"-": BEFORE}, "steer": {"-": BEFORE}})
    again = run(tmp_path / "two", {"none": {"-": BEFORE}})
    same = contrast(side(first), side(again)).differences
    assert {(d.value, d.ci_low, d.ci_high, d.method) for d in same} == {
        (0, 0, 0, "paired: the same images")
    }
    others = contrast(side(first), side(first, "steer")).differences
    assert all(d.value == 0 and d.ci_low < 0 < d.ci_high for d in others)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": {"gender": {"woman": 0.4, "man": 0.6}}}, "target of gender: "),
        ({"probes": {"probe": "2"}}, "weights or options of probe 'probe'"),
        ({"statistics": {"inference": "prompt_population"}}, "inference of gender: "),
    ],
)
def test_runs_that_measure_other_things_are_refused_with_the_field(tmp_path, given, said):
    first = run(tmp_path / "one", {"none": {"-": BEFORE}})
    second = run(tmp_path / "two", {"none": {"-": AFTER}}, **given)
    with pytest.raises(InputError, match=said):
        contrast(side(first), side(second))
    found = contrast(side(first), side(second), allow_mismatch=True)
    assert said in found.blocked[0]


def test_other_prompts_are_refused(tmp_path):
    first = run(tmp_path / "one", {"none": {"doctor": BEFORE}})
    second = run(tmp_path / "two", {"none": {"nurse": AFTER}})
    with pytest.raises(InputError, match="the prompts"):
        contrast(side(first), side(second))


def fid(value, extractor, metric="fid@tiny", **given):
    return Entry(
        metric=metric,
        arm="none",
        value=value,
        n=100,
        method="m",
        direction="lower",
        extractor=extractor,
        **given,
    )


def test_quality_by_unlike_extractors_is_blocked_and_by_like_ones_subtracted(tmp_path):
    rows = {"none": {"-": BEFORE}}
    ends = {"ci_low": 1.0, "ci_high": 3.0, "level": 0.95}
    first = run(tmp_path / "one", rows, extra=[fid(2.0, "a", **ends), fid(1.0, "a", "kid@x")])
    second = run(tmp_path / "two", rows, extra=[fid(5.0, "b"), fid(1.5, "a", "kid@y")])
    third = run(tmp_path / "three", rows, extra=[fid(5.0, "a", ci_low=3.0, ci_high=6.0)])
    blocked = contrast(side(first), side(second)).blocked
    assert blocked == ("fid@tiny: extractors 'a' and 'b'", "kid: measured with unlike extractors")
    found = contrast(side(first), side(third))
    change = next(d for d in found.differences if d.metric == "fid@tiny")
    assert change.value == pytest.approx(3.0)
    assert change.ci_low == pytest.approx(3 - 5**0.5)  # hypot(5 - 3, 3 - 2)
    assert change.ci_high == pytest.approx(3 + 2**0.5)  # hypot(6 - 5, 2 - 1)


def test_an_arm_that_is_not_there_is_named(tmp_path):
    only = run(tmp_path / "one", {"none": {"-": BEFORE}})
    with pytest.raises(InputError, match="unknown arm 'nine'; did you mean 'none'"):
        side(only, "nine")


def test_what_one_side_alone_measured_is_said_and_nothing_in_common_is_refused(tmp_path):
    rows = {"none": {"-": BEFORE}}
    first = run(tmp_path / "one", rows)
    other = run(tmp_path / "two", rows, probe="another")
    with pytest.raises(InputError, match="no probe read one attribute in both"):
        contrast(side(first), side(other))
    with pytest.raises(InputError, match="is compared with itself"):
        contrast(side(first), side(first))


def test_distances_from_other_reference_images_are_blocked(tmp_path):
    rows = {"none": {"-": BEFORE}}
    first = run(tmp_path / "one", rows, extra=[fid(2.0, "a")])
    second = run(tmp_path / "two", rows, extra=[fid(5.0, "a")], reference_images="faces")
    assert contrast(side(first), side(second)).blocked == (
        "fid@tiny: reference images None and 'faces'",
    )


def test_distances_from_reference_images_that_changed_in_place_are_blocked(tmp_path):
    rows, found = {"none": {"-": BEFORE}}, []
    for name in ("one", "two"):
        run(tmp_path / name, rows, extra=[fid(2.0, "a")], reference_images="faces")
        path = tmp_path / name / "run.json"
        manifest = json.loads(path.read_text())
        manifest["made_of"]["reference_images"] = f"digest of {name}"
        path.write_text(json.dumps(manifest))
        found.append(side(Run.open(path.parent)))
    assert contrast(*found).blocked == (
        "fid@tiny: reference images 'faces' are not the same files",
    )
