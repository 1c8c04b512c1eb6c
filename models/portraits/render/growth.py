"""Where hair grows on a person's skin: brows, scalp and beard."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array, smoothstep
from models.portraits.render.person import Person
from models.portraits.render.pigment import hair_albedo, tone
from models.portraits.render.sitter import Sitter

FAIR = ("blond", "red", "lightbrown")  # hair whose brows are darker than itself
MESHES = {"bun": "ponytail01"}  # styles that are worn over another style's mesh


@dataclass(frozen=True)
class Growth:
    """Density of hair (n,) in 0-1 at the fine skin vertices."""

    brows: Array
    scalp: Array
    beard: Array


def find(sitter: Sitter) -> Growth:
    """Where the sitter's hair grows."""
    return Growth(_brows(sitter), _scalp(sitter), _beard(sitter))


def mesh_name(person: Person) -> str:
    """The hair mesh of the person's style; styles grown from the scalp have none of that name."""
    return MESHES.get(person.hair.style, person.hair.style)


def is_covered(sitter: Sitter) -> bool:
    """Whether a mesh of hair or a scarf lies over the scalp."""
    return (
        mesh_name(sitter.person) in sitter.wardrobe.hair or sitter.person.headwear == "headscarf"
    )


def receded(sitter: Sitter) -> Array:
    """Decimetres (n,) by which the hairline has gone back, most at the forehead."""
    return 1.3 * sitter.person.hair.receding * smoothstep(1.15, 0.8, sitter.face.frontness)


def brow_albedo(person: Person) -> Array:
    """Albedo (3,) of the brows."""
    hair, base = hair_albedo(person), tone(person)
    if person.hair.color in FAIR:
        return 0.45 * hair
    return 0.75 * hair + 0.25 * hair * base if person.hair.grey < 0.4 else 0.6 * hair + 0.1 * base


def beard_albedo(person: Person) -> Array:
    """Albedo (3,) of the beard, a little of the skin showing through."""
    return 0.75 * hair_albedo(person) + 0.05 * tone(person)


def _brows(sitter: Sitter) -> Array:
    person, face = sitter.person, sitter.face
    taper = np.interp(np.abs(face.canon[:, 0]), (0.08, 0.3, 0.58), (1.0, 1.0, 0.35))
    thickness = (0.026 if person.is_woman else 0.050) * taper
    brows = np.exp(-(np.abs(face.brow_height / thickness) ** 3)) * face.brow_length
    brows = brows * np.clip(0.9 + 0.2 * sitter.noise(face.canon, (45, 20, 45), 31), 0, 1)
    thinned = 1 - 0.35 * person.hair.grey
    return np.asarray(brows * (0.85 if person.is_woman else 0.95) * thinned, np.float32)


def _scalp(sitter: Sitter) -> Array:
    person, face, noise, canon = sitter.person, sitter.face, sitter.noise, sitter.face.canon
    edge = face.above_hairline - receded(sitter) + 0.05 * noise(canon, 9, 41)
    scalp = smoothstep(-0.03, 0.09, edge) * (1 - face.ears) * (canon[:, 1] > 6.5)
    if person.hair.style == "horseshoe":  # hair is left at the sides and at the back
        height = canon[:, 1] + 0.25 * (canon[:, 2] - 0.3) + 0.03 * noise(canon, 8, 42)
        scalp = scalp * smoothstep(7.98, 7.78, height)
    if person.hair.style == "bald":
        scalp = scalp * (0.0 if person.age > 50 else 0.10)
    return np.asarray(scalp, np.float32)


def _beard(sitter: Sitter) -> Array:
    face = sitter.face
    match sitter.person.hair.beard:
        case "full" | "stubble":
            return np.maximum(face.beard, face.moustache)
        case "goatee":
            return np.maximum(face.goatee, face.moustache)
        case "moustache":
            return face.moustache
        case _:
            return np.zeros_like(face.beard)
