"""Lighting pixels: every light with the shadows that the surfaces cast in it."""

import itertools
from collections.abc import Sequence

import numpy as np

from models.portraits.render import raster, shading
from models.portraits.render.camera import Camera
from models.portraits.render.color import Array
from models.portraits.render.lights import Light
from models.portraits.render.mesh import Index
from models.portraits.render.pixels import GLOSS, NORMAL, POSITION, TANGENT, Pixels
from models.portraits.render.surface import Surface, unit

# The box of what casts shadows, in camera coordinates; shadow maps frame its corners.
BOX = ((-1.9, 1.9), (-2.2, 1.9), (-2.0, 1.8))
CORNERS = np.array(list(itertools.product(*BOX)))
FLOOR = -2.6  # what lies lower throws no shadow that is seen


def illuminate(
    pixels: Pixels, surfaces: Sequence[Surface], camera: Camera, rig: Sequence[Light]
) -> tuple[Array, Array]:
    """Irradiance and reflected highlights (p, 3) of all lights."""
    points, triangles = _casters(surfaces, camera)
    columns = (POSITION, NORMAL, TANGENT)
    position, normal, tangent = (np.ascontiguousarray(pixels.values[:, c]) for c in columns)
    gloss = np.ascontiguousarray(pixels.values[:, GLOSS])
    material, view = pixels.material, pixels.view
    diffuse, specular = np.zeros_like(position), np.zeros_like(position)
    for light in rig:
        source = _source(light, points, triangles)
        shading.shade(position, normal, tangent, material, gloss, view, source, diffuse, specular)
    return diffuse, specular


def _source(light: Light, points: Array, triangles: Index) -> shading.Source:
    """A light with its shadow map."""
    right = unit(np.cross([0, 1, 0], light.direction).astype(np.float32))
    up = np.cross(light.direction, right)
    basis = np.stack([right, up, light.direction]).astype(np.float32)
    across = CORNERS @ basis[:2].T
    low = across.min(0).astype(np.float32)
    scale = np.float32(light.cells / (across.max(0) - low).max())
    depth = np.full((light.cells, light.cells), -np.inf, np.float32)
    raster.shadow_map(points, triangles, basis, low, scale, depth)
    return basis, low, scale, depth, light.color.astype(np.float32), light.highlights


def _casters(surfaces: Sequence[Surface], camera: Camera) -> tuple[Array, Index]:
    """What casts shadows, as one mesh in camera coordinates."""
    points, triangles, start = [], [], 0
    for surface in surfaces:
        if surface.shadow is not None:
            points.append(camera.turn(surface.shadow[0]))
            triangles.append(surface.shadow[1] + start)
            start += len(points[-1])
    every, corners = np.concatenate(points), np.concatenate(triangles)
    return every, np.ascontiguousarray(corners[(every[:, 1] > FLOOR)[corners].all(1)])
