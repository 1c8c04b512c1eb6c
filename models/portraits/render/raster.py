"""Depth buffers, compiled by numba: which triangle is seen where, by the camera and by lights."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from models.portraits.render.color import Array
from models.portraits.render.mesh import Index

f32 = np.float32  # plain literals would turn the arithmetic to double precision
Mask = npt.NDArray[np.bool_]


@njit(fastmath=True, cache=True)
def draw(
    screen: Array,
    triangles: Index,
    opacity: Array,
    dither: Index,
    one_sided: Mask,
    depth: Array,
    owner: Index,
    second: Array,
    third: Array,
) -> None:
    """Draw triangles into a depth buffer.

    Args:
        screen: (n, 3) pixel x, pixel y and depth (greater is nearer) of the vertices.
        triangles: (m, 3).
        opacity: (n,) coverage in 0-1.
        dither: (m,) 0 for opaque triangles, else the number of their surface, which seeds the
            stochastic transparency.
        one_sided: (m,) whether the back face is left out.
        depth: (h, w) buffer, written.
        owner: (h, w) triangle seen at a pixel, or -1, written.
        second: (h, w) barycentric weight of its second corner, written.
        third: (h, w) barycentric weight of its third corner, written.
    """
    height, width = depth.shape
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t]
        area = _area(screen[i], screen[j], screen[k])
        if area == 0 or (one_sided[t] and area > 0):  # y runs down: the front is clockwise
            continue
        left, right = _span(screen[i, 0], screen[j, 0], screen[k, 0], width)
        top, bottom = _span(screen[i, 1], screen[j, 1], screen[k, 1], height)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                b, c = _weights(screen[i], screen[j], screen[k], f32(1) / area, x, y)
                a = f32(1) - b - c
                if a < 0 or b < 0 or c < 0:
                    continue
                z = a * screen[i, 2] + b * screen[j, 2] + c * screen[k, 2]
                if z <= depth[y, x]:
                    continue
                if dither[t]:
                    cover = a * opacity[i] + b * opacity[j] + c * opacity[k]
                    if cover * 1024 <= _dice(x, y, dither[t]):
                        continue
                depth[y, x] = z
                owner[y, x] = t
                second[y, x] = b
                third[y, x] = c


@njit(fastmath=True, cache=True)
def shadow_map(
    points: Array, triangles: Index, basis: Array, low: Array, scale: np.float32, depth: Array
) -> None:
    """Draw the depth (n, n) of a scene as seen along a light.

    Args:
        points: (n, 3).
        triangles: (m, 3).
        basis: (3, 3) right, up and towards the light.
        low: (2,) corner of the map in the first two axes.
        scale: map cells a decimetre.
        depth: (n, n), written.
    """
    size = depth.shape[0]
    seen = np.empty((points.shape[0], 3), np.float32)
    for i in range(points.shape[0]):
        for q in range(3):
            seen[i, q] = _dot(basis[q], points[i])
        seen[i, 0] = (seen[i, 0] - low[0]) * scale
        seen[i, 1] = (seen[i, 1] - low[1]) * scale
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t]
        area = _area(seen[i], seen[j], seen[k])
        if area == 0:
            continue
        left, right = _span(seen[i, 0], seen[j, 0], seen[k, 0], size)
        top, bottom = _span(seen[i, 1], seen[j, 1], seen[k, 1], size)
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                b, c = _weights(seen[i], seen[j], seen[k], f32(1) / area, x, y)
                a = f32(1) - b - c
                if a < 0 or b < 0 or c < 0:
                    continue
                z = a * seen[i, 2] + b * seen[j, 2] + c * seen[k, 2]
                depth[y, x] = max(depth[y, x], z)


@njit(fastmath=True, cache=True)
def gather(
    rows: Index,
    columns: Index,
    owner: Index,
    second: Array,
    third: Array,
    triangles: Index,
    values: Array,
    out: Array,
) -> None:
    """Interpolate the vertex values (n, c) at the pixels drawn, into `out` (p, c)."""
    for p in range(rows.shape[0]):
        y, x = rows[p], columns[p]
        i, j, k = triangles[owner[y, x]]
        b, c = second[y, x], third[y, x]
        a = f32(1) - b - c
        for q in range(values.shape[1]):
            out[p, q] = a * values[i, q] + b * values[j, q] + c * values[k, q]


@njit(fastmath=True, cache=True)
def _dot(a: Array, b: Array) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(fastmath=True, cache=True)
def _area(p: Array, q: Array, r: Array) -> Any:
    """Twice the signed area of a triangle of points (x, y, ...)."""
    return (q[0] - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (q[1] - p[1])


@njit(fastmath=True, cache=True)
def _span(a: np.float32, b: np.float32, c: np.float32, size: int) -> tuple[int, int]:
    """First and last of `size` pixels whose centres lie between three coordinates."""
    first = max(0, int(np.ceil(min(a, b, c) - f32(0.5))))
    return first, min(size - 1, int(np.floor(max(a, b, c) - f32(0.5))))


@njit(fastmath=True, cache=True)
def _weights(
    p: Array, q: Array, r: Array, inverse_area: np.float32, x: int, y: int
) -> tuple[np.float32, np.float32]:
    """Barycentric weights of the second and third corner at the centre of a pixel."""
    px, py = f32(x) + f32(0.5), f32(y) + f32(0.5)
    b = ((px - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (py - p[1])) * inverse_area
    c = ((q[0] - p[0]) * (py - p[1]) - (px - p[0]) * (q[1] - p[1])) * inverse_area
    return b, c


@njit(cache=True)
def _dice(x: int, y: int, seed: int) -> int:
    """A number in 0-1023 that looks random over pixels, from large primes."""
    h = (x * 73856093) ^ (y * 19349663) ^ (seed * 83492791)
    h = (h ^ (h >> 13)) * 1274126177
    return (h ^ (h >> 16)) & 1023
