"""All meshes that a portrait can be made of, read once and kept in memory.

Every part knows its canonical points: where its vertices lie on the unmorphed body. Paint is a
function of these, so that it follows every morph without texture coordinates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from audit.errors import InputError
from models.portraits.render.body import BodyModel
from models.portraits.render.color import Array
from models.portraits.render.fit import Fit, read_fit
from models.portraits.render.mesh import Index, compact, distance_to_rim, read_obj, triangulate
from models.portraits.render.subdivision import refine

# What lies outside is never in the picture (canonical decimetres).
BODY_FLOOR, BODY_SIDE = 4.9, 2.3
CLOTH_FLOOR, CLOTH_SIDE = 4.3, 2.9
HAIR = (
    "afro01",
    "bob01",
    "bob02",
    "long01",
    "ponytail01",
    "short01",
    "short02",
    "short03",
    "short04",
)
# Garment: its mesh, the connected components used of it, and steps of subdivision.
GARMENTS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "t-shirt": ("male_casualsuit04", (0,), 3),
    "jacket": ("male_casualsuit05", (0, 1, 2), 2),
    "shirt": ("male_casualsuit01", (0,), 1),
    "blouse": ("female_elegantsuit01", (1,), 1),
}
LAPELS, COAT, COLLAR = 0, 1, 2  # components of the jacket


@dataclass(frozen=True)
class Own:
    """Vertices of the body itself."""

    rows: Index

    def __call__(self, body: Array) -> Array:
        """These of the body vertices `body`."""
        return np.asarray(body[self.rows], np.float32)

    def anchors_used(self) -> Index:
        """The body vertices that this depends on."""
        return self.rows


@dataclass(frozen=True)
class Part:
    """A mesh that follows the body."""

    source: Fit | Own  # of its coarse vertices
    matrix: sp.csr_matrix  # coarse to fine vertices; the coarse ones come first
    triangles: Index
    coarse: Index  # triangles of the coarse mesh
    canon: Array  # fine vertices on the unmorphed body
    component: Index  # connected component of each fine vertex, as numbered in the file
    rim: Array  # distance of each fine vertex to the nearest open edge

    def points(self, body: Array) -> Array:
        """Fine vertices on the body vertices `body`."""
        return np.asarray(self.matrix @ self.source(body), np.float32)

    def shadow(self, points: Array) -> tuple[Array, Index]:
        """The coarse mesh at the fine vertices `points`."""
        return points[: self.coarse.max() + 1], self.coarse


@dataclass(frozen=True)
class Wardrobe:
    """The body and everything that it wears."""

    model: BodyModel
    skin: Part
    rows: Index  # body vertices of the skin
    masks: Mapping[str, Array]  # painted regions at the fine skin vertices
    eyes: tuple[Index, Index]  # body vertices of the left and right eyeball
    lashes: tuple[Part, ...]
    teeth: Part  # the upper row: the lower lip hides the other
    hair: Mapping[str, Part]
    garments: Mapping[str, Part]

    def nearest(self, x: float, y: float, z: float) -> int:
        """The skin's body vertex nearest to a canonical point."""
        distance = ((self.model.template[self.rows] - np.array([x, y, z])) ** 2).sum(1)
        return int(self.rows[distance.argmin()])


def fill(assets: Path, model: BodyModel) -> Wardrobe:
    """Read all meshes below the folder `assets` and fit them to the unmorphed body.

    Raises:
        InputError: a mesh is missing or does not fit its `.mhclo` file.
    """
    rest, groups = model.template, model.groups
    middle = rest[model.quads].mean(1)
    near = (groups == "body") & (middle[:, 1] > BODY_FLOOR) & (abs(middle[:, 0]) < BODY_SIDE)
    rows, _ = compact(model.quads[near])
    skin = _own(model, near, levels=2)
    hair = {name: _worn(assets / "hair" / name, model, None, levels=2) for name in HAIR}
    garments = {
        name: _worn(assets / "clothes" / mesh, model, components, levels)
        for name, (mesh, components, levels) in GARMENTS.items()
    }
    lashes = tuple(
        _own(model, groups == f"helper-{side}-eyelashes-{k}", levels=1)
        for side in "lr"
        for k in (1, 2)
    )
    teeth = _own(model, groups == "helper-upper-teeth", levels=1)
    left, right = (compact(model.quads[groups == f"helper-{side}-eye"])[0] for side in "lr")
    parts = (skin, *lashes, teeth, *hair.values(), *garments.values())
    moving = np.unique(np.concatenate([left, right, *(p.source.anchors_used() for p in parts)]))
    return Wardrobe(
        model=model.on(moving),
        skin=skin,
        rows=rows,
        masks={
            name: np.asarray(skin.matrix @ mask[rows], np.float32)
            for name, mask in model.masks.items()
        },
        eyes=(left, right),
        lashes=lashes,
        teeth=teeth,
        hair=hair,
        garments=garments,
    )


def _own(model: BodyModel, faces: npt.NDArray[np.bool_], levels: int) -> Part:
    """A part of the body itself."""
    used, quads = compact(model.quads[faces])
    return _part(Own(used), model.template, quads, np.zeros(len(used), np.int32), levels)


def _worn(folder: Path, model: BodyModel, components: tuple[int, ...] | None, levels: int) -> Part:
    """A part that is fitted to the body; only what can be seen of it is kept."""
    name = folder.name
    if not (folder / f"{name}.obj").is_file():
        raise InputError(
            f"{folder / name}.obj is missing; README.md says where the meshes come from"
        )
    vertices, quads = read_obj(folder / f"{name}.obj")
    fit = read_fit(folder / f"{name}.mhclo")
    if len(fit.anchors) != len(vertices):
        raise InputError(
            f"{folder}: {len(vertices)} vertices, but its .mhclo anchors {len(fit.anchors)}"
        )
    ends = np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2)
    graph = sp.coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(vertices),) * 2)
    _, component = connected_components(graph, directed=False)
    if components is not None:
        quads = quads[np.isin(component[quads[:, 0]], components)]
        middle = fit(model.template)[quads].mean(1)
        quads = quads[(middle[:, 1] > CLOTH_FLOOR) & (abs(middle[:, 0]) < CLOTH_SIDE)]
    used, quads = compact(quads)
    fit = fit.rows(used)
    return _part(fit, model.template, quads, component[used], levels)


def _part(source: Fit | Own, template: Array, quads: Index, component: Index, levels: int) -> Part:
    rest = source(template)
    matrix, finer = refine(quads, len(rest), levels)
    rim = distance_to_rim(rest, quads)
    return Part(
        source=source,
        matrix=matrix,
        triangles=triangulate(finer),
        coarse=triangulate(quads),
        canon=np.asarray(matrix @ rest, np.float32),
        # All parents of a fine vertex lie in one component.
        component=np.rint(matrix @ component.astype(np.float32)).astype(np.int32),
        rim=np.asarray(matrix @ np.minimum(rim, 9.0), np.float32),
    )
