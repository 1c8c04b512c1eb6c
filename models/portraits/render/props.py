"""What is worn besides clothes: headwear, glasses, earrings, a stethoscope."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.portraits.render import eyes
from models.portraits.render.clothes import BLACK, GOLD, NAVY, SILVER, WHITE
from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.face import Face
from models.portraits.render.mesh import Index
from models.portraits.render.noise import Noise
from models.portraits.render.sampling import Person
from models.portraits.render.shapes import revolve, tube
from models.portraits.render.surface import Material, Surface
from models.portraits.render.wardrobe import Wardrobe


@dataclass(frozen=True)
class Skull:
    """The head above the brows as a half ellipsoid."""

    centre: Array  # (3,)
    radii: Array  # (3,) x, up, z


def skull(wardrobe: Wardrobe, body: Array) -> Skull:
    """Measure the head of a body above the canonical point in the middle of the forehead."""
    rows = wardrobe.skin.source
    rest, head = wardrobe.model.template[rows], body[rows]
    brim = head[np.argmin(((rest - np.array([0, 7.84, 1.46])) ** 2).sum(1)), 1]
    above = head[head[:, 1] > brim - 0.05]
    low, high = above.min(0), above.max(0)
    centre = np.array([0, brim, (low[2] + high[2]) / 2], np.float32)
    radii = np.array(
        [np.abs(above[:, 0]).max(), high[1] - brim, (high[2] - low[2]) / 2], np.float32
    )
    return Skull(centre, radii)


# The rim of a headscarf: canonical height by azimuth from the forehead to the nape.
SCARF_AZIMUTH = (0, 0.8, 1.3, 2.2, 3.2)
SCARF_HEIGHT = (7.86, 7.72, 7.5, 7.1, 6.9)
DOME = [(np.sin(a), np.cos(a)) for a in np.linspace(0.02, np.pi / 2, 16)]
# Hats as profiles of (radius, height) in units of the skull, from the top down.
PROFILES = {
    "helmet": DOME,
    "fire helmet": DOME,
    "cap": [
        (0.01, 0.80),
        (0.6, 0.82),
        (1.12, 0.72),
        (1.22, 0.60),
        (1.12, 0.48),
        (0.99, 0.36),
        (0.985, 0.02),
    ],
    "toque": [
        (0.01, 1.75),
        (0.6, 1.74),
        (1.05, 1.62),
        (1.22, 1.40),
        (1.15, 1.15),
        (0.98, 0.92),
        (0.97, 0.5),
        (0.97, 0.05),
    ],
}
# Room left for hair under each: factors and additions to the skull's radii, decimetres.
ROOM = {"helmet": 0.10, "fire helmet": 0.10, "cap": 0.09, "toque": 0.08}
BRIMS = {"helmet": (0.07, 0.16), "fire helmet": (0.26, 0.20), "cap": (0.0, 0.42)}
"""Width of the brim all round, and its addition in front."""


def headwear(person: Person, head: Skull) -> list[Surface]:
    """The hat of an occupation."""
    kind = person.headwear
    if kind not in PROFILES:
        return []
    radii = head.radii * np.array([1.10, 1.02, 1.08]) + ROOM[kind] + np.array([0, 0.04, 0])
    points, triangles = revolve(PROFILES[kind], head.centre, radii)
    points, albedo = _decorate(person, kind, points, head.centre, radii)
    made = [
        _hard(
            points,
            triangles,
            albedo,
            50.0 if "helmet" in kind else 6.0,
            0.5 if "helmet" in kind else 0.1,
        )
    ]
    if kind in BRIMS:
        made.append(_brim(person, kind, points[-48:]))
    if kind in ("fire helmet", "cap"):
        made.append(_badge(kind, head.centre, radii))
    return made


def _decorate(
    person: Person, kind: str, points: Array, centre: Array, radii: Array
) -> tuple[Array, Array]:
    """Ridges, pleats and bands: the points moved, and their albedo."""
    offset = (points - centre) / radii
    x, y, z = offset.T
    if kind == "toque":
        angle = np.arctan2(x, z)
        pleats = 1 + 0.04 * np.sin(14 * angle) * smoothstep(0.9, 1.2, y)
        return (centre + offset * np.stack([pleats, np.ones_like(y), pleats], 1) * radii).astype(
            np.float32
        ), (WHITE * (1 + 0.12 * np.sin(14 * angle) * smoothstep(0.9, 1.2, y))[:, None]).astype(
            np.float32
        )
    if kind == "cap":
        return points, blend(np.tile(NAVY, (len(points), 1)), BLACK, (y < 0.36).astype(np.float32))
    ridges = np.exp(-((x / 0.12) ** 2)) + (
        np.exp(-(((np.abs(x) - 0.5) / 0.1) ** 2)) if kind == "fire helmet" else 0
    )
    raised = centre + offset * (1 + 0.04 * ridges * (y > 0.15))[:, None] * radii
    shell = np.tile(linear(person.dress.helmet), (len(points), 1))
    if kind == "fire helmet":
        shell = blend(
            shell,
            np.array([0.75, 0.62, 0.05], np.float32),
            (np.abs(y - 0.16) < 0.07).astype(np.float32),
        )
    return raised.astype(np.float32), shell


def _brim(person: Person, kind: str, ring: Array) -> Surface:
    """A brim round the lowest ring of a hat, longer in front; a cap has only a visor."""
    all_round, ahead = BRIMS[kind]
    angle = 2 * np.pi * np.arange(len(ring)) / len(ring)
    front = np.maximum(np.cos(angle), 0)
    reach = all_round + ahead * front ** (1.0 if kind != "cap" else 0.6)
    outer = ring + np.stack(
        [
            np.sin(angle) * all_round,
            -0.035 - 0.10 * front * (kind == "cap"),
            np.cos(angle) * reach,
        ],
        1,
    )
    points = np.concatenate([ring, outer, outer - [0, 0.03, 0]]).astype(np.float32)
    n = len(ring)
    row, column = (axis.ravel() for axis in np.mgrid[:2, :n])
    here, right = row * n + column, row * n + (column + 1) % n
    triangles = np.concatenate(
        [np.stack([here, here + n, right], 1), np.stack([right, here + n, right + n], 1)]
    )
    color = BLACK if kind == "cap" else linear(person.dress.helmet)
    return _hard(points, triangles.astype(np.int32), color, 50.0, 0.5)


def _badge(kind: str, centre: Array, radii: Array) -> Surface:
    """A shield on the front of a hat."""
    height, size = (0.42, 0.30) if kind == "fire helmet" else (0.56, 0.20)
    out = np.sqrt(1 - height**2) if kind == "fire helmet" else 1.18
    middle = centre + radii * np.array([0, height, out]) + [0, 0, 0.05]
    angle = 2 * np.pi * np.arange(16) / 16
    rim = middle + size * np.stack(
        [0.8 * np.sin(angle), np.cos(angle), 0 * angle - 0.1 * np.cos(angle)], 1
    )
    points = np.concatenate([[middle + [0, 0, 0.06]], rim]).astype(np.float32)
    fan = [(0, 1 + k, 1 + (k + 1) % 16) for k in range(16)]
    return _hard(
        points, np.array(fan, np.int32), GOLD if kind == "fire helmet" else SILVER, 40.0, 0.6
    )


def _hard(
    points: Array, triangles: Index, albedo: Array, gloss: float, specular: float
) -> Surface:
    return Surface(
        points=points,
        triangles=triangles,
        albedo=albedo,
        material=Material.GLOSSY if specular > 0.4 else Material.CLOTH,
        gloss=gloss,
        specular=specular,
        two_sided=True,
        shadow=(points, triangles),
    )


def press_hair(person: Person, head: Skull, hair: Surface) -> None:
    """Push hair under a hat, and cut away what would stick out above its rim."""
    kind = person.headwear
    if kind not in ROOM:
        return
    radii = head.radii * np.array([1.10, 1.02, 1.08], np.float32) + ROOM[kind]
    offset = (hair.points - head.centre) / radii
    reach = np.sqrt((offset**2).sum(1))
    pressed = smoothstep(-0.6, -0.02, offset[:, 1]) * (1 - np.minimum(1, 0.93 / reach))
    hair.points = (head.centre + offset * (1 - pressed)[:, None] * radii).astype(np.float32)
    if hair.opacity is not None:
        hair.opacity = hair.opacity * (hair.points[:, 1] < head.centre[1] + 0.1)


def above_scarf(canon: Array) -> Array:
    """Height (n,) of canonical points above the rim of a headscarf."""
    azimuth = np.arctan2(np.abs(canon[:, 0]), canon[:, 2] - 0.35)
    return np.asarray(canon[:, 1] - np.interp(azimuth, SCARF_AZIMUTH, SCARF_HEIGHT), np.float32)


def hide_under_scarf(hair: Surface, canon: Array) -> None:
    """Cut away the hair, of canonical points `canon`, that a headscarf covers."""
    free = smoothstep(0.06, 0.0, above_scarf(canon))
    if hair.opacity is not None:
        hair.opacity = hair.opacity * free
    if hair.shadow is not None:
        points, triangles = hair.shadow
        hair.shadow = points, triangles[(free[triangles] > 0.5).all(1)]


def headscarf(
    person: Person, face: Face, noise: Noise, points: Array, out: Array, triangles: Index
) -> Surface:
    """A scarf tied over the scalp: a shell of the skin from above the ears to the crown."""
    height = above_scarf(face.canon)
    kept = triangles[(height[triangles] > 0).all(1)]
    used, local = np.unique(kept, return_inverse=True)
    canon = face.canon[used]
    folds = 0.02 * noise(canon, (3, 9, 3), 95)
    cloth = (
        points[used]
        + out[used] * (0.16 + 0.03 * smoothstep(0.05, 0, height[used]) + folds)[:, None]
    ).astype(np.float32)
    dots = smoothstep(
        0.55, 0.75, np.prod(np.sin(canon[:, [0, 1, 2]] * 11 + [0, 0.5, 0.9]), axis=1) * 2
    )
    albedo = blend(np.tile(linear(person.dress.accent), (len(used), 1)), 0.9 * WHITE, dots)
    cloth_triangles = local.reshape(-1, 3).astype(np.int32)
    return _hard(cloth, cloth_triangles, albedo, 6.0, 0.15)


def glasses(person: Person, wardrobe: Wardrobe, body: Array) -> list[Surface]:
    """Frames, bridge and temples as tubes."""
    rng = np.random.default_rng([person.seed, 4])
    width, height = rng.uniform(0.205, 0.245), rng.uniform(0.15, 0.2)
    squareness = rng.choice([2.0, 3.5])  # exponent of a superellipse
    wire = float(rng.uniform(0.014, 0.024))
    left, radius = eyes.centre(wardrobe, body, 0)
    right, _ = eyes.centre(wardrobe, body, 1)
    plane = max(left[2], right[2]) + radius + 0.16
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    across, up = (
        np.sign(f) * np.abs(f) ** (2 / squareness) for f in (np.cos(angle), np.sin(angle))
    )
    paths: list[tuple[np.ndarray, bool]] = []  # type: ignore[type-arg]
    for eye, side in ((left, np.sign(left[0])), (right, np.sign(right[0]))):
        # The lens bends back towards the temple.
        back = 0.10 * np.abs(np.cos(angle)) * (np.sign(np.cos(angle)) == side)
        paths.append(
            (
                np.stack([eye[0] + width * across, eye[1] - 0.02 + height * up, plane - back], 1),
                True,
            )
        )
        x, y = eye[0] + side * width, eye[1]
        temple = [
            [x, y + 0.05, plane - 0.1],
            [x + side * 0.1, y + 0.05, plane - 0.25],
            [x + side * 0.2, y + 0.06, 0.7],
            [x + side * 0.19, y + 0.02, 0.45],
        ]
        paths.append((np.array(temple), False))
    inner = sorted((left, right), key=lambda eye: float(eye[0]))
    bridge = [
        [inner[0][0] + width, inner[0][1] + 0.03, plane],
        [0, inner[0][1] + 0.06, plane + 0.03],
        [inner[1][0] - width, inner[1][1] + 0.03, plane],
    ]
    paths.append((np.array(bridge), False))
    color = linear(person.dress.frame)
    return [_hard(*tube(path, wire, closed), color, 60.0, 0.5) for path, closed in paths]


def earrings(person: Person, wardrobe: Wardrobe, body: Array) -> list[Surface]:
    """A ring under each ear lobe."""
    rows = wardrobe.skin.source
    rest = wardrobe.model.template[rows]
    gold = np.random.default_rng([person.seed, 5]).uniform() < 0.6
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    made = []
    for side in (-1, 1):
        lobe = body[rows][np.argmin(((rest - np.array([side * 0.72, 6.80, 0.52])) ** 2).sum(1))]
        ring = np.stack(
            [np.full(14, 0.03 * side), np.sin(angle) * 0.08 - 0.09, np.cos(angle) * 0.06], 1
        )
        made.append(
            _hard(*tube(lobe + ring, 0.016, closed=True), GOLD if gold else SILVER, 60.0, 0.5)
        )
    return made


def _drape(
    wardrobe: Wardrobe, body: Array, coat: Surface, path: Sequence[tuple[float, float]]
) -> Array:
    """Lay a path of (x, height above the collar) on what is worn over the chest."""
    rows = wardrobe.skin.source
    rest = wardrobe.model.template[rows]
    collar = float(body[rows][np.argmin(((rest - np.array([0, 5.95, 0.9])) ** 2).sum(1)), 1])
    under = np.concatenate([coat.points, body[rows]])
    laid = []
    for x, height in path:
        y = collar + height
        near = np.hypot(under[:, 0] - x, under[:, 1] - y) < 0.13
        laid.append((x, y, float(under[near, 2].max()) if near.any() else 0.8))
    return np.array(laid, np.float32)


TIES = ("executive", "police")


def tie_color(person: Person) -> Array:
    """The accent of an executive; the police wear black."""
    return BLACK if person.occupation == "police" else linear(person.dress.accent)


def tie(color: Array, wardrobe: Wardrobe, body: Array, coat: Surface) -> Surface:
    """A tie from a knot at the collar, widening downwards."""
    heights = np.array([0.04, -0.08, -0.16, -0.2, -0.4, -0.7, -1.0, -1.4])
    widths = np.array([0.10, 0.13, 0.09, 0.07, 0.10, 0.15, 0.19, 0.24])
    middle = _drape(wardrobe, body, coat, [(0.0, float(height)) for height in heights])
    middle[:, 2] = np.maximum.accumulate(middle[:, 2]) + 0.05  # it hangs, and never falls back
    bulge = np.array([0, 0.05, 0])
    columns = [middle + np.outer(widths, (k - 1, 0, 0)) + [0, 0, bulge[k]] for k in range(3)]
    points = np.stack(columns, 1).reshape(-1, 3).astype(np.float32)
    cells = [
        (3 * r + c, 3 * r + c + 1, 3 * r + c + 3, 3 * r + c + 4) for r in range(7) for c in (0, 1)
    ]
    triangles = np.array([t for a, b, c, d in cells for t in ((a, c, b), (b, c, d))], np.int32)
    return _hard(points, triangles, color, 20.0, 0.25)


def stethoscope(wardrobe: Wardrobe, body: Array, coat: Surface) -> list[Surface]:
    """Tubes round the neck and down the chest, lying on the coat, and the bell."""
    made = []
    for side in (-1, 1):
        fall = (
            (0.58, 0.05),
            (0.60, -0.15),
            (0.60, -0.35),
            (0.58, -0.6),
            (0.55, -0.9),
            (0.5, -1.25),
        )
        path = _drape(wardrobe, body, coat, [(side * x, y) for x, y in fall])
        made.append(_hard(*tube(path + [0, 0, 0.05], 0.055), BLACK, 30.0, 0.5))
    (middle,) = _drape(wardrobe, body, coat, [(-0.57, -0.55)])
    polar = np.linspace(0.02, np.pi / 2, 6)
    points, triangles = revolve(
        np.stack([np.sin(polar), np.cos(polar)], 1), (0, 0, 0), (0.17, 0.06, 0.17), 20
    )
    bell = points[:, [0, 2, 1]] + middle + [0, 0, 0.1]  # turned to face the front
    made.append(_hard(bell.astype(np.float32), triangles, SILVER, 60.0, 0.6))
    return made
