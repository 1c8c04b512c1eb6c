"""Eyes, lashes and teeth."""

import numpy as np

from models.portraits.render.anatomy import ageing
from models.portraits.render.color import blend, bump, linear, smoothstep
from models.portraits.render.palette import IRISES
from models.portraits.render.person import SMILE_OPENS
from models.portraits.render.pigment import darkness, hair_albedo
from models.portraits.render.shapes import revolve
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Material, Surface, unit
from models.portraits.render.wardrobe import Part

SCLERA = np.array([0.78, 0.74, 0.70], np.float32)
ENAMEL = np.array([0.85, 0.82, 0.75], np.float32)
FORWARD = np.array([0, -0.02, 0.08], np.float32)  # teeth stand at the lips, or a smile stays dark
IRIS, PUPIL = 0.52, 0.22  # polar angles of their edges, radians
LASHES = (0.45, 1.0)  # density of the lower and of the upper lashes


def surfaces(sitter: Sitter) -> list[Surface]:
    """Both eyeballs, the lashes, and the teeth where a smile shows them."""
    made = [_eyeball(sitter, side) for side in (0, 1)]
    for k, part in enumerate(sitter.wardrobe.lashes):
        made.append(_lashes(sitter, part, LASHES[k % 2]))
    if sitter.person.smile > SMILE_OPENS:
        made.append(_teeth(sitter))
    return made


def _lashes(sitter: Sitter, part: Part, density: float) -> Surface:
    person, points = sitter.person, part.points(sitter.body)
    strength = (0.55 if person.is_woman else 0.22) * (0.6 + 0.4 * person.dress.makeup)
    return Surface(
        points=points,
        triangles=part.triangles,
        albedo=0.006 + 0.1 * hair_albedo(person),
        material=Material.CLOTH,
        gloss=8.0,
        specular=0.0,
        opacity=np.full(len(points), strength * density, np.float32),
        two_sided=True,
    )


def _teeth(sitter: Sitter) -> Surface:
    part = sitter.wardrobe.teeth
    gaps = 1 - 0.2 * bump(np.sin(part.canon[:, 0] * 55), 0.3)
    enamel = ENAMEL * (1 - 0.2 * ageing(sitter.person.age))
    return Surface(
        points=part.points(sitter.body) + FORWARD,
        triangles=part.triangles,
        albedo=(enamel * gaps[:, None]).astype(np.float32),
        material=Material.GLOSSY,
        gloss=40.0,
        specular=0.3,
        two_sided=True,
    )


def _eyeball(sitter: Sitter, side: int) -> Surface:
    """A sphere with iris and pupil, turned to where the person looks."""
    person, (middle, radius) = sitter.person, sitter.eye(side)
    polar = np.linspace(0.001, 0.62 * np.pi, 24)
    cornea = 0.985 * (1 + 0.05 * np.exp(-((polar / 0.4) ** 2)))
    profile = np.stack([np.sin(polar) * cornea, np.cos(polar) * cornea], 1)
    points, triangles = revolve(profile, (0, 0, 0), (1, 1, 1), 36)
    ahead = unit(np.array([person.shot.gaze[0], person.shot.gaze[1] - 0.03, 1], np.float32))
    right = unit(np.cross(np.array([0, 1, 0], np.float32), ahead))
    turned = points @ np.stack([right, ahead, np.cross(right, ahead)])
    angle = np.arctan2(np.hypot(points[:, 0], points[:, 2]), points[:, 1])
    around = np.arctan2(points[:, 0], points[:, 2])
    white = SCLERA * (1 - 0.18 * ageing(person.age)) * (1 - 0.12 * darkness(person))
    albedo = white * (1 - 0.25 * smoothstep(0.9, 1.5, angle))[:, None]
    fibres = 0.75 + 0.5 * smoothstep(0.2, 0.45, angle)
    fibres = fibres + 0.2 * np.sin(17 * around) + 0.1 * np.sin(31 * around)
    fibres = fibres * (1 - 0.75 * smoothstep(0.42, 0.53, angle))  # the dark ring round the iris
    strength = 1.0 if person.race == "White" else 0.55  # brown eyes of darker hair are darker
    iris = linear(IRISES[person.eye_color]) * strength * fibres[:, None]
    albedo = blend(albedo, iris, smoothstep(IRIS + 0.03, IRIS - 0.02, angle))
    albedo = blend(albedo, 0.004, smoothstep(PUPIL + 0.02, PUPIL - 0.02, angle))
    albedo *= (1 - 0.35 * smoothstep(0.2, 0.55, turned[:, 1]))[:, None]  # shade of the upper lid
    return Surface(
        points=(middle + radius * turned).astype(np.float32),
        triangles=triangles,
        albedo=albedo,
        material=Material.GLOSSY,
        gloss=260.0,
        specular=0.55,
        two_sided=True,
    )
