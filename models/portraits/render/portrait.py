"""One portrait: a person morphed, dressed, framed and rendered."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.portraits.render import (
    accessories,
    body,
    clothes,
    eyes,
    hair,
    headwear,
    scene,
    shells,
    skin,
    wardrobe,
)
from models.portraits.render.camera import Camera, aim
from models.portraits.render.color import Array
from models.portraits.render.face import Face, locate
from models.portraits.render.person import Person
from models.portraits.render.sitter import Sitter, sit
from models.portraits.render.surface import Surface
from models.portraits.render.wardrobe import Wardrobe

SAMPLES = 2  # rays a pixel along each axis


@dataclass(frozen=True)
class Studio:
    """Everything that portraits share."""

    wardrobe: Wardrobe
    face: Face

    @classmethod
    def furnish(cls, assets: Path, model: Path) -> "Studio":
        """Read the meshes below `assets` and the body model from the file `model`."""
        filled = wardrobe.fill(assets, body.load(model))
        return cls(filled, locate(filled.skin.canon, filled.masks))

    def render(self, person: Person, size: int = 128) -> Array:
        """The portrait (size, size, 3), sRGB in 0-1."""
        sitter = sit(person, self.wardrobe, self.face)
        return scene.render(person, dress(sitter), frame(sitter, size), size)


def frame(sitter: Sitter, size: int) -> Camera:
    """The camera that frames the sitter's head on `size` pixels."""
    chin = float(sitter.landmark(0, 6.2, 1.5)[1])
    crown = float(sitter.body[sitter.wardrobe.rows, 1].max())
    depth = float(np.mean([sitter.body[eye, 2].mean() for eye in sitter.wardrobe.eyes]))
    return aim(sitter.person, chin, crown, depth, size * SAMPLES)


def dress(sitter: Sitter) -> list[Surface]:
    """All surfaces of a sitter."""
    person = sitter.person
    painted = skin.paint(sitter)
    garment = clothes.surface(sitter)
    strands = shells.grow(sitter, painted) + hair.meshes(sitter)
    for surface in strands:
        headwear.press(sitter, surface)
    made = [skin.surface(sitter, painted), garment, *eyes.surfaces(sitter), *strands]
    made += hair.bun(sitter) + headwear.hat(sitter)
    if person.occupation == "doctor":
        made += accessories.stethoscope(sitter, garment)
    if person.occupation in accessories.TIES:
        made.append(accessories.tie(sitter, garment))
    if person.dress.glasses:
        made += accessories.glasses(sitter)
    if person.dress.earring and person.hair.style not in hair.OVER_EARS:
        made += accessories.earrings(sitter)
    return made
