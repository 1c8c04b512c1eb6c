"""From surfaces to a picture: see, light, scatter under the skin, expose, develop."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from models.portraits.render.camera import DISTANCE, Camera
from models.portraits.render.color import Array, blend, encode, linear, smoothstep
from models.portraits.render.lighting import illuminate
from models.portraits.render.lights import lights
from models.portraits.render.person import Person
from models.portraits.render.pixels import ALBEDO, SPECULAR, Pixels, see
from models.portraits.render.surface import Material, Surface

SCATTER = (0.034, 0.016, 0.010)  # decimetres that red, green and blue light spread in skin
BOUNCE = np.array([0.12, 0.042, 0.024], np.float32)  # light that skin gives back to its shadows
SHINE = 0.6  # strength of all highlights
GRAIN = 0.006  # standard deviation of the sensor's noise, in sRGB
SHOULDER = 0.42  # linear level above which highlights are compressed


def render(person: Person, surfaces: Sequence[Surface], camera: Camera, size: int) -> Array:
    """The picture (size, size, 3), sRGB in 0-1; the camera's size is a multiple of `size`."""
    pixels = see(surfaces, camera)
    diffuse, specular = illuminate(pixels, surfaces, camera, lights(person.shot))
    skin = pixels.material == Material.SKIN
    _scatter(pixels, skin, diffuse, camera)
    bounce = 1 + skin[:, None] * BOUNCE * (1 - np.clip(diffuse, 0, 1))
    light = pixels.values[:, ALBEDO] * diffuse * bounce
    light += SHINE * specular * pixels.values[:, SPECULAR, None]
    light *= _exposure(person, diffuse[skin])
    picture = _backdrop(person, camera.size)
    picture[pixels.rows, pixels.columns] = light
    return _develop(picture, size, person.seed)


def _scatter(pixels: Pixels, skin: npt.NDArray[np.bool_], diffuse: Array, camera: Camera) -> None:
    """Blur the irradiance of skin in the picture, red most: a cheap subsurface scattering."""
    size = camera.size
    rows, columns = pixels.rows[skin], pixels.columns[skin]
    if not len(rows):
        return
    window = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    mask, plane = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    mask[rows, columns] = 1
    for channel, reach in enumerate(SCATTER):
        sigma = reach * camera.focal / DISTANCE
        plane[rows, columns] = diffuse[skin, channel]
        spread, cover = np.zeros_like(plane), np.zeros_like(mask)
        spread[window] = gaussian_filter(plane[window], sigma, mode="constant", truncate=2.5)
        cover[window] = gaussian_filter(mask[window], sigma, mode="constant", truncate=2.5)
        diffuse[skin, channel] = (spread / np.maximum(cover, 1e-3))[rows, columns]


def _exposure(person: Person, skin_light: Array) -> float:
    """Expose for the face, dark skin by a little more, as a photographer does."""
    level = float(np.median(skin_light.mean(1))) if len(skin_light) else 1.0
    target = 0.78 + 0.16 * float(np.clip((person.monk - 5) / 4, 0, 1))
    return person.shot.exposure * target / max(level, 0.2)


def _backdrop(person: Person, size: int) -> Array:
    across = np.linspace(-1, 1, size, dtype=np.float32)
    angle = person.shot.backdrop_angle
    along = np.cos(angle) * across[None, :] + np.sin(angle) * across[:, None]
    near, far = linear(person.shot.backdrop)
    return blend(np.broadcast_to(near, (size, size, 3)), far, smoothstep(-1.3, 1.3, along))


def _develop(picture: Array, size: int, seed: int) -> Array:
    """Compress highlights, shrink to `size`, add grain and encode."""
    over = np.maximum(picture - SHOULDER, 0)
    picture = np.minimum(picture, SHOULDER) + over / (1 + 1.1 * over)
    step = picture.shape[0] // size
    small = picture.reshape(size, step, size, step, 3).mean((1, 3))
    grain = np.random.default_rng(seed).normal(0, GRAIN, small.shape)
    return np.asarray(np.clip(encode(small) + grain, 0, 1), np.float32)
