"""What a benchmark can show: the numbers of the literature, and gates that cannot decide."""

import pytest

from audit.spec import power
from audit.spec.spec import Benchmark


def drawn(images, gates=()):
    """A benchmark that draws; made without the checks that need a whole spec."""
    plain = Benchmark.model_validate({"labels": "t.csv", "gates": list(gates)})
    return plain.model_copy(update={"labels": None, "model": "m", "images": images})


GATE = {"metric": "fd_debiased", "attribute": "gender", "max": 0.10}


def test_a_hundred_images_detect_what_the_chi_square_test_does():
    gender, _, race = power.reach(drawn(100))
    assert gender.detectable == pytest.approx(0.198, abs=5e-4)
    assert race.detectable == pytest.approx(0.165, abs=5e-4)
    assert gender.images_for_width == 381
    assert race.null == pytest.approx(0.1398, abs=1e-4)


def test_missing_faces_cost_images():
    assert power.reach(drawn(100), missing=0.25)[0].images == 75


def test_gates_that_cannot_decide_are_named_before_anything_is_drawn():
    (few,) = power.gates(drawn(100, [GATE]))
    assert few.needed == pytest.approx(424, rel=0.02)
    assert not few.decides
    assert next(power.warnings(drawn(100, [GATE]))).endswith("expect `inconclusive`")
    assert power.gates(drawn(1000, [GATE]))[0].decides
    assert list(power.warnings(drawn(1000, [GATE]))) == []


def test_more_gates_need_more_images():
    one = power.gates(drawn(100, [GATE]))[0].needed
    ten = power.gates(drawn(100, [GATE] * 10))[0].needed
    assert ten > one


def test_tables_at_hand_have_no_plan():
    plain = Benchmark.model_validate({"labels": "t.csv"})
    assert power.reach(plain) == ()
    assert power.gates(plain) == ()
