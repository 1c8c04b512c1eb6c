"""The inner loops: depth buffers and shading, compiled by numba, one core each."""

import numpy as np
from numba import njit

from models.portraits.render.surface import Material

SKIN, HAIR = int(Material.SKIN), int(Material.HAIR)
SKIN_WRAP = np.float32(0.12)  # light creeps this far, in cosine, past the terminator of skin
SHADOW_OFFSET = np.float32(0.04)  # decimetres along the normal, against shadow acne
HAIR_OFFSET = np.float32(0.08)  # strands lie under the shell that casts their shadow
FRESNEL = np.float32(0.04)  # reflectance of skin, cloth and plastic at normal incidence


@njit(fastmath=True, cache=True)
def draw(screen, triangles, opacity, dither, one_sided, depth, owner, second, third):  # type: ignore[no-untyped-def]
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
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, x1, y1, x2, y2 = (
            screen[i, 0],
            screen[i, 1],
            screen[j, 0],
            screen[j, 1],
            screen[k, 0],
            screen[k, 1],
        )
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or (one_sided[t] and area > 0):  # y runs down: the front is clockwise
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        scale = np.float32(1) / area
        for y in range(top, bottom + 1):
            py = np.float32(y + 0.5)
            for x in range(left, right + 1):
                px = np.float32(x + 0.5)
                b = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * scale
                c = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * scale
                a = 1 - b - c
                if a < 0 or b < 0 or c < 0:
                    continue
                z = a * screen[i, 2] + b * screen[j, 2] + c * screen[k, 2]
                if z <= depth[y, x]:
                    continue
                if dither[t]:
                    cover = a * opacity[i] + b * opacity[j] + c * opacity[k]
                    h = (x * 73856093) ^ (y * 19349663) ^ (dither[t] * 83492791)
                    h = (h ^ (h >> 13)) * 1274126177
                    if cover * 1024 <= ((h ^ (h >> 16)) & 1023):
                        continue
                depth[y, x] = z
                owner[y, x] = t
                second[y, x] = b
                third[y, x] = c


