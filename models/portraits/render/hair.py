"""Long hair: fitted meshes painted with strands, cut, waved and trimmed; and a bun."""

import math

import numpy as np

from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.growth import mesh_name
from models.portraits.render.noise import Noise
from models.portraits.render.palette import HAIR_COLORS
from models.portraits.render.person import Person
from models.portraits.render.pigment import hair_albedo
from models.portraits.render.shapes import revolve
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Material, Surface, normals, unit
from models.portraits.render.wardrobe import Part

OVER_EARS = ("long01", "bob01", "bob02")
FRINGED = ("bob02", "short03")  # their fringe lies on the forehead
WAVED = ("long01", "bob02")
Axis = tuple[float, float, float]
# The axis round which strands are combed and its centre, canonical; swept-back styles tilt it.
COMBS: dict[str, tuple[Axis, Axis]] = {
    "ponytail01": ((0.0, 0.35, -1.0), (0.0, 7.75, 0.2)),
    "short04": ((0.0, 0.6, -1.0), (0.0, 7.6, 0.3)),
    "short02": ((0.0, 1.0, -0.3), (0.0, 7.4, 0.35)),
}
CROWN_COMB: tuple[Axis, Axis] = ((0.0, 1.0, -0.15), (0.0, 7.4, 0.35))
# The rim of a headscarf: canonical height by azimuth from the forehead to the nape.
SCARF_AZIMUTH = (0, 0.8, 1.3, 2.2, 3.2)
SCARF_HEIGHT = (7.86, 7.72, 7.5, 7.1, 6.9)


def meshes(sitter: Sitter) -> list[Surface]:
    """The mesh of the sitter's hair style, if it has one."""
    person, part = sitter.person, sitter.wardrobe.hair.get(mesh_name(sitter.person))
    if part is None:
        return []
    afro, canon = person.hair.style == "afro01", part.canon
    points = part.points(sitter.body)
    out = normals(points, part.triangles)
    strands, azimuth, tangents = _comb(part, out, mesh_name(person), sitter.noise)
    if afro:  # tufts, not strands
        strands = 0.6 * sitter.noise(canon, 10, 51) + 0.5 * sitter.noise(canon, 24, 52)
    relief = (0.045 if afro else 0.009) * strands + 0.035 * smoothstep(7.5, 7.9, canon[:, 1])
    if person.hair.style in FRINGED:
        relief = relief + 0.03 * smoothstep(0.9, 1.2, canon[:, 2])
    points = points + out * _outward(out, points) * relief[:, None]
    if person.hair.style in WAVED:
        sway = smoothstep(7.5, 6.6, canon[:, 1]) * person.hair.wave * 0.05
        points[:, 0] += np.sin(canon[:, 1] * 9 + 1.5 * np.sin(azimuth * 5)) * sway
        points[:, 2] += np.cos(canon[:, 1] * 8 + azimuth * 3) * sway
    opacity, free = _coverage(person, part, strands), _free_of_scarf(person, canon)
    points, n_coarse = points.astype(np.float32), part.coarse.max() + 1
    solid = ((opacity > 0.5) & (free > 0.5))[part.coarse].all(1)
    return [
        Surface(
            points=points,
            triangles=part.triangles,
            albedo=_albedo(person, canon, strands),
            material=Material.HAIR,
            gloss=8.0 if afro else 26.0,
            specular=_shine(person) * (0.4 if afro else 1.0),
            opacity=opacity * free,
            tangents=tangents,
            two_sided=True,
            shadow=(points[:n_coarse], part.coarse[solid]),
        )
    ]


def bun(sitter: Sitter) -> list[Surface]:
    """A knot of hair on the crown, so that hair worn up is seen from the front."""
    person = sitter.person
    if person.hair.style != "bun" or person.headwear != "none":
        return []
    crown = sitter.points[sitter.points[:, 1].argmax()]
    polar = np.linspace(0.02, np.pi - 0.02, 20)
    size = 0.42 + 0.1 * sitter.dice(3).uniform()
    points, triangles = revolve(
        np.stack([np.sin(polar), np.cos(polar)], 1),
        crown + np.array([0, 0.1, -0.15]),
        (size, 0.8 * size, size),
    )
    out = normals(points, triangles)
    around, height = np.arctan2(out[:, 0], out[:, 2]), out[:, 1]
    strands = np.zeros(len(points), np.float32)
    for strength, turns, slant, rise, channel in ((1.0, 6, 5, 2, 71), (0.6, 16, 9, 3, 72)):
        spiral = np.stack([around * turns + slant * height, height * rise, 0 * around], 1)
        strands += strength * sitter.noise(spiral, 1, channel)
    points = (points + out * (0.02 * strands)[:, None]).astype(np.float32)
    shade = np.clip(1 + 0.4 * strands, 0.3, 2)
    return [
        Surface(
            points=points,
            triangles=triangles,
            albedo=(hair_albedo(person) * shade[:, None]).astype(np.float32),
            material=Material.HAIR,
            gloss=26.0,
            specular=_shine(person),
            tangents=unit(np.cross(out, np.array([0.3, 1, 0.2], np.float32))),
            two_sided=True,
            shadow=(points, triangles),
        )
    ]


