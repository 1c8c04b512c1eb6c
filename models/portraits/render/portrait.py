"""One portrait: a person dressed, posed and rendered."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render import clothes, eyes, hair, props, scene, skin
from models.portraits.render.camera import Camera, aim
from models.portraits.render.color import Array, smoothstep
from models.portraits.render.face import Face, locate
from models.portraits.render.noise import Noise
from models.portraits.render.sampling import Person
from models.portraits.render.surface import Material, Surface, normals
from models.portraits.render.wardrobe import Wardrobe

SAMPLES = 2  # rays a pixel along each axis
LONG = ("long01", "bob01", "bob02")  # styles that hide the ears


@dataclass(frozen=True)
class Studio:
    """Everything that portraits share."""

    wardrobe: Wardrobe
    face: Face

    @classmethod
    def furnish(cls, wardrobe: Wardrobe) -> "Studio":
        """Lay the fields of the face over the wardrobe's skin."""
        return cls(wardrobe, locate(wardrobe.skin.canon, wardrobe.masks))

    def render(self, person: Person, size: int = 128) -> Array:
        """The portrait (size, size, 3), sRGB in 0-1."""
        body = self.wardrobe.model.vertices(person)
        return scene.render(
            person, self.dress(person, body), self.camera(person, body, size), size
        )

    def camera(self, person: Person, body: Array, size: int) -> Camera:
        """The camera that frames this body's head."""
        rest, rows = self.wardrobe.model.template, self.wardrobe.skin.source
        chin = body[rows][np.argmin(((rest[rows] - np.array([0, 6.2, 1.5])) ** 2).sum(1)), 1]
        depth = np.mean([body[eye, 2].mean() for eye in self.wardrobe.eyes])
        return aim(person, float(chin), float(body[rows, 1].max()), float(depth), size * SAMPLES)

    def dress(self, person: Person, body: Array) -> list[Surface]:
        """All surfaces of a person whose body vertices are `body`."""
        wardrobe, face, noise = self.wardrobe, self.face, Noise(person.seed)
        points = wardrobe.skin.points(body)
        triangles = wardrobe.skin.triangles
        out = normals(points, triangles)
        painted = skin.paint(person, face, noise)
        worn = hair.mesh_of(person.hair.style, wardrobe)
        relief = painted.relief
        if worn is not None or person.headwear == "headscarf":
            relief = relief - hair.TUCK * painted.scalp * smoothstep(7.55, 7.85, face.canon[:, 1])
        relief = relief - clothes.UNDER * clothes.covered(face)
        made = [
            Surface(
                points=(points + out * relief[:, None]).astype(np.float32),
                triangles=triangles,
                albedo=clothes.shirt_front(person, face, painted.albedo),
                material=Material.SKIN,
                gloss=painted.gloss,
                specular=painted.specular,
                shadow=wardrobe.skin.shadow(points),
            ),
            clothes.surface(person, wardrobe, noise, body),
            *eyes.surfaces(person, wardrobe, body),
        ]
        head = props.skull(wardrobe, body)
        grown = hair.shells(person, face, noise, painted, points, out, triangles)
        if worn is not None:
            grown.append(hair.mesh(person, worn, noise, body))
            if person.headwear == "headscarf":
                props.hide_under_scarf(grown[-1], worn.canon)
        for surface in grown:
            props.press_hair(person, head, surface)
        if person.hair.style == "bun" and person.headwear == "none":
            grown.append(hair.bun(person, noise, points[np.argmax(points[:, 1])]))
        made += grown + props.headwear(person, head)
        if person.headwear == "headscarf":
            made.append(props.headscarf(person, face, noise, points, out, triangles))
        if person.occupation == "doctor":
            made += props.stethoscope(wardrobe, body, made[1])
        if person.occupation in props.TIES:
            made.append(props.tie(props.tie_color(person), wardrobe, body, made[1]))
        if person.dress.glasses:
            made += props.glasses(person, wardrobe, body)
        if person.dress.earring and person.hair.style not in LONG:
            made += props.earrings(person, wardrobe, body)
        return made
