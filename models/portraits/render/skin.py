"""Skin: its tone, its marks of age, the paint on it."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.face import Face
from models.portraits.render.noise import Noise
from models.portraits.render.sampling import Person, ageing

# Albedo of the ten Monk tones: the published swatches pulled to the hues of lit flesh.
TONES = linear(
    [
        (226, 182, 156),
        (221, 174, 144),
        (215, 166, 132),
        (204, 152, 114),
        (198, 148, 112),
        (163, 113, 80),
        (131, 87, 61),
        (100, 64, 46),
        (72, 46, 35),
        (52, 34, 27),
    ]
)
FLUSH = np.array([1.06, 0.86, 0.84], np.float32)
CREASE = np.array([0.42, 0.50, 0.52], np.float32)  # light lost in a wrinkle, least in red
MOUTH = np.array([0.10, 0.02, 0.02], np.float32)
# How much of the scalp a hair style's roots cover; a mesh covers all of it.
ROOTS = {"buzz": 0.72, "crew": 0.9, "horseshoe": 0.85}
STUBBLE = 0.42


@dataclass
class Skin:
    """The painted skin of one person, at the fine skin vertices."""

    albedo: Array  # (n, 3)
    relief: Array  # (n,) displacement along the normal, decimetres
    gloss: Array
    specular: Array
    scalp: Array  # where hair grows on the head, 0-1
    beard: Array  # where the beard grows, 0-1


def tone(person: Person) -> Array:
    """Albedo (3,) of the person's Monk tone."""
    index = min(int(person.monk - 1), 8)
    share = person.monk - 1 - index
    return np.asarray((1 - share) * TONES[index] + share * TONES[index + 1], np.float32)


def hair_albedo(person: Person) -> Array:
    """Albedo (3,) of the person's hair."""
    return linear(person.hair.srgb)


def paint(person: Person, face: Face, noise: Noise) -> Skin:
    """Paint a person's skin over the canonical face."""
    rng = np.random.default_rng([person.seed, 1])
    aged, base = ageing(person.age), tone(person)
    dark = float(np.clip((person.monk - 4) / 5, 0, 1))
    albedo = _complexion(person, face, noise, rng, base, dark)
    wrinkles = (
        face.wrinkles
        * min(1.25 * max(aged - 0.06, 0), 1.3)
        * np.clip(1 + 0.4 * noise(face.canon, 5, 21), 0.4, 1.5)
    )
    folds = face.folds * max(aged - 0.1, 0)
    albedo *= 1 - np.clip((wrinkles + 0.35 * folds)[:, None] * CREASE, 0, 0.8)
    rough = noise(face.canon, 13, 22) * 0.007 + noise(face.canon, 34, 23) * 0.003
    relief = -0.024 * wrinkles - 0.028 * folds + rough * aged * (face.canon[:, 1] > 5.5)
    albedo = _lips(person, face, noise, albedo, base, dark)
    albedo *= (1 - face.lids * (0.10 + 0.25 * person.dress.makeup))[:, None]
    albedo, brows = _brows(person, face, noise, albedo, base)
    scalp = _scalp(person, face, noise)
    beard = _beard_area(person, face)
    hair = hair_albedo(person)
    cover = (
        scalp
        * ROOTS.get(person.hair.style, 1.0)
        * np.clip(1 + 0.25 * noise(face.canon, 60, 43), 0, 1.3)
    )
    albedo = blend(albedo, 0.8 * hair + 0.06 * base, np.clip(cover, 0, 1))
    if person.hair.beard == "none" and not person.is_woman:
        shadow = (
            np.maximum(face.beard, face.moustache)
            * 0.22
            * (1 - 0.6 * dark)
            * (1 - person.hair.grey)
        )
        albedo *= 1 - shadow[:, None] * np.array([1, 0.8, 0.6], np.float32)
    density = STUBBLE if person.hair.beard == "stubble" else 0.8
    albedo = blend(
        albedo,
        0.75 * hair + 0.05 * base,
        np.clip(beard * density * np.clip(1 + 0.35 * noise(face.canon, 55, 44), 0, 1.4), 0, 1),
    )
    albedo = blend(albedo, MOUTH, face.mouth)
    makeup = person.dress.makeup
    return Skin(
        albedo=albedo,
        relief=(relief + 0.012 * brows).astype(np.float32),
        gloss=14 + 10 * face.lips * (1 + makeup) + 8 * face.nose,
        specular=(0.55 + 0.25 * dark) * (1 - 0.6 * np.clip(scalp + beard, 0, 1))
        + 0.6 * face.lips * (0.4 + makeup),
        scalp=scalp,
        beard=beard,
    )


