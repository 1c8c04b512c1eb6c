"""What is worn on the head, and what it does to the hair under it."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.clothes import BLACK, GOLD, NAVY, SILVER, WHITE
from models.portraits.render.color import Array, blend, bump, linear, smoothstep
from models.portraits.render.hair import above_scarf
from models.portraits.render.person import Person
from models.portraits.render.shapes import revolve, sheet
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Surface, solid

SIDES = 48  # points of a hat's ring
LOOSE = np.array([1.10, 1.02, 1.08])  # a hat's radii by those of the skull
BAND = np.array([0.75, 0.62, 0.05], np.float32)  # the yellow band of a fire helmet


@dataclass(frozen=True)
class Brim:
    """A brim round the lowest ring of a hat."""

    around: float  # decimetres
    ahead: float  # added in front
    roundness: float = 1.0  # below 1 the front is wider
    droop: float = 0.0  # decimetres that its front hangs


@dataclass(frozen=True)
class Badge:
    """A shield on the front of a hat."""

    height: float  # of its middle, in the hat's radii
    out: float  # how far in front of the hat's centre, likewise
    size: float  # decimetres
    color: Array


@dataclass(frozen=True)
class Hat:
    """A surface of revolution over the skull."""

    profile: tuple[tuple[float, float], ...]  # (radius, height) in skulls, from the top down
    room: float  # decimetres left for hair
    gloss: float = 6.0
    specular: float = 0.1
    brim: Brim | None = None
    badge: Badge | None = None


DOME = tuple((float(np.sin(a)), float(np.cos(a))) for a in np.linspace(0.02, np.pi / 2, 16))
PEAKED = (
    (0.01, 0.80),
    (0.6, 0.82),
    (1.12, 0.72),
    (1.22, 0.60),
    (1.12, 0.48),
    (0.99, 0.36),
    (0.985, 0.02),
)
PUFFED = (
    (0.01, 1.75),
    (0.6, 1.74),
    (1.05, 1.62),
    (1.22, 1.40),
    (1.15, 1.15),
    (0.98, 0.92),
    (0.97, 0.5),
    (0.97, 0.05),
)
HATS = {
    "helmet": Hat(DOME, 0.10, 50, 0.5, Brim(0.07, 0.16)),
    "fire helmet": Hat(
        DOME, 0.10, 50, 0.5, Brim(0.26, 0.20), Badge(0.42, float(np.sqrt(1 - 0.42**2)), 0.30, GOLD)
    ),
    "cap": Hat(
        PEAKED,
        0.09,
        brim=Brim(0.0, 0.42, roundness=0.6, droop=0.10),
        badge=Badge(0.56, 1.18, 0.20, SILVER),
    ),
    "toque": Hat(PUFFED, 0.08),
}


@dataclass(frozen=True)
class Skull:
    """The head above the brim of a hat as a half ellipsoid."""

    centre: Array  # (3,)
    radii: Array  # (3,) x, up, z

    @classmethod
    def of(cls, sitter: Sitter) -> "Skull":
        """Measure a sitter's head from the middle of the forehead up."""
        head = sitter.body[sitter.wardrobe.rows]
        brim = sitter.landmark(0, 7.84, 1.46)[1]
        above = head[head[:, 1] > brim - 0.05]
        low, high = above.min(0), above.max(0)
        centre = np.array([0, brim, (low[2] + high[2]) / 2], np.float32)
        half = (np.abs(above[:, 0]).max(), high[1] - brim, (high[2] - low[2]) / 2)
        return cls(centre, np.array(half, np.float32))


def hat(sitter: Sitter) -> list[Surface]:
    """The headwear of the sitter's occupation."""
    person = sitter.person
    if person.headwear == "headscarf":
        return [_headscarf(sitter)]
    if person.headwear not in HATS:
        return []
    kind, skull = HATS[person.headwear], Skull.of(sitter)
    radii = skull.radii * LOOSE + kind.room + np.array([0, 0.04, 0])
    points, triangles = revolve(kind.profile, skull.centre, radii, SIDES)
    points, albedo = _decorate(person, points, skull.centre, radii)
    made = [solid(points, triangles, albedo, kind.gloss, kind.specular)]
    if kind.brim:
        color = BLACK if person.headwear == "cap" else linear(person.dress.helmet)
        made.append(_brim(kind.brim, points[-SIDES:], color))
    if kind.badge:
        made.append(_badge(kind.badge, skull.centre, radii))
    return made


