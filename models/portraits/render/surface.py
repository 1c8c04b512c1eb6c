"""What the renderer draws: coloured triangle surfaces."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numba import njit

from models.portraits.render.color import Array
from models.portraits.render.mesh import Index


class Material(IntEnum):
    """How a surface answers to light."""

    SKIN = 0
    HAIR = 1
    GLOSSY = 2
    CLOTH = 3


@dataclass
class Surface:
    """A mesh with its paint; scalars stand for the same value at every vertex."""

    points: Array  # (n, 3) decimetres
    triangles: Index  # (m, 3)
    albedo: Array  # (n, 3) or (3,) linear reflectance
    material: Material
    gloss: Array | float  # exponent of the highlight
    specular: Array | float  # strength of the highlight
    opacity: Array | None = None  # (n,) coverage in 0-1; none is opaque
    tangents: Array | None = None  # (n, 3) along the strands, for hair
    two_sided: bool = False
    shadow: tuple[Array, Index] | None = None  # the coarser mesh that casts its shadow


@njit(fastmath=True, cache=True)
def _sum_normals(points: Array, triangles: Index, out: Array) -> None:
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = (
            points[j, 0] - points[i, 0],
            points[j, 1] - points[i, 1],
            points[j, 2] - points[i, 2],
        )
        bx, by, bz = (
            points[k, 0] - points[i, 0],
            points[k, 1] - points[i, 1],
            points[k, 2] - points[i, 2],
        )
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for c in (i, j, k):
            out[c, 0] += nx
            out[c, 1] += ny
            out[c, 2] += nz
    for i in range(out.shape[0]):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + np.float32(1e-12)
        for c in range(3):
            out[i, c] /= length


def normals(points: Array, triangles: Index) -> Array:
    """Unit normals (n, 3), each the mean of its triangles' weighted by their areas."""
    out = np.zeros_like(points)
    _sum_normals(points, triangles, out)
    return out


def unit(vectors: Array) -> Array:
    """Vectors scaled to length 1 along the last axis."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True)) + 1e-6
    return np.asarray(vectors / length, np.float32)


def solid(
    points: Array, triangles: Index, albedo: Array, gloss: float, specular: float
) -> Surface:
    """A thing that is worn: seen from both sides, casting its own shadow."""
    return Surface(
        points=points.astype(np.float32),
        triangles=triangles,
        albedo=albedo,
        material=Material.GLOSSY if specular > 0.4 else Material.CLOTH,
        gloss=gloss,
        specular=specular,
        two_sided=True,
        shadow=(points.astype(np.float32), triangles),
    )
