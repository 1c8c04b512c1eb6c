"""Weights that take from the classes what merely goes with them.

Where the women that a model draws are young, what tells them from its men is youth as well, and
images steered by it grow young. Weighed by raking (Deming and Stephan 1940, Annals of Mathematical
Statistics 11:427) the images of every class show the other attributes in the same shares.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from audit.types import Floats

ROUNDS = 50
MOST = 5.0
"""Of an image's weight: a class that hardly shows something is not to hang on the few that do."""


def adjusted(
    labels: npt.NDArray[np.int64], others: Sequence[npt.NDArray[np.int64]], classes: int
) -> Floats:
    """Return [N] weights of images, at most `MOST`, whose mean within every class is one.

    All classes then show each of the other attributes alike: in the mean of the shares that they
    show unweighed, over what all of them show at all. An image of what some class never shows
    weighs nothing, for there is nothing to compare it with.

    Args:
        labels: [N] classes.
        others: By other attribute, [N] what is read from the images; -1 for nothing counts too.
        classes: K.

    >>> adjusted(np.array([0, 0, 0, 1, 1, 1]), [np.array([0, 0, 1, 0, 1, 1])], 2)
    array([0.75, 0.75, 1.5 , 1.5 , 0.75, 0.75])
    """
    weights = np.ones(len(labels))
    members = [labels == k for k in range(classes)]
    wanted = []
    for levels in (other + 1 for other in others):
        table = np.array([np.bincount(levels[of], minlength=levels.max() + 1) for of in members])
        common = table.min(axis=0) > 0
        weights[~common[levels]] = 0
        wanted.append((levels, (table / table.sum(axis=1, keepdims=True)).mean(axis=0) * common))
    for of in members:
        if not weights[of].any():
            weights[of] = 1  # nothing in common with the others: there is nothing to adjust
            continue
        for _ in range(ROUNDS):
            for levels, shares in wanted:
                shown = np.bincount(levels[of], weights[of], minlength=len(shares))
                factors = np.divide(shares, shown, out=np.zeros_like(shares), where=shown > 0)
                weights[of] *= factors[levels[of]]
        for _ in range(ROUNDS):
            weights[of] = np.minimum(weights[of] / weights[of].mean(), MOST)
    return weights


def effective(weights: Floats, labels: npt.NDArray[np.int64], classes: int) -> list[float]:
    """Return by class how many images of equal weight know as much (Kish 1965).

    >>> effective(np.array([1.0, 1.0, 0.0, 2.0]), np.array([0, 0, 1, 1]), 2)
    [2.0, 1.0]
    """
    sums = np.bincount(labels, weights, minlength=classes)
    squares = np.bincount(labels, weights**2, minlength=classes)
    return [float(n) for n in sums**2 / squares]
