"""The lights of the studio, each an array of distant ones: soft shadows without noise."""

from dataclasses import dataclass

import numpy as np

from models.portraits.render.color import Array
from models.portraits.render.person import Shot


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
