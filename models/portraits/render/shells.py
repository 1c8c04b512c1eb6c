"""Short hair and beards: layers of tufts grown from the skin."""

from dataclasses import dataclass, replace

import numpy as np

from models.portraits.render.color import Array, smoothstep
from models.portraits.render.growth import beard_albedo, receded
from models.portraits.render.pigment import hair_albedo
from models.portraits.render.sitter import Sitter
from models.portraits.render.skin import Skin
from models.portraits.render.surface import Material, Surface, unit


@dataclass(frozen=True)
class Tufts:
    """Short hair as a displaced copy of the skin."""

    height: float  # decimetres
    variation: float
    frequency: float  # tufts a decimetre
    edge: float = 0.25  # density of growth at which the layer becomes opaque
    strength: float = 1.0  # opacity where hair is dense


STYLES = {
    "buzz": Tufts(0.03, 0.15, 30),
    "crew": Tufts(0.11, 0.25, 14),
    "coily": Tufts(0.20, 0.22, 11),
    "horseshoe": Tufts(0.07, 0.20, 16),
}
BEARDS = {
    "full": Tufts(0.07, 0.3, 24, 0.5, 0.9),
    "goatee": Tufts(0.045, 0.3, 24, 0.5, 0.9),
    "moustache": Tufts(0.03, 0.3, 24, 0.5, 0.9),
}
UNDER_HAT = 0.4  # of its height is left to hair under a hat


def grow(sitter: Sitter, skin: Skin) -> list[Surface]:
    """The sitter's short hair and beard."""
    person, dice, grown = sitter.person, sitter.dice(2), []
    if tufts := STYLES.get(person.hair.style):
        height = tufts.height * (1.0 if person.headwear == "none" else UNDER_HAT)
        if person.hair.style == "coily":
            height *= dice.uniform(0.6, 1.4)
        density = skin.growth.scalp
        if person.hair.style != "horseshoe":  # thin at the hairline
            density = density * smoothstep(
                -0.02, 0.2, sitter.face.above_hairline - receded(sitter)
            )
        tufts = replace(tufts, height=height)
        grown.append(_layer(sitter, density, tufts, hair_albedo(person)))
    if tufts := BEARDS.get(person.hair.beard):
        if person.hair.beard == "full":
            tufts = replace(tufts, height=dice.uniform(0.03, 0.11))
        for share in (0.5, 1.0):
            layer = replace(tufts, height=tufts.height * share)
            grown.append(_layer(sitter, skin.growth.beard, layer, beard_albedo(person)))
    return grown


def _layer(sitter: Sitter, density: Array, tufts: Tufts, color: Array) -> Surface:
    """A layer of tufts over the skin where hair grows."""
    triangles = sitter.wardrobe.skin.triangles
    used, local = np.unique(triangles[(density[triangles] > 0.04).any(1)], return_inverse=True)
    density, canon, out = density[used], sitter.face.canon[used], sitter.out[used]
    coarse = sitter.noise(canon, tufts.frequency, 61)
    fine = sitter.noise(canon, tufts.frequency * 2.6, 62)
    height = np.clip(1 + tufts.variation * (coarse + 0.6 * fine), 0.2, 2.2)
    height = tufts.height * np.clip(1.6 * density, 0, 1) * height
    opacity = tufts.strength * smoothstep(0, tufts.edge, density - 0.05) * (1.0 + 0.3 * fine)
    shade = np.clip(1 + 0.35 * fine + 0.2 * coarse, 0.35, 1.8)
    return Surface(
        points=(sitter.points[used] + out * height[:, None]).astype(np.float32),
        triangles=local.reshape(-1, 3).astype(np.int32),
        albedo=color * shade[:, None],
        material=Material.HAIR,
        gloss=18.0,
        specular=0.18 * float(color.mean()) ** 0.5 + 0.01,
        opacity=np.clip(opacity, 0, 1).astype(np.float32),
        tangents=unit(np.cross(out, np.array([1, 0, 0], np.float32))),
    )
