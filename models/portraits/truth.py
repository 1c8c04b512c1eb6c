"""The planted truth: the shares each embedded model was trained on, and the weights of renders."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

FILE = Path(__file__).with_name("truth.yaml")
NOMINAL = ("gender", "age", "race")
COLUMNS = {"gender": "gender", "age": "age_class", "race": "race"}
"""Attribute -> column of the labels of a render."""
HALVES = {18: "18-25", 26: "26-34", 35: "35-46", 47: "47-59", 60: "60-69", 70: "70+"}
"""Halves of the age classes, by the age at which each begins."""


@dataclass(frozen=True)
class Population:
    """A planted distribution over gender, age class and race."""

    gender: Mapping[str, float]
    age: Mapping[str, Mapping[str, float]]
    """By gender."""
    race: Mapping[str, float]

    def cell(self, gender: str, age: str, race: str) -> float:
        """Return the planted probability of one combination."""
        return self.gender[gender] * self.age[gender][age] * self.race[race]

    def shares(self, attribute: str) -> dict[str, float]:
        """Return the planted marginal shares of one attribute, by class."""
        if attribute == "age":
            ages = next(iter(self.age.values()))
            return {a: sum(self.gender[g] * self.age[g][a] for g in self.gender) for a in ages}
        return dict(getattr(self, attribute))


def groups_of_age(years: npt.NDArray[np.floating]) -> list[str]:
    """Return the half of an age class that each of `years` [N] falls in; the first from birth."""
    begins, names = zip(*HALVES.items(), strict=True)
    return [names[k] for k in np.digitize(years, begins[1:])]


@cache
def read() -> dict[str, Any]:
    """Return the truth file as it stands."""
    document: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    return document


def population(name: str) -> Population:
    """Return the population of `unconditional` or `unconditional-fair`."""
    return _population(read()[name])


@dataclass(frozen=True)
class Occupation:
    """One occupation of the text-to-image model."""

    noun: str
    synonym: str
    """The noun again where there is none."""
    population: Population


@cache
def occupations() -> dict[str, Occupation]:
    """Return the occupations by dress of the renderer."""
    return {
        dress: Occupation(entry["noun"], entry.get("synonym", entry["noun"]), _population(entry))
        for dress, entry in read()["text-to-image"].items()
    }


def weights(labels: pd.DataFrame, planted: Population) -> npt.NDArray[np.float64]:
    """Weigh renders so that a weighted draw follows `planted`.

    A render weighs the planted probability of its cell (gender x age x race), shared equally among
    the renders of that cell. The weights sum to one.

    Args:
        labels: one row a render, with the columns named in `COLUMNS`.
        planted: the distribution to follow.

    Raises:
        ValueError: a cell that should be drawn has no render.
    """
    keys = labels[[COLUMNS[a] for a in NOMINAL]].astype(str).agg("/".join, axis=1)
    counts = keys.value_counts()
    wanted = {
        f"{g}/{a}/{r}": planted.cell(g, a, r)
        for g in planted.gender
        for a in planted.age[g]
        for r in planted.race
    }
    empty = [cell for cell, p in wanted.items() if p > 0 and cell not in counts]
    if empty:
        raise ValueError(f"no render of {', '.join(empty)}: the planted shares cannot be reached")
    result: npt.NDArray[np.float64] = (keys.map(wanted) / keys.map(counts)).to_numpy(np.float64)
    return result


def _population(entry: Mapping[str, Any]) -> Population:
    return Population(entry["gender"], entry["age"], entry["race"])
