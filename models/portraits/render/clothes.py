"""Clothes: what each occupation wears, painted on a few garments, to be told at a glance."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from models.portraits.render.color import Array, blend, linear, smoothstep
from models.portraits.render.person import Person
from models.portraits.render.pigment import tone
from models.portraits.render.sitter import Sitter
from models.portraits.render.surface import Material, Surface, normals
from models.portraits.render.wardrobe import COLLAR, LAPELS, Part

WHITE = np.array([0.72, 0.73, 0.74], np.float32)
BLACK = np.array([0.012, 0.012, 0.014], np.float32)
SILVER = np.array([0.60, 0.61, 0.63], np.float32)
REFLECTIVE = np.array([0.68, 0.72, 0.10], np.float32)  # the yellow of a firefighter's stripes
NAVY = linear((24, 34, 66))
RED = linear((200, 24, 30))
GOLD = linear((212, 168, 54))

# Occupations whose shirt is closed to the neck, and the colour of its front.
CLOSED = {"executive": WHITE, "police": NAVY}

Mask = npt.NDArray[np.bool_]
Paint = Callable[[Person, Part], Array]


def surface(sitter: Sitter) -> Surface:
    """The garment of the sitter's occupation, painted."""
    person, noise = sitter.person, sitter.noise
    name, paint = outfit(person)
    part = sitter.wardrobe.garments[name]
    points = part.points(sitter.body)
    if name == "t-shirt":  # it lies on the skin
        points = (points + 0.015 * normals(points, part.triangles)).astype(np.float32)
    weave = 1 + 0.05 * noise(part.canon, 25, 91) + 0.06 * noise(part.canon, (4, 2, 4), 92)
    return Surface(
        points=points,
        triangles=part.triangles,
        albedo=(paint(person, part) * weave[:, None]).astype(np.float32),
        material=Material.CLOTH,
        gloss=6.0,
        specular=0.15,
        two_sided=True,
        shadow=part.shadow(points),
    )


def outfit(person: Person) -> tuple[str, Paint]:
    """The garment's name in the wardrobe, and its paint."""
    if person.occupation == "office" and not person.dress.jacketed:
        return ("blouse" if person.is_woman else "shirt"), _lanyard
    return OUTFITS[person.occupation]


def covered(canon: Array) -> Array:
    """Where every garment covers the skin, in 0-1: the shoulders."""
    side, y = np.abs(canon[:, 0]), canon[:, 1]
    return smoothstep(0.8, 1.1, side) * smoothstep(6.0, 5.8, y)


def shirt_front(person: Person, canon: Array, albedo: Array) -> Array:
    """Close the open collar of the meshes: the skin in its opening is painted as shirt."""
    if person.occupation not in CLOSED:
        return albedo
    side, y, z = np.abs(canon[:, 0]), canon[:, 1], canon[:, 2]
    inside = (y < 5.86 + 0.1 * side) & (z > 0.0) & (side < 0.9)
    return blend(albedo, CLOSED[person.occupation], inside)


def _plain(part: Part, color: Array) -> Array:
    return np.tile(np.asarray(color, np.float32), (len(part.canon), 1))


def _xyz(part: Part) -> tuple[Array, Array, Mask, Array]:
    """Canonical |x|, y and whether a point is in front, and signed x."""
    x, y, z = part.canon.T
    return np.abs(x), y, z > 0.2, x


def _layers(part: Part, coat: Array, inner: Array) -> Array:
    """A jacket over a shirt, its lapels a little darker."""
    albedo = np.where((part.component == COLLAR)[:, None], inner, coat)
    return np.asarray(albedo * np.where(part.component == LAPELS, 0.9, 1.0)[:, None], np.float32)


def _shirt(person: Person, part: Part) -> Array:
    return _plain(part, linear(person.dress.shirt))


def _jacket(person: Person, part: Part) -> Array:
    """A jacket over a shirt."""
    return _layers(part, linear(person.dress.jacket), linear(person.dress.shirt))


def _lanyard(person: Person, part: Part) -> Array:
    """A shirt with the ribbon of an office pass."""
    side, y, front, _ = _xyz(part)
    ribbon = smoothstep(0.085, 0.065, np.abs(side - 0.62 * np.maximum(y - 4.75, 0)))
    ribbon = ribbon * front * (y < 6.1)
    return blend(_shirt(person, part), linear(person.dress.accent), ribbon)


def _white_coat(person: Person, part: Part) -> Array:
    """A white coat over a shirt or scrubs."""
    return _layers(part, WHITE, linear(person.dress.shirt))