def press(sitter: Sitter, hair: Surface) -> None:
    """Push hair under a hat, and cut away what would stick out above its rim."""
    if sitter.person.headwear not in HATS:
        return
    kind, skull = HATS[sitter.person.headwear], Skull.of(sitter)
    radii = skull.radii * LOOSE.astype(np.float32) + kind.room
    offset = (hair.points - skull.centre) / radii
    reach = np.sqrt((offset**2).sum(1))
    pressed = smoothstep(-0.6, -0.02, offset[:, 1]) * (1 - np.minimum(1, 0.93 / reach))
    hair.points = (skull.centre + offset * (1 - pressed)[:, None] * radii).astype(np.float32)
    if hair.opacity is not None:
        hair.opacity = hair.opacity * (hair.points[:, 1] < skull.centre[1] + 0.1)


def _decorate(person: Person, points: Array, centre: Array, radii: Array) -> tuple[Array, Array]:
    """Ridges, pleats and bands: the points moved, and their albedo."""
    offset = (points - centre) / radii
    x, y, z = offset.T
    grow = np.ones_like(offset)
    if person.headwear == "toque":
        pleats = np.sin(14 * np.arctan2(x, z)) * smoothstep(0.9, 1.2, y)
        grow[:, 0] = grow[:, 2] = 1 + 0.04 * pleats
        albedo = WHITE * (1 + 0.12 * pleats)[:, None]
    elif person.headwear == "cap":
        albedo = blend(np.tile(NAVY, (len(points), 1)), BLACK, y < 0.36)
    else:
        ridges = bump(x, 0.12)
        albedo = np.tile(linear(person.dress.helmet), (len(points), 1))
        if person.headwear == "fire helmet":
            ridges = ridges + bump(np.abs(x) - 0.5, 0.1)
            albedo = blend(albedo, BAND, np.abs(y - 0.16) < 0.07)
        grow = (1 + 0.04 * ridges * (y > 0.15))[:, None]
    return (centre + offset * grow * radii).astype(np.float32), albedo.astype(np.float32)


def _brim(brim: Brim, ring: Array, color: Array) -> Surface:
    angle = 2 * np.pi * np.arange(len(ring)) / len(ring)
    front = np.maximum(np.cos(angle), 0)
    reach = brim.around + brim.ahead * front**brim.roundness
    step = (np.sin(angle) * brim.around, -0.035 - brim.droop * front, np.cos(angle) * reach)
    outer = ring + np.stack(step, 1)
    points = np.concatenate([ring, outer, outer - [0, 0.03, 0]])
    return solid(points, sheet(3, len(ring)), color, 50.0, 0.5)


def _badge(badge: Badge, centre: Array, radii: Array, corners: int = 16) -> Surface:
    middle = centre + radii * np.array([0, badge.height, badge.out]) + [0, 0, 0.05]
    angle = 2 * np.pi * np.arange(corners) / corners
    shield = np.stack([0.8 * np.sin(angle), np.cos(angle), -0.1 * np.cos(angle)], 1)
    points = np.concatenate([middle[None] + [0, 0, 0.06], middle + badge.size * shield])
    fan = [(0, 1 + k, 1 + (k + 1) % corners) for k in range(corners)]
    return solid(points, np.array(fan, np.int32), badge.color, 40.0, 0.6)


def _headscarf(sitter: Sitter) -> Surface:
    """A dotted scarf tied over the scalp: a shell of the skin from above the ears to the crown."""
    triangles, height = sitter.wardrobe.skin.triangles, above_scarf(sitter.face.canon)
    used, local = np.unique(triangles[(height[triangles] > 0).all(1)], return_inverse=True)
    canon = sitter.face.canon[used]
    hem = 0.03 * smoothstep(0.05, 0, height[used])
    lift = 0.16 + hem + 0.02 * sitter.noise(canon, (3, 9, 3), 95)
    points = sitter.points[used] + sitter.out[used] * lift[:, None]
    grid = np.prod(np.sin(canon * 11 + np.array([0, 0.5, 0.9])), axis=1)
    color = np.tile(linear(sitter.person.dress.accent), (len(used), 1))
    albedo = blend(color, 0.9 * WHITE, smoothstep(0.55, 0.75, 2 * grid))
    return solid(points, local.reshape(-1, 3).astype(np.int32), albedo, 6.0, 0.15)
