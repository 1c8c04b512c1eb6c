"""Two arms, of one run or of two: paired where requests are shared, or refused with the field."""

import json
from dataclasses import asdict

import pyarrow as pa
import pytest
import yaml
from tables import tables

from audit.comparison import compare, side
from audit.errors import InputError
from audit.measuring.measurement import measure
from audit.spec.spec import load
from audit.storage import folder, results
from audit.storage import tables as columns
from audit.storage.folder import Run
from audit.storage.results import Entry, Provenance, Results


def run(path, rows, *, seeds=True, extra=(), probes=None, **given):
    """Write a run folder as a run would, from planted readings."""
    path.mkdir()
    (path / "table.csv").write_text("gender\nwoman\n")
    plain = {"labels": "table.csv", "attributes": ["gender"]} | given
    spec = {"version": 1, "benchmarks": {"b": plain}}
    (path / folder.SPEC).write_text(yaml.safe_dump(spec))
    made_of = {"probes": probes or {"probe": "1"}}
    manifest = {"benchmark": "b", "status": "complete", "store": ".", "made_of": made_of}
    (path / folder.MANIFEST).write_text(json.dumps(manifest))
    images, labels = tables(rows, seeds=seeds)
    for name, frame, schema in (
        (folder.IMAGES, images, columns.IMAGES),
        (folder.LABELS, labels, columns.labels([])),
    ):
        with columns.writing(path / name, schema) as writer:
            table = pa.Table.from_pandas(
                frame.reindex(columns=schema.names), schema=schema, preserve_index=False
            )
            writer.add(table.to_pylist())
    found = measure(images, labels, load(path / folder.SPEC).benchmarks["b"])
    results.write(
        path / folder.RESULTS,
        Results(
            benchmark="b",
            arms=found.arms,
            prompts=dict(found.prompts),
            measurements=(*(Entry(**asdict(m)) for m in found.measurements), *extra),
            provenance=Provenance(estimands=found.estimands),
        ),
    )
    return Run.open(path)


BEFORE = ["man"] * 18 + ["woman"] * 6 + ["woman"] * 40 + ["man"] * 36
AFTER = ["woman"] * 18 + ["man"] * 6 + ["woman"] * 40 + ["man"] * 36


def share(found):
    return next(d for d in found.differences if (d.metric, d.class_) == ("share", "woman"))


def test_two_arms_of_one_run_are_paired(tmp_path):
    both = run(tmp_path / "run", {"none": {"-": BEFORE}, "steer": {"-": AFTER}})
    found = compare(side(both), side(both, "steer"))
    assert (found.first, found.second) == ("run/none", "run/steer")
    assert found.flips[0].p == pytest.approx(0.022656, abs=1e-6)  # KA-32
    assert share(found).value == pytest.approx(0.12)
    back = compare(side(both, "steer"), side(both, "none"))
    assert share(back).value == pytest.approx(-0.12)


def test_two_runs_with_the_same_seeds_are_paired_and_others_are_not(tmp_path):
    first = run(tmp_path / "one", {"none": {"-": BEFORE}})
    second = run(tmp_path / "two", {"none": {"-": AFTER}})
    assert len(compare(side(first), side(second)).flips) == 1
    foreign = run(tmp_path / "three", {"none": {"-": AFTER}}, seeds=False)
    found = compare(side(first), side(foreign))
    assert found.flips == ()
    assert share(found).method == "unpaired: the arms share no seeds"
    assert share(found).value == pytest.approx(0.12)


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
        compare(side(first), side(second))
    found = compare(side(first), side(second), allow_mismatch=True)
    assert said in found.blocked[0]


def test_other_prompts_are_refused(tmp_path):
    first = run(tmp_path / "one", {"none": {"doctor": BEFORE}})
    second = run(tmp_path / "two", {"none": {"nurse": AFTER}})
    with pytest.raises(InputError, match="the prompts"):
        compare(side(first), side(second))


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
    blocked = compare(side(first), side(second)).blocked
    assert blocked == ("fid@tiny: extractors 'a' and 'b'", "kid: measured with unlike extractors")
    found = compare(side(first), side(third))
    change = next(d for d in found.differences if d.metric == "fid@tiny")
    assert change.value == pytest.approx(3.0)
    assert change.ci_low == pytest.approx(3 - 5**0.5)  # hypot(5 - 3, 3 - 2)
    assert change.ci_high == pytest.approx(3 + 2**0.5)  # hypot(6 - 5, 2 - 1)


def test_an_arm_that_is_not_there_is_named(tmp_path):
    only = run(tmp_path / "one", {"none": {"-": BEFORE}})
    with pytest.raises(InputError, match="unknown arm 'nine'; did you mean 'none'"):
        side(only, "nine")
