"""What the camera sees: surfaces packed into one mesh and rasterised to pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.portraits.render import raster
from models.portraits.render.camera import DISTANCE, Camera
from models.portraits.render.color import Array
from models.portraits.render.mesh import Index
from models.portraits.render.surface import Surface, normals, unit

# Columns of the values that are interpolated at each pixel.
POSITION, NORMAL, ALBEDO, TANGENT = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)
GLOSS, SPECULAR, COLUMNS = 12, 13, 14


@dataclass(frozen=True)
class Pixels:
    """What is seen at each drawn pixel (p of them), in camera coordinates."""

    rows: Index
    columns: Index
    values: Array  # (p, COLUMNS)
    material: Index  # (p,)
    view: Array  # (p, 3) unit, towards the camera


@dataclass(frozen=True)
class Packed:
    """All surfaces as one mesh, in camera coordinates."""

    values: Array  # (n, COLUMNS) at the vertices
    opacity: Array  # (n,)
    triangles: Index  # (m, 3)
    surface: Index  # (m,) number of the surface of each triangle


def see(surfaces: Sequence[Surface], camera: Camera) -> Pixels:
    """Rasterise surfaces as seen by a camera."""
    packed = _pack(surfaces, camera)
    two_sided = np.array([surface.two_sided for surface in surfaces])[packed.surface]
    veiled = np.array([surface.opacity is not None for surface in surfaces])[packed.surface]
    shape = (camera.size, camera.size)
    depth, owner = np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int32)
    second, third = np.empty(shape, np.float32), np.empty(shape, np.float32)
    raster.draw(
        camera.project(packed.values[:, POSITION]),
        packed.triangles,
        packed.opacity,
        np.where(veiled, packed.surface + 1, 0).astype(np.int32),
        ~two_sided,
        depth,
        owner,
        second,
        third,
    )
    rows, columns = (axis.astype(np.int32) for axis in np.nonzero(owner >= 0))
    values = np.empty((len(rows), COLUMNS), np.float32)
    raster.gather(rows, columns, owner, second, third, packed.triangles, packed.values, values)
    values[:, NORMAL] = unit(values[:, NORMAL])
    values[:, TANGENT] = unit(values[:, TANGENT])
    view = unit(np.array([0, 0, DISTANCE], np.float32) - values[:, POSITION])
    seen = owner[rows, columns]
    away = two_sided[seen] & ((values[:, NORMAL] * view).sum(1) < 0)
    values[away, NORMAL] *= -1
    material = np.array([surface.material for surface in surfaces], np.int32)
    return Pixels(rows, columns, values, material[packed.surface[seen]], view)


def _pack(surfaces: Sequence[Surface], camera: Camera) -> Packed:
    n_points = [len(surface.points) for surface in surfaces]
    values = np.zeros((sum(n_points), COLUMNS), np.float32)
    opacity = np.ones(len(values), np.float32)
    starts = np.cumsum([0, *n_points])
    for surface, start, count in zip(surfaces, starts, n_points, strict=False):
        here = slice(start, start + count)
        points = camera.turn(surface.points)
        values[here, POSITION] = points
        values[here, NORMAL] = normals(points, surface.triangles)
        values[here, ALBEDO] = surface.albedo
        values[here, GLOSS] = surface.gloss
        values[here, SPECULAR] = surface.specular
        if surface.tangents is not None:
            values[here, TANGENT] = surface.tangents @ camera.rotation.T
        if surface.opacity is not None:
            opacity[here] = surface.opacity
    triangles = [s.triangles + start for s, start in zip(surfaces, starts, strict=False)]
    number = np.repeat(np.arange(len(surfaces)), [len(t) for t in triangles])
    return Packed(
        values, opacity, np.concatenate(triangles).astype(np.int32), number.astype(np.int32)
    )