def above_scarf(canon: Array) -> Array:
    """Height (n,) of canonical points above the rim of a headscarf."""
    azimuth = np.arctan2(np.abs(canon[:, 0]), canon[:, 2] - 0.35)
    return np.asarray(canon[:, 1] - np.interp(azimuth, SCARF_AZIMUTH, SCARF_HEIGHT), np.float32)


def _shine(person: Person) -> float:
    return 0.02 + 0.22 * math.sqrt(float(hair_albedo(person).mean()))


def _albedo(person: Person, canon: Array, strands: Array) -> Array:
    root = 0.8 + 0.35 * smoothstep(0.0, 0.5, 8.5 - canon[:, 1])  # roots are in the shade of others
    shade = np.clip(1 + 0.42 * strands, 0.25, 2.2)[:, None] * root[:, None]
    albedo: Array = (hair_albedo(person) * shade).astype(np.float32)
    if 0.12 < person.hair.grey < 0.88:  # greying goes strand by strand
        grey = 1.1 * linear(HAIR_COLORS["grey"])
        albedo = blend(albedo, grey, 0.5 * smoothstep(0.3, 1.0, strands))
    return albedo


def _comb(part: Part, out: Array, mesh: str, noise: Noise) -> tuple[Array, Array, Array]:
    """Strands (n,) of mean 0, azimuth round the comb axis (n,), tangents of the strands (n, 3)."""
    axis, centre = COMBS.get(mesh, CROWN_COMB)
    along = unit(np.array(axis, np.float32))
    first = unit(np.cross(along, np.array([0, 0, 1], np.float32)))
    from_centre = part.canon - np.array(centre, np.float32)
    height = from_centre @ along
    azimuth = np.arctan2(from_centre @ first, from_centre @ np.cross(along, first))
    polar = np.stack([azimuth / (2 * np.pi), height, np.zeros_like(height)], 1).astype(np.float32)
    strands = 0.6 * noise(polar, (70, 1.2, 1), 81) + 0.5 * noise(polar, (210, 2, 1), 82)
    strands += 0.35 * noise(polar, (490, 3, 1), 83)
    # Strands run together at the pole, finer than the mesh can show.
    strands *= smoothstep(0.0, 0.6, np.linalg.norm(from_centre - np.outer(height, along), axis=1))
    return strands, azimuth, unit(np.cross(np.cross(along, from_centre), out))


def _outward(out: Array, points: Array) -> float:
    """1 if the mesh's normals point away from its middle, -1 if it is inside out."""
    middle = points.mean(0) * np.array([0, 1, 1], np.float32)
    return -1.0 if float((out * (points - middle)).sum(1).mean()) < 0 else 1.0


def _coverage(person: Person, part: Part, strands: Array) -> Array:
    """Opacity (n,): soft at open edges, cut at the length, trimmed over the eyes, full on top."""
    style, canon = person.hair.style, part.canon
    side, height, depth = np.abs(canon[:, 0]), canon[:, 1], canon[:, 2]
    if style == "afro01":
        cover = np.clip(1.05 * smoothstep(0, 0.12, part.rim + 0.05 * strands), 0, 1)
    else:
        cover = smoothstep(0.0, 0.012, part.rim + 0.010 * strands)
        cover = cover * smoothstep(-0.12, 0.12, height - person.hair.length + 0.10 * strands)
        crown = (height > 7.95) & (depth < 1.15)
        crown |= (height > 7.74) & (style in FRINGED)
        cover = np.where(crown, 1, cover)
        over_face = smoothstep(0.78, 0.66, side - 0.10 * smoothstep(7.6, 7.0, height))
        limit = person.hair.fringe - 0.35 * smoothstep(0.42, 0.62, side)
        trimmed = smoothstep(0.03, -0.03, height - limit + 0.035 * strands)
        cover = cover * (1 - (depth > 0.85) * over_face * trimmed)
    return np.asarray(cover, np.float32)


def _free_of_scarf(person: Person, canon: Array) -> Array:
    """Where hair is not hidden by a headscarf, (n,) in 0-1."""
    if person.headwear != "headscarf":
        return np.ones(len(canon), np.float32)
    return smoothstep(0.06, 0.0, above_scarf(canon))
