"""The camera: how a head is framed."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array
from models.portraits.render.person import Person

DISTANCE = 14.0  # decimetres from the head: a portrait lens
FRAME = 0.77  # half the picture, in head heights
CENTRE = 0.345  # height of the picture's centre above the chin, in head heights
# What would leave the picture at the top: a wider frame, its centre raised, in head heights.
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
