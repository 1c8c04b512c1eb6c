"""The classes of our probes, and how the classes of other people's networks map to them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from audit.errors import SpecError, unknown
from audit.types import Probabilities

GENDER = ("woman", "man")
AGE = ("young", "adult", "old")
RACE = ("Black", "Asian", "White", "Indian")

AGE_BOUNDS = (35.0, 60.0)
"""Years: young is below the first, old from the second on."""

OTHER = "other"
"""The class that takes what a mapping leaves out, where that is asked for."""


def age_shares(years: npt.ArrayLike) -> Probabilities:
    """Return the age class [N, 3] of ages in years, one-hot; NaN where the age is NaN.

    One-hot because a point estimate carries no distribution: soft and hard shares then agree.

    >>> age_shares([34.9, 35, 60]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    years = np.asarray(years, np.float64)
    shares: Probabilities = np.eye(len(AGE), dtype=np.float32)[np.digitize(years, AGE_BOUNDS)]
    shares[np.isnan(years)] = np.nan
    return shares


def merge(
    probabilities: Probabilities,
    classes: Sequence[str],
    mapping: Mapping[str, str],
    groups: Sequence[str],
) -> Probabilities:
    """Add up classes by the group that each maps to, [N, K] from [N, M].

    A class without a group counts for `OTHER` where `groups` has it. Otherwise it is dropped and
    the rest add up to 1 again; a row of nothing else is NaN.

    >>> merge(np.float32([[0.2, 0.2, 0.6]]), "abc", {"a": "x", "b": "y"}, ("x", "y")).tolist()
    [[0.5, 0.5]]
    """
    merged = np.zeros((len(probabilities), len(groups)), np.float64)
    for column, name in enumerate(classes):
        group = mapping.get(name, OTHER)
        if group in groups:
            merged[:, groups.index(group)] += probabilities[:, column]
    total = merged.sum(axis=1, keepdims=True)
    shares = np.divide(merged, total, out=np.full_like(merged, np.nan), where=total > 0)
    return np.asarray(shares, np.float32)


def races(other: str) -> tuple[str, ...]:
    """Return our races, with `OTHER` where what has no group is to be kept as a class.

    >>> races("class")
    ('Black', 'Asian', 'White', 'Indian', 'other')
    """
    if other not in ("drop", "class"):
        raise SpecError(unknown("rule for other races", other, ("drop", "class")))
    return (*RACE, OTHER) if other == "class" else RACE
