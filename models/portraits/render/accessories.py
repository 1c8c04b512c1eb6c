"""What is worn besides clothes and hats: glasses, earrings, a tie, a stethoscope."""

from collections.abc import Sequence

import numpy as np

from models.portraits.render.clothes import BLACK, GOLD, SILVER
from models.portraits.render.color import Array, linear
from models.portraits.render.mesh import Index
from models.portraits.render.shapes import revolve, tube
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Surface, solid

TIES = ("executive", "police")
# A tie from its knot at the collar down: height above the collar and half width, decimetres.
TIE = (
    (0.04, 0.10),
    (-0.08, 0.13),
    (-0.16, 0.09),
    (-0.20, 0.07),
    (-0.40, 0.10),
    (-0.70, 0.15),
    (-1.00, 0.19),
    (-1.40, 0.24),
)
# The left tube of a stethoscope: x and height above the collar, decimetres.
TUBE = ((0.58, 0.05), (0.60, -0.15), (0.60, -0.35), (0.58, -0.6), (0.55, -0.9), (0.5, -1.25))
BELL = (-0.57, -0.55)
ABOVE = np.array([0, 0, 0.05], np.float32)  # decimetres from the coat to the middle of a tube


def glasses(sitter: Sitter) -> list[Surface]:
    """Rims, temples and bridge as tubes."""
    dice = sitter.dice(4)
    width, height = dice.uniform(0.205, 0.245), dice.uniform(0.15, 0.2)
    power = 2 / dice.choice([2.0, 3.5])  # of a superellipse: round or square
    wire = dice.uniform(0.014, 0.024)
    eyes = sorted((sitter.eye(side) for side in (0, 1)), key=lambda eye: float(eye[0][0]))
    (right, radius), (left, _) = eyes
    plane = max(left[2], right[2]) + radius + 0.16
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    across, up = (np.sign(f) * np.abs(f) ** power for f in (np.cos(angle), np.sin(angle)))
    paths: list[tuple[Array, bool]] = []
    for (x, y, _), side in ((left, 1), (right, -1)):
        # The rim bends back towards the temple.
        back = 0.10 * np.abs(np.cos(angle)) * (np.sign(np.cos(angle)) == side)
        rim = np.stack([x + width * across, y - 0.02 + height * up, plane - back], 1)
        hinge = x + side * width
        temple = [
            [hinge, y + 0.05, plane - 0.1],
            [hinge + side * 0.1, y + 0.05, plane - 0.25],
            [hinge + side * 0.2, y + 0.06, 0.7],
            [hinge + side * 0.19, y + 0.02, 0.45],
        ]
        paths += [(rim, True), (np.array(temple), False)]
    bridge = [
        [right[0] + width, right[1] + 0.03, plane],
        [0, right[1] + 0.06, plane + 0.03],
        [left[0] - width, left[1] + 0.03, plane],
    ]
    paths.append((np.array(bridge), False))
    color = linear(sitter.person.dress.frame)
    return [solid(*tube(path, wire, closed), color, 60.0, 0.5) for path, closed in paths]


def earrings(sitter: Sitter) -> list[Surface]:
    """A ring under each ear lobe."""
    metal = GOLD if sitter.dice(5).uniform() < 0.6 else SILVER
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    made = []
    for side in (-1, 1):
        ring = (np.full(14, 0.03 * side), np.sin(angle) * 0.08 - 0.09, np.cos(angle) * 0.06)
        hung = sitter.landmark(side * 0.72, 6.80, 0.52) + np.stack(ring, 1)
        made.append(solid(*tube(hung, 0.016, closed=True), metal, 60.0, 0.5))
    return made


def tie(sitter: Sitter, garment: Surface) -> Surface:
    """An executive's tie in the accent colour; the police wear black."""
    police = sitter.person.occupation == "police"
    color = BLACK if police else linear(sitter.person.dress.accent)
    middle = _drape(sitter, garment, [(0.0, height) for height, _ in TIE])
    middle[:, 2] = np.maximum.accumulate(middle[:, 2]) + 0.05  # it hangs, and never falls back
    widths = np.array([width for _, width in TIE])
    columns = [middle + np.outer(widths, (k, 0, 0)) + (k == 0) * ABOVE for k in (-1, 0, 1)]
    return solid(np.stack(columns, 1).reshape(-1, 3), _strip(len(TIE), 3), color, 20.0, 0.25)


def stethoscope(sitter: Sitter, garment: Surface) -> list[Surface]:
    """Tubes round the neck and down the chest, lying on the coat, and the bell."""
    made = []
    for side in (-1, 1):
        path = _drape(sitter, garment, [(side * x, height) for x, height in TUBE])
        made.append(solid(*tube(path + ABOVE, 0.055), BLACK, 30.0, 0.5))
    (middle,) = _drape(sitter, garment, [BELL])
    polar = np.linspace(0.02, np.pi / 2, 6)
    dome = np.stack([np.sin(polar), np.cos(polar)], 1)
    points, triangles = revolve(dome, (0, 0, 0), (0.17, 0.06, 0.17), 20)
    facing = points[:, [0, 2, 1]] + middle + 2 * ABOVE  # turned to the front
    made.append(solid(facing, triangles, SILVER, 60.0, 0.6))
    return made


def _drape(sitter: Sitter, garment: Surface, path: Sequence[tuple[float, float]]) -> Array:
    """Lay a path of (x, height above the collar) on what is worn over the chest."""
    collar = float(sitter.landmark(0, 5.95, 0.9)[1])
    under = np.concatenate([garment.points, sitter.body[sitter.wardrobe.rows]])
    laid = []
    for x, height in path:
        y = collar + height
        near = np.hypot(under[:, 0] - x, under[:, 1] - y) < 0.13
        laid.append((x, y, float(under[near, 2].max()) if near.any() else 0.8))
    return np.array(laid, np.float32)


def _strip(rows: int, columns: int) -> Index:
    """Triangles of an open grid of points, row by row."""
    row, column = (axis.ravel() for axis in np.mgrid[: rows - 1, : columns - 1])
    here = row * columns + column
    right, below, across = here + 1, here + columns, here + columns + 1
    both = [np.stack([here, below, right], 1), np.stack([right, below, across], 1)]
    return np.concatenate(both).astype(np.int32)
