"""Hair: fitted meshes painted with strands, and shells grown from the skin for what is short."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.face import Face
from models.portraits.render.noise import Noise
from models.portraits.render.sampling import HAIR_COLORS, Person
from models.portraits.render.shapes import revolve
from models.portraits.render.skin import Skin, hair_albedo, tone
from models.portraits.render.surface import Material, Surface, normals, unit
from models.portraits.render.wardrobe import Part, Wardrobe

TUCK = 0.09  # decimetres that the scalp is drawn in under a mesh of hair, so that it never shows


@dataclass(frozen=True)
class Shell:
    """Short hair as a displaced copy of the skin."""

    height: float  # decimetres
    variation: float
    frequency: float  # tufts a decimetre


SHELLS = {
    "buzz": Shell(0.03, 0.15, 30),
    "crew": Shell(0.11, 0.25, 14),
    "coily": Shell(0.20, 0.22, 11),
    "horseshoe": Shell(0.07, 0.20, 16),
}
BEARDS = {
    "full": Shell(0.07, 0.3, 24),
    "goatee": Shell(0.045, 0.3, 24),
    "moustache": Shell(0.03, 0.3, 24),
}
# The axis round which strands are combed and its centre, canonical; swept-back styles tilt it.
COMBS = {
    "ponytail01": ((0.0, 0.35, -1.0), (0.0, 7.75, 0.2)),
    "short04": ((0.0, 0.6, -1.0), (0.0, 7.6, 0.3)),
    "short02": ((0.0, 1.0, -0.3), (0.0, 7.4, 0.35)),
}
CROWN_COMB = ((0.0, 1.0, -0.15), (0.0, 7.4, 0.35))
MESHES = {"bun": "ponytail01"}  # styles that are worn over another style's mesh


def mesh_of(style: str, wardrobe: Wardrobe) -> Part | None:
    """The mesh that a style is made of, if it is not grown from the scalp."""
    return wardrobe.hair.get(MESHES.get(style, style))


def shells(
    person: Person,
    face: Face,
    noise: Noise,
    skin: Skin,
    points: Array,
    out: Array,
    triangles: np.ndarray,
) -> list[Surface]:  # type: ignore[type-arg]
    """Short hair and beard, grown from the skin's `points` along its normals `out`."""
    rng = np.random.default_rng([person.seed, 2])
    grown = []
    color, base = hair_albedo(person), tone(person)
    style = person.hair.style
    if style in SHELLS:
        shape = SHELLS[style]
        if person.headwear != "none":
            shape = Shell(0.4 * shape.height, shape.variation, shape.frequency)
        if style == "coily":
            shape = Shell(shape.height * rng.uniform(0.6, 1.4), shape.variation, shape.frequency)
        receded = person.hair.receding * smoothstep(1.15, 0.8, face.frontness) * 1.3
        fade = smoothstep(-0.02, 0.2, face.above_hairline - receded)
        mask = skin.scalp if style == "horseshoe" else skin.scalp * fade
        grown.append(
            _grow(mask, shape, color, 0.25, 1.0, noise, face.canon, points, out, triangles)
        )
    if person.hair.beard in BEARDS:
        shape = BEARDS[person.hair.beard]
        if person.hair.beard == "full":
            shape = Shell(float(rng.uniform(0.03, 0.11)), shape.variation, shape.frequency)
        color = 0.75 * color + 0.05 * base
        for share in (0.5, 1.0):
            layer = Shell(shape.height * share, shape.variation, shape.frequency)
            grown.append(
                _grow(
                    skin.beard, layer, color, 0.5, 0.9, noise, face.canon, points, out, triangles
                )
            )
    return grown


