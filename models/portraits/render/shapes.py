"""Simple solids: tubes along a path and surfaces of revolution."""

import numpy as np
import numpy.typing as npt

from models.portraits.render.color import Array
from models.portraits.render.mesh import Index
from models.portraits.render.surface import unit


def sheet(rows: int, columns: int) -> Index:
    """Triangles of a grid of points, row by row, whose columns close to a ring."""
    row, column = (axis.ravel() for axis in np.mgrid[: rows - 1, :columns])
    here, right = row * columns + column, row * columns + (column + 1) % columns
    below, across = here + columns, right + columns
    lower, upper = np.stack([here, below, right], 1), np.stack([right, below, across], 1)
    return np.concatenate([lower, upper]).astype(np.int32)


def tube(
    path: npt.ArrayLike, radius: float, closed: bool = False, sides: int = 6
) -> tuple[Array, Index]:
    """A tube of `sides` sides round the points `path` (n, 3)."""
    line = np.asarray(path, np.float32)
    if closed:
        line = np.concatenate([line, line[:1]])
        along = unit(np.roll(line, -1, 0) - np.roll(line, 1, 0))
        along[[0, -1]] = unit(line[1] - line[-2])
    else:
        along = unit(np.gradient(line, axis=0).astype(np.float32))
    # Any direction that no path here runs along serves to span the cross-sections.
    across = unit(np.cross(along, np.array([0.3, 0.2, 1.0], np.float32)))
    over = np.cross(along, across)
    angle = 2 * np.pi * np.arange(sides) / sides
    ring = (
        np.cos(angle)[None, :, None] * across[:, None]
        + np.sin(angle)[None, :, None] * over[:, None]
    )
    return (line[:, None] + radius * ring).reshape(-1, 3).astype(np.float32), sheet(
        len(line), sides
    )


def revolve(
    profile: npt.ArrayLike, centre: npt.ArrayLike, radii: npt.ArrayLike, sides: int = 48
) -> tuple[Array, Index]:
    """Turn a profile of (radius, height) pairs, from top to bottom, round the vertical.

    The unit circle is stretched to `radii` (x, height, z) and set on `centre`.
    """
    radius, height = np.asarray(profile, np.float32).T
    angle = 2 * np.pi * np.arange(sides) / sides
    unit_points = np.stack(
        [
            radius[:, None] * np.sin(angle),
            np.broadcast_to(height[:, None], (len(radius), sides)),
            radius[:, None] * np.cos(angle),
        ],
        -1,
    )
    points = np.asarray(centre, np.float32) + unit_points * np.asarray(radii, np.float32)
    return points.reshape(-1, 3).astype(np.float32), sheet(len(radius), sides)
