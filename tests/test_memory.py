"""Batches that do not fit into memory are halved, and nothing is drawn twice."""

import numpy as np
import pytest
from fakes import Glyph

from audit.errors import ResourceError
from audit.images.memory import fitting
from audit.types import Request


class Small(Glyph):
    """Has room for so many images."""

    def __init__(self, room):
        super().__init__(8, None, {})
        self.room, self.drawn = room, []

    def generate(self, requests):
        if len(requests) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.drawn += [request.index for request in requests]
        return super().generate(requests)


ASKED = [Request("-", "", i, i, 1, 1.0) for i in range(11)]


def test_a_batch_is_halved_until_it_fits_and_so_are_all_after_it():
    model = Small(room=3)
    parts = list(fitting(model, ASKED, 8))
    assert model.drawn == list(range(11))
    assert [len(batch) for batch, _ in parts] == [2, 2, 2, 2, 2, 1]
    assert np.concatenate([drawing.images for _, drawing in parts]).shape[0] == 11


def test_one_image_too_large_is_an_error_of_resources():
    with pytest.raises(ResourceError, match="one image does not fit"):
        list(fitting(Small(room=0), ASKED, 4))


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    class Broken(Glyph):
        def generate(self, requests):
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        list(fitting(Broken(8, None, {}), ASKED, 4))