def _grow(  # type: ignore[no-untyped-def]
    mask,
    shape: Shell,
    color,
    edge: float,
    strength: float,
    noise: Noise,
    canon,
    points,
    out,
    triangles,
) -> Surface:
    """A layer of tufts over the skin where `mask` is above 0."""
    kept = triangles[(mask[triangles] > 0.04).any(1)]
    used, local = np.unique(kept, return_inverse=True)
    mask, canon, out = mask[used], canon[used], out[used]
    coarse, fine = noise(canon, shape.frequency, 61), noise(canon, shape.frequency * 2.6, 62)
    tufts = np.clip(1 + shape.variation * (coarse + 0.6 * fine), 0.2, 2.2)
    height = shape.height * np.clip(1.6 * mask, 0, 1) * tufts
    opacity = strength * smoothstep(0, edge, mask - 0.05) * (1.0 + 0.3 * fine)
    down = np.cross(out, np.array([1, 0, 0], np.float32))
    return Surface(
        points=(points[used] + out * height[:, None]).astype(np.float32),
        triangles=local.reshape(-1, 3).astype(np.int32),
        albedo=color * np.clip(1 + 0.35 * fine + 0.2 * coarse, 0.35, 1.8)[:, None],
        material=Material.HAIR,
        gloss=18.0,
        specular=0.18 * float(color.mean()) ** 0.5 + 0.01,
        opacity=np.clip(opacity, 0, 1).astype(np.float32),
        tangents=unit(down),
    )


def mesh(person: Person, part: Part, noise: Noise, body: Array) -> Surface:
    """A fitted hair mesh: strands by azimuth round the comb axis, cut, waved and trimmed."""
    style = person.hair.style
    points, canon = part.points(body), part.canon
    out = normals(points, part.triangles)
    axis, centre = COMBS.get(MESHES.get(style, style), CROWN_COMB)
    strands, azimuth, tangents = _comb(canon, out, axis, centre, noise)
    if style == "afro01":
        strands = 0.6 * noise(canon, 10, 51) + 0.5 * noise(canon, 24, 52)
    relief = (0.045 if style == "afro01" else 0.009) * strands
    relief = relief + 0.035 * smoothstep(7.5, 7.9, canon[:, 1])
    if style in ("bob02", "short03"):  # their fringe lies on the forehead
        relief = relief + 0.03 * smoothstep(0.9, 1.2, canon[:, 2])
    points = points + out * _outward(out, points) * relief[:, None]
    if style in ("long01", "bob02") and person.hair.wave:
        sway = smoothstep(7.5, 6.6, canon[:, 1]) * person.hair.wave * 0.05
        points[:, 0] += np.sin(canon[:, 1] * 9 + 1.5 * np.sin(azimuth * 5)) * sway
        points[:, 2] += np.cos(canon[:, 1] * 8 + azimuth * 3) * sway
    opacity = _coverage(person, part, strands)
    color = hair_albedo(person)
    root = 0.8 + 0.35 * smoothstep(0.0, 0.5, 8.5 - canon[:, 1])  # roots are in the shade of others
    albedo = color * np.clip(1 + 0.42 * strands, 0.25, 2.2)[:, None] * root[:, None]
    if 0.12 < person.hair.grey < 0.88:  # greying goes strand by strand
        albedo = blend(
            albedo, 1.1 * linear(HAIR_COLORS["grey"]), 0.5 * smoothstep(0.3, 1.0, strands)
        )
    shine = 0.02 + 0.22 * float(color.mean()) ** 0.5
    points = points.astype(np.float32)
    n_coarse = part.coarse.max() + 1
    solid = (opacity[:n_coarse] > 0.5)[part.coarse].all(1)
    return Surface(
        points=points,
        triangles=part.triangles,
        albedo=albedo.astype(np.float32),
        material=Material.HAIR,
        gloss=8.0 if style == "afro01" else 26.0,
        specular=0.4 * shine if style == "afro01" else shine,
        opacity=opacity,
        tangents=tangents,
        two_sided=True,
        shadow=(points[:n_coarse], part.coarse[solid]),
    )


