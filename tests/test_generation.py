"""Drawing keeps what it drew, leaves models as they were, and stays within its memory."""

import numpy as np
import pytest
from fakes import Brighter, Glyph
from PIL import Image

from audit.errors import ResourceError, SpecError
from audit.images.drawing import Arm
from audit.images.generation import generate
from audit.images.overlap import AHEAD, overlapped
from audit.mitigations.none import none
from audit.spec.planning import seed
from audit.storage.store import Store
from audit.types import Request, State

REQUESTS = [Request("-", "", i, seed(0, "-", i), 1, 1.0) for i in range(10)]


def model(**faults):
    return Glyph(8, None, faults)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def records(batches):
    return [record for batch in batches for record in batch.records]


def pixels(record):
    return np.asarray(Image.open(record.path))


@pytest.mark.parametrize("size", [1, 3, 16])
def test_images_come_in_the_order_of_the_requests_whatever_the_batch(store, size):
    found = records(generate(Arm("none", model(), none()), REQUESTS, store, size))
    assert [record.index for record in found] == list(range(10))
    wanted = model().generate(REQUESTS).images
    np.testing.assert_array_equal([pixels(record) for record in found], wanted)


def test_what_is_in_the_store_is_not_drawn_again(store):
    arm = Arm("none", model(), none())
    list(generate(arm, REQUESTS[:6], store, 4))
    arm.model.generate = lambda requests: pytest.fail(f"drew {len(requests)} again")
    batches = list(generate(arm, REQUESTS[:6], store, 4))
    assert [batch.cached for batch in batches] == [4, 2]


def test_arms_that_share_a_model_can_be_drawn_in_turns(store):
    shared = model()
    plain = generate(Arm("none", shared, none()), REQUESTS, store, 1)
    bright = generate(Arm("brighter", shared, Brighter()), REQUESTS, store, 1)
    wanted = model().generate(REQUESTS).images
    for one, other in zip(records(plain), records(bright), strict=True):
        np.testing.assert_array_equal(pixels(one), wanted[one.index])
        assert pixels(other).min() >= 1
    assert shared.edits == []


def test_stopping_early_keeps_what_was_drawn(store):
    arm = Arm("none", model(), none())
    batches = generate(arm, REQUESTS, store, 2)
    next(batches)
    batches.close()
    assert sum(store.get(arm.key(request)) is not None for request in REQUESTS) >= 2
    assert len(records(generate(arm, REQUESTS, store, 2))) == 10


def test_the_key_is_of_model_mitigation_and_request_alone():
    arm = Arm("none", model(), none())
    assert Arm("other-name", model(oom_above=2), none()).key(REQUESTS[0]) == arm.key(REQUESTS[0])
    assert Arm("none", Glyph(16, None, {}), none()).key(REQUESTS[0]) != arm.key(REQUESTS[0])
    assert Arm("none", model(), Brighter()).key(REQUESTS[0]) != arm.key(REQUESTS[0])
    assert arm.key(REQUESTS[1]) != arm.key(REQUESTS[0])


def test_what_the_mitigation_says_is_wrong_reaches_the_user(store):
    class Unfit(Brighter):
        def applied(self, model):
            raise SpecError("found in another model")

    with pytest.raises(SpecError, match="found in another model"):
        list(generate(Arm("unfit", model(), Unfit()), REQUESTS, store, 4))
    assert not list(store.root.rglob("*.tries"))


def test_a_request_that_fails_once_is_drawn_after_all(store):
    flaky = model()
    draw, left = flaky.generate, iter([True])

    def generate_once(requests):
        if next(left, False):
            raise RuntimeError("a driver hiccup")
        return draw(requests)

    flaky.generate = generate_once
    found = records(generate(Arm("none", flaky, none()), REQUESTS, store, 4))
    assert {record.status for record in found} == {State.OK}


def broken(says, after=0):
    """A model that raises, whatever it is asked for, once it has drawn so many batches."""
    found, left = model(), iter(range(after))
    draw = found.generate

    def generate(requests):
        if next(left, None) is None:
            raise RuntimeError(says)
        return draw(requests)

    found.generate = generate
    return found


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("CUDA error: device-side assert triggered", "the device is lost: RuntimeError: CUDA"),
        ("a bug", "drawing fails for one image after another: RuntimeError: a bug"),
    ],
)
def test_what_fails_for_every_request_ends_the_run_and_is_held_against_none(store, says, reason):
    with pytest.raises(ResourceError, match=reason):
        list(generate(Arm("none", broken(says, after=1), none()), REQUESTS, store, 4))
    assert not list(store.root.rglob("*.tries"))
    healthy = records(generate(Arm("none", model(), none()), REQUESTS, store, 4))
    assert [record.status for record in healthy] == [State.OK] * len(REQUESTS)


def test_a_request_that_raised_is_tried_again_by_the_next_run(store):
    ill = Arm("none", model(fail_on=[2, 3]), none())
    found = records(generate(ill, REQUESTS, store, 4))
    assert [record.index for record in found if record.status is State.FAILED] == [2, 3]
    well = records(generate(Arm("none", model(), none()), REQUESTS, store, 4))
    assert {record.status for record in well} == {State.OK}


def test_stages_overlap_in_order_and_no_more_than_a_few_items_wait():
    made = []

    def items():
        for i in range(20):
            made.append(i)
            yield i

    for done, value in enumerate(overlapped(lambda i: i * i, items())):
        assert value == done**2
        assert len(made) - done <= AHEAD + 1


def test_an_error_in_a_stage_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(overlapped(lambda i: 1 // i, [1, 0, 1]))