def _complexion(
    person: Person, face: Face, noise: Noise, rng: np.random.Generator, base: Array, dark: float
) -> Array:
    """Mottling, flush, rings under the eyes, spots of age, freckles."""
    aged = ageing(person.age)
    canon = face.canon
    rough = 0.012 * (not person.is_woman)
    mottle = (0.03 + 0.035 * aged + rough) * noise(canon, 9, 1)
    mottle += (0.015 + 0.03 * aged + rough) * noise(canon, 30, 2) + 0.03 * noise(canon, 3, 3)
    albedo = base * (1 + mottle)[:, None]
    flush = (
        (0.75 * face.cheeks + 0.9 * face.nose + 0.6 * face.ears)
        * (1 - 0.6 * dark)
        * rng.uniform(0.6, 1.1)
    )
    albedo = albedo * (1 + (FLUSH - 1) * flush[:, None])
    albedo *= (1 - face.bags * (0.07 + 0.2 * aged) * rng.uniform(1, 1.5))[:, None]
    albedo *= (1 - face.sockets * (0.05 + 0.08 * aged))[:, None]
    if aged > 0.45 and dark < 0.6:
        spots = smoothstep(1.0, 1.5, noise(canon, 6, 11) + 0.4 * noise(canon, 14, 12))
        albedo *= 1 - spots[:, None] * np.array([0.15, 0.22, 0.25], np.float32) * aged
    if rng.uniform() < 0.15 and dark < 0.3:
        freckles = smoothstep(0.9, 1.4, noise(canon, 22, 13)) * np.clip(
            face.cheeks + face.nose, 0, 1
        )
        albedo *= 1 - freckles[:, None] * np.array([0.12, 0.2, 0.25], np.float32)
    sallow = albedo.mean(1, keepdims=True) * np.array([1.04, 1, 0.93], np.float32)
    return blend(albedo.astype(np.float32), sallow, 0.15 * aged)


def _lips(
    person: Person, face: Face, noise: Noise, albedo: Array, base: Array, dark: float
) -> Array:
    makeup = person.dress.makeup
    natural = base * np.array([0.86, 0.56, 0.55] if dark < 0.5 else [0.98, 0.62, 0.62], np.float32)
    color = natural * (1 - 0.8 * makeup) + linear(person.dress.lipstick) * 0.85 * makeup * (
        1 - 0.55 * dark
    )
    cover = (
        face.lips
        * (0.75 + 0.25 * makeup)
        * (1 - 0.25 * ageing(person.age) * (not person.is_woman))
    )
    return blend(albedo, color * (1 + 0.08 * noise(face.canon, 40, 5))[:, None], cover)


def _brows(
    person: Person, face: Face, noise: Noise, albedo: Array, base: Array
) -> tuple[Array, Array]:
    hair, grey = hair_albedo(person), person.hair.grey
    if person.hair.color in ("blond", "red", "lightbrown"):
        color = 0.45 * hair  # brows are darker than fair hair
    else:
        color = 0.75 * hair + 0.25 * hair * base if grey < 0.4 else 0.6 * hair + 0.1 * base
    thickness = 0.026 if person.is_woman else 0.050
    taper = np.interp(np.abs(face.canon[:, 0]), (0.08, 0.3, 0.58), (1.0, 1.0, 0.35))
    brows = np.exp(-(np.abs(face.brow_height / (thickness * taper)) ** 3)) * face.brow_length
    brows = brows * np.clip(0.9 + 0.2 * noise(face.canon, (45, 20, 45), 31), 0, 1)
    brows = brows * (0.85 if person.is_woman else 0.95) * (1 - 0.35 * grey)
    return blend(albedo, color, brows), brows.astype(np.float32)


def _scalp(person: Person, face: Face, noise: Noise) -> Array:
    canon, hair = face.canon, person.hair
    receded = hair.receding * smoothstep(1.15, 0.8, face.frontness) * 1.3
    edge = face.above_hairline - receded + 0.05 * noise(canon, 9, 41)
    scalp = smoothstep(-0.03, 0.09, edge) * (1 - face.ears) * (canon[:, 1] > 6.5)
    if hair.style == "horseshoe":  # hair is left at the sides and at the back
        scalp = scalp * smoothstep(
            7.98, 7.78, canon[:, 1] + 0.25 * (canon[:, 2] - 0.3) + 0.03 * noise(canon, 8, 42)
        )
    if hair.style == "bald":
        scalp = scalp * (0.0 if person.age > 50 else 0.10)
    return np.asarray(scalp, np.float32)


def _beard_area(person: Person, face: Face) -> Array:
    match person.hair.beard:
        case "full" | "stubble":
            return np.maximum(face.beard, face.moustache)
        case "goatee":
            return np.maximum(face.goatee, face.moustache)
        case "moustache":
            return face.moustache
        case _:
            return np.zeros_like(face.beard)