def bun(person: Person, noise: Noise, crown: Array) -> Surface:
    """A knot of hair on the crown, so that hair worn up is seen from the front."""
    polar = np.linspace(0.02, np.pi - 0.02, 20)
    size = 0.42 + 0.1 * float(np.random.default_rng([person.seed, 3]).uniform())
    points, triangles = revolve(
        np.stack([np.sin(polar), np.cos(polar)], 1),
        crown + np.array([0, 0.1, -0.15]),
        (size, 0.8 * size, size),
    )
    out = normals(points, triangles)
    around = np.arctan2(out[:, 0], out[:, 2])
    strands = noise(np.stack([around * 6 + 5 * out[:, 1], out[:, 1] * 2, 0 * around], 1), 1, 71)
    strands += 0.6 * noise(
        np.stack([around * 16 + 9 * out[:, 1], out[:, 1] * 3, 0 * around], 1), 1, 72
    )
    points = (points + out * (0.02 * strands)[:, None]).astype(np.float32)
    color = hair_albedo(person)
    return Surface(
        points=points,
        triangles=triangles,
        albedo=(color * np.clip(1 + 0.4 * strands, 0.3, 2)[:, None]).astype(np.float32),
        material=Material.HAIR,
        gloss=26.0,
        specular=0.02 + 0.22 * float(color.mean()) ** 0.5,
        tangents=unit(np.cross(out, np.array([0.3, 1, 0.2], np.float32))),
        two_sided=True,
        shadow=(points, triangles),
    )


def _comb(canon: Array, out: Array, axis, centre, noise: Noise) -> tuple[Array, Array, Array]:  # type: ignore[no-untyped-def]
    """Strands (n,) of mean 0, azimuth round the comb axis, and tangents (n, 3) along the strands."""
    along = unit(np.array(axis, np.float32))
    first = unit(np.cross(along, np.array([0, 0, 1], np.float32)))
    from_centre = canon - np.array(centre, np.float32)
    height = from_centre @ along
    azimuth = np.arctan2(from_centre @ first, from_centre @ np.cross(along, first))
    polar = np.stack([azimuth / (2 * np.pi), height, np.zeros_like(height)], 1).astype(np.float32)
    strands = 0.6 * noise(polar, (70, 1.2, 1), 81) + 0.5 * noise(polar, (210, 2, 1), 82)
    strands += 0.35 * noise(polar, (490, 3, 1), 83)
    # Strands run together at the pole, finer than the mesh can show.
    strands *= smoothstep(0.0, 0.6, np.linalg.norm(from_centre - np.outer(height, along), axis=1))
    tangents = unit(np.cross(np.cross(along, from_centre), out))
    return strands, azimuth, tangents


def _outward(out: Array, points: Array) -> float:
    """1 if the mesh's normals point away from its middle, -1 if it is inside out."""
    middle = points.mean(0) * np.array([0, 1, 1], np.float32)
    return -1.0 if float((out * (points - middle)).sum(1).mean()) < 0 else 1.0


def _coverage(person: Person, part: Part, strands: Array) -> Array:
    """Opacity (n,): soft at open edges, cut at the length, trimmed over the eyes, full on the crown."""
    style, canon = person.hair.style, part.canon
    side, height, depth = np.abs(canon[:, 0]), canon[:, 1], canon[:, 2]
    if style == "afro01":
        return np.clip(1.05 * smoothstep(0, 0.12, part.rim + 0.05 * strands), 0, 1)
    cover = smoothstep(0.0, 0.012, part.rim + 0.010 * strands)
    cover = cover * smoothstep(-0.12, 0.12, height - person.hair.length + 0.10 * strands)
    crown = (height > 7.95) & (depth < 1.15)
    if style in ("bob02", "short03"):
        crown |= height > 7.74
    cover = np.where(crown, 1, cover)
    over_face = (depth > 0.85) * smoothstep(0.78, 0.66, side - 0.10 * smoothstep(7.6, 7.0, height))
    limit = person.hair.fringe - 0.35 * smoothstep(0.42, 0.62, side)
    cover = cover * (1 - over_face * smoothstep(0.03, -0.03, height - limit + 0.035 * strands))
    return np.asarray(cover, np.float32)
