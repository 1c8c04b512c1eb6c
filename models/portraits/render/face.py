"""Where things are on a face: fields over the canonical skin, in 0-1, computed once.

Canonical landmarks in decimetres: eyes at y 7.28 and x ±0.31, brows 7.5-7.6, hairline 8.03, crown
8.49, nose tip 6.92, mouth 6.62, chin 6.20; z runs to the front, the nose tip at about 1.9.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.portraits.render.color import Array, bump, smoothstep

# Hairline: height by azimuth from the middle of the forehead (0) to the nape (pi).
HAIRLINE_AZIMUTH = (0, 0.35, 0.62, 0.8, 0.92, 1.02, 1.3, 1.5, 1.75, 2.1, 2.6, 3.15)
HAIRLINE_HEIGHT = (8.02, 8.03, 7.95, 7.72, 7.5, 7.25, 7.2, 7.45, 7.15, 6.9, 6.72, 6.68)
# Middle of the brow, and upper edge of the beard: height by |x|.
BROW_SIDE = (0.08, 0.20, 0.36, 0.48, 0.58)
BROW_HEIGHT = (7.565, 7.575, 7.59, 7.57, 7.515)
BEARD_SIDE = (0, 0.2, 0.3, 0.45, 0.6, 0.68, 0.8)
BEARD_HEIGHT = (6.80, 6.82, 6.70, 6.72, 6.95, 7.2, 7.3)
# Wrinkles as strokes over (|x|, y): points, half width, depth.
FOREHEAD = tuple((y, depth) for y, depth in ((7.69, 0.8), (7.785, 1.1), (7.88, 1.0), (7.97, 0.6)))
CROWS_FEET = (-0.6, -0.2, 0.2, 0.6)  # angles at the outer corner of the eye
NASOLABIAL = ((0.19, 6.90), (0.27, 6.80), (0.33, 6.68), (0.36, 6.55))
STROKES = (
    (NASOLABIAL, 0.014, 1.3),
    (((0.30, 6.55), (0.32, 6.40)), 0.013, 1.0),  # marionette
    (((0.17, 7.14), (0.30, 7.07), (0.44, 7.12)), 0.013, 0.8),  # under the eye
    (((0.20, 7.08), (0.32, 7.00), (0.46, 7.06)), 0.013, 0.5),
    (((0.40, 6.98), (0.50, 6.80), (0.52, 6.62)), 0.014, 0.5),  # cheek
)
# Folds: broad and shallow, what is left of wrinkles in a small picture.
FOLDS = (
    (NASOLABIAL, 0.045, 1.0),
    (((0.30, 6.55), (0.34, 6.36), (0.42, 6.30)), 0.04, 0.8),  # jowl
    (((0.18, 7.15), (0.30, 7.06), (0.46, 7.13)), 0.03, 0.8),  # bag under the eye
    (((0.55, 7.00), (0.50, 6.78), (0.44, 6.62)), 0.08, 0.5),  # hollow cheek
)


@dataclass(frozen=True)
class Face:
    """Fields (n,) over the fine skin vertices."""

    canon: Array
    lips: Array
    ears: Array
    mouth: Array  # inside of the mouth
    above_hairline: Array  # decimetres, negative below
    frontness: Array  # azimuth from the front, 0 to pi
    brow_height: Array  # decimetres above the middle of the brow
    brow_length: Array
    beard: Array
    moustache: Array
    goatee: Array
    wrinkles: Array
    folds: Array
    bags: Array
    sockets: Array
    lids: Array
    cheeks: Array
    nose: Array


def locate(canon: Array, masks: Mapping[str, Array]) -> Face:
    """Lay all fields over the canonical skin vertices (n, 3)."""
    x, y, z = canon.T
    side = np.abs(x)
    front = z > 0.6
    azimuth = np.arctan2(side, z - 0.35)
    lips = np.clip(masks["lips"] * 1.15, 0, 1) * (z > 1.3)
    ears = np.clip(masks["ears"], 0, 1)
    hairline = np.interp(azimuth, HAIRLINE_AZIMUTH, HAIRLINE_HEIGHT)
    folds = sum(depth * _stroke(side, y, line, width) for line, width, depth in FOLDS) * front
    beard = _beard(side, y, z) * (1 - lips) * (1 - ears)
    goatee = smoothstep(0.33, 0.24, side) * (y < 6.85) * (z > 1.0) * beard

    def around(cx: float, cy: float, rx: float, ry: float) -> Array:
        return _single(bump(np.hypot((side - cx) / rx, (y - cy) / ry), 1) * front)

    return Face(
        canon=canon,
        lips=_single(lips),
        ears=_single(ears),
        mouth=_single(np.clip(masks["inside-mouth"], 0, 1) * (z < 1.5)),
        above_hairline=_single(y - hairline),
        frontness=azimuth,
        brow_height=_single(y - np.interp(side, BROW_SIDE, BROW_HEIGHT)),
        brow_length=smoothstep(0.06, 0.14, side) * (1 - smoothstep(0.50, 0.60, side)) * front,
        beard=_single(beard),
        moustache=_single(_moustache(side, y, z) * (1 - lips)),
        goatee=_single(goatee),
        wrinkles=np.clip(_wrinkles(side, y, z), 0, 1.4),
        folds=_single(np.clip(folds, 0, 1)),
        bags=around(0.31, 7.11, 0.16, 0.06),
        sockets=around(0.31, 7.33, 0.24, 0.13),
        lids=around(0.32, 7.355, 0.17, 0.04),
        cheeks=around(0.45, 6.95, 0.17, 0.16),
        nose=_single(bump(np.hypot(x / 0.14, (y - 6.92) / 0.10), 1) * (z > 1.4)),
    )


def _single(field: npt.ArrayLike) -> Array:
    return np.asarray(field, np.float32)


def _beard(side: Array, y: Array, z: Array) -> Array:
    """Below a line over the cheeks, thinning out on the throat and before the ears."""
    below = smoothstep(0.05, -0.05, y - np.interp(side, BEARD_SIDE, BEARD_HEIGHT))
    beard = below * smoothstep(5.85, 6.1, y) * smoothstep(0.0, 0.3, z)
    behind_jaw = smoothstep(0, 0.25, 0.62 - z) * smoothstep(6.5, 6.3, y)
    return _single(np.clip(beard * (1 - behind_jaw) * (z > 0.15), 0, 1))


def _moustache(side: Array, y: Array, z: Array) -> Array:
    """A band over the lip that falls to the corners of the mouth, thin under the nose."""
    off_band = np.abs(y - 6.775 + 0.25 * np.maximum(side - 0.12, 0)) - 0.028
    band = smoothstep(0.04, 0.0, off_band) * smoothstep(0.34, 0.22, side) * (z > 1.3)
    return _single(band * (0.55 + 0.45 * smoothstep(0.0, 0.05, side)))


def _wrinkles(side: Array, y: Array, z: Array) -> Array:
    front = z > 0.6
    depth = np.zeros_like(y)
    for k, (height, amount) in enumerate(FOREHEAD):
        wave = 0.03 * np.sin(6 * side + k) - 0.06 * side
        depth += amount * bump(y - height - wave, 0.013) * smoothstep(0.6, 0.35, side) * front
    frown = smoothstep(7.42, 7.47, y) * smoothstep(7.64, 7.58, y)
    depth += 0.9 * bump(side - 0.07, 0.013) * frown * front
    reach, angle = np.hypot(side - 0.53, y - 7.27), np.arctan2(y - 7.27, side - 0.53)
    for ray in CROWS_FEET:
        near = (
            smoothstep(0.02, 0.05, reach)
            * smoothstep(0.22, 0.12, reach)
            * (side > 0.53)
            * (z > 0.8)
        )
        depth += 0.9 * bump((angle - ray) * np.maximum(reach, 0.03), 0.011) * near
    for line, width, amount in STROKES:
        depth += amount * _stroke(side, y, line, width) * front
    for height in (5.95, 5.75):
        depth += 0.8 * bump(y - height, 0.013) * (z > 0.2) * (side < 0.4)
    return np.asarray(depth, np.float32)


def _stroke(x: Array, y: Array, line: tuple[tuple[float, float], ...], width: float) -> Array:
    """A ridge of height 1 along a polyline."""
    distance = np.full(len(x), 9, np.float32)
    for (x0, y0), (x1, y1) in itertools.pairwise(line):
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        distance = np.minimum(distance, np.hypot(x - x0 - t * dx, y - y0 - t * dy))
    return bump(distance, width)
