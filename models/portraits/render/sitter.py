"""The sitter of a portrait: one person's body, on which skin, hair and clothes are put."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array
from models.portraits.render.face import Face
from models.portraits.render.noise import Noise
from models.portraits.render.person import Person
from models.portraits.render.surface import normals
from models.portraits.render.wardrobe import Wardrobe


@dataclass(frozen=True)
class Sitter:
    """A person in the flesh; what is put on them is a function of this."""

    person: Person
    wardrobe: Wardrobe
    face: Face
    noise: Noise
    body: Array  # (n, 3) all vertices of the body
    points: Array  # (m, 3) fine vertices of the skin
    out: Array  # (m, 3) their unit normals

    def landmark(self, x: float, y: float, z: float) -> Array:
        """Where the skin at a canonical point lies on this body, (3,)."""
        return np.asarray(self.body[self.wardrobe.nearest(x, y, z)], np.float32)

    def eye(self, side: int) -> tuple[Array, float]:
        """Centre (3,) and radius of the left (0) or right (1) eyeball."""
        points = self.body[self.wardrobe.eyes[side]]
        low, high = points.min(0), points.max(0)
        return np.asarray((low + high) / 2, np.float32), float((high - low).max()) / 2

    def dice(self, purpose: int) -> np.random.Generator:
        """A generator for choices too small to be parameters, one stream a purpose."""
        return np.random.default_rng([self.person.seed, purpose])


def sit(person: Person, wardrobe: Wardrobe, face: Face) -> Sitter:
    """Morph the body to a person."""
    body = wardrobe.model.vertices(person)
    points = wardrobe.skin.points(body)
    out = normals(points, wardrobe.skin.triangles)
    return Sitter(person, wardrobe, face, Noise(person.seed), body, points, out)
