"""Skin: its tone, its marks of age, its make-up, and the roots of the hair that grows from it."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render import growth
from models.portraits.render.anatomy import ageing
from models.portraits.render.clothes import covered, shirt_front
from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.growth import Growth
from models.portraits.render.pigment import darkness, hair_albedo, tone
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Material, Surface

FLUSH = np.array([1.06, 0.86, 0.84], np.float32)
SALLOW = np.array([1.04, 1, 0.93], np.float32)
CREASE = np.array([0.42, 0.50, 0.52], np.float32)  # light lost in a wrinkle, least in red
SPOT = np.array([0.15, 0.22, 0.25], np.float32)  # light lost in a spot of age
FRECKLE = np.array([0.12, 0.20, 0.25], np.float32)
SHAVEN = np.array([0.22, 0.176, 0.132], np.float32)  # light lost where a beard was shaved
MOUTH = np.array([0.10, 0.02, 0.02], np.float32)
WRINKLE_DEPTH, FOLD_DEPTH = 0.024, 0.028  # decimetres
# How much of the scalp a hair style's roots cover; a mesh covers all of it.
ROOTS = {"buzz": 0.72, "crew": 0.9, "horseshoe": 0.85}
STUBBLE, BEARD_ROOTS = 0.42, 0.8  # the same for beards
TUCK = 0.09  # decimetres that the scalp is drawn in under what covers it, so that it never shows
UNDER = 0.2  # the same for what clothes cover


@dataclass(frozen=True)
class Skin:
    """The painted skin of one person, at the fine skin vertices."""

    albedo: Array  # (n, 3)
    relief: Array  # (n,) displacement along the normal, decimetres
    gloss: Array
    specular: Array
    growth: Growth


def surface(sitter: Sitter, skin: Skin) -> Surface:
    """The skin as it is drawn: in relief, and drawn in under hair and clothes."""
    person, part = sitter.person, sitter.wardrobe.skin
    relief = skin.relief
    if growth.is_covered(sitter):
        relief = relief - TUCK * skin.growth.scalp * smoothstep(7.55, 7.85, part.canon[:, 1])
    relief = relief - UNDER * covered(part.canon)
    return Surface(
        points=(sitter.points + sitter.out * relief[:, None]).astype(np.float32),
        triangles=part.triangles,
        albedo=shirt_front(person, part.canon, skin.albedo),
        material=Material.SKIN,
        gloss=skin.gloss,
        specular=skin.specular,
        shadow=part.shadow(sitter.points),
    )


def paint(sitter: Sitter) -> Skin:
    """Paint a sitter's skin over the canonical face."""
    person, face, noise = sitter.person, sitter.face, sitter.noise
    aged, dark, makeup = ageing(person.age), darkness(person), person.dress.makeup
    depth = 1.25 * min(max(aged - 0.06, 0), 1.04)
    wrinkles = face.wrinkles * depth * np.clip(1 + 0.4 * noise(face.canon, 5, 21), 0.4, 1.5)
    folds = face.folds * max(aged - 0.1, 0)
    rough = noise(face.canon, 13, 22) * 0.007 + noise(face.canon, 34, 23) * 0.003
    relief = -WRINKLE_DEPTH * wrinkles - FOLD_DEPTH * folds
    relief += rough * aged * (face.canon[:, 1] > 5.5)
    albedo = _complexion(sitter)
    albedo *= 1 - np.clip((wrinkles + 0.35 * folds)[:, None] * CREASE, 0, 0.8)
    albedo = _lips(sitter, albedo)
    albedo *= (1 - face.lids * (0.10 + 0.25 * makeup))[:, None]
    grown = growth.find(sitter)
    albedo = _roots(sitter, albedo, grown)
    shine = (0.55 + 0.25 * dark) * (1 - 0.6 * np.clip(grown.scalp + grown.beard, 0, 1))
    return Skin(
        albedo=blend(albedo, MOUTH, face.mouth),
        relief=(relief + 0.012 * grown.brows).astype(np.float32),
        gloss=14 + 10 * face.lips * (1 + makeup) + 8 * face.nose,
        specular=shine + 0.6 * face.lips * (0.4 + makeup),
        growth=grown,
    )


