from itertools import combinations

import numpy as np
import pytest
from planted import requests

from audit.errors import SpecError
from audit.images.assignment import Assignment
from audit.types import Request


def of_prompt(prompt, count):
    return [Request(prompt, prompt, i, i, 4, 1.0) for i in range(count)]


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5), (0.25,) * 4])
def test_every_run_of_images_has_the_shares_wanted(shares):
    names = "abcd"[: len(shares)]
    for seed in range(20):
        assignment = Assignment(names, dict(zip(names, shares, strict=True)), seed=seed)
        drawn = np.array([assignment(request) for request in of_prompt(f"p{seed}", 600)])
        counts = np.cumsum(np.eye(len(names))[drawn], axis=0)
        wanted = np.arange(1, 601)[:, None] * np.array(shares)
        assert np.abs(counts - wanted).max() < 3


def test_an_image_has_its_class_whatever_is_drawn_beside_it():
    assignment = Assignment("ab", {"a": 0.5, "b": 0.5})
    several = [assignment(request) for request in of_prompt("x", 50)]
    assert several[7:9] == [assignment(request) for request in of_prompt("x", 50)[7:9]]
    firsts = {assignment(request) for p in range(20) for request in of_prompt(f"p{p}", 1)}
    assert firsts == {0, 1}, "prompts do not all begin with the same class"


def test_a_class_without_a_share_is_never_drawn():
    assignment = Assignment("abc", {"b": 1.0})
    assert {assignment(request) for request in of_prompt("x", 200)} == {1}


def test_attributes_drawn_together_do_not_follow_each_other_however_many():
    """Six of two even classes each: of 600 images each pair of classes has about 150."""
    even = {"a": 0.5, "b": 0.5}
    streams = [Assignment("ab", even, stream=stream) for stream in range(6)]
    drawn = np.array([[a(request) for request in of_prompt("x", 600)] for a in streams])
    for one, other in combinations(drawn, 2):
        counts = np.bincount(2 * one + other, minlength=4)
        assert np.abs(counts - 150).max() < 15


def test_the_draw_by_batch_is_the_clustered_one_of_the_released_script():
    """Sixteen in a row share a class; 32 batches give .375, .375 and .25 for seed 0."""
    third = dict.fromkeys(("child", "adult", "old"), 1 / 3)
    assignment = Assignment(tuple(third), third, draw="batch")
    drawn = np.array([assignment(request) for request in requests(512)]).reshape(32, 16)
    assert (drawn == drawn[:, :1]).all()
    assert np.bincount(drawn[:, 0]).tolist() == [12, 12, 8]
    stream = np.random.RandomState(0)
    assert drawn[:, 0].tolist() == [stream.choice(3) for _ in range(32)]


def test_shares_that_cannot_be_drawn_are_said():
    with pytest.raises(SpecError, match="did you mean 'woman'"):
        Assignment(("woman", "man"), {"women": 1.0})
    with pytest.raises(SpecError, match=r"add up to 0.9, not 1"):
        Assignment(("woman", "man"), {"woman": 0.9})
