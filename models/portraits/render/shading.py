"""Light on pixels: the inner loop of shading, compiled by numba in single precision."""

from typing import Any

import numpy as np
from numba import njit

from models.portraits.render.color import Array
from models.portraits.render.mesh import Index
from models.portraits.render.surface import Material

Source = tuple[Array, Array, np.float32, Array, Array, bool]
"""Basis, map corner, cells a decimetre, depth map, colour, and whether it makes highlights."""

f32 = np.float32  # plain literals would turn the arithmetic to double precision
SKIN, HAIR = int(Material.SKIN), int(Material.HAIR)
ZERO = f32(0)
SKIN_WRAP = f32(0.12)  # light creeps this far, in cosine, past the terminator of skin
LIFT = f32(0.04)  # decimetres along the normal at which shadows are looked up, against acne
BIAS = f32(0.05)  # decimetres towards the light, likewise
HAIR_BIAS = f32(0.08)  # added for strands, which lie under the shell that casts their shadow
FRESNEL = f32(0.04)  # reflectance of skin, cloth and plastic at normal incidence


@njit(fastmath=True, cache=True)
def shade(
    position: Array,
    normal: Array,
    tangent: Array,
    material: Index,
    gloss: Array,
    view: Array,
    light: Source,
    diffuse: Array,
    specular: Array,
) -> None:
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
    towards = basis[2]
    half = np.empty(3, np.float32)
    for p in range(position.shape[0]):
        kind = material[p]
        cosine = _dot(normal[p], towards)
        lift, bias = LIFT, BIAS
        if kind == HAIR:
            received = _on_hair(cosine, _dot(tangent[p], towards))
            lift, bias = ZERO, BIAS + HAIR_BIAS
        elif kind == SKIN:
            received = (cosine + SKIN_WRAP) / (f32(1) + SKIN_WRAP)
        else:
            received = cosine
        if received <= 0:
            continue
        visible = _visible(position[p], normal[p], lift, bias, basis, low, scale, depth)
        if visible <= 0:
            continue
        for c in range(3):
            diffuse[p, c] += received * visible * color[c]
        if not highlights:
            continue
        length = ZERO
        for c in range(3):
            half[c] = towards[c] + view[p, c]
            length += half[c] * half[c]
        for c in range(3):
            half[c] /= np.sqrt(length + f32(1e-9))
        if kind == HAIR:
            shine = _off_hair(cosine, _dot(tangent[p], half), gloss[p])
        else:
            shine = _off_surface(cosine, _dot(normal[p], half), _dot(view[p], half), gloss[p])
        for c in range(3):
            specular[p, c] += shine * visible * color[c]


@njit(fastmath=True, cache=True)
def _dot(a: Array, b: Array) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(fastmath=True, cache=True)
def _on_hair(cosine: np.float32, along: np.float32) -> Any:
    """Light that strands scatter: between Kajiya and Kay (1989) and a soft Lambert."""
    strand = np.sqrt(max(ZERO, f32(1) - along * along)) * max(ZERO, f32(0.5) * cosine + f32(0.5))
    return f32(0.55) * max(ZERO, f32(0.7) * cosine + f32(0.3)) + f32(0.45) * strand


@njit(fastmath=True, cache=True)
def _off_hair(cosine: np.float32, along: np.float32, gloss: np.float32) -> Any:
    """The highlight across strands (Kajiya and Kay 1989)."""
    lobe = max(ZERO, f32(1) - along * along) ** (gloss * f32(0.5))
    return lobe * max(ZERO, f32(0.6) * cosine + f32(0.4)) * f32(0.9)


@njit(fastmath=True, cache=True)
def _off_surface(
    cosine: np.float32, off_mirror: np.float32, facing: np.float32, gloss: np.float32
) -> np.float32:
    """Blinn and Phong's lobe, normalised, with Schlick's (1994) Fresnel term."""
    lobe = max(ZERO, off_mirror) ** gloss * (gloss + f32(8)) / f32(25.13)
    fresnel = f32(1) + (f32(1) / FRESNEL - f32(1)) * (f32(1) - max(ZERO, facing)) ** 5
    return fresnel * lobe * max(ZERO, cosine) * f32(0.35)


@njit(fastmath=True, cache=True)
def _visible(
    position: Array,
    normal: Array,
    lift: np.float32,
    bias: np.float32,
    basis: Array,
    low: Array,
    scale: np.float32,
    depth: Array,
) -> np.float32:
    """Share of a light seen from a point: four comparisons with its depth map, blended."""
    x, y = position[0] + normal[0] * lift, position[1] + normal[1] * lift
    z = position[2] + normal[2] * lift
    u = (basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z - low[0]) * scale - f32(0.5)
    v = (basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z - low[1]) * scale - f32(0.5)
    d = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z + bias
    column, row = int(np.floor(u)), int(np.floor(v))
    if column < 0 or row < 0 or column >= depth.shape[1] - 1 or row >= depth.shape[0] - 1:
        return f32(1)
    right, down = f32(u - column), f32(v - row)
    visible = ZERO
    if depth[row, column] < d:
        visible += (f32(1) - right) * (f32(1) - down)
    if depth[row, column + 1] < d:
        visible += right * (f32(1) - down)
    if depth[row + 1, column] < d:
        visible += (f32(1) - right) * down
    if depth[row + 1, column + 1] < d:
        visible += right * down
    return visible