def _scrubs(person: Person, part: Part) -> Array:
    """A V-neck with a pale border, and a pass with a red cross."""
    side, y, front, x = _xyz(part)
    from_edge = side - 0.9 * (y - 5.05)
    above = front & (y > 5.0)
    albedo = _plain(part, linear(person.dress.uniform))
    albedo = blend(albedo, 0.9 * WHITE, smoothstep(0.12, 0.09, from_edge) * above)
    albedo = blend(albedo, 0.9 * tone(person), smoothstep(0.02, -0.01, from_edge) * above)
    badge_x, badge_y = np.abs(x - 0.85), np.abs(y - 5.28)
    albedo = blend(albedo, WHITE, front & (badge_x < 0.2) & (badge_y < 0.2))
    cross = ((badge_x < 0.05) & (badge_y < 0.15)) | ((badge_x < 0.15) & (badge_y < 0.05))
    return blend(albedo, RED, front & cross)


def _apron(person: Person, part: Part) -> Array:
    """A bib with a strap round the neck over a light shirt."""
    side, y, front, _ = _xyz(part)
    bib = front & (y < 5.35) & (side < 0.75)
    strap = smoothstep(0.09, 0.06, np.abs(side - 0.70 + 0.10 * (y - 5.35))) * (y >= 5.3)
    apron = np.maximum(bib, strap)
    return blend(_shirt(person, part), linear(person.dress.uniform), apron)


def _chef(person: Person, part: Part) -> Array:
    """A white jacket with two rows of dark buttons and a neckerchief."""
    side, y, front, _ = _xyz(part)
    albedo = _layers(part, WHITE, linear(person.dress.accent))
    row = np.abs((y - 4.4) % 0.36 - 0.18)
    button = front & (np.hypot(side - 0.5, row) < 0.07) & (part.component != COLLAR)
    return blend(albedo, BLACK, button)


def _high_visibility(person: Person, part: Part) -> Array:
    """A jacket in signal colour with silver stripes."""
    side, y, _, _ = _xyz(part)
    albedo = _layers(part, linear(person.dress.uniform), linear(person.dress.shirt))
    stripe = ((np.abs(side - 0.95) < 0.14) | (np.abs(y - 3.9) < 0.15)) & (part.component != COLLAR)
    return blend(albedo, 0.93 * SILVER, stripe)


def _turnout(person: Person, part: Part) -> Array:
    """A dark coat with bright stripes, yellow edged with silver."""
    side, y, _, _ = _xyz(part)
    coat = linear(person.dress.uniform)
    albedo = _layers(part, coat, 0.6 * coat)
    coat_only = part.component != COLLAR
    for offset in (np.abs(y - 5.0), np.abs(side - 1.35) + 9 * (y < 5.0)):
        albedo = blend(albedo, REFLECTIVE, (offset < 0.19) & coat_only)
        albedo = blend(albedo, SILVER, (offset < 0.07) & coat_only)
    return albedo


def _police(person: Person, part: Part) -> Array:
    """A navy shirt with a gold badge and gold bars on the shoulders."""
    side, y, front, x = _xyz(part)
    albedo = _plain(part, NAVY)
    albedo = blend(albedo, GOLD, (np.abs(side - 1.25) < 0.06) & (y > 5.4))
    badge = np.hypot((x - 0.85) / 0.15, (y - 5.3) / 0.17) < 1
    return blend(albedo, GOLD, badge & front)


def _tabard(person: Person, part: Part) -> Array:
    """A bright overall without sleeves, with a pale border, over a light shirt."""
    side, y, front, _ = _xyz(part)
    neckline = 5.62 - 0.5 * np.clip(0.7 - side, 0, 0.7)
    below = np.where(front, neckline - y + 0.35 * (side > 0.7), 9)
    inside = np.minimum(1.25 - side, below)
    albedo = blend(_shirt(person, part), 0.95 * WHITE, smoothstep(-0.07, -0.05, inside))
    return blend(albedo, linear(person.dress.uniform), smoothstep(-0.01, 0.01, inside))


OUTFITS: dict[str, tuple[str, Paint]] = {
    "office": ("jacket", _jacket),
    "executive": ("jacket", _jacket),
    "doctor": ("jacket", _white_coat),
    "nurse": ("t-shirt", _scrubs),
    "barista": ("t-shirt", _apron),
    "cook": ("jacket", _chef),
    "construction": ("jacket", _high_visibility),
    "firefighter": ("jacket", _turnout),
    "police": ("shirt", _police),
    "cleaner": ("t-shirt", _tabard),
    "casual": ("t-shirt", _shirt),
}