@njit(fastmath=True, cache=True)
def shadow_map(points, triangles, basis, low, scale, depth):  # type: ignore[no-untyped-def]
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
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        seen[i, 0] = (basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z - low[0]) * scale
        seen[i, 1] = (basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z - low[1]) * scale
        seen[i, 2] = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, x1, y1, x2, y2 = (
            seen[i, 0],
            seen[i, 1],
            seen[j, 0],
            seen[j, 1],
            seen[k, 0],
            seen[k, 1],
        )
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0:
            continue
        left = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        right = min(size - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        top = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        bottom = min(size - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        if left > right or top > bottom:
            continue
        inverse = np.float32(1) / area
        for y in range(top, bottom + 1):
            py = np.float32(y + 0.5)
            for x in range(left, right + 1):
                px = np.float32(x + 0.5)
                b = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * inverse
                c = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * inverse
                a = 1 - b - c
                if a < 0 or b < 0 or c < 0:
                    continue
                z = a * seen[i, 2] + b * seen[j, 2] + c * seen[k, 2]
                if z > depth[y, x]:
                    depth[y, x] = z


@njit(fastmath=True, cache=True)
def gather(rows, columns, owner, second, third, triangles, values, out):  # type: ignore[no-untyped-def]
    """Interpolate the vertex values (n, c) at the pixels drawn, into `out` (p, c)."""
    for p in range(rows.shape[0]):
        y, x = rows[p], columns[p]
        t = owner[y, x]
        b, c = second[y, x], third[y, x]
        a = 1 - b - c
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        for q in range(values.shape[1]):
            out[p, q] = a * values[i, q] + b * values[j, q] + c * values[k, q]


@njit(fastmath=True, cache=True)
def shade(position, normal, tangent, material, gloss, view, light, diffuse, specular):  # type: ignore[no-untyped-def]
    """Add one light to the pixels.

    Args:
        position: (p, 3).
        normal: (p, 3) unit.
        tangent: (p, 3) unit, along the strands of hair.
        material: (p,) `Material`.
        gloss: (p,) exponent of the highlight.
        view: (p, 3) unit, towards the camera.
        light: its basis (3, 3), map corner (2,), cells a decimetre, depth map (n, n), colour (3,)
            and whether it makes highlights.
        diffuse: (p, 3) irradiance, added to.
        specular: (p, 3) reflected light, added to.
    """
    basis, low, scale, depth, color, highlights = light
    size = depth.shape[0]
    lx, ly, lz = basis[2, 0], basis[2, 1], basis[2, 2]
    for p in range(position.shape[0]):
        nx, ny, nz = normal[p, 0], normal[p, 1], normal[p, 2]
        cosine = nx * lx + ny * ly + nz * lz
        kind = material[p]
        lift, behind = SHADOW_OFFSET, np.float32(0.05)
        if kind == HAIR:  # between Kajiya and Kay (1989) and a soft Lambert
            along = tangent[p, 0] * lx + tangent[p, 1] * ly + tangent[p, 2] * lz
            strand = np.sqrt(max(np.float32(0), 1 - along * along)) * max(
                np.float32(0), cosine * np.float32(0.5) + np.float32(0.5)
            )
            received = (
                np.float32(0.55) * max(np.float32(0), cosine * np.float32(0.7) + np.float32(0.3))
                + np.float32(0.45) * strand
            )
            lift, behind = np.float32(0), np.float32(0.05) + HAIR_OFFSET
        elif kind == SKIN:
            received = (cosine + SKIN_WRAP) / (1 + SKIN_WRAP)
        else:
            received = cosine
        if received <= 0:
            continue
        x, y, z = (
            position[p, 0] + nx * lift,
            position[p, 1] + ny * lift,
            position[p, 2] + nz * lift,
        )
        u = (basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z - low[0]) * scale - np.float32(
            0.5
        )
        v = (basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z - low[1]) * scale - np.float32(
            0.5
        )
        d = lx * x + ly * y + lz * z + behind
        column, row = int(np.floor(u)), int(np.floor(v))
        visible = np.float32(1)
        if 0 <= column < size - 1 and 0 <= row < size - 1:  # four comparisons, blended
            fu, fv = u - column, v - row
            visible = np.float32(0)
            if depth[row, column] < d:
                visible += (1 - fu) * (1 - fv)
            if depth[row, column + 1] < d:
                visible += fu * (1 - fv)
            if depth[row + 1, column] < d:
                visible += (1 - fu) * fv
            if depth[row + 1, column + 1] < d:
                visible += fu * fv
            if visible <= 0:
                continue
        for c in range(3):
            diffuse[p, c] += received * visible * color[c]
        if not highlights:
            continue
        hx, hy, hz = lx + view[p, 0], ly + view[p, 1], lz + view[p, 2]
        length = 1 / np.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-9))
        hx, hy, hz = hx * length, hy * length, hz * length
        if kind == HAIR:
            along = tangent[p, 0] * hx + tangent[p, 1] * hy + tangent[p, 2] * hz
            shine = max(np.float32(0), 1 - along * along) ** (gloss[p] * np.float32(0.5))
            shine *= max(np.float32(0), cosine * np.float32(0.6) + np.float32(0.4)) * np.float32(
                0.9
            )
        else:  # Blinn and Phong's lobe, normalised, with Schlick's (1994) Fresnel term
            facing = max(np.float32(0), view[p, 0] * hx + view[p, 1] * hy + view[p, 2] * hz)
            lobe = (
                max(np.float32(0), nx * hx + ny * hy + nz * hz) ** gloss[p]
                * (gloss[p] + 8)
                / np.float32(25.13)
            )
            fresnel = 1 + (1 / FRESNEL - 1) * (1 - facing) ** 5
            shine = fresnel * lobe * max(np.float32(0), cosine) * np.float32(0.35)
        for c in range(3):
            specular[p, c] += shine * visible * color[c]
