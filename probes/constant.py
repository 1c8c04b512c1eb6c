"""A probe that reads nothing: one answer for all, or the answer planted in a pixel."""

from collections.abc import Sequence

import numpy as np

from audit.errors import SpecError, unknown
from audit.storage.weights import fingerprint
from audit.types import Images, Readings, State
from probes.outcomes import settle


class ConstantProbe:
    """For tests and demonstrations: its answers, and thus every share, are known beforehand."""

    name = "constant"

    def __init__(self, attribute: str, classes: Sequence[str], answer: str) -> None:
        self.classes = {attribute: tuple(classes)}
        self.attribute = attribute
        self.answer = answer
        self.fingerprint = fingerprint("constant", attribute, tuple(classes), answer)

    def read(self, images: Images) -> Readings:
        """Answer every image with certainty; by pixel, red modulo K of the top left one."""
        names = self.classes[self.attribute]
        if self.answer == "pixel":
            columns = images[:, 0, 0, 0].astype(np.intp) % len(names)
        else:
            columns = np.full(len(images), names.index(self.answer))
        probabilities = np.eye(len(names), dtype=np.float32)[columns]
        return settle(
            {self.attribute: probabilities}, [State.OK] * len(images), [-1] * len(images)
        )


def constant(
    *,
    attribute: str = "gender",
    classes: Sequence[str] = ("woman", "man"),
    answer: str = "pixel",
) -> ConstantProbe:
    """Always the same answer, or that of one pixel: to try specs and to test with.

    Args:
        attribute: What it claims to read.
        classes: The class names, in order.
        answer: A class, for all images; or `pixel`.
    """
    if answer not in (*classes, "pixel"):
        raise SpecError(f"constant: {unknown('answer', answer, (*classes, 'pixel'))}")
    return ConstantProbe(attribute, classes, answer)
