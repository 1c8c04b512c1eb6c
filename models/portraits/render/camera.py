"""Where the camera and the lights stand."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array
from models.portraits.render.sampling import Person, Shot

DISTANCE = 14.0  # decimetres from the head: a portrait lens
FRAME = 0.77  # half the picture, in head heights
CENTRE = 0.345  # height of the picture's centre above the chin, in head heights
# What would leave the picture at the top: a wider frame, its centre raised by so many head heights.
TALL = {
    "toque": (1.10, 0.10),
    "fire helmet": (1.05, 0.07),
    "helmet": (1.03, 0.05),
    "cap": (1.03, 0.05),
    "bun": (1.05, 0.07),
}


@dataclass(frozen=True)
class Camera:
    """A perspective camera on the +z axis, looking at the turned head."""

    centre: Array  # (3,) of the scene
    rotation: Array  # (3, 3) scene to camera
    focal: float  # pixels
    size: int  # pixels

    def turn(self, points: Array) -> Array:
        """Scene coordinates (n, 3) to camera coordinates."""
        return np.asarray((points - self.centre) @ self.rotation.T, np.float32)

    def project(self, points: Array) -> Array:
        """Camera coordinates (n, 3) to pixel x, pixel y and depth, greater being nearer."""
        scale = self.focal / (DISTANCE - points[:, 2])
        half = self.size / 2
        return np.stack(
            [half + points[:, 0] * scale, half - points[:, 1] * scale, points[:, 2]], 1
        )


def aim(person: Person, chin: float, crown: float, eye_depth: float, size: int) -> Camera:
    """Frame a head between the heights `chin` and `crown` on `size` pixels."""
    shot, head = person.shot, crown - chin
    on_top = person.hair.style if person.headwear == "none" else person.headwear
    widen, raise_by = TALL.get(on_top, (1.0, 0.0))
    centre = np.array([0, chin + (CENTRE + raise_by) * head, eye_depth - 0.7], np.float32)
    centre[:2] += shot.shift
    yaw, pitch, roll = np.radians([shot.yaw, shot.pitch, shot.roll])
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    half = FRAME * head * shot.zoom * widen
    return Camera(centre, (tilt @ nod @ turn).astype(np.float32), DISTANCE / half * size / 2, size)


@dataclass(frozen=True)
class Light:
    """A distant light."""

    direction: Array  # (3,) unit, towards the light
    color: Array  # (3,)
    highlights: bool
    cells: int  # side of its shadow map


KEYS, FILLS, SKY, RIMS = 6, 3, 14, 2  # each an array of distant lights: soft shadows without noise
SHARP, BLURRED = 160, 80  # sides of the shadow maps of key and of all other lights


def lights(shot: Shot) -> list[Light]:
    """Key light, fill from the other side, sky from all round and two rims from behind."""
    azimuth, elevation = np.radians([shot.azimuth, shot.elevation])
    side = np.sign(azimuth)
    warm = np.array([1 + shot.warmth, 1, 1 - shot.warmth], np.float32)
    rig = []
    for angle in 2 * np.pi * np.arange(KEYS) / KEYS:
        direction = _towards(azimuth + 0.22 * np.cos(angle), elevation + 0.22 * np.sin(angle))
        rig.append(Light(direction, shot.key * 1.33 / KEYS * warm, True, SHARP))
    for angle in 2 * np.pi * np.arange(FILLS) / FILLS:
        direction = _towards(
            -0.8 * azimuth - 0.4 * side + 0.35 * np.cos(angle), 0.25 + 0.35 * np.sin(angle)
        )
        rig.append(Light(direction, shot.ambient * 0.42 / FILLS * (2 - warm), True, BLURRED))
    for k in range(SKY):  # a spiral of golden angles from above to a little below the horizon
        height = 0.95 - 1.35 * k / SKY
        ring, turn = np.sqrt(1 - height**2), 2.399963 * k + 1
        direction = np.array([ring * np.cos(turn), height, ring * np.sin(turn)], np.float32)
        strength = shot.ambient * (0.5 + 0.4 * height) * 2.1 / SKY
        rig.append(Light(direction, np.full(3, strength, np.float32), False, BLURRED))
    for k in range(RIMS):
        direction = _towards(np.pi - side * (0.5 + 0.2 * k), 0.5)
        rig.append(Light(direction, np.full(3, 0.35, np.float32), True, BLURRED))
    return rig


def _towards(azimuth: float, elevation: float) -> Array:
    flat = np.cos(elevation)
    return np.array(
        [np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat], np.float32
    )