def _complexion(sitter: Sitter) -> Array:
    """Mottling, flush, rings under the eyes, spots of age, freckles."""
    person, face, noise, canon = sitter.person, sitter.face, sitter.noise, sitter.face.canon
    dice = sitter.dice(1)
    aged, dark = ageing(person.age), darkness(person)
    rough = 0.0 if person.is_woman else 0.012
    mottle = (0.03 + 0.035 * aged + rough) * noise(canon, 9, 1)
    mottle += (0.015 + 0.03 * aged + rough) * noise(canon, 30, 2) + 0.03 * noise(canon, 3, 3)
    albedo = tone(person) * (1 + mottle)[:, None]
    flush = 0.75 * face.cheeks + 0.9 * face.nose + 0.6 * face.ears
    flush *= (1 - 0.6 * dark) * dice.uniform(0.6, 1.1)
    albedo = albedo * (1 + (FLUSH - 1) * flush[:, None])
    albedo *= (1 - face.bags * (0.07 + 0.2 * aged) * dice.uniform(1, 1.5))[:, None]
    albedo *= (1 - face.sockets * (0.05 + 0.08 * aged))[:, None]
    if aged > 0.45 and dark < 0.6:
        spots = smoothstep(1.0, 1.5, noise(canon, 6, 11) + 0.4 * noise(canon, 14, 12))
        albedo *= 1 - spots[:, None] * SPOT * aged
    if dice.uniform() < 0.15 and dark < 0.3:
        freckles = smoothstep(0.9, 1.4, noise(canon, 22, 13))
        albedo *= 1 - (freckles * np.clip(face.cheeks + face.nose, 0, 1))[:, None] * FRECKLE
    pale = albedo.mean(1, keepdims=True) * SALLOW
    return blend(albedo.astype(np.float32), pale, 0.15 * aged)


def _lips(sitter: Sitter, albedo: Array) -> Array:
    person, face = sitter.person, sitter.face
    makeup, dark = person.dress.makeup, darkness(person)
    natural = tone(person) * np.array(
        [0.86, 0.56, 0.55] if dark < 0.5 else [0.98, 0.62, 0.62], np.float32
    )
    lipstick = linear(person.dress.lipstick) * 0.85 * makeup * (1 - 0.55 * dark)
    color = natural * (1 - 0.8 * makeup) + lipstick
    thinned = 0.0 if person.is_woman else 0.25 * ageing(person.age)
    cover = face.lips * (0.75 + 0.25 * makeup) * (1 - thinned)
    return blend(albedo, color * (1 + 0.08 * sitter.noise(face.canon, 40, 5))[:, None], cover)


def _roots(sitter: Sitter, albedo: Array, grown: Growth) -> Array:
    """Brows, the roots of the hair, stubble, and the shade of a shaven beard."""
    person, noise, canon = sitter.person, sitter.noise, sitter.face.canon
    hair, base = hair_albedo(person), tone(person)
    albedo = blend(albedo, growth.brow_albedo(person), grown.brows)
    cover = grown.scalp * ROOTS.get(person.hair.style, 1.0)
    cover = cover * np.clip(1 + 0.25 * noise(canon, 60, 43), 0, 1.3)
    albedo = blend(albedo, 0.8 * hair + 0.06 * base, np.clip(cover, 0, 1))
    if person.hair.beard == "none" and not person.is_woman:
        face = sitter.face
        shade = np.maximum(face.beard, face.moustache)
        shade = shade * (1 - 0.6 * darkness(person)) * (1 - person.hair.grey)
        albedo *= 1 - shade[:, None] * SHAVEN
    cover = grown.beard * (STUBBLE if person.hair.beard == "stubble" else BEARD_ROOTS)
    cover = cover * np.clip(1 + 0.35 * noise(canon, 55, 44), 0, 1.4)
    return blend(albedo, growth.beard_albedo(person), np.clip(cover, 0, 1))
