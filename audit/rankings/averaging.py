"""The mean that rankings by attribution share."""

from collections.abc import Callable, Iterator

import numpy as np

from audit.errors import SpecError
from audit.features.codes import StepCodes
from audit.types import Floats


def mean_by_class(
    codes: Iterator[StepCodes], attributed: Callable[[StepCodes], Floats], name: str
) -> Floats:
    """Return [K, L]: what is attributed to latents, on average over a class's images and steps.

    Args:
        codes: Of all images and steps.
        attributed: Gives [K, L] for a batch, summed over the images of each class.
        name: Of the ranking, for its error.

    Raises:
        SpecError: there are no codes.
    """
    total, count = None, None
    for batch in codes:
        gained = attributed(batch)
        here = np.bincount(batch.labels, minlength=len(gained))
        total = gained if total is None else total + gained
        count = here if count is None else count + here
    if total is None or count is None:
        raise SpecError(f"{name}: there are no codes to rank")
    return np.asarray(total / np.maximum(count, 1)[:, None])
